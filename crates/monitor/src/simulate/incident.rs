//! What happens to many at once, and the beginning of attacks.

use std::cmp::Reverse;

use touchmark_identity::timestamp::Timestamp;

use super::attack::{Class, Net, Role, TRUTH_SCHEMA, Truth, Witness};
use super::instance::{DAY, Instance, fleet_link, mix_of};
use super::output::Stretch;
use super::rng::{NEVER, Rng, mix2, whole};
use super::scenario::{Attack, Happening, HappeningKind};
use super::{World, identity_of};

/// Something with a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Incident {
    Happening(usize),
    /// The place of the truth, and how many copies.
    Attack(u32, u8),
}

impl World<'_> {
    /// Puts happenings and attacks on the agenda and chooses the victims.
    pub(super) fn plan(&mut self) {
        for (place, happening) in self.scenario.happenings.iter().enumerate() {
            let at = self.start + whole(happening.at * 86_400e6);
            let long = whole(happening.minutes * 60e6);
            let (from, until, held) = match happening.kind {
                HappeningKind::ShipperOutage => (at, at + long, true),
                HappeningKind::FileReplay => (at - long, at, false),
                _ => {
                    self.put(at, Incident::Happening(place));
                    continue;
                }
            };
            self.output.stretches.push(Stretch { source: happening.which, from, until, held });
        }
        for (number, attack) in self.scenario.attacks.iter().enumerate() {
            let mut rng = Rng::new(self.seed ^ 0x6174_7461, number as u64);
            let mut chosen = 0;
            // Where hardly any device fits, the search ends after a bounded number of draws.
            for _ in 0..u64::from(attack.count) * 200 + 2000 {
                if chosen == attack.count {
                    break;
                }
                let device = rng.below(u64::from(self.scenario.devices));
                let place = usize::try_from(device).unwrap_or(usize::MAX);
                if self.fits(place, attack) {
                    self.choose(place, attack, &mut rng);
                    chosen += 1;
                }
            }
        }
    }

    fn put(&mut self, at: i64, incident: Incident) {
        let number = u32::try_from(self.incident_list.len()).unwrap_or(u32::MAX);
        self.incident_list.push(incident);
        self.incidents.push(Reverse((at, number)));
    }

    fn fits(&self, place: usize, attack: &Attack) -> bool {
        let Some(one) = self.instances.get(place) else { return false };
        let Some(kind) = self.kinds.get(usize::from(one.kind)) else { return false };
        // A replay, a downgrade and a poisoned habit need something that can be seen.
        let able = match attack.class {
            class if class.replays() => kind.heartbeats,
            Class::Downgrade => kind.firmware,
            Class::Poisoning => kind.bytes && kind.heartbeats,
            Class::ReadOnly => kind.authentications && kind.heartbeats,
            _ => true,
        };
        one.truth == 0
            && able
            && attack.class.needs_copyable().is_none_or(|needed| needed == one.traits.copyable)
            && (attack.types.is_empty() || attack.types.contains(&kind.name))
    }

    fn choose(&mut self, place: usize, attack: &Attack, rng: &mut Rng) {
        let Some(one) = self.instances.get_mut(place) else { return };
        let begins = rng.between(attack.from, attack.to.max(attack.from));
        let begins = if attack.class == Class::GoldenImage { 0.0 } else { begins };
        let at = self.start + whole(begins * 86_400e6);
        let ends = (at + whole(attack.days.min(100_000.0) * 86_400e6)).min(self.end);
        one.truth = u32::try_from(self.truths.len() + 1).unwrap_or(0);
        let identity = identity_of(self.kinds, one);
        let device = identity.common_name.clone().unwrap_or_default();
        let copies = if attack.class.in_place() { 0 } else { attack.copies.max(1) };
        let role = match attack.class {
            Class::Relay => Role::Proxy,
            class if class.replays() => Role::Proxy,
            _ => Role::Copy,
        };
        let mut instances = vec![Witness::new(0, Role::Original)];
        instances.extend((1..=copies).map(|id| Witness::new(id, role)));
        self.truths.push(Truth {
            schema: TRUTH_SCHEMA.to_owned(),
            identity,
            device,
            class: attack.class,
            kind: attack.class.kinds().to_vec(),
            starts: Timestamp::from_micros(at),
            ends: Timestamp::from_micros(ends),
            instances,
            concurrent: attack.class.concurrent(),
        });
        let truth = u32::try_from(self.truths.len()).unwrap_or(0);
        self.put(at, Incident::Attack(truth - 1, copies));
    }

    /// Lets an incident take effect.
    pub(super) fn incident(&mut self, at: i64, number: u32) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        match self.incident_list.get(place).copied() {
            Some(Incident::Happening(place)) => {
                if let Some(happening) = self.scenario.happenings.get(place) {
                    self.happen(at, happening);
                }
            }
            Some(Incident::Attack(truth, copies)) => self.attack(at, truth, copies),
            None => {}
        }
    }

    fn attack(&mut self, at: i64, truth: u32, copies: u8) {
        let Some(entry) = self.truths.get(usize::try_from(truth).unwrap_or(usize::MAX)) else { return };
        let (class, ends) = (entry.class, entry.ends.micros());
        let Some(place) = self.instances.iter().position(|one| one.truth == truth + 1 && one.copy == 0)
        else {
            return;
        };
        let Some(&victim) = self.instances.get(place) else { return };
        let Some(kind) = self.kinds.get(usize::from(victim.kind)) else { return };
        let mix = mix_of(self.scenario, kind);
        let mut rng = Rng::new(self.seed ^ 0x7669_6374, u64::from(truth));
        // One attacker's network for all copies of a leaked master.
        let mut shared = Rng::new(self.seed ^ 0x666c_6565, 0);
        for number in 1..=copies {
            let link = match class.net() {
                _ if class == Class::FleetWide => fleet_link(&mut shared, mix),
                Net::Abroad => victim.link.abroad(&mut rng, mix),
                Net::Beside => victim.link.beside(&mut rng),
                Net::Rival => victim.link.rival(&mut rng, mix),
                Net::Lan => victim.link.with_port_of(&mut rng),
            };
            let mut copy = victim.copied(self.seed, number, at, link);
            copy.next = at + whole(rng.between(1e6, 600e6));
            copy.ends = ends;
            match class {
                Class::C7 => copy.flash.counter = copy.flash.counter.saturating_add(50_000),
                Class::GoldenImage => {
                    copy.flash.counter = rng.below(1000);
                    copy.flash.token = 0;
                    copy.flash.boots = rng.below(40) + 1;
                    copy.booted = at - whole(rng.between(0.1, 20.0) * 86_400e6);
                }
                _ => {}
            }
            let place = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
            self.agenda.push(Reverse((copy.next, place)));
            self.instances.push(copy);
        }
        let Some(one) = self.instances.get_mut(place) else { return };
        match class {
            class if class.silences() => one.next = NEVER,
            Class::Stolen => {
                one.link = victim.link.abroad(&mut rng, mix);
                one.session = 0;
                one.next_reboot = at + whole(rng.between(600e6, 7200e6));
            }
            Class::Downgrade => one.update = (9, at + whole(rng.between(60e6, 3600e6))),
            _ => {}
        }
    }

    fn happen(&mut self, at: i64, happening: &Happening) {
        let long = whole(happening.minutes * 60e6).max(1_000_000);
        if happening.kind == HappeningKind::RollOut {
            self.newest += 1;
        }
        let newest = self.newest;
        let sources = self.scenario.sources.count.max(1);
        for place in 0..u32::try_from(self.instances.len()).unwrap_or(u32::MAX) {
            let Some(one) = self.instances.get_mut(usize::try_from(place).unwrap_or(usize::MAX)) else {
                break;
            };
            if one.copy > 0 || one.next >= NEVER {
                continue;
            }
            let mut rng = Rng::new(mix2(self.seed, at.unsigned_abs()), u64::from(place));
            if !rng.chance(happening.fraction) {
                continue;
            }
            let soon = at + whole(rng.unit() * 1e6 * (happening.minutes * 60.0).max(1.0));
            let wake = begin(one, happening, at, long, soon, newest, sources);
            if let Some(wake) = wake {
                self.wake(place, wake);
            }
        }
        if happening.kind == HappeningKind::RollBack {
            self.newest = newest.saturating_sub(1);
        }
    }
}

/// What a happening does to one device; the result is when it acts next, where that changes.
fn begin(
    one: &mut Instance,
    what: &Happening,
    at: i64,
    long: i64,
    soon: i64,
    newest: u16,
    sources: u32,
) -> Option<i64> {
    let which = u16::try_from(what.which).unwrap_or(u16::MAX);
    match what.kind {
        HappeningKind::ReconnectStorm => {
            one.session = 0;
            return Some(soon);
        }
        HappeningKind::CarrierOutage if one.link.carrier() == which => {
            one.offline_until = at + long + (soon - at) / 10;
            one.kept = 0;
            one.session = 0;
        }
        HappeningKind::PowerCut if one.link.city == which => {
            one.session = 0;
            one.next_reboot = at + long;
            return Some(at + long + 20_000_000 + (soon - at) % 60_000_000);
        }
        HappeningKind::RollOut => one.update = (newest, soon),
        HappeningKind::RollBack if one.flash.firmware == newest => {
            one.update = (newest.saturating_sub(1), soon);
        }
        HappeningKind::Renumbering if one.link.carrier() == which => {
            let mut rng = one.rng;
            one.link.renumber(&mut rng);
            one.rng = rng;
            one.session = 0;
        }
        HappeningKind::CaRotation => {
            one.flash.certificate =
                mix2(one.flash.certificate, at.unsigned_abs() % u64::try_from(DAY).unwrap_or(1));
            one.session = 0;
        }
        HappeningKind::Drain if one.source == what.which => {
            one.source = (what.which + 1) % sources;
            one.session = 0;
            return Some(soon);
        }
        _ => {}
    }
    None
}
