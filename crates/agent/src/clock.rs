//! Time, handed in.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use touchmark_identity::timestamp::Timestamp;

/// The two clocks of a device.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock: may jump, and may be wrong on a device without a battery.
    fn now(&self) -> Timestamp;

    /// Milliseconds since the agent started; only goes up.
    fn uptime_ms(&self) -> u64;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts counting the uptime now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the agent is where the device's clock is read")]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Lets TLS judge the validity of certificates by the clock that was handed in.
#[derive(Debug)]
pub(crate) struct TlsTime(pub(crate) Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.0.now().seconds())))
    }
}
