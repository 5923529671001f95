//! What a page shows: plain values that the server fills in and the templates write out, escaped.
//!
//! Nothing here decides anything. Every text may come from a device, a log or an operator and is treated as hostile
//! by the templates; lists are as long as the server makes them, so the server bounds them and says how many there
//! are in all. Moments are [`Timestamp`]s in UTC.

use touchmark_identity::assurance::{Basis, Grade, Regime, Storage};
use touchmark_identity::finding::{Certainty, Kind};
use touchmark_identity::timestamp::Timestamp;

use crate::respond::CaseView;
use crate::triage::{Standing as TriageStanding, Triage};

/// What every page carries around its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The server's clock when the page was made; relative times count from it.
    pub now: Timestamp,
    /// What the operator calls this server, such as a host name.
    pub instance: String,
    /// The program's version, such as `0.1.0`.
    pub version: String,
    /// What has to be known before anything else is read, most serious first.
    pub banners: Vec<Banner>,
}

/// One notice across the top of every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    /// How serious it is.
    pub tone: BannerTone,
    /// The fact in a few words, such as `TEST endorsers are accepted`.
    pub title: String,
    /// What follows from it and how to change it, in a sentence or two.
    pub text: String,
}

/// How serious a [`Banner`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BannerTone {
    /// Something weakens what the pages say.
    Danger,
    /// Worth knowing.
    Notice,
}

/// The page `/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// What surrounds the content.
    pub frame: Frame,
    /// The figures at the top.
    pub counts: Counts,
    /// Devices by grade; a grade that is absent counts as 0.
    pub grades: Vec<(Grade, u64)>,
    /// Devices by kind of storage and how it is known; a pair that is absent counts as 0.
    pub storage: Vec<StorageCount>,
    /// How the authority keeps its own keys.
    pub authority_keys: Vec<AuthorityKey>,
    /// Findings that are open or were closed lately, newest first.
    pub findings: Vec<FindingRow>,
    /// How many findings there are in all.
    pub findings_total: u64,
    /// Devices, in the order in which they deserve attention.
    pub fleet: Vec<DeviceRow>,
    /// How many devices there are in all.
    pub fleet_total: u64,
    /// Where events come from.
    pub inputs: Vec<Input>,
}

/// The figures at the top of the overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Devices in the registry.
    pub devices: u64,
    /// Devices heard from within the time that [`Counts::live_within_s`] gives.
    pub live: u64,
    /// What "live" means: heard from within this many seconds.
    pub live_within_s: u64,
    /// Devices whose identity is quarantined.
    pub quarantined: u64,
    /// Devices whose certificate is revoked.
    pub revoked: u64,
    /// Open findings of grade `confirmed`.
    pub confirmed: u64,
    /// Open findings of grade `suspect`.
    pub suspect: u64,
    /// Open findings of grade `note`.
    pub note: u64,
}

/// How many devices have one kind of storage, known in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageCount {
    /// Where the key lives.
    pub storage: Storage,
    /// How that is known.
    pub basis: Basis,
    /// Number of devices.
    pub devices: u64,
}

/// How the authority keeps one of its own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityKey {
    /// What the key does, such as `Root CA`.
    pub role: String,
    /// Where it is kept, such as `PKCS#11 token "touchmark"`.
    pub kept: String,
    /// Why that is weaker than it should be; `None` when it is as it should be.
    pub weakness: Option<String>,
}

/// Where events come from, and how that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The source's name in events, such as `nginx-1`.
    pub source: String,
    /// What is read, such as the path of a log.
    pub reads: String,
    /// How it stands.
    pub state: InputState,
    /// Bytes written by the source and not read yet; `None` when the source has no such measure.
    pub lag_bytes: Option<u64>,
    /// When the last event was accepted.
    pub last_event: Option<Timestamp>,
    /// Events accepted since the start.
    pub accepted: u64,
    /// Lines refused since the start, by reason, most frequent first.
    pub refused: Vec<Refusal>,
}

/// How an input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputState {
    /// It is read to its end.
    Following,
    /// There is more to read than was read.
    Behind,
    /// Nothing can be read from it, for instance because the file is absent.
    Unreadable,
}

/// How many lines were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, starting with its code, such as `EV-0003 no identity`.
    pub reason: String,
    /// Number of lines.
    pub lines: u64,
}

/// One line of the fleet table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device's id, as it stands in the address of its page.
    pub id: String,
    /// Its kind, such as `meter`.
    pub device_type: String,
    /// Where its key lives.
    pub storage: Storage,
    /// How that is known.
    pub basis: Basis,
    /// What follows from both.
    pub grade: Grade,
    /// What the authority says of it.
    pub status: DeviceStatus,
    /// The gravest open finding about it.
    pub finding: Option<FindingGrade>,
    /// When it was last heard from.
    pub last_seen: Option<Timestamp>,
    /// When its current certificate ends.
    pub certificate_ends: Option<Timestamp>,
}

/// What the authority says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// Known, and without a certificate yet.
    Pending,
    /// Enrolled, with a certificate that stands.
    Active,
    /// Set apart until somebody decides.
    Quarantined,
    /// Its certificate is revoked.
    Revoked,
    /// Taken out of service.
    Retired,
}

/// How sure a finding is: `grade` in the contract `touchmark.finding/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingGrade {
    /// Worth knowing.
    Note,
    /// Likely enough to look at.
    Suspect,
    /// No benign cause explains it.
    Confirmed,
}

/// A finding in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// The finding's id, as it stands in the address of its page.
    pub id: String,
    /// How sure it is.
    pub grade: FindingGrade,
    /// `kind` in the contract, such as `concurrent-session`; the page puts it into words.
    pub kind: String,
    /// The device; `None` when the registry does not know the identity.
    pub device: Option<String>,
    /// The identity as the events name it, such as `spki_sha256 3f9a…`.
    pub identity: String,
    /// What was seen, in plain words: one paragraph.
    pub says: String,
    /// The event time at which the engine could first know.
    pub detected: Timestamp,
    /// `action` in the contract, such as `challenge-both`; the page puts it into words.
    pub action: String,
    /// How often the finding was written again because it grew; the first is 0.
    pub revision: u64,
    /// True when the finding is closed.
    pub closed: bool,
    /// How the identity is watched.
    pub regime: Regime,
    /// How it stands with the people who look after it.
    pub standing: TriageStanding,
}

/// The page `/findings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingsPage {
    /// What surrounds the content.
    pub frame: Frame,
    /// What was asked for.
    pub filter: FindingFilter,
    /// The findings of this page, newest first.
    pub rows: Vec<FindingRow>,
    /// How many match, on all pages.
    pub matching: u64,
    /// Of those that match: confirmed, suspect, note.
    pub grades: [u64; 3],
    /// How many there are by standing, with all of the filter but the standing applied.
    pub standings: Vec<(TriageStanding, u64)>,
    /// How many pages there are, at least 1.
    pub pages: u64,
    /// Suppressions in force, those first that end first.
    pub suppressions: Vec<Triage>,
}

/// What a list of findings is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only this grade.
    pub grade: Option<Certainty>,
    /// Only this regime.
    pub regime: Option<Regime>,
    /// Only these standings.
    pub standing: StandingFilter,
    /// Only devices and identities whose name holds this text; empty for all.
    pub device: String,
    /// The page, from 0.
    pub page: u64,
}

/// Which standings a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StandingFilter {
    /// What still wants somebody: neither closed, nor suppressed, nor called a false alarm.
    #[default]
    Current,
    /// Everything.
    All,
    /// One.
    Only(TriageStanding),
}

/// The page `/sources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesPage {
    /// What surrounds the content.
    pub frame: Frame,
    /// Sources by name.
    pub sources: Vec<SourceRow>,
}

/// One source of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// What the overview shows of it.
    pub input: Input,
    /// Up to which moment it has reported, by its own clock.
    pub watermark: Option<Timestamp>,
    /// How long its last event took to arrive, in milliseconds; negative when its clock is ahead.
    pub delay_ms: Option<i64>,
    /// When it was last heard, by this server's clock.
    pub heard: Option<Timestamp>,
    /// Its usual gap between arrivals in milliseconds; `None` until enough has arrived.
    pub usual_ms: Option<i64>,
    /// True when it has been silent for longer than it usually is.
    pub silent: bool,
    /// The newest example of each refusal, in the order of `input.refused`.
    pub examples: Vec<String>,
}

/// The page `/event/{seq}`: one line of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What surrounds the content.
    pub frame: Frame,
    /// Its number in the log.
    pub seq: u64,
    /// The event's type, such as `heartbeat`; empty when the line cannot be read.
    pub kind: String,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// Its source.
    pub source: String,
    /// The device, where the line names one that has a page.
    pub device: Option<String>,
    /// The line.
    pub line: String,
    /// SHA-256 of the line, computed when the page was made.
    pub sha256: String,
}

/// The page `/device/{id}/timeline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceTimeline {
    /// What surrounds the content.
    pub frame: Frame,
    /// The device's id.
    pub id: String,
    /// The moments on the axis: first and last.
    pub span: (Timestamp, Timestamp),
    /// What happened in that time, newest first.
    pub rows: Vec<HistoryRow>,
    /// Where older events begin, for the next page.
    pub older: Option<u64>,
    /// True when this is not the newest page.
    pub newer: bool,
    /// How many events of the device are in the log.
    pub total: u64,
}

/// One thing that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// When it ended, for a session.
    pub until: Option<Timestamp>,
    /// On which line of the picture it is drawn.
    pub lane: Lane,
    /// A few words.
    pub title: String,
    /// A sentence; may be empty.
    pub detail: String,
    /// The event's number in the log, where it is one.
    pub seq: Option<u64>,
    /// The finding that it is about.
    pub finding: Option<String>,
}

/// The lines of a device's timeline, from the top down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What the authority did: certificates, quarantine, release, revocation.
    Authority,
    /// What the monitor found.
    Finding,
    /// What the registry told the monitor.
    Registry,
    /// Connections.
    Session,
    /// What the device said.
    Heartbeat,
}

/// The page `/device/{id}`.
#[derive(Debug, Clone, PartialEq)]
pub struct DevicePage {
    /// What surrounds the content.
    pub frame: Frame,
    /// The device's id.
    pub id: String,
    /// Its kind, such as `meter`.
    pub device_type: String,
    /// What the authority says of it.
    pub status: DeviceStatus,
    /// Why, in plain words, where the status is not [`DeviceStatus::Active`].
    pub status_reason: Option<String>,
    /// When it was enrolled first.
    pub enrolled: Option<Timestamp>,
    /// When it was last heard from.
    pub last_seen: Option<Timestamp>,
    /// Firmware it reported last.
    pub firmware: Option<String>,
    /// The key-assurance record, with what stands behind it.
    pub assurance: AssuranceView,
    /// Its certificates, newest first.
    pub certificates: Vec<CertificateView>,
    /// Findings about it, newest first.
    pub findings: Vec<FindingRow>,
    /// What happened, newest first.
    pub timeline: Vec<TimelineEntry>,
    /// How many entries the timeline has in all.
    pub timeline_total: u64,
}

/// The key-assurance record of a device, with what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssuranceView {
    /// The grade.
    pub grade: Grade,
    /// How the identity is watched.
    pub regime: Regime,
    /// Storage and basis in short, such as `software/declared`.
    pub regime_basis: String,
    /// One entry per field of the record.
    pub fields: Vec<AssuranceField>,
    /// Why a claim was not proven, one reason each; empty when nothing was claimed in vain.
    pub reasons: Vec<String>,
    /// SHA-256 of the appraised evidence, 64 hex digits.
    pub evidence_sha256: Option<String>,
    /// Who vouches for the chip, such as the subject of the pinned root.
    pub endorser: Option<String>,
    /// True when that root is a TEST root, whose private key is public.
    pub test_endorser: bool,
    /// When the evidence was appraised.
    pub appraised: Option<Timestamp>,
}

/// One field of the key-assurance record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssuranceField {
    /// The field, such as `Storage`.
    pub name: String,
    /// The recorded value, such as `tpm`.
    pub value: String,
    /// What was claimed, where it differs from the recorded value.
    pub claimed: Option<String>,
    /// How the value is known.
    pub standing: Standing,
    /// Why, or from what, in a sentence.
    pub why: String,
}

/// How the value of a field is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Evidence shows it.
    Proven,
    /// Our own factory line's journal says so.
    Journalled,
    /// Somebody said so.
    Claimed,
    /// It was claimed, and the evidence did not show it.
    Refuted,
    /// Nobody said anything.
    Unknown,
}

/// One certificate of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateView {
    /// The profile, such as `IDevID` or `LDevID` (IEEE 802.1AR).
    pub profile: String,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// Issuer as a distinguished name.
    pub issuer: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// How it stands.
    pub state: CertificateState,
    /// When it was revoked, where it was.
    pub revoked: Option<Timestamp>,
    /// Reason of the revocation as RFC 5280 §5.3.1 words it, such as `keyCompromise`.
    pub reason: Option<String>,
    /// SHA-256 of the certificate, lower-case hex.
    pub sha256: String,
    /// SHA-256 of its `SubjectPublicKeyInfo`, lower-case hex.
    pub spki_sha256: String,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// In use.
    Valid,
    /// Replaced by a newer one and not revoked.
    Superseded,
    /// Revoked for as long as the quarantine lasts (`certificateHold`, RFC 5280 §5.3.1).
    OnHold,
    /// Revoked.
    Revoked,
    /// Past its end.
    Expired,
}

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it happened; of a summary, the newest.
    pub at: Timestamp,
    /// Of a summary, the oldest.
    pub since: Option<Timestamp>,
    /// What it was.
    pub kind: TimelineKind,
    /// A few words, such as `Certificate issued`.
    pub title: String,
    /// A sentence; may be empty.
    pub detail: String,
    /// How many events the entry stands for, at least 1.
    pub count: u64,
    /// The finding that it is about, by id.
    pub finding: Option<String>,
}

/// What a [`TimelineEntry`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineKind {
    /// A certificate was issued: first or renewed.
    Enrolled,
    /// A connection proved possession of the key.
    Authenticated,
    /// The device asked for something and was refused.
    Refused,
    /// The device reported about itself.
    Heartbeat,
    /// The grade changed.
    Regraded,
    /// The monitor found something.
    Finding,
    /// The identity was set apart.
    Quarantined,
    /// The identity was let back.
    Released,
    /// A certificate was revoked, or the device retired.
    Revoked,
}

/// The page `/finding/{id}`.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingPage {
    /// What surrounds the content.
    pub frame: Frame,
    /// The finding in short.
    pub finding: FindingRow,
    /// The time of the first event that belongs to it.
    pub first_event: Timestamp,
    /// The rules that spoke, such as `continuity.return`.
    pub rules: Vec<String>,
    /// How the identity is watched.
    pub regime: Regime,
    /// Why it is watched so, such as `software/declared`.
    pub regime_basis: String,
    /// The histories that claim to be this identity.
    pub branches: Vec<Branch>,
    /// Which of them is the device itself; `None` while undecided.
    pub original: Option<Original>,
    /// What speaks for the finding and what against it.
    pub evidence: Vec<EvidenceRow>,
    /// Harmless explanations that were considered.
    pub benign_causes: Vec<BenignCause>,
    /// The events behind it, with the digest of each raw line.
    pub events: Vec<EventRef>,
    /// The instances over time; `None` when the log holds no event of that time.
    pub picture: Option<Picture>,
    /// Where the instances were.
    pub places: Vec<Place>,
    /// What was done about it, oldest first.
    pub acts: Vec<ActRow>,
    /// What people decided on this page, oldest first.
    pub triage: Vec<Triage>,
    /// The suppression that reaches it.
    pub suppressed_by: Option<Triage>,
    /// Its case; `None` where no policy asks for anything.
    pub case: Option<CaseView>,
}

/// The instances of a finding over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The moments on the axis: first and last.
    pub span: (Timestamp, Timestamp),
    /// One for each branch, in their order.
    pub tracks: Vec<Track>,
    /// What fits no branch, or several equally well.
    pub unplaced: Vec<PictureMark>,
    /// When the matter began.
    pub fork: Timestamp,
    /// When it could first be known.
    pub detected: Timestamp,
    /// Events of that time that are not drawn, because there are too many.
    pub omitted: u64,
}

/// One branch over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The branch's number within the finding.
    pub branch: u64,
    /// True when it is thought to be the original.
    pub original: bool,
    /// What came from it.
    pub marks: Vec<PictureMark>,
    /// From which networks.
    pub networks: Vec<Band>,
    /// With which firmware.
    pub firmware: Vec<Band>,
}

/// One event in a picture, or several of one kind so close together that they are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureMark {
    /// When; of several, the first.
    pub at: Timestamp,
    /// What it was.
    pub kind: MarkKind,
    /// How many.
    pub count: u64,
    /// What it says, such as `counter 42, up for 900 s, from 192.0.2.0/24`.
    pub says: String,
    /// The event's number in the log; of several, the first.
    pub seq: Option<u64>,
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// A connection that proved possession of the key.
    Authentication,
    /// The device reported about itself.
    Heartbeat,
    /// The device booted, as its uptime says.
    Boot,
    /// A connection ended.
    SessionEnd,
}

/// A stretch of time in which something stayed the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub to: Timestamp,
    /// What stayed the same.
    pub label: String,
    /// Number of the label within the picture, from 0: equal labels have equal looks.
    pub look: u64,
}

/// Where events of a branch came from, as the events themselves say.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The branch's number; `None` where events fit none, or several equally well.
    pub branch: Option<u64>,
    /// Two letters (ISO 3166-1 alpha-2), where known.
    pub country: Option<String>,
    /// Latitude and longitude in degrees, where known.
    pub position: Option<(f64, f64)>,
    /// How many events.
    pub events: u64,
}

/// Something that was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRow {
    /// When.
    pub at: Timestamp,
    /// What, such as `Quarantined`.
    pub title: String,
    /// Why, in the words that were written down; may be empty.
    pub detail: String,
}

/// One history that claims to be the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Number of the branch within the finding.
    pub id: u64,
    /// Its first event.
    pub first_seen: Option<Timestamp>,
    /// Its last event.
    pub last_seen: Option<Timestamp>,
    /// Networks that it came from.
    pub networks: Vec<String>,
    /// Firmware that it reported.
    pub firmware: Vec<String>,
    /// Further facts by name, such as `Counter` and `1042 to 1077`; branches are compared by equal names.
    pub facts: Vec<(String, String)>,
}

/// Which branch is the device itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Original {
    /// Number of the branch.
    pub branch: u64,
    /// Probability, 0 to 1.
    pub probability: f64,
}

/// One sign for or against a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceRow {
    /// The sign's name, such as `boot-epoch-return`.
    pub sign: String,
    /// Weight of evidence: ten times the decimal logarithm of the likelihood ratio; negative speaks against.
    pub decibans: f64,
    /// Signs of one group are not independent and do not add up.
    pub group: String,
    /// The sign in plain words.
    pub says: String,
}

/// A harmless explanation that was considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenignCause {
    /// The explanation.
    pub cause: String,
    /// Why it does not hold.
    pub rejected_because: String,
}

/// An event behind a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// The source's name.
    pub source: String,
    /// The source's own id of the event.
    pub event_id: Option<String>,
    /// SHA-256 of the raw input line, lower-case hex.
    pub sha256: String,
    /// What looking it up in the log gave.
    pub check: Recheck,
}

/// What looking a raw line up in the log gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// The line of this number has this digest.
    Matches {
        /// Its number in the log.
        seq: u64,
    },
    /// The line of this number has another digest.
    Differs {
        /// Its number in the log.
        seq: u64,
    },
    /// The log holds no such event.
    Absent,
}

/// A page that says why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What surrounds the content.
    pub frame: Frame,
    /// HTTP status, such as 404.
    pub status: u16,
    /// The error's stable code, such as `SV-0004`.
    pub code: String,
    /// What happened and what to do, safe for anybody to read.
    pub text: String,
}

/// The page of a model: sliders beside the report that they change.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What surrounds the page.
    pub frame: Frame,
    /// The model's word in addresses.
    pub subject: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Every model: word and title.
    pub subjects: Vec<(&'static str, &'static str)>,
    /// The forms in which the report can be taken away, as the ends of file names.
    pub exports: Vec<&'static str>,
    /// What was changed, as a query without the question mark.
    pub query: String,
    /// The controls, in groups.
    pub controls: Vec<Controls>,
    /// The report as HTML made by this program, or why there is none.
    pub report: Result<String, String>,
}

/// A group of controls.
#[derive(Debug, Clone, PartialEq)]
pub struct Controls {
    /// Its title.
    pub title: String,
    /// The controls.
    pub controls: Vec<Control>,
}

/// One control.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// A number.
    Slider(Slider),
    /// One of several words.
    Choice(Choice),
    /// Words of the reader's own.
    Words(Words),
}

/// A number on a scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Slider {
    /// Its name in the address.
    pub name: String,
    /// What it sets.
    pub text: String,
    /// Where it stands.
    pub value: f64,
    /// Where it stands when nothing is asked.
    pub usual: f64,
    /// Its lower end.
    pub least: f64,
    /// Its upper end.
    pub most: f64,
    /// The distance between two places.
    pub step: f64,
    /// The unit of all of these; `1` for a bare number.
    pub unit: String,
}

/// A choice between words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name in the address.
    pub name: String,
    /// What it sets.
    pub text: String,
    /// The words: as the address has them, and as people read them.
    pub words: Vec<(String, String)>,
    /// The word that is chosen.
    pub chosen: String,
    /// The word that is chosen when nothing is asked.
    pub usual: String,
}

/// Words of the reader's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Its name in the address.
    pub name: String,
    /// What it sets.
    pub text: String,
    /// What is written there.
    pub value: String,
    /// What may be written there.
    pub hint: String,
}
