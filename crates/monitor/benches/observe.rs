//! How many events a second one core takes: observed alone, and read from their lines first.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use touchmark_identity::event::{Event, RawDigest};
use touchmark_monitor::{Engine, Settings};

const DEVICES: u64 = 10_000;
const BEATS: u64 = 10;

/// Heartbeats of healthy devices that report everything.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for beat in 0..BEATS {
        for device in 0..DEVICES {
            let time = touchmark_identity::timestamp::Timestamp::from_micros(
                1_795_132_800_000_000
                    + i64::try_from(beat * 900_000_000 + device * 1_000).unwrap_or_default(),
            );
            lines.push(format!(
                "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"{time}\",\"source\":\"gate\",\
                 \"event_id\":\"{beat}-{device}\",\"identity\":{{\"spki_sha256\":\"{device:064x}\"}},\
                 \"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":64500}},\"counter\":{},\"uptime_ms\":{},\"boot_count\":3,\
                 \"firmware\":\"2.4.1\",\"security_version\":7,\"token\":\"t{beat}-{device}\",\"token_issued\":\"t{}-{device}\"}}",
                beat + 1,
                (beat + 1) * 900_000,
                beat + 1
            ));
        }
    }
    lines
}

fn observe(criterion: &mut Criterion) {
    let lines = lines();
    let read: Vec<(Event, RawDigest)> = lines
        .iter()
        .filter_map(|line| {
            Event::from_line(line.as_bytes()).ok().map(|event| (event, RawDigest::of(line.as_bytes())))
        })
        .collect();
    assert_eq!(read.len(), lines.len());
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10).throughput(Throughput::Elements(DEVICES * BEATS));
    group.bench_function("observe", |bencher| {
        bencher.iter_batched(
            || Engine::new(Settings::default()),
            |mut engine| {
                for (event, raw) in &read {
                    black_box(engine.observe(event, *raw));
                }
                engine
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("read and observe", |bencher| {
        bencher.iter_batched(
            || Engine::new(Settings::default()),
            |mut engine| {
                for line in &lines {
                    if let Ok(event) = Event::from_line(line.as_bytes()) {
                        black_box(engine.observe(&event, RawDigest::of(line.as_bytes())));
                    }
                }
                engine
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, observe);
criterion_main!(benches);
