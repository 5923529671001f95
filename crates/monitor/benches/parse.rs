//! How many events a second one core reads into the engine's own form: from lines, and from batches.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark_identity::event::{Event, RawDigest};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::batch::{self, Digests, Tally};
use touchmark_monitor::geography::Countries;

const EVENTS: u64 = 20_000;

/// Authentications and heartbeats as a terminator and a device write them, 300 to 360 bytes each.
fn lines() -> Vec<String> {
    (0..EVENTS)
        .map(|number| {
            let time = Timestamp::from_micros(1_795_132_800_000_000 + i64::try_from(number).unwrap_or(0) * 1_234);
            let (device, port) = (number % 5_000, 1_024 + number % 60_000);
            let head = format!(
                "{{\"schema\":\"touchmark.event/1\",\"type\":\"{}\",\"time\":\"{time}\",\"source\":\"gate-{}\",\
                 \"event_id\":\"{number}\",\"identity\":{{\"spki_sha256\":\"{device:064x}\"}}",
                if number % 4 == 0 { "authentication" } else { "heartbeat" },
                device % 8,
            );
            let peer = format!("\"peer\":{{\"ip\":\"192.0.{}.7\",\"port\":{port},\"asn\":64500}}", device % 256);
            if number % 4 == 0 {
                format!(
                    "{head},\"session\":\"s-{number}\",{peer},\"tls\":{{\"version\":\"TLSv1.3\",\"resumed\":false,\
                     \"ja4\":\"t13d1516h2_8daaf6152771_b186095e22b6\"}}}}"
                )
            } else {
                format!(
                    "{head},\"session\":\"s-{number}\",{peer},\"counter\":{number},\"uptime_ms\":{},\"boot_count\":3,\
                     \"firmware\":\"2.4.{}\",\"device_type\":\"meter\"}}",
                    number * 900_000 % 10_000_000,
                    device % 3,
                )
            }
        })
        .collect()
}

fn parse(criterion: &mut Criterion) {
    let lines = lines();
    let text = lines.join("\n");
    let events: Vec<Event> = lines.iter().map_while(|line| Event::from_line(line.as_bytes()).ok()).collect();
    let Ok(packed) = batch::encode(&events) else { return };
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    let expected = Tally { observations: EVENTS, ..Tally::default() };
    for (name, digests) in [("", Digests::AtOnce), (", digests left out", Digests::Later)] {
        group.bench_function(format!("line{name}"), |bench| {
            bench.iter(|| assert_eq!(batch::tally_lines(black_box(text.as_bytes()), digests), expected));
        });
        group.bench_function(format!("batch{name}"), |bench| {
            bench.iter(|| assert_eq!(batch::tally(black_box(&packed), digests), Ok(expected)));
        });
    }
    group.bench_function("line by way of the event", |bench| {
        bench.iter(|| {
            lines.iter().filter(|line| black_box(Event::from_line(line.as_bytes())).is_ok()).count()
        });
    });
    group.bench_function("digest of the line", |bench| {
        bench.iter(|| {
            lines.iter().for_each(|line| {
                black_box(RawDigest::of(line.as_bytes()));
            });
        });
    });
    group.finish();
}

/// Addresses all over, as a table of countries is asked for them.
fn countries(criterion: &mut Criterion) {
    let table = Countries::built_in();
    let number = |n: u32| n.wrapping_mul(0x9e37_79b9);
    let v4: Vec<IpAddr> = (0..4_096).map(|n| Ipv4Addr::from(number(n)).into()).collect();
    let v6 = |n: u32| Ipv6Addr::from(0x2a << 120 | u128::from(number(n)) << 92);
    let v6: Vec<IpAddr> = (0..4_096).map(|n| v6(n).into()).collect();
    let mut group = criterion.benchmark_group("country");
    group.throughput(Throughput::Elements(4_096));
    for (name, addresses) in [("IPv4", v4), ("IPv6", v6)] {
        group.bench_function(name, |bench| {
            bench.iter(|| addresses.iter().filter(|ip| table.country(**black_box(ip)).is_some()).count());
        });
    }
    group.finish();
}

criterion_group!(benches, parse, countries);
criterion_main!(benches);
