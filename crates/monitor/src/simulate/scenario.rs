//! What a scenario file says. Every field has a default; `docs/simulation.md` lists them.

use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::{Basis, Storage};

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub struct $name { $($(#[$doc])* pub $field: $type,)+ }
        impl Default for $name {
            fn default() -> Self { Self { $($field: $default,)+ } }
        }
    };
}

table! {
    /// One simulated world. The field `start` is a time as in events.
    Scenario {
        /// Its name, for the manifest.
        name: String = "unnamed".to_owned(),
        /// When it begins (RFC 3339 UTC).
        start: String = "2026-11-02T00:00:00Z".to_owned(),
        /// How long it lasts, in days.
        days: f64 = 1.0,
        /// How many devices there are.
        devices: u32 = 1000,
        /// Kinds of device; the fleet is shared out by `share`.
        types: Vec<DeviceType> = vec![DeviceType::default()],
        /// Where devices are connected.
        networks: NetworkMix = NetworkMix::default(),
        /// What goes wrong with messages and clocks.
        noise: Noise = Noise::default(),
        /// What happens to devices in their life.
        life: Life = Life::default(),
        /// Who writes the events.
        sources: Sources = Sources::default(),
        /// What happens to many at once.
        happenings: Vec<Happening> = Vec::new(),
        /// What is done to devices on purpose.
        attacks: Vec<Attack> = Vec::new(),
    }
}

table! {
    /// One kind of device and which fields it sends.
    DeviceType {
        /// Its name in events.
        name: String = "meter".to_owned(),
        /// Its part of the fleet, relative to the other types.
        share: f64 = 1.0,
        /// Seconds between heartbeats.
        period_s: f64 = 900.0,
        /// How far a heartbeat may be early or late, as a fraction of the period.
        jitter: f64 = 0.02,
        /// Whether it is quieter at night and at weekends.
        diurnal: bool = false,
        /// Whether connections stay open; otherwise each heartbeat has its own.
        persistent: bool = true,
        /// Mean hours that an open connection lasts.
        session_h: f64 = 12.0,
        /// Whether authentications are logged.
        authentications: bool = true,
        /// Whether it sends heartbeats.
        heartbeats: bool = true,
        /// Sends a counter.
        counter: bool = true,
        /// Sends its uptime.
        uptime: bool = true,
        /// Its uptime wraps at 2^32 milliseconds.
        uptime_wraps: bool = false,
        /// Sends a count of its boots.
        boot_count: bool = false,
        /// Sends a random number of the boot in authentications.
        boot_id: bool = false,
        /// Takes part in the chain of tokens.
        tokens: bool = false,
        /// Its terminator logs JA4 fingerprints.
        ja4: bool = false,
        /// Sends its firmware version.
        firmware: bool = true,
        /// Sends a security version.
        security_version: bool = false,
        /// Sends its own clock.
        device_time: bool = false,
        /// The size of messages is logged.
        bytes: bool = false,
        /// Mean size of a message in bytes.
        payload: f64 = 180.0,
        /// What its registry line claims of its key's place.
        storage: Storage = Storage::Software,
        /// How that is known.
        basis: Basis = Basis::Declared,
        /// Fraction whose claim of a chip is wrong: the key is a copyable file.
        wrong_claims: f64 = 0.0,
        /// Fraction with a registry line.
        registered: f64 = 1.0,
        /// Reboots a day.
        reboots: f64 = 0.1,
        /// The networks of this type, by share; empty means those of the scenario.
        networks: Option<NetworkMix> = None,
    }
}

table! {
    /// Shares of the ways to be connected, relative to each other.
    NetworkMix {
        /// Home broadband: one address, sometimes another each day, LTE when it fails.
        home: f64 = 0.50,
        /// Mobile behind carrier NAT with three regional egresses.
        cgnat: f64 = 0.25,
        /// Moves along roads and across borders.
        vehicle: f64 = 0.10,
        /// Flaps between two carriers.
        dual_sim: f64 = 0.05,
        /// Changes between the egresses of a VPN or SD-WAN.
        vpn: f64 = 0.05,
        /// Satellite: leaves at one of a few points of presence.
        satellite: f64 = 0.02,
        /// Roams and is routed through its home carrier, or breaks out locally.
        mvno: f64 = 0.03,
        /// Fraction with IPv6, privacy addresses and prefix rotation.
        ipv6: f64 = 0.3,
        /// Fraction of home connections renumbered each day.
        renumbered: f64 = 0.2,
        /// Fail-overs of a home connection to LTE a day.
        failover: f64 = 0.05,
        /// Changes between two uplinks a day, of devices that have two.
        flaps: f64 = 8.0,
        /// Fraction of prefixes that the network database puts into a wrong city.
        geo_errors: f64 = 0.03,
        /// Fraction of prefixes that a monthly database update moves.
        geo_moves: f64 = 0.02,
        /// The day of that update.
        geo_update_day: f64 = 2.0,
    }
}

table! {
    /// What goes wrong with messages and clocks; fractions of messages unless said otherwise.
    Noise {
        /// Log lines that arrive up to two minutes late.
        late: f64 = 0.02,
        /// Log lines that arrive up to an hour late.
        very_late: f64 = 0.001,
        /// Messages that a device keeps back up to ten minutes.
        buffered: f64 = 0.01,
        /// Lines that come twice.
        duplicated: f64 = 0.005,
        /// Messages that never arrive.
        lost: f64 = 0.005,
        /// Tokens whose answer is lost: the server used it up, the device tries again with it.
        lost_replies: f64 = 0.002,
        /// Times a day that a device is off line for up to an hour and sends what it kept afterwards.
        offline: f64 = 0.02,
        /// The most messages that a device keeps.
        store: u32 = 32,
        /// Clocks of devices are wrong by up to that, in parts per million.
        ppm: f64 = 100.0,
        /// Steps of a device's own clock a day.
        ntp_steps: f64 = 0.1,
        /// Fraction of devices whose clock begins in 1970 at each boot.
        rtc_reset: f64 = 0.05,
        /// Fraction of new connections whose old one ends only later.
        half_open: f64 = 0.1,
        /// The day on which local time moves by an hour.
        dst_day: f64 = 3.0,
        /// Fraction of devices behind a gateway that sends in batches.
        gateway: f64 = 0.02,
        /// Minutes between those batches.
        gateway_min: f64 = 5.0,
    }
}

table! {
    /// What happens to devices; rates are per device and day.
    Life {
        /// Fraction of devices that reboot often.
        flaky: f64 = 0.02,
        /// Their reboots a day.
        flaky_reboots: f64 = 20.0,
        /// Fraction of devices that lose up to `lost_counts` at a reboot.
        forgetful: f64 = 0.04,
        /// The most counts lost at a reboot.
        lost_counts: u64 = 30,
        /// Fraction of devices whose counter begins anew each day without a reboot.
        counter_resets: f64 = 0.01,
        /// Installed anew: counter, boots and token are gone.
        reinstalls: f64 = 0.005,
        /// The storage goes back to its state of hours ago.
        flash_rollbacks: f64 = 0.0005,
        /// Another board takes over key and storage.
        board_swaps: f64 = 0.0005,
        /// New key; a registry line follows.
        rekeys: f64 = 0.001,
        /// New certificate for the same key.
        renewals: f64 = 0.01,
        /// Goes back to the other slot's firmware.
        slot_changes: f64 = 0.0005,
        /// Days since the last boot at the beginning, at most.
        uptime_days: f64 = 60.0,
        /// Messages before the beginning, at most.
        past_counts: u64 = 2_000_000,
    }
}

table! {
    /// Who writes the events.
    Sources {
        /// How many terminators and brokers there are.
        count: u32 = 8,
        /// Their clocks are wrong by up to that many milliseconds.
        skew_ms: f64 = 300.0,
        /// Fraction that gives no event ids.
        without_ids: f64 = 0.25,
    }
}

/// What happens to many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HappeningKind {
    /// All connections are cut and come back within `minutes`.
    ReconnectStorm,
    /// A carrier is down for `minutes`; devices send what they kept.
    CarrierOutage,
    /// One city is without power for `minutes`; its devices boot again.
    PowerCut,
    /// A new firmware reaches `fraction` of the fleet within `minutes`.
    RollOut,
    /// The latest roll-out is taken back.
    RollBack,
    /// A carrier gives every customer another address.
    Renumbering,
    /// Every certificate is issued again within `minutes`.
    CaRotation,
    /// One source is drained; its connections move to the next one.
    Drain,
    /// One source's lines are held back for `minutes` and then come all at once.
    ShipperOutage,
    /// One source's lines of the last `minutes` come again as they were.
    FileReplay,
}

table! {
    /// One of these.
    Happening {
        /// What happens.
        kind: HappeningKind = HappeningKind::ReconnectStorm,
        /// When, in days from the beginning.
        at: f64 = 0.5,
        /// How long it takes.
        minutes: f64 = 1.0,
        /// Which part of those concerned.
        fraction: f64 = 1.0,
        /// Number of the city, carrier or source concerned.
        which: u32 = 0,
    }
}

table! {
    /// Attacks of one class.
    Attack {
        /// The class; `docs/simulation.md` has the list.
        class: crate::simulate::attack::Class = crate::simulate::attack::Class::C1,
        /// How many identities.
        count: u32 = 1,
        /// The earliest start, in days from the beginning.
        from: f64 = 0.25,
        /// The latest start.
        to: f64 = 0.5,
        /// How long each lasts, in days.
        days: f64 = 1000.0,
        /// Copies of each identity.
        copies: u8 = 1,
        /// Types that are attacked; empty means all.
        types: Vec<String> = Vec::new(),
    }
}
