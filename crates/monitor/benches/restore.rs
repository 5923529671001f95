//! How long a start from a checkpoint takes: identities are made, written as a snapshot to a file, and taken back from it.
//!
//! `cargo bench -p touchmark-monitor --bench restore -- 10000000 2`: how many identities (100,000 without it), and on how many
//! threads afterwards. Memory: about 1.2 KiB for each identity.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures says what it measured"
)]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::num::NonZeroUsize;
use std::time::Instant;

use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::{Monitor, Settings};

/// Heartbeats of each identity.
const BEATS: u64 = 2;
/// Lines that are taken at once.
const PIECE: u64 = 4_096;
/// 2026-11-20T00:00:00Z, in microseconds.
const BEGIN: u64 = 1_795_132_800_000_000;
/// Microseconds between two heartbeats of an identity: an hour.
const PERIOD: u64 = 3_600_000_000;

fn line(device: u64, beat: u64, devices: u64) -> Result<String, Box<dyn Error>> {
    let micros = BEGIN + beat * PERIOD + device * PERIOD / devices;
    let time = Timestamp::from_micros(i64::try_from(micros)?);
    let (second, third) = (device / 250 % 250, device % 250);
    Ok(format!(
        "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"{time}\",\"source\":\"gate-{}\",\
         \"event_id\":\"{beat}-{device}\",\"identity\":{{\"spki_sha256\":\"{device:064x}\"}},\
         \"peer\":{{\"ip\":\"10.{}.{second}.{third}\",\"asn\":{}}},\"counter\":{},\"uptime_ms\":{},\"boot_count\":3,\
         \"firmware\":\"2.4.{}\",\"security_version\":7,\"device_type\":\"meter\"}}",
        device % 8,
        device / 62_500 % 250,
        64_500 + device % 100,
        beat + 1,
        beat * PERIOD / 1_000 + 7_000_000,
        device % 4,
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let devices = numbers.next().unwrap_or(100_000).max(1);
    let workers =
        NonZeroUsize::new(usize::try_from(numbers.next().unwrap_or(1))?).unwrap_or(NonZeroUsize::MIN);
    let settings = Settings { max_identities: u32::try_from(devices)?, ..Settings::default() };

    let mut monitor = Monitor::new(&settings, workers);
    for beat in 0..BEATS {
        let mut next = 0;
        while next < devices {
            let until = devices.min(next + PIECE);
            let lines =
                (next..until).map(|device| line(device, beat, devices)).collect::<Result<Vec<_>, _>>()?;
            let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            let mut refused = None;
            monitor.take_lines(&lines, &mut |_, error| refused = Some(error));
            refused.map_or(Ok(()), Err)?;
            next = until;
        }
    }
    monitor.finish();
    let counts = monitor.counts();
    if counts.identities != usize::try_from(devices)? {
        return Err(format!("{counts:?}, expected {devices} identities").into());
    }
    eprintln!("{} identities of {} events", counts.identities, counts.events);

    let file = tempfile::NamedTempFile::new()?;
    let begun = Instant::now();
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
    monitor.snapshot(&settings, &mut out)?;
    out.flush()?;
    drop(out);
    let written = begun.elapsed();
    file.as_file().sync_all()?;
    let bytes = file.as_file().metadata()?.len();
    drop(monitor);

    let begun = Instant::now();
    let mut from = BufReader::with_capacity(1 << 20, File::open(file.path())?);
    let monitor = Monitor::restore(&settings, workers, &mut from)?;
    let restored = begun.elapsed();
    if monitor.counts() != counts {
        return Err(format!("{:?} came back of {counts:?}", monitor.counts()).into());
    }
    println!(
        "{devices} identities, {} workers: snapshot of {bytes} bytes ({} for each) written in {:.2} s, restored in {:.2} s",
        workers,
        bytes / devices,
        written.as_secs_f64(),
        restored.as_secs_f64()
    );
    Ok(())
}
