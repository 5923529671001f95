//! What the parts of the server share, and the acts that touch more than one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use touchmark_authority::registry::{CertificateRecord, Device, KeyRecord};
use touchmark_authority::{Authority, AuthorityError};
use touchmark_identity::event::{
    AntiRollbackFloor, AssuranceSummary, Event, EventBody, IdentityRef, MAX_ALIASES, Registry,
};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::{SpkiHash, sha256};
use touchmark_identity::timestamp::Timestamp;

use crate::config::Config;
use crate::decide::Fleet;
use crate::error::ServerError;
use crate::events::NewEvent;
use crate::gate;
use crate::geo::Places;
use crate::keys::Custody;
use crate::metrics::Metrics;
use crate::respond::Responses;
use crate::watch::Watch;

/// The source name of events that the registry itself gives.
pub const REGISTRY_SOURCE: &str = "registry";

/// Reads the clock. The server's only one.
pub type Clock = fn() -> Timestamp;

/// Everything that requests and tasks share.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The data directory.
    pub data: PathBuf,
    /// The clock.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// How the authority's keys are kept.
    pub custody: Custody,
    /// What is known of addresses.
    pub places: Places,
    /// What terminators are still owed.
    pub gate: gate::Owed,
    /// What follows from findings.
    pub responses: Responses,
    /// What the registry answers to questions of the posture.
    pub fleet: Fleet,
    authority: Mutex<Authority>,
    watch: Mutex<Watch>,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "what the process holds, each of its own type")]
    pub fn new(
        config: Config,
        data: PathBuf,
        clock: Clock,
        custody: Custody,
        places: Places,
        responses: Responses,
        authority: Authority,
        watch: Watch,
    ) -> Self {
        Self {
            config,
            data,
            clock,
            metrics: Metrics::default(),
            custody,
            places,
            gate: gate::Owed::default(),
            responses,
            fleet: Fleet::default(),
            authority: Mutex::new(authority),
            watch: Mutex::new(watch),
        }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The authority. A panic of another holder leaves it usable: what it had written is a whole transaction.
    pub fn authority(&self) -> MutexGuard<'_, Authority> {
        self.authority.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Event log and monitor. Never taken while holding the authority's lock is waited for by the same thread in the
    /// other order: where both are needed, the authority's comes first.
    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs blocking work away from the threads that serve connections.
    ///
    /// # Errors
    /// What the work returns; [`ServerError::TaskEnded`] when it panicked.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&app)).await;
        let result = done.map_err(|_| ServerError::TaskEnded { task: "request" })?;
        result.inspect_err(|error| self.metrics.refused(error.code()))
    }

    /// Writes an event down, has it observed, and does what policy says about what was found.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when it could not be written.
    pub fn accept(&self, new: &NewEvent<'_>) -> Result<bool, ServerError> {
        let accepted = self.watch().accept(new, self.now())?;
        if accepted.new {
            self.metrics.event(new.event.body.type_name());
            self.metrics.source_event(&new.event.source, new.event.body.type_name());
        }
        for finding in &accepted.findings {
            self.metrics.finding(finding.grade.as_str());
            self.metrics.finding_revision(finding.kind.as_str(), finding.grade.as_str());
            tracing::warn!(
                id = %finding.id, kind = %finding.kind, grade = %finding.grade,
                device = finding.device.as_deref().unwrap_or("-"), "{}", finding.says
            );
        }
        if !accepted.findings.is_empty() {
            self.respond();
        }
        Ok(accepted.new)
    }

    /// Brings the metrics up to date that are read off rather than counted.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the outbox cannot be read.
    pub fn measure(&self) -> Result<(), ServerError> {
        let now = self.now();
        let watch = self.watch();
        self.metrics.identities(watch.identities());
        for (source, input) in &watch.inputs {
            if let Some(last) = input.last_event {
                self.metrics.source_lag(source, now.ms_since(last));
            }
        }
        for output in &self.config.output {
            self.metrics.outbox_waiting(&output.name, watch.log().waiting(&output.name)?);
        }
        Ok(())
    }

    /// What follows an issuance: it is counted, and the monitor is told. The certificate stands whatever becomes of
    /// that; what the monitor was not told now, it is told at the device's next change or at the next start.
    pub fn after_issue(&self, device: &DeviceId) {
        self.metrics.enrolled();
        if let Err(error) = self.tell_monitor(Some(device)) {
            tracing::error!(
                code = error.code(),
                "the monitor was not told of an issuance: {}",
                error.chain()
            );
        }
    }

    /// What follows every change of a device's state: the monitor is told, and terminators are.
    ///
    /// # Errors
    /// [`ServerError`] when the monitor cannot be told; the change itself stands.
    pub fn after_change(&self, device: &DeviceId) -> Result<(), ServerError> {
        self.tell_monitor(Some(device))?;
        gate::publish(self)
    }

    /// Tells the monitor what the registry knows and the monitor does not: of one device after each change, of all at
    /// the start, so that a crash between the two is made up for.
    ///
    /// # Errors
    /// [`ServerError`] when registry or event log refuse.
    pub fn tell_monitor(&self, only: Option<&DeviceId>) -> Result<(), ServerError> {
        for event in self.registry_events(only)? {
            let spki = event.identity.spki_sha256.map(|s| s.to_string()).unwrap_or_default();
            if self.watch().knows(&spki, &event.body) {
                continue;
            }
            let device = event.identity.common_name.clone();
            self.accept(&NewEvent {
                event: &event,
                device: device.as_deref(),
                continuity: None,
                place: None,
            })?;
        }
        Ok(())
    }

    fn registry_events(&self, only: Option<&DeviceId>) -> Result<Vec<Event>, ServerError> {
        let mut authority = self.authority();
        let issuer = authority.issuing().certificate().certificate.tbs_certificate.subject.to_string();
        let registry = authority.registry();
        let keys = registry.keys(only).map_err(AuthorityError::from)?;
        let certificates = registry.certificates("device", only).map_err(AuthorityError::from)?;
        let devices = match only {
            Some(device) => registry.device(device).map_err(AuthorityError::from)?.into_iter().collect(),
            None => registry.devices().map_err(AuthorityError::from)?,
        };
        drop(authority);
        let devices: BTreeMap<&DeviceId, &Device> = devices.iter().map(|d| (&d.id, d)).collect();
        let mut aliases: BTreeMap<SpkiHash, Vec<IdentityRef>> = BTreeMap::new();
        for certificate in &certificates {
            let names = aliases.entry(certificate.spki_sha256).or_default();
            // A registry line names so many at most; the newest certificates come first.
            if names.len() < MAX_ALIASES && certificate.der.is_some() {
                names.push(alias(certificate, &issuer));
            }
        }
        let now = self.now();
        let known = keys.iter().filter_map(|key| Some((key, *devices.get(&key.device)?)));
        Ok(known
            .map(|(key, device)| {
                self.registry_event(key, device, aliases.remove(&key.spki_sha256).unwrap_or_default(), now)
            })
            .collect())
    }

    fn registry_event(
        &self,
        key: &KeyRecord,
        device: &Device,
        aliases: Vec<IdentityRef>,
        now: Timestamp,
    ) -> Event {
        let floor = self.config.anti_rollback.get(&device.device_type).copied();
        let body = EventBody::Registry(Box::new(Registry {
            device: key.device.to_string(),
            device_type: Some(device.device_type.to_string()),
            assurance: Some(AssuranceSummary::from(&key.assurance)),
            home: None,
            aliases,
            anti_rollback_floor: floor.map(AntiRollbackFloor::SecurityVersion),
            status: Some(device.status.to_string()),
        }));
        let identity = IdentityRef {
            spki_sha256: Some(key.spki_sha256),
            common_name: Some(key.device.to_string()),
            ..IdentityRef::default()
        };
        let mut event = Event {
            time: now,
            received: None,
            source: REGISTRY_SOURCE.to_owned(),
            event_id: None,
            identity,
            body,
        };
        event.event_id = Some(hex::encode(sha256(event.to_line().as_bytes()).split_at(16).0));
        event
    }
}

/// The names under which terminators log a certificate.
fn alias(certificate: &CertificateRecord, issuer: &str) -> IdentityRef {
    IdentityRef {
        cert_sha256: certificate.cert_sha256.as_deref().and_then(|h| h.parse().ok()),
        cert_sha1: certificate.cert_sha1.as_deref().and_then(|h| h.parse().ok()),
        issuer_dn: Some(issuer.to_owned()),
        serial: hex::encode(&certificate.serial).parse().ok(),
        ..IdentityRef::default()
    }
}
