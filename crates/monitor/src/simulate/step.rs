//! What one instance does when it is its turn.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::World;
use super::attack::Class;
use super::instance::{DAY, Instance, SECOND, mix_of};
use super::line::{self, Envelope, Said, Type};
use super::network::{self, Seen};
use super::rng::{Rng, mix, mix2, natural, whole};
use super::scenario::DeviceType;

/// The name of a device.
pub(super) fn name_of(kind: Option<&DeviceType>, device: u32, out: &mut String) {
    out.clear();
    // Writing into a string cannot fail.
    let _ = write!(out, "{}-{device:07}", kind.map_or("device", |kind| kind.name.as_str()));
}

/// What the registry knows of a device; with the seed of a new key, that as an alias.
pub(super) fn registry_line(kind: &DeviceType, one: &Instance, at: i64, new_key: Option<u64>) -> String {
    let mut name = String::new();
    name_of(Some(kind), one.device, &mut name);
    let mut line = String::from(r#"{"schema":"touchmark.event/1","type":"registry","time":""#);
    line::moment(at, &mut line);
    line.push_str(r#"","source":"registry","identity":{"spki_sha256":""#);
    line::digest(one.flash.key, &mut line);
    let _ = write!(
        line,
        r#"","common_name":"{name}"}},"device_type":"{}","device":"{name}","assurance":{{"storage":"{}","basis":"{}"}}"#,
        kind.name, kind.storage, kind.basis
    );
    if let Some(key) = new_key {
        line.push_str(r#","aliases":[{"spki_sha256":""#);
        line::digest(key, &mut line);
        line.push_str("\"}]");
    }
    if kind.security_version {
        line.push_str(r#","anti_rollback_floor":2"#);
    }
    line.push_str(r#","status":"active"}"#);
    line
}

/// A message on its way.
struct Sending {
    /// When the source takes it in, by a perfect clock.
    taken: i64,
    /// It never gets there.
    lost: bool,
    /// It was made and kept, so nothing was answered to it.
    kept: bool,
}

impl World<'_> {
    /// One use of the identity, and when the next one is.
    pub(super) fn act(&mut self, one: &mut Instance, now: i64) -> io::Result<()> {
        let (scenario, kinds) = (self.scenario, self.kinds);
        let Some(kind) = kinds.get(usize::from(one.kind)) else { return Ok(()) };
        let class = self.class_of(one);
        if one.copy > 0 && now >= one.ends {
            one.next = super::rng::NEVER;
            return Ok(());
        }
        let days = self.days(now);
        let day = u16::try_from(natural(days.floor())).unwrap_or(u16::MAX);
        let since = self.days(now) - self.days(one.last);
        let network_mix = mix_of(scenario, kind);
        self.live(one, kind, now, since, day)?;
        if one.link.pass(&mut one.rng, network_mix, since.min(1.0), day) && one.session != 0 {
            self.hang_up(one, kind, now, true)?;
        }
        if one.copy > 0 {
            self.copy_lives(one, class, now);
            if class.is_some_and(Class::replays) {
                return self.replayer(one, kind, now);
            }
        }
        let sending = self.sending(one, now);
        if one.session != 0 && now >= one.session_until {
            self.hang_up(one, kind, now, false)?;
        }
        if one.session == 0 {
            one.link.reconnect(&mut one.rng);
            one.session = one.rng.next() >> 16 | 1;
            one.session_began = sending.taken;
            one.session_until = now + whole(one.rng.exponential(kind.session_h.max(0.01) * 3600e6)) + 1;
            if kind.authentications {
                self.authenticate(one, kind, now, &sending)?;
            }
        }
        if kind.heartbeats && !(one.copy > 0 && class == Some(Class::ReadOnly)) {
            self.beat(one, kind, now, &sending, class)?;
        }
        if !kind.persistent {
            self.hang_up(one, kind, now + 2 * SECOND, false)?;
        }
        one.last = now;
        one.next = self.next_of(one, kind, class, now);
        Ok(())
    }

    pub(super) fn class_of(&self, one: &Instance) -> Option<Class> {
        let place = usize::try_from(one.truth.checked_sub(1)?).ok()?;
        self.truths.get(place).map(|truth| truth.class)
    }

    fn next_of(&self, one: &mut Instance, kind: &DeviceType, class: Option<Class>, now: i64) -> i64 {
        let own = class.filter(|_| one.copy > 0);
        let mut wait = own.and_then(Class::every_s).unwrap_or(kind.period_s);
        wait *= match own {
            Some(Class::Slow) => one.rng.between(0.6, 1.4),
            Some(Class::Flooding) => one.rng.between(0.2, 1.8),
            _ => 1.0 + kind.jitter * one.rng.between(-1.0, 1.0),
        };
        if kind.diurnal {
            let summer = self.days(now) >= self.scenario.noise.dst_day;
            let (hour, weekday) = network::local(now, network::longitude(one.link.city), summer);
            wait *= if hour < 6.0 { 3.0 } else { 1.0 } * if weekday >= 5 { 1.5 } else { 1.0 };
        }
        let next = now + whole(wait * 1e6).max(1);
        // Who has booted connects soon.
        let reconnect = one.next_reboot.saturating_add(whole(one.rng.between(15e6, 60e6)));
        next.min(reconnect.max(now + SECOND))
    }

    /// Life between the last use and this one.
    fn live(
        &mut self,
        one: &mut Instance,
        kind: &DeviceType,
        now: i64,
        since: f64,
        day: u16,
    ) -> io::Result<()> {
        let (life, noise) = (&self.scenario.life, &self.scenario.noise);
        if now >= one.update.1 {
            one.flash.firmware = one.update.0;
            let at = one.update.1.min(now - 20 * SECOND).max(one.last);
            one.update.1 = super::rng::NEVER;
            one.reboot(self.scenario, kind, at);
        }
        if now >= one.next_reboot {
            let at = one.next_reboot;
            one.reboot(self.scenario, kind, at);
            if one.next_reboot < now {
                one.next_reboot = now + one.rng.wait_us(kind.reboots);
            }
        }
        if one.copy > 0 {
            return Ok(());
        }
        if one.traits.resets_counter && one.reset_day != day {
            one.flash.counter = 0;
        }
        one.reset_day = day;
        if one.rng.chance(4.0 * since) {
            one.older = one.flash;
        }
        if one.rng.chance(noise.offline * since) {
            one.offline_until = now + whole(one.rng.between(60e6, 3600e6));
            one.kept = 0;
            one.session = 0;
        }
        let changes = [
            life.reinstalls,
            life.flash_rollbacks,
            life.board_swaps,
            life.rekeys,
            life.renewals,
            life.slot_changes,
            noise.ntp_steps,
        ];
        if !one.rng.chance(changes.iter().sum::<f64>() * since) {
            return Ok(());
        }
        let mut rest = one.rng.unit() * changes.iter().sum::<f64>();
        let change = changes.iter().position(|rate| {
            rest -= rate;
            rest < 0.0
        });
        let rebooted = (now - 30 * SECOND).max(one.last).max(one.booted);
        match change {
            Some(0) => {
                one.flash = super::instance::Flash { counter: 0, token: 0, boots: 0, ..one.flash };
                one.reboot(self.scenario, kind, rebooted);
            }
            Some(1) => {
                let (key, certificate) = (one.flash.key, one.flash.certificate);
                one.flash = super::instance::Flash { key, certificate, ..one.older };
                one.reboot(self.scenario, kind, rebooted);
            }
            Some(2) => {
                one.skew = one.rng.between(-1.0, 1.0) * noise.ppm * 1e-6;
                one.reboot(self.scenario, kind, rebooted);
            }
            Some(3) => {
                let key = mix2(one.flash.key, 1);
                if one.traits.registered {
                    let line = registry_line(kind, one, now - SECOND, Some(key));
                    self.output.push(u32::MAX, now - SECOND, &line)?;
                }
                one.flash.key = key;
                one.flash.certificate = mix2(one.flash.certificate, 1);
                one.session = 0;
            }
            Some(4) => {
                one.flash.certificate = mix2(one.flash.certificate, 1);
                one.session = 0;
            }
            Some(5) => {
                one.flash.firmware = one.flash.firmware.saturating_sub(1).max(39);
                one.reboot(self.scenario, kind, rebooted);
            }
            _ => one.clock_error = whole(one.rng.between(-5e6, 5e6)),
        }
        Ok(())
    }

    fn sending(&mut self, one: &mut Instance, now: i64) -> Sending {
        let noise = &self.scenario.noise;
        let mut taken = now + whole(one.rng.between(20e3, 300e3));
        let mut kept = false;
        let mut lost = one.rng.chance(noise.lost);
        if now < one.offline_until {
            one.kept += 1;
            lost |= one.kept > noise.store;
            taken = one.offline_until + i64::from(one.kept) * 50_000;
            kept = true;
        } else if one.traits.gateway {
            let batch = whole(noise.gateway_min.max(0.1) * 60e6).max(1);
            let phase = i64::from(one.device % 50) * 1000;
            taken = (now / batch + 1) * batch + phase;
            kept = true;
        } else if one.rng.chance(noise.buffered) && one.session != 0 {
            taken += whole(one.rng.between(1e6, 600e6));
            kept = true;
        }
        Sending { taken, lost, kept }
    }

    fn ja4(&self, one: &Instance, kind: &DeviceType) -> String {
        // An attacker who stays near takes the device's own software; the others have their own.
        let own = matches!(
            self.class_of(one).filter(|_| one.copy > 0),
            None | Some(
                Class::C3 | Class::C4 | Class::C6 | Class::C10 | Class::Geography | Class::GoldenImage
            )
        );
        let stack = if own {
            mix2(u64::from(one.kind), u64::from(one.flash.firmware / 8))
        } else {
            mix(u64::from(one.truth))
        };
        let _ = kind;
        format!("t13d1516h2_{:012x}_{:012x}", mix(stack) >> 16, mix2(stack, 1) >> 16)
    }

    /// The token it presents and the one that it is given.
    fn tokens(
        &mut self,
        one: &mut Instance,
        kind: &DeviceType,
        sending: &Sending,
        lost: &mut bool,
    ) -> (Option<u64>, Option<u64>) {
        if !kind.tokens || sending.kept {
            return (None, None);
        }
        let presented = (one.flash.token != 0).then_some(one.flash.token);
        let issued = one.rng.next() | 1;
        // Half of what is lost was answered and is missing in the log alone.
        let unanswered = *lost && one.rng.chance(0.5);
        if !unanswered && !one.rng.chance(self.scenario.noise.lost_replies) {
            one.flash.token = issued;
        }
        one.presented = presented.unwrap_or(0);
        (presented, Some(issued))
    }

    fn authenticate(
        &mut self,
        one: &mut Instance,
        kind: &DeviceType,
        now: i64,
        sending: &Sending,
    ) -> io::Result<()> {
        let mut lost = sending.lost;
        let (token, token_issued) = self.tokens(one, kind, sending, &mut lost);
        let alone = !kind.heartbeats;
        if alone && kind.counter {
            one.flash.counter += 1;
        }
        let ja4 = kind.ja4.then(|| self.ja4(one, kind));
        let said = Said {
            session: Some(one.session),
            seen: Some(self.seen(one, kind, now)),
            ja4: ja4.as_deref(),
            device_type: Some(&kind.name),
            firmware: kind.firmware.then_some(one.flash.firmware),
            boot_id: kind.boot_id.then(|| mix2(one.booted.unsigned_abs(), one.flash.boots)),
            uptime_ms: (alone && kind.uptime).then(|| one.uptime_ms(kind, now)),
            counter: (alone && kind.counter).then_some(one.flash.counter),
            token,
            token_issued,
            ..Said::default()
        };
        self.emit(one, Type::Authentication, sending.taken, lost, &said)
    }

    fn seen(&self, one: &Instance, kind: &DeviceType, now: i64) -> Seen {
        one.link.seen(mix_of(self.scenario, kind), self.days(now))
    }

    fn beat(
        &mut self,
        one: &mut Instance,
        kind: &DeviceType,
        now: i64,
        sending: &Sending,
        class: Option<Class>,
    ) -> io::Result<()> {
        one.flash.counter = one.flash.counter.saturating_add(1);
        let mut lost = sending.lost;
        let (token, token_issued) = self.tokens(one, kind, sending, &mut lost);
        if one.copy == 0 && class == Some(Class::Poisoning) && self.poisoned(one, now) {
            one.size *= 1.0 + 0.05 * kind.period_s / 86_400.0;
        }
        let bytes =
            kind.bytes.then(|| natural((kind.payload * one.size * one.rng.between(0.7, 1.3)).max(1.0)));
        let since_boot = now - one.booted;
        let clock = if one.traits.rtc_reset && since_boot < 120 * SECOND {
            since_boot
        } else {
            now + one.clock_error
        };
        let said = Said {
            session: kind.authentications.then_some(one.session),
            seen: (!kind.persistent || !kind.authentications).then(|| self.seen(one, kind, now)),
            device_type: Some(&kind.name),
            firmware: kind.firmware.then_some(one.flash.firmware),
            security_version: kind.security_version.then(|| u64::from(one.flash.firmware / 10)),
            boot_count: kind.boot_count.then_some(one.flash.boots),
            uptime_ms: kind.uptime.then(|| one.uptime_ms(kind, now)),
            counter: kind.counter.then_some(one.flash.counter),
            token,
            token_issued,
            device_time: kind.device_time.then_some(clock),
            bytes,
            ..Said::default()
        };
        self.emit(one, Type::Heartbeat, sending.taken + 150_000, lost, &said)
    }

    /// Ends the open connection; where it is half open, the source notices only later.
    pub(super) fn hang_up(
        &mut self,
        one: &mut Instance,
        kind: &DeviceType,
        at: i64,
        broken: bool,
    ) -> io::Result<()> {
        let session = one.session;
        one.session = 0;
        if session == 0 || !kind.authentications || at < one.offline_until {
            return Ok(());
        }
        let half_open = broken || one.rng.chance(self.scenario.noise.half_open);
        let delay = if half_open && kind.persistent { whole(one.rng.between(30e6, 180e6)) } else { 0 };
        if half_open && one.rng.chance(0.3) {
            return Ok(());
        }
        let ended = (at + delay).max(one.session_began);
        let said = Said {
            session: Some(session),
            duration_ms: Some((ended - one.session_began).unsigned_abs() / 1000),
            reason: Some(if half_open { "timeout" } else { "closed" }),
            ..Said::default()
        };
        self.emit(one, Type::SessionEnd, ended, false, &said)
    }

    /// What makes a copy of its class differ from a device.
    fn copy_lives(&mut self, one: &mut Instance, class: Option<Class>, now: i64) {
        let victim = self.instances.get(usize::try_from(one.device).unwrap_or(usize::MAX)).copied();
        match (class, victim) {
            (Some(Class::C9), _) => {
                one.booted = now - whole(one.rng.between(5e6, 60e6));
                one.flash.boots += 1;
                one.session = 0;
            }
            (Some(Class::C10), Some(victim)) => {
                one.booted = victim.booted;
                one.skew = victim.skew;
                one.flash.counter = victim.flash.counter;
                one.flash.boots = victim.flash.boots;
            }
            (Some(Class::Lan), Some(victim)) => one.link = victim.link.with_port_of(&mut one.rng),
            (Some(Class::Flooding), _) => {
                one.booted = now - whole(one.rng.between(1e6, 86_400e6));
                one.flash.counter = one.rng.below(4_000_000);
            }
            _ => {}
        }
    }

    /// Records a message of the original, or sends the one that was recorded.
    fn replayer(&mut self, one: &mut Instance, kind: &DeviceType, now: i64) -> io::Result<()> {
        let class = self.class_of(one);
        one.last = now;
        if let Some((counter, uptime, token)) = one.recorded.take() {
            let sending = self.sending(one, now);
            let said = Said {
                seen: Some(self.seen(one, kind, now)),
                device_type: Some(&kind.name),
                firmware: kind.firmware.then_some(one.flash.firmware),
                uptime_ms: kind.uptime.then_some(uptime),
                counter: kind.counter.then_some(counter),
                boot_count: kind.boot_count.then_some(one.flash.boots),
                token: (kind.tokens && token != 0).then_some(token),
                token_issued: kind.tokens.then(|| one.rng.next() | 1),
                ..Said::default()
            };
            one.next = now + whole(8.0 * 3600e6 * one.rng.between(0.5, 1.0));
            return self.emit(one, Type::Heartbeat, sending.taken, sending.lost, &said);
        }
        let victim = self.instances.get(usize::try_from(one.device).unwrap_or(usize::MAX)).copied();
        if let Some(victim) = victim {
            one.flash = victim.flash;
            one.recorded =
                Some((victim.flash.counter, victim.uptime_ms(kind, victim.last), victim.presented));
        }
        let delay = match class {
            Some(Class::ReplayRecent) => one.rng.between(60e6, 600e6),
            Some(Class::ReplayOld) => one.rng.between(86_400e6, 3.0 * 86_400e6),
            _ => one.rng.between(60e6, 3600e6),
        };
        one.next = now + whole(delay);
        Ok(())
    }

    fn poisoned(&self, one: &Instance, now: i64) -> bool {
        let place = usize::try_from(one.truth.saturating_sub(1)).unwrap_or(usize::MAX);
        self.truths.get(place).is_some_and(|truth| {
            now >= truth.starts.micros() && now < truth.ends.micros().max(truth.starts.micros() + DAY)
        })
    }

    /// Gives a line to its source: with the source's clock, late or twice, or not at all.
    fn emit(
        &mut self,
        one: &mut Instance,
        kind: Type,
        taken: i64,
        lost: bool,
        said: &Said<'_>,
    ) -> io::Result<()> {
        if lost {
            return Ok(());
        }
        let noise = &self.scenario.noise;
        let source = one.source;
        let (skew, ids) = self.skew_of(source);
        let time_us = (taken + skew).max(0) / 1000 * 1000;
        let late = if one.rng.chance(noise.late) {
            whole(one.rng.between(1e6, 120e6))
        } else if one.rng.chance(noise.very_late) {
            whole(one.rng.between(120e6, 3600e6))
        } else {
            0
        };
        self.ids += 1;
        name_of(self.kinds.get(usize::from(one.kind)), one.device, &mut self.name);
        self.line.clear();
        let envelope = Envelope {
            kind,
            time_us,
            received_us: (late > 0).then_some(time_us + late),
            source,
            event_id: ids.then_some(self.ids),
            key: one.flash.key,
            certificate: one.flash.certificate,
            name: &self.name,
        };
        line::write(&envelope, said, &mut self.line);
        self.output.push(source, taken + late, &self.line)?;
        if one.rng.chance(noise.duplicated) {
            let again = taken + late + whole(one.rng.between(1e3, 60e6));
            self.output.push(source, again, &self.line)?;
        }
        self.witness(one, time_us, said, ids)
    }

    /// Notes an event of an attacked identity.
    fn witness(&mut self, one: &Instance, time_us: i64, said: &Said<'_>, ids: bool) -> io::Result<()> {
        let Some(place) = one.truth.checked_sub(1).and_then(|place| usize::try_from(place).ok()) else {
            return Ok(());
        };
        let Some(truth) = self.truths.get_mut(place) else { return Ok(()) };
        if one.copy > 0 && self.end > 0 {
            truth.ends = truth.ends.max(touchmark_identity::timestamp::Timestamp::from_micros(time_us));
        }
        if let Some(witness) = truth.instances.iter_mut().find(|witness| witness.id == one.copy) {
            witness.note(time_us, said.counter, said.seen.map(|seen| seen.asn), one.booted, &self.line);
        }
        if let Some(labels) = &mut self.labels
            && ids
        {
            writeln!(
                labels,
                r#"{{"source":"gate-{}","event_id":"e{}","device":"{}","instance":{}}}"#,
                one.source, self.ids, self.name, one.copy
            )?;
        }
        Ok(())
    }

    fn skew_of(&mut self, source: u32) -> (i64, bool) {
        if self.skews.is_empty() {
            let sources = &self.scenario.sources;
            let mut rng = Rng::new(self.seed ^ 0x736b_6577, 0);
            self.skews = (0..sources.count)
                .map(|number| {
                    let skew = whole(rng.between(-1.0, 1.0) * sources.skew_ms * 1e3);
                    // Spread evenly, so that a small number of sources has its share as well.
                    let without =
                        f64::from(number) + 0.5 > f64::from(sources.count) * (1.0 - sources.without_ids);
                    (skew, !without)
                })
                .collect();
        }
        self.skews.get(usize::try_from(source).unwrap_or(0)).copied().unwrap_or((0, true))
    }
}
