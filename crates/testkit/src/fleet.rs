//! A small fleet's events: heartbeats with counters and uptimes, some devices with a clone beside them.

use std::fmt::Write as _;

/// Seconds between two heartbeats of a device.
const PERIOD: u64 = 300;
/// The first heartbeat: 2026-11-20, at 0:00.
const MIDNIGHT: &str = "2026-11-20T";

/// A fleet to be written out.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// Devices, at most 100,000.
    pub devices: u64,
    /// Heartbeats of each, at most 280 (a day).
    pub beats: u64,
    /// Every so many devices one is cloned in the middle of the time; 0: none is.
    pub cloned_every: u64,
}

impl Fleet {
    /// The events, one a line, in the order of time: the registry's, then heartbeats. Each clone starts from the counter
    /// and boot time of its original and runs beside it, in another network.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for device in 0..self.devices {
            // Writing to a string does not fail.
            let _written = writeln!(
                out,
                "{{\"schema\":\"touchmark.event/1\",\"type\":\"registry\",\"time\":\"{MIDNIGHT}00:00:00Z\",\
                 \"source\":\"registry\",\"event_id\":\"r{device}\",\"identity\":{{\"spki_sha256\":\"{device:064x}\"}},\
                 \"device\":\"meter-{device:06}\",\"aliases\":[{{\"common_name\":\"meter-{device:06}\"}}],\
                 \"assurance\":{{\"storage\":\"software\",\"basis\":\"attested\"}}}}"
            );
        }
        for beat in 0..self.beats {
            for device in 0..self.devices {
                self.beat(&mut out, device, beat, false);
                if self.is_cloned(device) && beat > self.beats / 2 {
                    self.beat(&mut out, device, beat, true);
                }
            }
        }
        out
    }

    /// Whether a device is cloned.
    #[must_use]
    pub fn is_cloned(&self, device: u64) -> bool {
        self.cloned_every > 0 && device.is_multiple_of(self.cloned_every)
    }

    fn beat(&self, out: &mut String, device: u64, beat: u64, clone: bool) {
        // The devices' heartbeats are spread over the first half of a period, those of the clones over the second.
        let offset = device * (PERIOD / 2) / self.devices.max(1) + if clone { PERIOD / 2 } else { 0 };
        let seconds = beat * PERIOD + offset;
        let (hours, minutes, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        // The clone took the counter at half time and has counted its own heartbeats since.
        let counter = if clone { self.beats / 2 + (beat - self.beats / 2) / 2 } else { beat };
        let (id, asn) = if clone { ('c', 64_501) } else { ('b', 64_500) };
        // A device that has the key alone knows its name; the other name leads to it by the registry.
        let identity = if device.is_multiple_of(2) {
            format!("\"spki_sha256\":\"{device:064x}\"")
        } else {
            format!("\"common_name\":\"meter-{device:06}\"")
        };
        let _written = writeln!(
            out,
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\
             \"time\":\"{MIDNIGHT}{hours:02}:{minutes:02}:{second:02}Z\",\"source\":\"gate\",\
             \"event_id\":\"{id}{device}-{beat}\",\"identity\":{{{identity}}},\
             \"peer\":{{\"ip\":\"192.0.2.{}\",\"asn\":{asn}}},\"counter\":{counter},\"uptime_ms\":{}}}",
            device % 200 + 1,
            (seconds + 1_000) * 1_000,
        );
    }
}
