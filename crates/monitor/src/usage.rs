//! How much an identity is used, how, and when: its own habits, a day at a time.
//!
//! For each day of UTC it is counted how often the identity connected, how many messages it sent, how many bytes it
//! moved, and in which hours. Logarithms of the counts are held against a level and a spread that were learnt from the
//! days before. What is too much or too little for its spread is summed up over days (a two-sided CUSUM, Page 1954), so
//! that a small change which stays is found and a large one that passes is not. What the other devices of its type did
//! on the same days is weighed later, in [`crate::peers`].
//!
//! A level follows slowly, and a change that was said becomes the new habit, so that it is said once. Other firmware may
//! have other habits: they are learnt anew. Days without any use say nothing.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;
/// Days that are only learnt from; the first, which began before it was seen, is left out.
const LEARNT_DAYS: u8 = 5;
/// Connections within so many seconds are one use: retries, parallel connections.
const ONE_USE: i64 = 60;
/// Bytes are counted in units of so many.
const UNIT: u64 = 16;
/// Levels are logarithms to base 2 in so many parts.
const LEVEL: f64 = 1_024.0;
/// Spreads likewise.
const SPREAD: f64 = 64.0;
/// The latest difference, likewise.
const LATEST: f64 = 32.0;
/// The sums are in so many parts of a spread.
const SUM: f64 = 16.0;
/// No habit is taken to be steadier than this: a tenth more or less each day.
const STEADIEST: f64 = 0.15;
/// A single day counts for no more than so many spreads.
const ONE_DAY: f64 = 4.0;
/// What is left out of the sum each day, in spreads.
const SLACK: f64 = 1.0;
/// From this sum on the habit has changed.
const CHANGED: f64 = 10.0;
/// The level follows by one part in so many of the difference.
const FOLLOWS: f64 = 16.0;
/// Days after which hours that were not used again are forgotten, at the earliest; at the latest after twice as many.
const HOURS_KEPT: u8 = 14;
/// So many hours outside of its hours make a day count in full; half as many are not counted.
const ODD_HOURS: u32 = 4;
/// So many such days nearly in turn change the schedule.
const ODD_DAYS: u8 = 4;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    /// Connections, those within a minute of one another as one.
    Connections,
    /// Messages of the device.
    Messages,
    /// Bytes moved.
    Bytes,
    /// Hours of the day outside of those in which it is used.
    Hours,
}

impl Measure {
    /// All, in the order of [`DayOver::differences`].
    pub(crate) const ALL: [Self; MEASURES] = [Self::Connections, Self::Messages, Self::Bytes, Self::Hours];
}

/// How many measures there are.
pub(crate) const MEASURES: usize = 4;
/// Those that are amounts.
pub(crate) const AMOUNTS: usize = 3;

/// A day that is over, as it is held against those of other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DayOver {
    /// Days since 1970.
    pub(crate) day: u16,
    /// By how much each measure differs from the device's own habit, in [`STEP`]s; none for what was not used.
    pub(crate) differences: [Option<i8>; MEASURES],
}

/// Differences are told in this part of a doubling.
pub(crate) const STEP: f64 = 0.125;

/// A habit that has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    pub(crate) measure: Measure,
    /// Days since 1970: the first and the last that differ.
    pub(crate) days: (u16, u16),
    /// The amount on a usual day, and on those; of hours, none and how many.
    pub(crate) usual: f64,
    pub(crate) now: f64,
    /// It is connections that changed, and messages did not.
    pub(crate) alone: bool,
}

/// By how much the days of a week differ for a type of device, in doublings: by weekday, then amount.
pub(crate) type Week = [[f64; AMOUNTS]; 7];

/// The day of the week, from 0: 1970 began on a Thursday, which is 0.
pub(crate) fn weekday(day: u16) -> usize {
    usize::from(day % 7)
}

impl Change {
    /// Doublings; of hours, their number in [`STEP`]s.
    pub(crate) fn shift(&self) -> f64 {
        match self.measure {
            Measure::Hours => self.now * STEP,
            _ => (1.0 + self.now).log2() - (1.0 + self.usual).log2(),
        }
    }
}

/// What an amount usually is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Habit {
    /// Logarithm to base 2 of one more than the amount.
    level: u16,
    /// Differences since the sum left zero, added up, in [`SPREAD`] parts.
    excess: i16,
    /// How much it differs from day to day.
    spread: u8,
    /// The sums of what was too much and too little.
    more: u8,
    less: u8,
    /// Days since the larger of them left zero.
    days: u8,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn parts(value: f64, parts: f64, most: f64) -> u16 {
    (value * parts).round().clamp(0.0, most) as u16
}

fn byte(value: f64, of: f64) -> u8 {
    u8::try_from(parts(value, of, 255.0)).unwrap_or(u8::MAX)
}

impl Habit {
    fn level(self) -> f64 {
        f64::from(self.level) / LEVEL
    }

    fn set_level(&mut self, level: f64) {
        self.level = parts(level, LEVEL, f64::from(u16::MAX));
    }

    fn spread(self) -> f64 {
        // Of a normal distribution the mean distance is 0.8 standard deviations; what happens by chance differs by the
        // square root of its number.
        let chance = std::f64::consts::LOG2_E / (self.level() / 2.0).exp2();
        (f64::from(self.spread) / SPREAD * 1.25).max(STEADIEST).max(chance)
    }

    /// Learns from the logarithm of a day's amount, the `nth` from 1.
    fn learn(&mut self, found: f64, nth: u8) {
        let level = self.level();
        if nth <= 1 {
            *self = Self::default();
            self.set_level(found);
            self.spread = byte(0.25, SPREAD);
            return;
        }
        let rate = f64::from(nth.min(8)).recip();
        self.set_level(level + (found - level) * rate);
        let spread = f64::from(self.spread) / SPREAD;
        self.spread = byte(spread + ((found - level).abs() - spread) * rate, SPREAD);
    }

    /// One more day, by the logarithm of its amount; gives the difference in doublings, and the mean one when the habit has changed. `latest`: that of the
    /// day before.
    fn note(&mut self, found: f64, latest: &mut i8) -> (f64, Option<(f64, u8)>) {
        let (level, spread) = (self.level(), self.spread());
        let difference = found - level;
        let far = (difference / spread).clamp(-ONE_DAY, ONE_DAY);
        let (more, less) = (f64::from(self.more) / SUM, f64::from(self.less) / SUM);
        let (more, less) = ((more + far - SLACK).max(0.0), (less - far - SLACK).max(0.0));
        if more == 0.0 && less == 0.0 {
            (self.excess, self.days) = (0, 0);
        } else {
            let part = parts(difference.abs().min(16.0), SPREAD, 1_024.0);
            let part = i16::try_from(part).unwrap_or(i16::MAX);
            self.excess = self.excess.saturating_add(if difference < 0.0 { -part } else { part });
            self.days = self.days.saturating_add(1);
        }
        (self.more, self.less) = (byte(more, SUM), byte(less, SUM));
        if more >= CHANGED || less >= CHANGED {
            let (mean, days) = (f64::from(self.excess) / SPREAD / f64::from(self.days.max(1)), self.days);
            self.set_level(level + mean);
            (self.excess, self.more, self.less, self.days) = (0, 0, 0, 0);
            return (difference, Some((mean, days)));
        }
        self.set_level(level + far * spread / FOLLOWS);
        // From one day to the next: what stays or grows slowly does not make a habit look less steady.
        let before = f64::from(std::mem::replace(latest, rounded(difference * LATEST))) / LATEST;
        let apart = (difference - before).abs().min(ONE_DAY * spread) * std::f64::consts::FRAC_1_SQRT_2;
        let known = f64::from(self.spread) / SPREAD;
        self.spread = byte(known + (apart - known) / FOLLOWS, SPREAD);
        (difference, None)
    }
}

/// The habits of one identity, and its present day, in a fixed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Usage {
    /// Bytes of the present day, in [`UNIT`]s.
    bytes: u32,
    /// When the last connection that counted was opened, in seconds since 1970.
    connected: u32,
    /// The present day, in days since 1970; 0 before the first.
    day: u16,
    /// Number of its firmware; 0 while unknown.
    firmware: u16,
    connections: u16,
    messages: u16,
    habits: [Habit; AMOUNTS],
    /// Hours of the day in which it was used, a bit each: today, lately, and in the time before.
    today: [u8; 3],
    lately: [u8; 3],
    earlier: [u8; 3],
    /// Days since `lately` began.
    hours_age: u8,
    /// Days that were learnt from, with the first, up to [`LEARNT_DAYS`].
    learnt: u8,
    /// Days with many hours outside of its own, nearly in turn; and hours of those days, added up.
    odd_days: u8,
    odd_hours: u8,
    /// The difference of the day before, by amount, in parts of [`LATEST`].
    latest: [i8; AMOUNTS],
}

fn hours(bits: [u8; 3]) -> u32 {
    let [a, b, c] = bits;
    u32::from_le_bytes([a, b, c, 0])
}

/// The hours next to these, and these.
fn around(bits: u32) -> u32 {
    (bits | bits << 1 | bits >> 1 | bits << 23 | bits >> 23) & 0x00FF_FFFF
}

impl Usage {
    pub(crate) fn new() -> Self {
        <Self as FromZeros>::new_zeroed()
    }

    /// A use at a moment; what has become of the day before, when this is the first use of another one. What comes late
    /// for its day counts for none.
    /// `week` is that of its type.
    pub(crate) fn begin_day(&mut self, now: i64, week: Option<&Week>) -> Option<(DayOver, Vec<Change>)> {
        let day = u16::try_from(now.div_euclid(DAY)).unwrap_or(0);
        if day <= self.day {
            return None;
        }
        let over = (self.day != 0).then(|| self.close(week));
        self.day = day;
        (self.connections, self.messages, self.bytes, self.today) = (0, 0, 0, [0; 3]);
        over.flatten()
    }

    /// Whether a moment is in the present day.
    pub(crate) fn is_today(&self, now: i64) -> bool {
        now.div_euclid(DAY) == i64::from(self.day)
    }

    fn at_hour(&mut self, now: i64) {
        let hour = now.rem_euclid(DAY) / 3_600;
        let [a, b, c, _] = (hours(self.today) | 1 << hour).to_le_bytes();
        self.today = [a, b, c];
    }

    /// A connection was opened.
    pub(crate) fn connected(&mut self, now: i64) {
        if !self.is_today(now) || now - i64::from(self.connected) < ONE_USE {
            return;
        }
        self.at_hour(now);
        self.connected = u32::try_from(now).unwrap_or(u32::MAX);
        self.connections = self.connections.saturating_add(1);
    }

    /// The device sent a message, with the number of its firmware.
    pub(crate) fn spoke(&mut self, now: i64, firmware: u16) {
        if !self.is_today(now) {
            return;
        }
        self.at_hour(now);
        self.messages = self.messages.saturating_add(1);
        if firmware != 0 && firmware != std::mem::replace(&mut self.firmware, firmware) {
            // Its first day under it began with the other one.
            self.learnt = 0;
        }
    }

    /// Bytes were moved.
    pub(crate) fn moved(&mut self, now: i64, bytes: u64) {
        if self.is_today(now) {
            self.bytes = self.bytes.saturating_add(u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX));
        }
    }

    /// The present day is over.
    fn close(&mut self, week: Option<&Week>) -> Option<(DayOver, Vec<Change>)> {
        let amounts = [f64::from(self.connections), f64::from(self.messages), f64::from(self.bytes)];
        if self.connections == 0 && self.messages == 0 {
            return None;
        }
        let usual = week.and_then(|week| week.get(weekday(self.day))).copied().unwrap_or_default();
        let logarithms: [f64; AMOUNTS] = std::array::from_fn(|at| match (amounts.get(at), usual.get(at)) {
            (Some(amount), Some(usual)) => ((1.0 + amount).log2() - usual).max(0.0),
            _ => 0.0,
        });
        if self.learnt < LEARNT_DAYS {
            if self.learnt > 0 {
                for (habit, found) in self.habits.iter_mut().zip(logarithms) {
                    habit.learn(found, self.learnt);
                }
            } else {
                (self.lately, self.earlier, self.hours_age) = ([0; 3], [0; 3], 0);
                (self.odd_days, self.odd_hours) = (0, 0);
            }
            self.learnt += 1;
            self.keep_hours();
            return None;
        }
        let mut changes = Vec::new();
        let mut over = DayOver { day: self.day, differences: [None; MEASURES] };
        let unit = |measure| if measure == Measure::Bytes { 16.0 } else { 1.0 };
        let measures = Measure::ALL.into_iter().zip(&mut over.differences);
        let habits = self.habits.iter_mut().zip(&mut self.latest);
        for ((measure, told), ((habit, latest), found)) in measures.zip(habits.zip(logarithms)) {
            // What is never used is no habit.
            if found == 0.0 && habit.level < parts(1.0, LEVEL, LEVEL) {
                continue;
            }
            let usual = habit.level();
            let (difference, changed) = habit.note(found, latest);
            *told = Some(steps(difference));
            if let Some((mean, days)) = changed {
                let amount = |level: f64| (level.exp2() - 1.0).max(0.0) * unit(measure);
                let first = self.day.saturating_sub(u16::from(days.saturating_sub(1)));
                let (usual, now) = (amount(usual), amount(usual + mean));
                changes.push(Change { measure, days: (first, self.day), usual, now, alone: false });
            }
        }
        if let [Some(_), Some(messages), ..] = over.differences {
            let steady = f64::from(messages) * STEP < 0.5;
            let connections = changes.iter_mut().filter(|change| change.measure == Measure::Connections);
            connections.for_each(|change| change.alone = steady);
        }
        // More messages have more bytes: that is one change.
        if let Some(messages) = changes.iter().find(|change| change.measure == Measure::Messages).copied() {
            changes
                .retain(|change| change.measure != Measure::Bytes || change.shift() * messages.shift() < 0.0);
        }
        let (odd, changed) = self.note_hours();
        let [.., told] = &mut over.differences;
        *told = Some(i8::try_from(odd).unwrap_or(i8::MAX));
        changes.extend(changed);
        Some((over, changes))
    }

    /// Holds the hours of the present day against its own; gives how many are others, and whether its hours changed.
    fn note_hours(&mut self) -> (u32, Option<Change>) {
        let own = around(hours(self.lately) | hours(self.earlier));
        let odd = (hours(self.today) & !own).count_ones();
        if odd >= ODD_HOURS {
            self.odd_days = self.odd_days.saturating_add(1);
            self.odd_hours = self.odd_hours.saturating_add(u8::try_from(odd).unwrap_or(u8::MAX));
        } else if odd < ODD_HOURS / 2 {
            let mean = self.odd_hours.checked_div(self.odd_days).unwrap_or(0);
            self.odd_days = self.odd_days.saturating_sub(1);
            self.odd_hours = self.odd_hours.saturating_sub(mean);
        }
        if self.odd_days >= ODD_DAYS {
            let days = self.odd_days;
            let now = f64::from(self.odd_hours) / f64::from(days);
            (self.odd_days, self.odd_hours) = (0, 0);
            self.keep_hours();
            let first = self.day.saturating_sub(u16::from(days.saturating_sub(1)));
            let change =
                Change { measure: Measure::Hours, days: (first, self.day), usual: 0.0, now, alone: false };
            return (odd, Some(change));
        }
        // Hours that are being looked at do not become its own meanwhile.
        if self.odd_days == 0 {
            self.keep_hours();
        }
        (odd, None)
    }

    fn keep_hours(&mut self) {
        if self.hours_age >= HOURS_KEPT {
            (self.earlier, self.lately, self.hours_age) = (self.lately, [0; 3], 0);
        }
        self.hours_age += 1;
        self.lately.iter_mut().zip(self.today).for_each(|(kept, hour)| *kept |= hour);
    }
}

/// A difference in [`STEP`]s.
pub(crate) fn steps(difference: f64) -> i8 {
    rounded(difference / STEP)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range before")]
fn rounded(value: f64) -> i8 {
    value.round().clamp(-128.0, 127.0) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs days of so many messages each; gives the days on which a change was said, with what.
    fn run(amounts: impl IntoIterator<Item = u32>) -> Vec<(i64, Change)> {
        let (mut usage, mut said) = (Usage::new(), Vec::new());
        for (day, amount) in (20_000i64..).zip(amounts) {
            for message in 0..amount {
                let now = day * DAY + i64::from(message) * DAY / i64::from(amount);
                let changes = usage.begin_day(now, None).map_or_else(Vec::new, |(_, changes)| changes);
                said.extend(changes.into_iter().map(|change| (day - 20_000, change)));
                usage.spoke(now, 1);
            }
        }
        said
    }

    /// About `mean`, by up to a tenth more or less, different each day.
    fn about(mean: u32, days: u32) -> impl Iterator<Item = u32> {
        (0..days).map(move |day| mean + (day * 7_919 % 21) * mean / 100 - mean / 10)
    }

    #[test]
    fn a_habit_that_is_kept_is_not_said() {
        assert_eq!(run(about(100, 400)), []);
        // Five days a week.
        let week = (0..400).map(|day| if day % 7 < 5 { 100 } else { 60 });
        assert_eq!(run(week), []);
    }

    #[test]
    fn a_few_strange_days_are_not_said() {
        let days =
            about(100, 300).enumerate().map(|(day, amount)| if day % 40 > 37 { amount * 5 } else { amount });
        assert_eq!(run(days), []);
    }

    #[test]
    fn twice_as_much_is_said_once_within_days() {
        let said = run(about(100, 30).chain(about(200, 60)));
        let [(day, change)] = said.as_slice() else { panic!("{said:?}") };
        assert!((32..=36).contains(day), "{day}");
        assert_eq!(change.measure, Measure::Messages);
        assert!((change.shift() - 1.0).abs() < 0.3, "{change:?}");
        assert!((80.0..120.0).contains(&change.usual) && (160.0..240.0).contains(&change.now), "{change:?}");
        assert_eq!(change.days.0, 20_030);
    }

    #[test]
    fn less_is_said_too() {
        let said = run(about(100, 30).chain(about(20, 60)));
        assert!(matches!(said.as_slice(), [(_, change)] if change.shift() < -1.0), "{said:?}");
    }

    #[test]
    fn what_grows_slowly_is_said_before_it_has_doubled() {
        // By 3 % a day; twice as much after 24 days.
        let grown = std::iter::successors(Some(10_000u32), |amount| Some(amount * 103 / 100));
        let said = run(about(100, 30).chain(grown.take(40).map(|amount| amount / 100)));
        assert!(said.first().is_some_and(|(day, _)| (31..=54).contains(day)), "{said:?}");
    }

    #[test]
    fn a_device_that_is_new_is_learnt_first() {
        assert_eq!(run([10, 300, 20, 100, 50]), []);
    }

    #[test]
    fn other_hours_are_said_and_summer_time_is_not() {
        let run = |from: fn(i64) -> i64| {
            let (mut usage, mut said) = (Usage::new(), Vec::new());
            for day in 0..60 {
                for hour in 0..8 {
                    let now = (20_000 + day) * DAY + (from(day) + hour) % 24 * 3_600;
                    if let Some((_, changes)) = usage.begin_day(now, None) {
                        said.extend(changes.into_iter().map(|change| (day, change.measure)));
                    }
                    usage.spoke(now, 1);
                }
            }
            said
        };
        assert_eq!(run(|day| if day < 30 { 8 } else { 9 }), []);
        assert_eq!(run(|day| if day < 30 { 8 } else { 16 }), [(34, Measure::Hours)]);
    }

    #[test]
    fn other_firmware_is_learnt_anew() {
        let (mut usage, mut said) = (Usage::new(), 0);
        for day in 0..60 {
            for message in 0..if day < 30 { 24 } else { 96 } {
                let now = (20_000 + day) * DAY + message * 900;
                said += usage.begin_day(now, None).map_or(0, |(_, changes)| changes.len());
                usage.spoke(now, if day < 30 { 1 } else { 2 });
            }
        }
        assert_eq!(said, 0);
    }

    #[test]
    fn what_comes_late_and_repeats_do_not_count() {
        let mut usage = Usage::new();
        assert!(usage.begin_day(20_000 * DAY + 7_200, None).is_none());
        usage.connected(20_000 * DAY + 7_200);
        usage.connected(20_000 * DAY + 7_230);
        usage.spoke(19_999 * DAY, 1);
        assert_eq!((usage.connections, usage.messages), (1, 0));
        assert!(usage.begin_day(19_999 * DAY, None).is_none());
        assert_eq!(usage.day, 20_000);
    }

    #[test]
    fn numbers_out_of_all_range_do_no_harm() {
        let mut usage = Usage::new();
        for day in 0..40 {
            let now = (20_000 + day) * DAY;
            usage.begin_day(now, None);
            usage.moved(now, u64::MAX);
            (0..70_000).for_each(|_| usage.spoke(now, 1));
        }
        assert!(usage.begin_day(i64::MAX, None).is_none() && usage.begin_day(i64::MIN, None).is_none());
        assert_eq!((usage.messages, usage.bytes), (u16::MAX, u32::MAX));
    }
}
