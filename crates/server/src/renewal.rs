//! Renewals at the server: what the authority grants or refuses becomes an event, so that the monitor learns who renews.
//!
//! A refusal is in the authority's journal before its event is written, and the event before the device is answered. A
//! crash between these leaves a device without an answer, which asks again.

use std::net::SocketAddr;

use touchmark_authority::AuthorityError;
use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::enrol::Enrolled;
use touchmark_authority::registry::CertificateRecord;
use touchmark_authority::renew::Grant;
use touchmark_authority::x509::HeldCertificate;
use touchmark_identity::event::{
    Authentication, CertSha256, Event, EventBody, IdentityRef, Peer, Renewal, RenewalOutcome,
};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;

use crate::app::App;
use crate::error::ServerError;
use crate::events::NewEvent;

/// The source name of renewals.
pub const SOURCE: &str = "est";

impl App {
    /// Renews a certificate for whoever authenticated with it, `from` this address (RFC 7030 §4.2.2).
    ///
    /// # Errors
    /// Those of [`touchmark_authority::Authority::simple_reenrol`].
    pub fn renew(
        &self,
        presented: &HeldCertificate,
        request: &ProvenRequest,
        from: Option<SocketAddr>,
    ) -> Result<Enrolled, ServerError> {
        let now = self.now();
        let decided = self.authority().simple_reenrol(presented, request, now);
        let (device, renewal) = match &decided {
            Ok(granted) => {
                let device = &granted.enrolled.key.device;
                let outcome = match granted.grant {
                    Grant::Renewed => {
                        self.after_issue(device);
                        RenewalOutcome::Renewed
                    }
                    Grant::Repeated => RenewalOutcome::Repeated,
                };
                let issued = Some(CertSha256(sha256(&granted.enrolled.certificate.der)));
                (device.to_string(), (outcome, issued, None))
            }
            Err(AuthorityError::Superseded { device, head, .. }) => {
                (device.clone(), (RenewalOutcome::Superseded, None, head.parse().ok()))
            }
            Err(_) => return decided.map(|granted| granted.enrolled).map_err(ServerError::from),
        };
        let (outcome, issued, head) = renewal;
        let presented_sha256 = CertSha256(sha256(&presented.der));
        let renewal = Renewal { presented: presented_sha256, outcome, issued, head };
        let event = event(presented, &device, renewal, from, now)?;
        let new = NewEvent { event: &event, device: Some(&device), continuity: None, place: None };
        if let Err(error) = self.accept(&new) {
            // What the authority decided stands, and is in its journal.
            tracing::error!(
                code = error.code(),
                device,
                "the monitor was not told of a renewal: {}",
                error.chain()
            );
        }
        Ok(decided?.enrolled)
    }

    /// Notes that a device certificate was used at the terminator. An event that names the certificate by its digest
    /// has to name this one; a log may name another issuer's certificate of the same number.
    ///
    /// # Errors
    /// [`ServerError::Authority`] when the registry fails.
    pub fn note_use(&self, certificate: &CertificateRecord, event: &Event) -> Result<(), ServerError> {
        let named = &event.identity;
        let agrees = |named: Option<String>, own: &Option<String>| named.is_none() || named == *own;
        if certificate.first_used.is_none()
            && matches!(event.body, EventBody::Authentication(_) | EventBody::Heartbeat(_))
            && agrees(named.cert_sha256.map(|digest| digest.to_string()), &certificate.cert_sha256)
            && agrees(named.cert_sha1.map(|digest| digest.to_string()), &certificate.cert_sha1)
        {
            self.authority().note_use(certificate, event.time)?;
        }
        Ok(())
    }
}

/// The event of a renewal: the connection proved possession of the presented certificate's key.
fn event(
    presented: &HeldCertificate,
    device: &str,
    renewal: Renewal,
    from: Option<SocketAddr>,
    now: Timestamp,
) -> Result<Event, ServerError> {
    let mut event = Event {
        time: now,
        received: None,
        source: SOURCE.to_owned(),
        event_id: None,
        identity: IdentityRef {
            spki_sha256: Some(presented.public_key()?.spki_sha256()),
            common_name: Some(device.to_owned()),
            ..IdentityRef::default()
        },
        body: EventBody::Authentication(Box::new(Authentication {
            peer: from.map(|from| Peer { port: Some(from.port()), ..Peer::at(from.ip()) }),
            renewal: Some(renewal),
            ..Authentication::default()
        })),
    };
    let id = hex::encode(sha256(event.to_line().as_bytes()).split_at(16).0);
    if let EventBody::Authentication(body) = &mut event.body {
        body.session.clone_from(&id);
    }
    event.event_id = Some(id);
    Ok(event)
}
