//! Enrolment: who may ask, what the evidence proves, and the one certificate that follows.
//!
//! A device that brings evidence enrols in two steps: [`Authority::begin`] gives it a nonce, and a TPM a challenge
//! that only the TPM named in its endorsement can open; [`Authority::finish`] appraises what comes back. A device that
//! brings none enrols in one ([`Authority::simple_enrol`], RFC 7030). Whatever was claimed, the record says what was
//! proven: a hardware claim without proof becomes `software`/`declared`, with the reasons beside it.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use touchmark_attest::tpm::{ActivatedAk, ClaimedIdentity, Pending};
use touchmark_attest::{Appraisal, AppraisalError, judge};
use touchmark_identity::assurance::{KeyAssurance, Storage};
use touchmark_identity::evidence::Nonce;
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::ca::Authority;
use crate::csr::ProvenRequest;
use crate::error::AuthorityError;
use crate::issue::Subject;
use crate::registry::{
    CertificateRecord, CertificateStatus, DeviceStatus, EnrolToken, KeyRecord, RegistryError,
    RevocationReason, chain,
};
use crate::x509::profile::Profile;
use crate::x509::{HeldCertificate, device_name};

/// A session lives this long, in seconds.
pub const SESSION_LIFETIME_S: u64 = 300;
/// No more sessions than this are open at a time.
pub const MAX_SESSIONS: usize = 10_000;

/// What a device shows to be allowed to enrol.
#[derive(Debug)]
pub struct Ticket<'a> {
    /// Who it says it is.
    pub device: &'a DeviceId,
    /// The one-time token that the operator gave it.
    pub token: &'a str,
}

/// What a device gets at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Names the session.
    pub session: [u8; 16],
    /// What its evidence must be bound to.
    pub nonce: [u8; 32],
    /// For a TPM whose endorsement was accepted: credential blob and encrypted secret (`TPM2_MakeCredential`).
    pub challenge: Option<(Vec<u8>, Vec<u8>)>,
    /// Why the endorsement was not accepted.
    pub refusal: Option<String>,
}

/// What a device sends at the end.
#[derive(Debug)]
pub struct Finish<'a> {
    /// The session.
    pub session: &'a [u8],
    /// PKCS#10, DER.
    pub csr: &'a [u8],
    /// The evidence envelope, if the device has one.
    pub evidence: Option<&'a [u8]>,
    /// What the challenge held.
    pub activated_secret: Option<&'a [u8]>,
}

/// A certificate with the record that it carries.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The certificate.
    pub certificate: HeldCertificate,
    /// What is known of its key.
    pub key: KeyRecord,
}

#[derive(Debug)]
struct Session {
    device: DeviceId,
    claimed: Storage,
    nonce: [u8; 32],
    pending: Option<Pending>,
    refusal: Option<String>,
    opened: Timestamp,
}

/// Enrolments that have begun. They live in memory: a device whose session is lost begins again.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<[u8; 16], Session>);

impl Sessions {
    fn open(&mut self, id: [u8; 16], session: Session) -> Result<(), AuthorityError> {
        let now = session.opened;
        let alive = |s: &Session| now.ms_since(s.opened) < lifetime_ms();
        self.0.retain(|_, s| alive(s));
        if self.0.len() >= MAX_SESSIONS {
            return Err(AuthorityError::Busy { open: self.0.len() });
        }
        self.0.insert(id, session);
        Ok(())
    }

    /// Takes a session out; it serves once.
    fn take(&mut self, id: &[u8], device: &DeviceId, now: Timestamp) -> Result<Session, AuthorityError> {
        let none = AuthorityError::NoSession { limit_s: SESSION_LIFETIME_S };
        let Ok(id) = <[u8; 16]>::try_from(id) else { return Err(none) };
        match self.0.remove(&id) {
            Some(session) if session.device == *device && now.ms_since(session.opened) < lifetime_ms() => {
                Ok(session)
            }
            _ => Err(none),
        }
    }
}

fn lifetime_ms() -> i64 {
    i64::try_from(SESSION_LIFETIME_S).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthorityError::Encoding { what: "random bytes" })?;
    Ok(bytes)
}

/// What the Verifier made of a device's evidence.
pub(crate) struct Verdict {
    pub(crate) assurance: KeyAssurance,
    pub(crate) endorser: Option<String>,
    pub(crate) evidence: Option<Vec<u8>>,
    pub(crate) reasons: Vec<String>,
}

/// By what right a device gets a certificate, and so whose place that takes.
pub(crate) enum Right {
    /// By its enrolment token: in place of the newest that nothing has taken the place of.
    Token,
    /// By the certificate of this serial number, in its place.
    Renewal { of: Vec<u8> },
}

impl Authority {
    /// Registers a device and returns its enrolment token, 32 hex digits, which is shown this once.
    ///
    /// # Errors
    /// [`AuthorityError::DeviceExists`] when it is registered; [`Authority::renew_token`] gives a new token then.
    pub fn register(
        &mut self,
        device: &DeviceId,
        device_type: &DeviceType,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, AuthorityError> {
        let (text, token) = self.new_token(now)?;
        match self.registry.add_device(device, device_type, &token, now) {
            Ok(()) => Ok(text),
            Err(RegistryError::Exists { .. }) => {
                Err(AuthorityError::DeviceExists { device: device.to_string() })
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Gives a registered device a new enrolment token; the old one opens nothing from then on. A device that was
    /// revoked may come back this way, with a new key.
    ///
    /// # Errors
    /// [`AuthorityError::Unknown`] when there is no such device.
    pub fn renew_token(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, AuthorityError> {
        self.known(device)?;
        let (text, token) = self.new_token(now)?;
        self.registry.replace_token(device, &token, now)?;
        Ok(text)
    }

    fn new_token(&self, now: Timestamp) -> Result<(Zeroizing<String>, EnrolToken), AuthorityError> {
        let text = Zeroizing::new(hex::encode(random::<16>()?));
        let lifetime_ms =
            i64::try_from(self.settings.enrol_token_lifetime_s).unwrap_or(i64::MAX).saturating_mul(1_000);
        let token = EnrolToken {
            sha256: sha256(text.as_bytes()),
            expires: now.plus_ms(lifetime_ms),
            spent_for: None,
        };
        Ok((text, token))
    }

    /// Holds a ticket against the registry.
    fn admit(&mut self, ticket: &Ticket<'_>, now: Timestamp) -> Result<EnrolToken, AuthorityError> {
        let token = self.registry.token(ticket.device)?.ok_or(AuthorityError::BadToken)?;
        verify_slices_are_equal(&sha256(ticket.token.as_bytes()), &token.sha256)
            .map_err(|_| AuthorityError::BadToken)?;
        if now > token.expires {
            return Err(AuthorityError::BadToken);
        }
        let device = self.known(ticket.device)?;
        match device.status {
            DeviceStatus::Registered | DeviceStatus::Enrolled => Ok(token),
            status => Err(AuthorityError::NotInService {
                device: device.id.to_string(),
                status: status.to_string(),
            }),
        }
    }

    /// Begins an enrolment with evidence. The token is not spent yet.
    ///
    /// # Errors
    /// [`AuthorityError::BadToken`] when the ticket opens nothing; [`AuthorityError::Busy`] when too many enrolments
    /// are under way. An endorsement that is not accepted is no error: the device may go on, and the answer says why
    /// its claim will not be proven.
    pub fn begin(
        &mut self,
        ticket: &Ticket<'_>,
        claimed: Storage,
        endorsement: Option<&ClaimedIdentity>,
        now: Timestamp,
    ) -> Result<Begun, AuthorityError> {
        // A token that was spent still begins: a repeat after a lost answer ends in `finish`, which knows the key.
        self.admit(ticket, now)?;
        let (session, nonce) = (random::<16>()?, random::<32>()?);
        let (mut challenge, mut pending, mut refusal) = (None, None, None);
        if let Some(e) = endorsement {
            let secret = random::<32>()?;
            match touchmark_attest::tpm::begin(e, &self.verifier, now, &secret) {
                Ok((made, waiting)) => {
                    challenge = Some((made.credential_blob, made.encrypted_secret));
                    pending = Some(waiting);
                }
                Err(error) => refusal = Some(explain(&error)),
            }
        }
        let opened = Session {
            device: ticket.device.clone(),
            claimed,
            nonce,
            pending,
            refusal: refusal.clone(),
            opened: now,
        };
        self.sessions.open(session, opened)?;
        Ok(Begun { session, nonce, challenge, refusal })
    }

    /// Ends an enrolment: appraises the evidence, spends the token, issues the certificate.
    ///
    /// A repeat with the same key after a lost answer gets the certificate that was issued.
    ///
    /// # Errors
    /// [`AuthorityError::GradeTooLow`] when policy asks for more than was proven; [`AuthorityError::NoSession`],
    /// [`AuthorityError::BadToken`] and the errors of [`ProvenRequest::from_der`].
    pub fn finish(
        &mut self,
        ticket: &Ticket<'_>,
        finish: &Finish<'_>,
        now: Timestamp,
    ) -> Result<Enrolled, AuthorityError> {
        let token = self.admit(ticket, now)?;
        let session = self.sessions.take(finish.session, ticket.device, now)?;
        let request = ProvenRequest::from_der(finish.csr)?;
        request.must_name(ticket.device)?;
        if let Some(done) = self.already_enrolled(&token, ticket.device, request.key())? {
            return Ok(done);
        }
        let verdict = appraise(&session, finish, request.key(), &self.verifier, now);
        self.certify(ticket.device, &request, Some(session.claimed), verdict, Right::Token, now)
    }

    /// Enrols a device that brings a request and nothing else (RFC 7030 §4.2.1): its key counts as software.
    ///
    /// # Errors
    /// As [`Authority::finish`].
    pub fn simple_enrol(
        &mut self,
        ticket: &Ticket<'_>,
        request: &ProvenRequest,
        now: Timestamp,
    ) -> Result<Enrolled, AuthorityError> {
        let token = self.admit(ticket, now)?;
        request.must_name(ticket.device)?;
        if let Some(done) = self.already_enrolled(&token, ticket.device, request.key())? {
            return Ok(done);
        }
        let reasons = vec!["the request came without evidence".to_owned()];
        let verdict = unproven(reasons);
        self.certify(ticket.device, request, None, verdict, Right::Token, now)
    }

    /// The certificate that this token was spent on, when the same key asks again.
    fn already_enrolled(
        &mut self,
        token: &EnrolToken,
        device: &DeviceId,
        key: &PublicKey,
    ) -> Result<Option<Enrolled>, AuthorityError> {
        let Some(spent_for) = token.spent_for else { return Ok(None) };
        if spent_for != key.spki_sha256() {
            return Err(AuthorityError::BadToken);
        }
        let issued = self.registry.certificates("device", Some(device))?;
        // Not what was renewed since: a repetition does not lead past the chain.
        let enrolled = |c: &CertificateRecord| {
            c.spki_sha256 == spent_for && c.status == CertificateStatus::Good && !c.renewal
        };
        let good = issued.into_iter().find(enrolled);
        match (good.and_then(|c| c.der), self.registry.key(&spent_for)?) {
            (Some(der), Some(key)) => {
                Ok(Some(Enrolled { certificate: HeldCertificate::from_der(&der)?, key }))
            }
            _ => Err(AuthorityError::BadToken),
        }
    }

    pub(crate) fn certify(
        &mut self,
        device: &DeviceId,
        request: &ProvenRequest,
        claimed: Option<Storage>,
        mut verdict: Verdict,
        right: Right,
        now: Timestamp,
    ) -> Result<Enrolled, AuthorityError> {
        if let Some(part) = &verdict.assurance.part {
            let hit = self.registry.class_breaks()?.into_iter().rfind(|entry| entry.hits(part));
            if let Some(entry) = hit {
                verdict.reasons.push(format!("class break {}: {}", entry.id, entry.says));
                verdict.assurance.class_break = Some(entry.id.to_string());
            }
        }
        let grade = verdict.assurance.grade();
        if grade < self.settings.minimum_grade {
            return Err(AuthorityError::GradeTooLow { found: grade, required: self.settings.minimum_grade });
        }
        let spki = request.key().spki_sha256();
        if let Some(other) = self.registry.key(&spki)?.filter(|k| k.device != *device) {
            return Err(AuthorityError::KeyInUse { owner: other.device.to_string() });
        }
        let issued = self.registry.certificates("device", Some(device))?;
        let compromised =
            issued.iter().any(|c| c.spki_sha256 == spki && c.reason == Some(RevocationReason::KeyCompromise));
        if compromised {
            return Err(AuthorityError::KeyCompromised { spki_sha256: spki.to_string() });
        }
        let key = KeyRecord {
            spki_sha256: spki,
            device: device.clone(),
            claimed,
            assurance: verdict.assurance,
            evidence: verdict.evidence,
            endorser: verdict.endorser,
            reasons: verdict.reasons,
            recorded: now,
        };
        let (spends_token, predecessor) = match right {
            Right::Token => (true, chain::newest_head(&issued).map(|head| head.serial.clone())),
            Right::Renewal { of } => (false, Some(of)),
        };
        let subject = Subject {
            profile: Profile::Device { device: device.clone(), assurance: Box::new(key.assurance.clone()) },
            name: device_name(device)?,
            key: request.key().clone(),
            record: Some(key.clone()),
            spends_token,
            predecessor,
            renewal: !spends_token,
        };
        Ok(Enrolled { certificate: self.issue(subject, now)?, key })
    }
}

pub(crate) fn unproven(reasons: Vec<String>) -> Verdict {
    Verdict { assurance: KeyAssurance::declared(Storage::Software), endorser: None, evidence: None, reasons }
}

/// Turns what came back into a record. Whatever is missing or wrong lowers the record; nothing raises it but an
/// appraisal that passed and speaks of the requested key.
fn appraise(
    session: &Session,
    finish: &Finish<'_>,
    key: &PublicKey,
    policy: &touchmark_attest::Policy,
    now: Timestamp,
) -> Verdict {
    let Some(bytes) = finish.evidence else {
        let mut reasons: Vec<String> = session.refusal.iter().cloned().collect();
        if session.claimed != Storage::Software {
            reasons.push(format!("the device claims {} and sent no evidence", session.claimed));
        }
        return unproven(reasons);
    };
    let nonce = match Nonce::new(&session.nonce) {
        Ok(nonce) => nonce,
        Err(wrong) => return unproven(vec![wrong.to_string()]),
    };
    let ak = activated(session, finish);
    let ak = ak.as_ref().map_err(Clone::clone);
    let judged = judge(bytes, &Appraisal { nonce: &nonce, policy, ak, at: now });
    let reasons = judged.reasons.iter().map(explain).collect();
    match &judged.key {
        Some(attested) if attested != key => unproven(vec![format!(
            "the evidence speaks of key {}, the request of {}",
            attested.spki_sha256(),
            key.spki_sha256()
        )]),
        _ => {
            let evidence = judged.is_attested().then(|| bytes.to_vec());
            let endorser = judged.endorser.filter(|_| evidence.is_some());
            Verdict { assurance: judged.assurance, endorser, evidence, reasons }
        }
    }
}

fn activated(session: &Session, finish: &Finish<'_>) -> Result<ActivatedAk, String> {
    let pending = session.pending.as_ref().ok_or_else(|| {
        session.refusal.clone().unwrap_or_else(|| "the TPM's endorsement was not sent".to_owned())
    })?;
    let secret = finish.activated_secret.ok_or("the TPM did not open the credential challenge")?;
    pending.activated(secret).map_err(|e| explain(&e))
}

/// An error with its causes, in one line.
fn explain(error: &AppraisalError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
