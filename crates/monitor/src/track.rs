//! One identity: its instances, its networks, and what one event does to it.

use std::cmp::Ordering;

use hashbrown::HashMap;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{AntiRollbackFloor, RawDigest};
use touchmark_identity::finding::{EventRef, Evidence, Finding, Kind as FindingKind};
use touchmark_identity::timestamp::Timestamp;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::branch::{Birth, Branch, Sample};
use crate::claims::{self, Lowered, Scene, bounded, evidence};
use crate::continuity::{self, Continuity, Past, Placed};
use crate::inventory::Slot;
use crate::network::{Network, Networks};
use crate::observation::{Kind, Place, Renewed, Seen, SmallId, TextHash};
use crate::peers::{Used, Waiting, Weeks, type_key};
use crate::remember::Remembered;
use crate::renewal::{self, Forked};
use crate::report::{Claim, Open};
use crate::rhythm::{Beat, Rhythm};
use crate::settings::Limits;
use crate::usage::Usage;
use crate::version;
use crate::words::Words;

/// What every identity's record takes, in bytes, whatever it has seen.
pub const TRACK_BYTES: usize = size_of::<Track>();

const _: () = assert!(TRACK_BYTES <= 256, "a million identities have to fit into 256 MB");

/// Connections in turn that nothing is heard over before somebody may be listening.
const SILENT_SIGN: u8 = 4;
/// Hours in turn in which it is used too far away.
const AWAY_SIGN: u8 = 4;
/// Kilometres by which an address database may be wrong (its makers give no bound; a city away is usual).
const GEO_ERROR_KM: f64 = 200.0;
/// Messages of a new instance before it is said to have taken over.
const SETTLED: u16 = 3;
/// Stands for no place in four bits.
const NOWHERE: u8 = 15;

/// Flags of a track.
mod flag {
    /// Findings are open, or a message came again.
    pub(super) const CASE: u8 = 1;
    /// The registry has a floor for its firmware.
    pub(super) const FLOOR: u8 = 2;
    /// The registry says where it is installed.
    pub(super) const HOME: u8 = 4;
    /// It was seen where it is installed.
    pub(super) const WAS_HOME: u8 = 8;
    /// Its uses from far away began in a network that was new to it.
    pub(super) const AWAY_NEW: u8 = 16;
    /// Nothing was heard over the newest connection yet.
    pub(super) const UNHEARD: u8 = 32;
    /// An older connection was used after the newest one had been opened elsewhere.
    pub(super) const OLD_IN_USE: u8 = 64;
}

/// One identity, in a fixed record.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Track {
    continuity: Continuity,
    networks: Networks,
    /// A part of the hash of the latest message that was given a place.
    latest: u32,
    flags: u8,
    /// Low four bits: the place of the newest connection; high: the place of connections that nothing is heard over.
    places: u8,
    /// Low four bits: such connections in turn; high: hours in turn in which it was used too far away.
    counts: u8,
    /// Connections in turn that came when they were due, in one network.
    kept: u8,
}

/// A message that came again; whether it was a replay shows in how the device goes on.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Echo {
    time: i64,
    source: u16,
    /// The boot that it would be of, where only uptime makes it unique.
    epoch: Option<i64>,
    /// The token that was issued in reply to the first; 0 is none.
    reply: u32,
    first: i64,
    event: EventRef,
}

/// What is open about one identity; few have it.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Case {
    pub(crate) open: Vec<Open>,
    pub(crate) echo: Option<Echo>,
    /// Since a renewal was refused because the certificate had been renewed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) renewals: Option<Forked>,
}

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) network: Network,
    opened: u32,
    /// The branch that it was used by last; [`continuity::NONE`] when nothing told.
    branch: u8,
    /// It was opened by a message that named its boot, so the branch is known and not supposed.
    told: bool,
}

impl Session {
    /// Its network, packed, when it was opened, by which branch, and whether that is known.
    pub(crate) fn parts(self) -> (u64, u32, u8, bool) {
        (self.network.packed(), self.opened, self.branch, self.told)
    }

    pub(crate) fn of_parts(network: u64, opened: u32, branch: u8, told: bool) -> Option<Self> {
        Network::unpacked(network).map(|network| Self { network, opened, branch, told })
    }

    /// As it is after a message over it went to a branch.
    fn used(self, branch: u8, told: bool) -> Self {
        if branch == continuity::NONE {
            return self;
        }
        Self { branch, told: told || self.told && self.branch == branch, ..self }
    }
}

/// The event with which an instance or a stay in a network began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) digest: [u8; 32],
    pub(crate) source: u64,
    pub(crate) event_id: SmallId,
    pub(crate) at: i64,
}

/// What all identities of a partition share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) words: Words,
    /// Messages of devices, and when each was first taken.
    pub(crate) messages: Remembered<i64>,
    pub(crate) past: Past,
    pub(crate) sessions: Remembered<Session>,
    pub(crate) births: Remembered<Born>,
    /// Identities that two networks use in turn, of which nothing but connections is known.
    pub(crate) rhythms: Remembered<Rhythm>,
    pub(crate) cases: HashMap<u32, Case>,
    /// The habits of keys in chips, and of identities of which nothing but connections is known.
    pub(crate) usages: HashMap<u32, Usage>,
    /// By how much the days of a week differ, by type.
    pub(crate) weeks: Weeks,
    /// What is to be compared with other devices; taken out after each event or many.
    pub(crate) used: Vec<Used>,
}

/// Mixes an identity's number into a hash of its own.
fn own(serial: u32, hash: u64) -> u64 {
    (hash ^ u64::from(serial)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ hash
}

/// Names the beginning of an instance (`place` false) or of a stay.
fn birth_key(serial: u32, place: bool, number: u8) -> u64 {
    u64::from(serial) << 16 | u64::from(place) << 8 | u64::from(number)
}

fn event_ref(shared: &Shared, seen: &Seen<'_>) -> EventRef {
    EventRef {
        source: shared.words.texts().show(seen.source),
        event_id: seen.event_id.as_str().map(ToOwned::to_owned),
        sha256: seen.digest(),
    }
}

fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1_000)
}

fn at(seen: &Seen<'_>) -> Timestamp {
    Timestamp::from_micros(seen.time.saturating_mul(1_000))
}

/// Great-circle distance in kilometres, on a sphere of the mean radius of the Earth (6371 km, IUGG).
fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let ((lat_a, lon_a), (lat_b, lon_b)) = (a, b);
    let (lat_a, lat_b) = (lat_a.to_radians(), lat_b.to_radians());
    let half = |x: f64| (x / 2.0).sin().powi(2);
    let h = half(lat_b - lat_a) + lat_a.cos() * lat_b.cos() * half((lon_b - lon_a).to_radians());
    2.0 * 6371.0 * h.sqrt().min(1.0).asin()
}

impl Track {
    pub(crate) fn new() -> Self {
        Self {
            continuity: Continuity::new(),
            networks: Networks::new(),
            latest: 0,
            flags: 0,
            places: NOWHERE << 4 | NOWHERE,
            counts: 0,
            kept: 0,
        }
    }

    /// Notes what the registry says, as far as the record needs it at each event.
    pub(crate) fn note_facts(&mut self, floor: bool, home: bool) {
        self.set(flag::FLOOR, floor);
        self.set(flag::HOME, home);
    }

    /// Takes over what is known of an identity that turned out to be this one.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.continuity.absorb(&other.continuity);
        self.networks.absorb(&other.networks);
        if self.latest == 0 {
            self.latest = other.latest;
        }
        self.flags |= other.flags & flag::CASE;
    }

    fn set(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn clear_case(&mut self) {
        self.set(flag::CASE, false);
    }

    fn scene<'a>(&'a self, shared: &'a Shared, slot: &Slot) -> Scene<'a> {
        Scene {
            limits: &shared.limits,
            words: &shared.words,
            networks: &self.networks,
            regime: slot.regime(),
        }
    }

    fn report(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        mut claim: Claim,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let event = event_ref(shared, seen);
        let subject = slot.subject();
        let case = shared.cases.entry(slot.serial).or_default();
        self.flags |= flag::CASE;
        // Two instances are one matter, under the name that it was given first.
        let duplicate =
            |open: &Open| matches!(open.kind(), FindingKind::Clone | FindingKind::InstallerDuplicate);
        if matches!(claim.kind, FindingKind::Clone | FindingKind::InstallerDuplicate)
            && let Some(known) = case.open.iter().find(|open| duplicate(open))
        {
            claim.kind = known.kind();
        }
        match case.open.iter_mut().find(|open| open.kind() == claim.kind) {
            Some(known) => out.extend(known.grow(&subject, claim, at(seen), event)),
            None => {
                if let Some((new, finding)) = Open::begin(&subject, claim, at(seen), event) {
                    case.open.push(new);
                    out.push(finding);
                }
            }
        }
    }

    /// Takes one event and gives what it led to.
    pub(crate) fn observe(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        match seen.kind {
            Kind::Authentication => self.authenticated(shared, slot, seen, out),
            Kind::Heartbeat => self.heartbeat(shared, slot, seen, out),
            Kind::SessionEnd => {
                self.used(shared, slot, seen, out, |usage, now| usage.moved(now, seen.bytes));
            }
        }
    }

    /// Counts a use; `count` does it. A day that is over with it is looked at, and changed habits are reported.
    fn used(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
        count: impl FnOnce(&mut Usage, i64),
    ) {
        // Of a key that can be copied, where messages tell of its instances, they tell more than their number.
        if slot.regime() == Regime::Duplication && self.continuity.active().is_some() {
            return;
        }
        let now = seconds(seen.time);
        let usage = shared.usages.entry(slot.serial).or_insert_with(Usage::new);
        let device_type =
            || slot.device_type().map_or(seen.device_type, |name| TextHash::of(name.as_bytes())).0;
        let over = if usage.is_today(now) {
            None
        } else {
            usage.begin_day(now, shared.weeks.get(&type_key(device_type())))
        };
        count(usage, now);
        let Some((day, changes)) = over else { return };
        let device_type = device_type();
        shared.used.push(Used::Day { device_type, day, closed: now });
        for change in changes {
            let began = (at(seen), event_ref(shared, seen));
            let Some(claim) = self.scene(shared, slot).habit(&change, began) else { continue };
            let before = out.len();
            self.report(shared, slot, claim, seen, out);
            let said = out.get(before..).unwrap_or_default();
            shared
                .used
                .extend(said.iter().map(|said| Used::Changed(Waiting::new(device_type, &change, said))));
        }
    }

    fn authenticated(&mut self, shared: &mut Shared, slot: &Slot, seen: &Seen<'_>, out: &mut Vec<Finding>) {
        if let Some(renewed) = seen.renewal {
            return self.renewed(shared, slot, renewed, seen, out);
        }
        let now = seconds(seen.time);
        let hour = self.hour();
        let key = own(slot.serial, seen.session.0);
        let known = shared.sessions.find(key);
        let connected = known.is_none();
        let place = seen.network.map(|network| self.enter(shared, slot, network, seen));
        let sample = self.sample(shared, seen, place, None);
        let branch = self.placed(shared, slot, &sample, seen, out);
        let opened = u32::try_from(now.max(0)).unwrap_or(u32::MAX);
        let opens = |network| Session { network, opened, branch: continuity::NONE, told: false };
        if let Some(session) = known.or(seen.network.map(opens)) {
            let used = session.used(branch, self.continuity.told(branch, &sample));
            if known != Some(used) {
                shared.sessions.insert(key, used);
            }
        }
        if let Some(place) = place {
            self.visited(shared, slot, place, connected, seen, out);
            self.located(shared, slot, hour, seen, out);
            if connected {
                self.used(shared, slot, seen, out, Usage::connected);
                self.kept_time(shared, slot, place, seen, out);
                self.connected(shared, slot, place, seen, out);
            }
        }
    }

    /// A connection over which a certificate was to be renewed. It is not one that the device works over, so it says
    /// nothing of the networks that it uses.
    fn renewed(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        renewed: Renewed,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let known = shared.cases.get_mut(&slot.serial).and_then(|case| case.renewals.take());
        let (now, sign) = renewal::note(known, renewed, seen);
        if let Some(now) = now {
            shared.cases.entry(slot.serial).or_default().renewals = Some(now);
            self.set(flag::CASE, true);
        }
        if let Some(sign) = sign {
            let claim = self.scene(shared, slot).renewal(&sign, (at(seen), event_ref(shared, seen)));
            self.report(shared, slot, claim, seen, out);
        }
    }

    fn heartbeat(&mut self, shared: &mut Shared, slot: &Slot, seen: &Seen<'_>, out: &mut Vec<Finding>) {
        let hour = self.hour();
        let session = (!seen.session.is_none())
            .then(|| shared.sessions.find(own(slot.serial, seen.session.0)))
            .flatten();
        let network = seen.network.or(session.map(|session| session.network));
        let place = network.map(|network| self.enter(shared, slot, network, seen));
        let sample = self.sample(shared, seen, place, session);
        if self.came_again(shared, slot, &sample, seen, out) {
            return;
        }
        let branch = self.placed(shared, slot, &sample, seen, out);
        self.used(shared, slot, seen, out, |usage, now| {
            usage.spoke(now, sample.firmware);
            usage.moved(now, seen.bytes);
        });
        if let Some(session) = session {
            // What was kept back over a reboot comes over the connection of a later boot, so it does not tell whose it is.
            let used = session.used(branch, false);
            if used != session {
                shared.sessions.insert(own(slot.serial, seen.session.0), used);
            }
        }
        if let Some(place) = place {
            if session.is_some() {
                self.visited(shared, slot, place, false, seen, out);
            }
            self.located(shared, slot, hour, seen, out);
            self.heard(shared, slot, place, session, seen, out);
        }
    }

    /// The place of a network in the table; what stood there before is forgotten everywhere.
    fn enter(&mut self, shared: &mut Shared, slot: &Slot, network: Network, seen: &Seen<'_>) -> u8 {
        let (place, fresh, replaced) = self.networks.place(network);
        if replaced {
            self.continuity.forget_network(place);
            for shift in [0, 4] {
                if self.places >> shift & 15 == place {
                    self.places |= NOWHERE << shift;
                }
            }
        }
        if fresh && self.networks.left(place).is_some() {
            shared.births.insert(birth_key(slot.serial, true, place), born(seen));
        }
        if self.counts >> 4 == 0 {
            self.set(flag::AWAY_NEW, fresh);
        }
        place
    }

    /// `session`: the connection that the message came over.
    fn sample(
        &self,
        shared: &mut Shared,
        seen: &Seen<'_>,
        network: Option<u8>,
        session: Option<Session>,
    ) -> Sample {
        let held = session.filter(|session| session.branch != continuity::NONE);
        let [high, low, ..] = seen.boot_id.to_be_bytes();
        Sample {
            time: seconds(seen.time),
            uptime: seen.uptime_ms.map(seconds),
            counter: seen.counter,
            boot_count: seen.boot_count,
            boot_id: if seen.boot_id == 0 { 0 } else { u16::from_be_bytes([high, low]).max(1) },
            token: seen.token,
            issued: seen.token_issued,
            network,
            firmware: shared.words.number(seen.firmware),
            stack: shared.words.number(seen.ja4),
            source: shared.words.number(seen.source),
            beat: seen.kind == Kind::Heartbeat,
            held: held.map(|session| session.branch),
            told: held.is_some_and(|session| session.told),
        }
    }

    /// Whether the very same message was taken before: a retry, a second delivery, or a replay, which is reported.
    fn came_again(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        sample: &Sample,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) -> bool {
        let unique = seen.token != 0 || seen.has_quote;
        if seen.counter.is_none() || !(unique || seen.uptime_ms.is_some()) {
            return false;
        }
        let content = own(slot.serial, seen.content);
        let [a, b, c, d, ..] = content.to_be_bytes();
        let short = u32::from_be_bytes([a, b, c, d]);
        let Some(first) = shared.messages.first_or_insert(content, sample.time) else {
            self.latest = short;
            return false;
        };
        let age = sample.time - first;
        if age.abs() <= shared.limits.retry_window {
            return true;
        }
        let progressed = self.latest != short;
        if progressed && unique {
            let claim = claims::replay(seen.counter, first, sample.time, true, event_ref(shared, seen));
            self.report(shared, slot, claim, seen, out);
        } else {
            let reply = if unique { self.continuity.newest_token() } else { 0 };
            let epoch = sample.epoch().filter(|_| progressed);
            if epoch.is_some() || reply != 0 {
                let event = event_ref(shared, seen);
                let (time, source) = (sample.time, sample.source);
                let echo = Echo { time, source, epoch, reply, first, event };
                shared.cases.entry(slot.serial).or_default().echo = Some(echo);
                self.flags |= flag::CASE;
            }
            let old = age > shared.limits.boot_tolerance;
            if !progressed && old && seen.uptime_ms.is_some() && unique {
                let claim = claims::replay(seen.counter, first, sample.time, false, event_ref(shared, seen));
                self.report(shared, slot, claim, seen, out);
            }
        }
        true
    }

    /// Gives the branch that the message went to.
    fn placed(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        sample: &Sample,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) -> u8 {
        let placed = if sample.places() {
            self.continuity.place(&shared.limits, &mut shared.past, slot.serial, sample)
        } else {
            Placed::default()
        };
        // Nothing is ever said to have begun with the first instance.
        if let (true, Some(branch)) = (placed.began, &placed.branch)
            && branch.birth() != Birth::First
        {
            shared.births.insert(birth_key(slot.serial, false, branch.id), born(seen));
        }
        if self.has(flag::CASE) {
            self.settle_echo(shared, slot, sample, &placed, seen, out);
        }
        if let Some(fork) = &placed.fork {
            let second = if fork.older.first() <= fork.younger.first() { fork.younger } else { fork.older };
            let began = self.began(shared, slot, false, second.id, seen);
            let claim = self.scene(shared, slot).fork(fork, began);
            self.report(shared, slot, claim, seen, out);
        } else if let Some(branch) = placed
            .branch
            .filter(|branch| !placed.late && branch.sightings() == SETTLED && branch.birth() != Birth::First)
        {
            self.taken_over(shared, slot, &branch, seen, out);
        }
        self.downgraded(shared, slot, sample, &placed, seen, out);
        placed.branch.map_or(continuity::NONE, |branch| branch.id)
    }

    /// Where an instance or a stay began, as far as that is remembered; else the present event.
    fn began(
        &self,
        shared: &Shared,
        slot: &Slot,
        place: bool,
        number: u8,
        seen: &Seen<'_>,
    ) -> (Timestamp, EventRef) {
        match shared.births.find(birth_key(slot.serial, place, number)) {
            Some(born) => {
                let source = shared.words.texts().show(TextHash(born.source));
                let event_id = born.event_id.as_str().map(ToOwned::to_owned);
                let event = EventRef { source, event_id, sha256: RawDigest(born.digest) };
                (Timestamp::from_micros(born.at.saturating_mul(1_000)), event)
            }
            None => (at(seen), event_ref(shared, seen)),
        }
    }

    /// A message that came again was a replay if the boot that it was copied from goes on afterwards; a device that has
    /// booted may by chance say the same again. It was one as well if the device goes on with the reply to the first: who
    /// has that reply does not ask again.
    fn settle_echo(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        sample: &Sample,
        placed: &Placed,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let Some(case) = shared.cases.get_mut(&slot.serial) else { return };
        let Some(echo) = &case.echo else { return };
        let Some(branch) = placed.branch else { return };
        if sample.time < echo.time {
            return;
        }
        let answered = echo.reply != 0 && sample.token == echo.reply;
        let booted = match (echo.epoch, sample.epoch().or_else(|| branch.epoch())) {
            // Only one clock can tell an older boot from a later one.
            (Some(then), Some(now))
                if sample.source == echo.source && branch.source() == Some(echo.source) =>
            {
                Some(then - now > shared.limits.boot_tolerance)
            }
            _ => None,
        };
        if !answered && booted.is_none() && sample.token == 0 {
            return;
        }
        let Some(echo) = case.echo.take() else { return };
        if answered || booted == Some(true) {
            let claim = claims::replay_shown(echo.first, echo.time, sample.time, answered, echo.event);
            self.report(shared, slot, claim, seen, out);
        }
    }

    /// A new instance that goes on without the one before, and with what a copy would bring along.
    fn taken_over(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        branch: &Branch,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let before = self.continuity.before(branch).copied();
        // A chip is not copied; it may work on another board, which has counted and booted less.
        let chip = slot.regime() == Regime::Behaviour;
        let mut signs: Vec<Evidence> = Vec::new();
        if branch.birth() == Birth::TokenFork {
            let says = "it began with a token that had been used up or replaced".to_owned();
            signs.push(evidence("token.used", "token", 25.0, says));
        }
        if let Some(before) = &before {
            if branch.networks & before.networks == 0 && branch.networks != 0 && before.networks != 0 {
                let says = "it uses another network than the one before".to_owned();
                signs.push(evidence("network.differs", "network", 10.0, says));
            }
            if let (Some(first), Some(last)) = (branch.counter_first(), before.counter_last())
                && first <= last
            {
                let says = format!("its counter began at {first}, where {last} had been reached");
                signs.push(evidence("counter.back", "counter", if chip { 8.0 } else { 5.0 }, says));
            }
            if branch.stack != before.stack
                && branch.stack != 0
                && before.stack != 0
                && branch.firmware == before.firmware
            {
                let says = "the same firmware opens TLS in another way".to_owned();
                signs.push(evidence("stack.differs", "stack", 12.0, says));
            }
            if branch.boot_number().zip(before.boot_number()).is_some_and(|(now, then)| now < then) {
                let says = "the number of its boot is lower than before".to_owned();
                signs.push(evidence("boot-number.back", "boot", if chip { 15.0 } else { 8.0 }, says));
            }
        }
        let sum: f64 = signs.iter().map(|sign| sign.decibans).sum();
        if sum + crate::report::PRIOR_DECIBANS >= crate::report::NOTE_DECIBANS {
            let began = self.began(shared, slot, false, branch.id, seen);
            let claim = self.scene(shared, slot).takeover(signs, before.as_ref(), branch, began);
            self.report(shared, slot, claim, seen, out);
        }
    }

    fn visited(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        place: u8,
        connected: bool,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let now = seconds(seen.time);
        let visit = self.networks.visit(&shared.limits, place, now, connected);
        let Some(alternation) = visit.filter(|alternation| alternation.returns >= 2) else { return };
        let [home, other] = alternation.places;
        let unbroken = self.continuity.unbroken_between(home, other, now);
        let began = self.began(shared, slot, true, other, seen);
        let beats = self.continuity.active().is_some();
        let claim = self.scene(shared, slot).alternation(&alternation, unbroken, beats, began);
        self.report(shared, slot, claim, seen, out);
    }

    /// Whether connections of an identity, of which nothing else is known, keep one beat or two.
    fn kept_time(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        place: u8,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let Some(period) = self.continuity.connection_period() else { return };
        let (now, last) = (seconds(seen.time), i64::from(self.networks.connected));
        let newest = self.places & 15;
        if last == 0 || now < last || newest == NOWHERE {
            return;
        }
        let mut beat = Beat { period, kept: self.kept };
        let key = u64::from(slot.serial);
        let known = shared.rhythms.find(key);
        let Some(mut rhythm) = known.or_else(|| {
            let networks = (self.networks.at(newest)?, self.networks.at(place)?);
            (newest != place).then(|| Rhythm::begin(beat, networks.0, last, networks.1, now)).flatten()
        }) else {
            if newest == place {
                beat.note(now - last);
                self.kept = beat.kept;
                self.continuity.note_connection_period(beat.period);
            }
            return;
        };
        let two = self.networks.at(place).filter(|_| known.is_some()).and_then(|net| rhythm.note(net, now));
        shared.rhythms.insert(key, rhythm);
        if let Some(two) = two {
            let began = self.began(shared, slot, true, place, seen);
            let claim = self.scene(shared, slot).two_beats(&two, began);
            self.report(shared, slot, claim, seen, out);
        }
    }

    /// A connection was opened.
    fn connected(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        place: u8,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let now = u32::try_from(seconds(seen.time).max(0)).unwrap_or(u32::MAX);
        if now < self.networks.connected {
            return;
        }
        let newest = self.places & 15;
        if self.has(flag::UNHEARD) && newest != place {
            self.silent(shared, slot, newest, seen, out);
        }
        self.networks.connected = now;
        self.places = self.places & 0xF0 | place;
        self.set(flag::UNHEARD, true);
        self.set(flag::OLD_IN_USE, false);
    }

    /// A heartbeat came from a place, over a connection where that is known.
    fn heard(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        place: u8,
        session: Option<Session>,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        if self.places >> 4 == place {
            self.places |= NOWHERE << 4;
            self.counts &= 0xF0;
        }
        let newest = self.places & 15;
        if newest == place {
            self.set(flag::UNHEARD, false);
        } else if self.has(flag::UNHEARD) && newest != NOWHERE {
            self.silent(shared, slot, newest, seen, out);
            self.set(flag::UNHEARD, false);
        }
        let Some(session) = session else { return };
        let now = seconds(seen.time);
        let (opened, latest) = (i64::from(session.opened), i64::from(self.networks.connected));
        let grace = shared.limits.handover_grace;
        if newest != place && newest != NOWHERE && opened + grace < latest && latest + grace < now {
            self.set(flag::OLD_IN_USE, true);
        } else if newest == place && opened >= latest && self.has(flag::OLD_IN_USE) {
            self.set(flag::OLD_IN_USE, false);
            let name = |place: u8| self.networks.at(place).map_or_else(String::new, |net| net.to_string());
            let other = self.continuity.network().filter(|other| *other != place);
            let other = other.or_else(|| self.networks.left(place)).unwrap_or(place);
            if other == place {
                return;
            }
            let unbroken = self.continuity.unbroken_between(place, other, now);
            let sides = ((name(other), opened), (name(place), latest));
            let event = event_ref(shared, seen);
            let claim = self.scene(shared, slot).overlap(sides.0, sides.1, unbroken, now, event);
            self.report(shared, slot, claim, seen, out);
        }
    }

    /// The connections from a place are not used for anything that is heard.
    fn silent(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        place: u8,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let now = seconds(seen.time);
        let Some(heard) = self.continuity.network().filter(|heard| *heard != place) else { return };
        if place == NOWHERE {
            return;
        }
        let times = if self.places >> 4 == place { (self.counts & 15).saturating_add(1).min(15) } else { 1 };
        self.places = self.places & 15 | place << 4;
        self.counts = self.counts & 0xF0 | times;
        if times == SILENT_SIGN
            && let (Some(heard), Some(silent)) = (self.networks.at(heard), self.networks.at(place))
        {
            let began = self.began(shared, slot, true, place, seen);
            let unbroken =
                self.continuity.network().is_some_and(|at| self.continuity.unbroken_between(at, place, now));
            let scene = self.scene(shared, slot);
            let claim = scene.read_only(&heard.to_string(), &silent.to_string(), times, unbroken, began);
            self.report(shared, slot, claim, seen, out);
        }
    }

    /// The hour since 1970 in which it was used last.
    fn hour(&self) -> i64 {
        let heard = self.continuity.active().map_or(0, Branch::last);
        heard.max(i64::from(self.networks.connected)).div_euclid(3_600)
    }

    /// Whether a device that is bound to its chip is where it is installed. `hour`: that of the use before.
    fn located(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        hour: i64,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        let (true, Some(Place { lat, lon })) = (self.has(flag::HOME), seen.place) else { return };
        let Some(home) = slot.home().filter(|_| slot.regime() == Regime::Behaviour) else { return };
        let km = distance_km((home.lat, home.lon), (f64::from(lat), f64::from(lon)));
        let allowed = home.radius_km + GEO_ERROR_KM;
        if km <= allowed {
            self.set(flag::WAS_HOME, true);
            self.counts &= 15;
            return;
        }
        if self.counts >> 4 != 0 && seconds(seen.time).div_euclid(3_600) == hour {
            return;
        }
        let times = (self.counts >> 4).saturating_add(1).min(15);
        self.counts = self.counts & 15 | times << 4;
        if times == AWAY_SIGN && self.has(flag::WAS_HOME) {
            let began = (at(seen), event_ref(shared, seen));
            let fresh = self.has(flag::AWAY_NEW);
            let claim = self.scene(shared, slot).relocation(km, allowed, times, fresh, began);
            self.report(shared, slot, claim, seen, out);
        }
    }

    fn downgraded(
        &mut self,
        shared: &mut Shared,
        slot: &Slot,
        sample: &Sample,
        placed: &Placed,
        seen: &Seen<'_>,
        out: &mut Vec<Finding>,
    ) {
        if seen.firmware.is_none() && seen.security_version.is_none() {
            return;
        }
        let floor = self.has(flag::FLOOR).then(|| slot.floor(at(seen))).flatten();
        let below_floor = match floor {
            Some(AntiRollbackFloor::SecurityVersion(floor)) => seen
                .security_version
                .filter(|version| version < floor)
                .map(|version| format!("security version {version}, the registry's floor is {floor}")),
            Some(AntiRollbackFloor::Firmware(floor)) => shared
                .words
                .say(sample.firmware)
                .filter(|firmware| version::compare(firmware, floor) == Some(Ordering::Less))
                .map(|firmware| format!("firmware {firmware}, the registry's floor is {floor}")),
            None => None,
        };
        let security_known = match seen.security_version {
            Some(now) if !placed.late => self.continuity.note_security(now).map(|before| (now, before)),
            _ => None,
        };
        let firmware_before = placed.reference.map_or(0, |before| before.firmware);
        let lower = || {
            if let Some((now, before)) = security_known.filter(|(now, before)| now < before) {
                return Some(format!("security version {now} after {before}"));
            }
            if sample.firmware == firmware_before || sample.firmware == 0 || firmware_before == 0 {
                return None;
            }
            let (now, before) = (shared.words.say(sample.firmware)?, shared.words.say(firmware_before)?);
            (version::compare(&now, &before) == Some(Ordering::Less))
                .then(|| format!("firmware {now} after {before}"))
        };
        let (below, what) = match below_floor {
            Some(what) => (true, what),
            None => match lower() {
                Some(what) => (false, what),
                None => return,
            },
        };
        let began = (at(seen), event_ref(shared, seen));
        let back = Lowered {
            below,
            what: bounded(what),
            less_secure: security_known.is_some_and(|(now, before)| now < before),
            allowed: floor.is_some(),
            secure: security_known.is_some(),
            rolled_back: placed.reference.is_some_and(|before| self.continuity.ran_before(&before, sample)),
        };
        let claim = self.scene(shared, slot).downgrade(back, placed.branch.as_ref(), began);
        self.report(shared, slot, claim, seen, out);
    }
}

fn born(seen: &Seen<'_>) -> Born {
    Born { digest: seen.digest().0, source: seen.source.0, event_id: seen.event_id, at: seen.time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small_and_comes_back_from_its_bytes() {
        assert_eq!(TRACK_BYTES, 256);
        let track = Track::new();
        let again = Track::read_from_bytes(track.as_bytes()).unwrap();
        assert_eq!(again.as_bytes(), track.as_bytes());
    }

    #[test]
    fn distances() {
        let (berlin, paris) = ((52.52, 13.405), (48.8566, 2.3522));
        // Great-circle distance of the two city centres: 878 km.
        assert!((distance_km(berlin, paris) - 878.0).abs() < 2.0);
        assert_eq!(distance_km(berlin, berlin), 0.0);
        assert!((distance_km((0.0, 0.0), (0.0, 180.0)) - 20_015.0).abs() < 1.0);
    }
}
