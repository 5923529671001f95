//! A small, deterministic generator of heartbeats and connections.

/// Milliseconds in a minute.
pub(crate) const MINUTE: i64 = 60_000;
/// Heartbeats of a device before its copy is used.
const COPIED_AFTER: i64 = 48;
/// 2026-11-20T00:00:00Z.
const START: i64 = 1_795_132_800_000;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a simulation.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, chances: i64) -> bool {
        chances > 0 && self.below(chances) == 0
    }
}

/// What a device reports.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) number: u32,
    pub(crate) period: i64,
    pub(crate) uptime: bool,
    pub(crate) counters: bool,
    pub(crate) tokens: bool,
    pub(crate) boot_counts: bool,
}

impl Device {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, period: 15 * MINUTE, uptime: true, counters: true, tokens: true, boot_counts: true }
    }
}

/// What disturbs it: each a chance of one in so many heartbeats, 0 for never.
#[derive(Clone, Default)]
pub(crate) struct Noise {
    pub(crate) reboot: i64,
    pub(crate) loses_counts: bool,
    pub(crate) reinstall: i64,
    pub(crate) lost_reply: i64,
    pub(crate) lost_line: i64,
    pub(crate) duplicate: i64,
    pub(crate) late: i64,
    pub(crate) kept_back: i64,
    pub(crate) moves: i64,
    pub(crate) flaps: bool,
    pub(crate) update: i64,
    pub(crate) wraps: bool,
    pub(crate) two_sources: bool,
}

impl Noise {
    /// A mixture in which each device has some and every kind occurs.
    pub(crate) fn all(number: u32) -> Self {
        Self {
            reboot: if number.is_multiple_of(50) { 5 } else { 60 },
            loses_counts: number.is_multiple_of(4),
            reinstall: 200,
            lost_reply: 50,
            lost_line: 100,
            duplicate: 50,
            late: 40,
            kept_back: 80,
            moves: 90,
            flaps: number % 10 == 3,
            update: 150,
            wraps: number % 20 == 7,
            two_sources: number % 25 == 9,
        }
    }
}

/// How a copy differs from the device that it was made of.
#[derive(Clone)]
pub(crate) struct Clone {
    /// Heartbeats between the copy and its first use.
    pub(crate) age: i64,
    pub(crate) period: i64,
    pub(crate) same_network: bool,
    pub(crate) ahead: u64,
    pub(crate) always_fresh: bool,
    pub(crate) tokens: bool,
    /// The gate that sees it; the device is seen by gate-1.
    pub(crate) source: &'static str,
    /// The device's replies and lines get lost as well, one in so many.
    pub(crate) losses: i64,
}

impl Default for Clone {
    fn default() -> Self {
        Self {
            age: 2,
            period: 15 * MINUTE,
            same_network: false,
            ahead: 0,
            always_fresh: false,
            tokens: true,
            source: "gate-1",
            losses: 0,
        }
    }
}

#[derive(Clone)]
struct State {
    counter: u64,
    boot_count: u64,
    token: Option<u64>,
    booted: i64,
    network: u32,
    minor: u64,
}

pub(crate) struct Fleet {
    random: Random,
    devices: Vec<(Device, Noise)>,
    tokens: u64,
    ids: u64,
}

impl Fleet {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), devices: Vec::new(), tokens: 0, ids: 0 }
    }

    pub(crate) fn device(&mut self, device: Device, noise: Noise) {
        self.devices.push((device, noise));
    }

    fn state(&mut self, device: &Device) -> State {
        State {
            counter: 1_000,
            boot_count: 3,
            token: None,
            booted: START - 40 * 24 * 60 * MINUTE,
            network: 64_500 + device.number % 5,
            minor: 1,
        }
    }

    fn line(&mut self, device: &Device, at: i64, kind: &str, source: &str, fields: &str) -> String {
        self.ids += 1;
        let time = touchmark_identity::timestamp::Timestamp::from_micros(at * 1_000);
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"{kind}\",\"time\":\"{time}\",\"source\":\"{source}\",\
             \"identity\":{{\"common_name\":\"meter-{:06}\"}},\"event_id\":\"e{}\"{fields}}}",
            device.number, self.ids
        )
    }

    /// One heartbeat; the device takes the token that it was given unless the reply is lost.
    fn beat(
        &mut self,
        device: &Device,
        state: &mut State,
        at: i64,
        made: i64,
        lost_reply: bool,
        source: &str,
    ) -> String {
        state.counter += 1;
        self.tokens += 1;
        let mut fields = format!(",\"peer\":{{\"ip\":\"192.0.2.1\",\"asn\":{}}}", state.network);
        if device.counters {
            fields += &format!(",\"counter\":{}", state.counter);
        }
        if device.uptime {
            fields += &format!(",\"uptime_ms\":{}", (made - state.booted) % (1 << 32));
        }
        if device.boot_counts {
            fields += &format!(",\"boot_count\":{}", state.boot_count);
        }
        if device.tokens {
            if let Some(token) = state.token {
                fields += &format!(",\"token\":\"t{token}\"");
            }
            fields += &format!(",\"token_issued\":\"t{}\"", self.tokens);
            if !lost_reply {
                state.token = Some(self.tokens);
            }
        }
        fields += &format!(",\"firmware\":\"2.{}.0\",\"security_version\":{}", state.minor, state.minor);
        self.line(device, at, "heartbeat", source, &fields)
    }

    /// All lines of the fleet in the order in which they arrive.
    pub(crate) fn lines(&mut self, length: i64) -> Vec<String> {
        let mut lines: Vec<(i64, String)> = Vec::new();
        for (device, noise) in std::mem::take(&mut self.devices) {
            let mut state = self.state(&device);
            if noise.wraps {
                // Uptime wraps in the middle of the run.
                state.booted = START + length / 2 - (1 << 32);
            }
            let home = state.network;
            let mut at = START + self.random.below(device.period);
            while at < START + length {
                if self.random.one_in(noise.reboot) {
                    state.booted = at - self.random.below(device.period) - 1;
                    state.boot_count += 1;
                    if noise.loses_counts {
                        state.counter -= u64::try_from(self.random.below(30)).unwrap().min(state.counter);
                    }
                    if self.random.one_in(noise.update / 60) {
                        state.minor += 1;
                    }
                }
                if self.random.one_in(noise.reinstall) {
                    state = State { counter: 0, boot_count: 0, token: None, booted: at - 30_000, ..state };
                }
                if self.random.one_in(noise.moves) {
                    state.network = 64_600 + u32::try_from(self.random.below(50)).unwrap();
                }
                if noise.flaps {
                    state.network = if state.network == home { home + 100 } else { home };
                }
                let kept =
                    if self.random.one_in(noise.kept_back) { self.random.below(10 * MINUTE) } else { 0 };
                let source = if noise.two_sources && self.random.one_in(2) { "gate-2" } else { "gate-1" };
                // The second gate's clock is an hour fast.
                let time = at + kept + if source == "gate-2" { 60 * MINUTE } else { 0 };
                let lost_reply = self.random.one_in(noise.lost_reply);
                let session = format!(
                    ",\"session\":\"s{}\",\"peer\":{{\"ip\":\"192.0.2.1\",\"asn\":{}}}",
                    self.ids, state.network
                );
                let opened = self.line(&device, time, "authentication", source, &session);
                let beat = self.beat(&device, &mut state, time + 1, at, lost_reply, source);
                let lag = |random: &mut Random| match () {
                    () if random.one_in(noise.late * 20) => random.below(60 * MINUTE),
                    () if random.one_in(noise.late) => random.below(2 * MINUTE),
                    () => random.below(50),
                };
                for (offset, line) in [(0, opened), (1, beat)] {
                    if self.random.one_in(noise.lost_line) {
                        continue;
                    }
                    let arrival = at + kept + offset + lag(&mut self.random);
                    if self.random.one_in(noise.duplicate) {
                        lines.push((arrival + self.random.below(5 * MINUTE), line.clone()));
                    }
                    lines.push((arrival, line));
                }
                at += device.period + kept + self.random.below(10_000) - 5_000;
            }
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// A device and its copy, which starts after twelve hours; true stands for a line of the copy.
    pub(crate) fn pair(&mut self, device: Device, copy: Clone, length: i64) -> Vec<(String, bool)> {
        let mut state = self.state(&device);
        let mut at = START + self.random.below(device.period);
        let start = at + COPIED_AFTER * device.period + self.random.below(device.period);
        let mut image = state.clone();
        let mut clone: Option<(State, i64)> = None;
        let mut lines = Vec::new();
        let mut beats: i64 = 0;
        while at < START + length {
            if beats == COPIED_AFTER - copy.age {
                image = state.clone();
            }
            if let Some((state, next)) = &mut clone {
                while *next < at {
                    if copy.always_fresh {
                        state.booted = *next - 20_000;
                        state.boot_count += 1;
                    }
                    let line = self.beat(&device, state, *next, *next, false, copy.source);
                    lines.push((line, true));
                    *next += copy.period;
                }
            } else if start < at {
                let network = if copy.same_network { image.network } else { 65_000 };
                let counter = image.counter + copy.ahead;
                let boot_count = image.boot_count + 1;
                let state = State { booted: start - 20_000, network, counter, boot_count, ..image.clone() };
                clone = Some((state, start));
                continue;
            }
            let lost_reply = self.random.one_in(copy.losses);
            let line = self.beat(&device, &mut state, at, at, lost_reply, "gate-1");
            if !self.random.one_in(copy.losses) {
                lines.push((line, false));
            }
            beats += 1;
            at += device.period;
        }
        lines
    }
}
