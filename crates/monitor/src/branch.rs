//! One sequence that a single device can have produced: one boot, one run of the counter, one chain of tokens.
//!
//! A branch is a fixed record without heap, because a million identities have three each. Moments are whole seconds
//! since 1970 in 32 bits (until 2106); 0 stands for none.

use std::cmp::Ordering;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::settings::Limits;

/// A 32-bit counter of milliseconds wraps after this many seconds (49.7 days).
const UPTIME_WRAP: i64 = (1 << 32) / 1_000;
/// Counters behind the highest that are known one by one, as in the replay window of RFC 9147 §4.5.1.
const COUNTER_WINDOW: u64 = 16;
/// A sequence that goes on elsewhere may have lost this many lines, the next one counted.
pub(crate) const LOST_LINES: u64 = 3;
/// A message of another source may arrive behind this many later ones.
const OVERTAKEN_LINES: u64 = 8;
/// Messages that are sent together arrive within so many seconds.
const SENT_TOGETHER: i64 = 10;
/// Messages are kept back for at most so many seconds, where their counts leave some out: six hours.
const KEPT_BACK: i64 = 6 * 3_600;
/// A clock that stands still while the device sleeps makes its boot look later by as much as messages that are kept back
/// for days; it is known by counts that leave out none.
const KEPT_BACK_IN_TURN: i64 = 60 * 86_400;
/// A message was made right after another one within so many seconds.
const RIGHT_AFTER: i64 = 600;
/// Up to here a length is kept to the second, above in [`COARSE`] seconds, rounded up.
const EXACT: i64 = 1 << 14;
/// Seconds.
const COARSE: i64 = 64;
/// A counter that is saved now and then goes back by no more than so many when the device loses power.
const SAVED_EVERY: u64 = 32;
/// Messages that are kept back leave out fewer counts than this.
pub(crate) const LEFT_OUT: u64 = 1_000;
/// Stands for "no counter"; a device whose counter stands at the very end of its range has none.
const NO_COUNTER: u64 = u64::MAX;

/// What one message says about the instance that made it. Moments and lengths in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) time: i64,
    pub(crate) uptime: Option<i64>,
    pub(crate) counter: Option<u64>,
    pub(crate) boot_count: Option<u64>,
    /// Hash of the boot's random id; 0 is none.
    pub(crate) boot_id: u16,
    /// Hash of the token that was presented; 0 is none.
    pub(crate) token: u32,
    /// Hash of the token that was issued; 0 is none.
    pub(crate) issued: u32,
    /// Place of its network in the identity's table.
    pub(crate) network: Option<u8>,
    /// Number of its firmware; 0 is none.
    pub(crate) firmware: u16,
    /// Number of its TLS stack; 0 is none.
    pub(crate) stack: u16,
    /// Number of the source that saw it.
    pub(crate) source: u16,
    /// It is a heartbeat, which advances the counter; what opens a connection repeats it.
    pub(crate) beat: bool,
    /// The branch that the connection, which it came over, was used by last.
    pub(crate) held: Option<u8>,
    /// That branch is known, because the connection was opened by a message that named its boot.
    pub(crate) told: bool,
}

impl Sample {
    /// When the instance booted, if the message was not kept back.
    pub(crate) fn epoch(&self) -> Option<i64> {
        self.uptime.map(|uptime| self.time.saturating_sub(uptime))
    }

    /// Whether it says which boot it is of.
    pub(crate) fn names_boot(&self) -> bool {
        self.uptime.is_some() || self.boot_count.is_some() || self.boot_id != 0
    }

    /// Whether it came over a connection that is known to be this branch's.
    pub(crate) fn comes_over(&self, branch: &Branch) -> bool {
        self.told && self.held == Some(branch.id)
    }

    /// Whether it says anything by which instances can be told apart.
    pub(crate) fn places(&self) -> bool {
        self.names_boot() || self.counter.is_some() || self.token != 0 || self.issued != 0
    }
}

/// A moment or a number in 32 bits; what does not fit stands at the end of the range. 0 is kept for none.
fn narrow(value: i64) -> u32 {
    u32::try_from(value.clamp(1, i64::from(u32::MAX))).unwrap_or(u32::MAX)
}

/// A length of up to 36 days in 16 bits.
fn short(seconds: i64) -> u16 {
    let seconds = seconds.max(0);
    let above = (seconds - EXACT + COARSE - 1) / COARSE;
    u16::try_from(if seconds < EXACT { seconds } else { EXACT + above }).unwrap_or(u16::MAX)
}

fn long(short: u16) -> i64 {
    let short = i64::from(short);
    if short < EXACT { short } else { EXACT + (short - EXACT) * COARSE }
}

fn wide(value: u32) -> Option<i64> {
    (value != 0).then_some(i64::from(value))
}

/// Where a counter stands against those of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// One of the two has none.
    Absent,
    /// Ahead by this many.
    Ahead(u64),
    /// The newest again.
    Newest,
    /// Behind, and not seen yet: it was overtaken on its way.
    Overtaken,
    /// Behind, and used up.
    Used,
}

/// How a branch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// It is the first of the identity.
    First = 0,
    /// A later boot than that of the branch before.
    Reboot = 1,
    /// An earlier boot, which nobody knew.
    EarlierBoot = 2,
    /// The counter went back within one boot.
    CounterBack = 3,
    /// A token was presented that had been used up or replaced.
    TokenFork = 4,
    /// A token was presented that is not known, or none, where a chain was known: a line was lost, the device lost its
    /// token, or another one has it.
    NewChain = 5,
}

impl Birth {
    /// A chain of tokens began beside the one that was known.
    pub(crate) fn of_token(self) -> bool {
        matches!(self, Self::TokenFork | Self::NewChain)
    }
}

/// Which boot a message comes from, seen from a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    Same,
    Later,
    Earlier,
    Unknown,
}

/// One sequence that a single device can have produced.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Branch {
    counter: u64,
    epoch: u32,
    first: u32,
    last: u32,
    /// From the first counter to the highest.
    span: u32,
    /// The token that was issued last.
    pub(crate) newest: u32,
    /// The token that was presented for it.
    pub(crate) previous: u32,
    /// Number of the boot, plus one.
    boot_count: u32,
    /// By how much the latest message had been kept back; see [`short`].
    kept_back: u16,
    /// Bit n stands for `counter - n`.
    seen: u16,
    boot_id: u16,
    pub(crate) firmware: u16,
    pub(crate) stack: u16,
    /// The one source that saw it; 0 when there are several.
    source: u16,
    sightings: u16,
    /// Tokens exchanged, up to 255.
    pub(crate) generation: u8,
    pub(crate) id: u8,
    /// Branches of one instance are known to be one device, however their boots look.
    pub(crate) instance: u8,
    birth: u8,
    /// Places in the identity's table of networks, a bit each.
    pub(crate) networks: u8,
    /// How often the branch before it had been seen when it began, up to 255.
    pub(crate) history: u8,
}

/// Set in `birth` when another branch took over in good order.
const ENDED: u8 = 0x80;

impl Branch {
    pub(crate) fn start(id: u8, sample: &Sample, birth: Birth, history: u16) -> Self {
        let at = narrow(sample.time);
        let mut branch = Self {
            counter: sample.counter.unwrap_or(NO_COUNTER),
            epoch: sample.epoch().map_or(0, narrow),
            first: at,
            last: at,
            span: 0,
            newest: 0,
            previous: 0,
            boot_count: sample.boot_count.map_or(0, boot_number),
            kept_back: 0,
            seen: 1,
            boot_id: sample.boot_id,
            firmware: 0,
            stack: 0,
            source: sample.source,
            sightings: 0,
            generation: 0,
            id,
            instance: id,
            birth: birth as u8,
            networks: 0,
            history: u8::try_from(history).unwrap_or(u8::MAX),
        };
        branch.note(sample);
        branch
    }

    /// A sequence that began anew within the boot of another one is of that boot.
    pub(crate) fn inherit_boot(&mut self, before: &Self) {
        if self.boot_count == 0 {
            self.boot_count = before.boot_count;
        }
        if self.boot_id == 0 {
            self.boot_id = before.boot_id;
        }
    }

    pub(crate) fn birth(&self) -> Birth {
        match self.birth & !ENDED {
            0 => Birth::First,
            1 => Birth::Reboot,
            2 => Birth::EarlierBoot,
            3 => Birth::CounterBack,
            4 => Birth::TokenFork,
            _ => Birth::NewChain,
        }
    }

    /// Another branch took over in good order, as after a reboot.
    pub(crate) fn end(&mut self) {
        self.birth |= ENDED;
    }

    pub(crate) fn ended(&self) -> bool {
        self.birth & ENDED != 0
    }

    pub(crate) fn epoch(&self) -> Option<i64> {
        wide(self.epoch)
    }

    pub(crate) fn first(&self) -> i64 {
        i64::from(self.first)
    }

    pub(crate) fn last(&self) -> i64 {
        i64::from(self.last)
    }

    /// When its latest message was made.
    pub(crate) fn made(&self) -> i64 {
        self.last() - long(self.kept_back)
    }

    /// As [`Branch::made`], at the latest.
    fn made_by(&self) -> i64 {
        self.made() + if i64::from(self.kept_back) < EXACT { 0 } else { COARSE - 1 }
    }

    pub(crate) fn sightings(&self) -> u16 {
        self.sightings
    }

    pub(crate) fn counter_last(&self) -> Option<u64> {
        (self.counter != NO_COUNTER).then_some(self.counter)
    }

    pub(crate) fn counter_first(&self) -> Option<u64> {
        (self.counter != NO_COUNTER && self.span != u32::MAX)
            .then(|| self.counter.saturating_sub(u64::from(self.span)))
    }

    pub(crate) fn boot_number(&self) -> Option<u64> {
        self.boot_count.checked_sub(1).map(u64::from)
    }

    pub(crate) fn boot_id(&self) -> Option<u16> {
        (self.boot_id != 0).then_some(self.boot_id)
    }

    pub(crate) fn source(&self) -> Option<u16> {
        (self.source != 0).then_some(self.source)
    }

    /// The difference of the boots, after taking out a wrap of uptime in the direction that time allows.
    fn epoch_shift(&self, sample: &Sample, limits: &Limits) -> Option<(i64, i64)> {
        let shift = sample.epoch()? - self.epoch()?;
        let wrap = if sample.time >= self.last() { UPTIME_WRAP } else { -UPTIME_WRAP };
        let wrapped = shift - wrap;
        Some(if wrapped.abs() <= limits.boot_tolerance { (wrapped, wrap) } else { (shift, 0) })
    }

    /// Whether the message's count is farther from this branch's latest than a counter goes back that is saved now and
    /// then.
    pub(crate) fn counts_apart(&self, sample: &Sample) -> bool {
        self.counter_last()
            .zip(sample.counter)
            .is_some_and(|(last, counter)| last.abs_diff(counter) > SAVED_EVERY)
    }

    /// Whether the message is one of those, sent together, that the branch began with: each was kept back for less long than
    /// the one before, so the boot looks earlier.
    fn begins_with(&self, sample: &Sample) -> bool {
        self.in_turn(sample) && (0..=SENT_TOGETHER).contains(&(sample.time - self.first()))
    }

    /// Whether the message's count is the next one, give or take a lost line.
    pub(crate) fn in_turn(&self, sample: &Sample) -> bool {
        matches!(self.count(sample), Count::Ahead(..=LOST_LINES))
    }

    /// `active`: it is the branch of the latest message, which may go on with messages that were kept back for long.
    pub(crate) fn boot(&self, sample: &Sample, limits: &Limits, active: bool) -> Boot {
        let epoch = self.epoch_shift(sample, limits).map(|(shift, _)| {
            let goes_on = active || self.in_turn(sample);
            let kept = goes_on && shift > 0 && shift <= self.kept_on(sample);
            if shift.abs() <= limits.boot_tolerance || kept || shift < 0 && self.begins_with(sample) {
                Boot::Same
            } else if shift > 0 {
                Boot::Later
            } else {
                Boot::Earlier
            }
        });
        let count =
            (self.boot_count != 0).then_some(self.boot_count).zip(sample.boot_count).map(|(ours, theirs)| {
                match boot_number(theirs).cmp(&ours) {
                    Ordering::Less => Boot::Earlier,
                    Ordering::Equal => Boot::Same,
                    Ordering::Greater => Boot::Later,
                }
            });
        let id = (self.boot_id != 0 && sample.boot_id != 0).then(|| {
            if self.boot_id == sample.boot_id {
                Boot::Same
            } else if sample.time >= self.last() {
                Boot::Later
            } else {
                Boot::Earlier
            }
        });
        // The clock decides first; a boot within its tolerance is told by the boot's number, then by its random id.
        [epoch, count, id]
            .into_iter()
            .flatten()
            .fold(None, |told, next| match told {
                None | Some(Boot::Same) => Some(next),
                other => other,
            })
            .unwrap_or(Boot::Unknown)
    }

    /// By how much the boot may look later for the message to fit behind this branch's latest one, made in the same boot
    /// and kept back since: its uptime went on, and so did the counter. A device that has booted begins with a small
    /// uptime; a second one that booted later has been up for less than this one.
    fn kept_on(&self, sample: &Sample) -> i64 {
        let (Some(epoch), Some(uptime)) = (self.epoch(), sample.uptime) else { return 0 };
        let made = epoch + uptime;
        if made <= self.made() || made > sample.time {
            return 0;
        }
        // A connection does not outlive its device's boot.
        if sample.comes_over(self) {
            return i64::MAX;
        }
        match self.count(sample) {
            // Nothing is counted: it was made right after the latest one.
            Count::Absent if made - self.made() <= RIGHT_AFTER => KEPT_BACK_IN_TURN,
            Count::Ahead(..=LOST_LINES) | Count::Newest => KEPT_BACK_IN_TURN,
            Count::Used | Count::Ahead(LEFT_OUT..) => 0,
            _ => KEPT_BACK,
        }
    }

    pub(crate) fn count(&self, sample: &Sample) -> Count {
        let (Some(last), Some(counter)) = (self.counter_last(), sample.counter) else { return Count::Absent };
        match counter.cmp(&last) {
            Ordering::Greater => Count::Ahead(counter - last),
            Ordering::Equal => Count::Newest,
            Ordering::Less => {
                let back = last - counter;
                let unseen = back < COUNTER_WINDOW && self.seen >> back & 1 == 0;
                // Messages that were kept back and are sent together may overtake each other right at the beginning.
                let together = sample.time - self.first() <= SENT_TOGETHER
                    && back <= u64::from(self.span) + OVERTAKEN_LINES;
                if unseen && (back < u64::from(self.span) || together) {
                    Count::Overtaken
                } else {
                    Count::Used
                }
            }
        }
    }

    fn mark(&mut self, counter: u64) {
        let Some(last) = self.counter_last() else {
            (self.counter, self.span, self.seen) = (counter, 0, 1);
            return;
        };
        if counter > last {
            let step = counter - last;
            self.seen = if step < COUNTER_WINDOW { self.seen << step | 1 } else { 1 };
            self.span = self.span.saturating_add(u32::try_from(step).unwrap_or(u32::MAX));
            self.counter = counter;
        } else if last - counter < COUNTER_WINDOW {
            self.seen |= 1 << (last - counter);
        }
    }

    /// Adds what a message says of its network and, unless it was overtaken by a later one, of firmware and TLS.
    fn note(&mut self, sample: &Sample) {
        self.sightings = self.sightings.saturating_add(1);
        if let Some(network) = sample.network {
            self.networks |= 1 << network;
        }
        if sample.time >= self.last() {
            for (ours, theirs) in [(&mut self.firmware, sample.firmware), (&mut self.stack, sample.stack)] {
                if theirs != 0 {
                    *ours = theirs;
                }
            }
        }
    }

    pub(crate) fn advance(&mut self, sample: &Sample, limits: &Limits) {
        let begins = self.begins_with(sample);
        match (self.epoch(), self.epoch_shift(sample, limits)) {
            (None, _) => self.epoch = sample.epoch().map_or(0, narrow),
            (Some(epoch), Some((shift, wrap))) if shift.abs() <= limits.boot_tolerance => {
                // A message is kept back or it is not, so the earliest estimate is the best one; the device's crystal
                // may still move it by up to 200 ppm.
                let drift = ((sample.time - self.last()).max(0) + 4_999) / 5_000;
                self.epoch = narrow(epoch + shift.min(drift) + wrap.max(0));
            }
            (Some(epoch), Some((shift, wrap))) if shift < 0 && begins => {
                self.epoch = narrow(epoch + shift + wrap.max(0));
            }
            // What was kept back comes together; a message as late as the one before it, but later, is not late: the
            // device's clock stood still for that long.
            (Some(epoch), Some((shift, wrap)))
                if sample.time - self.last() > limits.retry_window
                    && shift > limits.boot_tolerance
                    && (shift - long(self.kept_back)).abs() <= limits.retry_window =>
            {
                self.epoch = narrow(epoch + shift + wrap.max(0));
            }
            _ => {}
        }
        if self.boot_count == 0 {
            self.boot_count = sample.boot_count.map_or(0, boot_number);
        }
        // A message that does not say since when it is up may come from a boot that is about to show.
        if self.boot_id == 0 && (self.epoch == 0 || sample.uptime.is_some()) {
            self.boot_id = sample.boot_id;
        }
        if let Some(counter) = sample.counter {
            self.mark(counter);
        }
        // Of a device that counts its messages, one without a count overtakes those that are still kept back.
        let overtakes = sample.counter.is_none() && self.counter_last().is_some();
        let made = match (self.epoch(), sample.uptime) {
            _ if overtakes && self.epoch != 0 => self.made(),
            (Some(epoch), Some(uptime)) => (epoch + uptime).min(sample.time),
            // Without uptime it is not known when a message of a boot was made.
            (Some(_), None) => self.made(),
            _ => sample.time,
        };
        let made = made.max(self.made());
        if self.source != sample.source {
            self.source = 0;
        }
        self.note(sample);
        let at = narrow(sample.time);
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.kept_back = short(self.last() - made);
    }

    /// Whether a message of another source was made shortly before this branch began, as its counter says, whatever
    /// the clock of that source says.
    pub(crate) fn overtook(&self, sample: &Sample) -> bool {
        let elsewhere = self.source().is_some_and(|source| source != sample.source);
        let before =
            self.counter_first().zip(sample.counter).and_then(|(first, counter)| first.checked_sub(counter));
        elsewhere && before.is_some_and(|before| (1..=OVERTAKEN_LINES).contains(&before))
    }

    /// Whether the message may be of this branch's boot and made before its latest one.
    pub(crate) fn made_before(&self, sample: &Sample, limits: &Limits) -> bool {
        let numbered = sample.boot_count.map(boot_number);
        if self.boot_count != 0 && numbered.is_some_and(|number| number != self.boot_count)
            || self.boot_id != 0 && sample.boot_id != 0 && self.boot_id != sample.boot_id
        {
            return false;
        }
        match (self.epoch(), sample.uptime, sample.epoch()) {
            (Some(epoch), Some(uptime), Some(booted)) => {
                booted - epoch >= -limits.boot_tolerance && epoch + uptime <= self.made_by()
            }
            _ => true,
        }
    }

    /// Whether another source saw the message, and by uptime and count it was made right before the latest one: the
    /// clocks of the two differ.
    pub(crate) fn made_just_before(&self, sample: &Sample, limits: &Limits) -> bool {
        let Some(at) = self.epoch().zip(sample.uptime).map(|(epoch, uptime)| epoch + uptime) else {
            return false;
        };
        let counted = self
            .counter_last()
            .zip(sample.counter)
            .is_some_and(|(last, count)| last.checked_sub(count).is_some_and(|behind| behind <= LOST_LINES));
        self.source() != Some(sample.source) && self.made() - at <= limits.clock_tolerance && counted
    }

    /// Whether the message's uptime makes its boot look later than this branch's.
    pub(crate) fn booted_later(&self, sample: &Sample, limits: &Limits) -> bool {
        self.epoch().zip(sample.epoch()).is_some_and(|(ours, theirs)| theirs - ours > limits.boot_tolerance)
    }

    /// When a message of this branch's boot was made, as far as its uptime tells.
    pub(crate) fn made_at(&self, sample: &Sample) -> i64 {
        match (self.epoch(), sample.uptime) {
            (Some(epoch), Some(uptime)) => (epoch + uptime).min(sample.time),
            _ => sample.time,
        }
    }

    /// Whether the two are told apart by when they booted.
    pub(crate) fn booted_apart(&self, other: &Self, limits: &Limits) -> bool {
        self.epoch().zip(other.epoch()).is_some_and(|(a, b)| (a - b).abs() > limits.boot_tolerance)
    }

    /// By how many seconds this branch outlived the boot of a younger one, beyond all tolerance.
    pub(crate) fn outlived(&self, younger: &Self, limits: &Limits) -> Option<i64> {
        let (ours, theirs) = (self.epoch()?, younger.epoch()?);
        let one_clock = self.source().is_some() && self.source == younger.source;
        // One message alone may have been kept back, and a boot that nobody knew before has to say so twice.
        let margin = match (self.sightings, self.birth()) {
            (1, Birth::EarlierBoot) => return None,
            (1, _) => limits.clock_tolerance.max(limits.boot_tolerance),
            _ if one_clock => limits.clock_tolerance,
            _ => limits.clock_tolerance * 2,
        };
        let overlap = self.made() - theirs;
        (ours < theirs && overlap > margin).then_some(overlap)
    }

    /// Whether the counters of the two can be one sequence: the later one began above all that the other had used.
    pub(crate) fn one_sequence(&self, other: &Self) -> bool {
        let (a, b) = if self.first <= other.first { (self, other) } else { (other, self) };
        let (Some(a_first), Some(a_last), Some(b_first), Some(b_last)) =
            (a.counter_first(), a.counter_last(), b.counter_first(), b.counter_last())
        else {
            return true;
        };
        if b_first > a_last || a_first > b_last {
            return true;
        }
        // The older may have gone on above; what counts is that none was used twice, as far as the windows reach.
        let (high, low) = if a_last >= b_last { (a, b) } else { (b, a) };
        let step = a_last.abs_diff(b_last);
        step < COUNTER_WINDOW && (high.seen >> step) & low.seen == 0 && b_first > a_first
    }

    /// Takes over the numbers that the identity's table of networks gave up.
    pub(crate) fn forget_network(&mut self, place: u8) {
        self.networks &= !(1 << place);
    }
}

fn boot_number(count: u64) -> u32 {
    u32::try_from(count.saturating_add(1)).unwrap_or(u32::MAX)
}
