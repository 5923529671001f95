//! What one exchange with the element costs over TCP, one by one and many at once. Client and server share the cores that the process may use; `taskset -c 0` makes it one.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark_element::{Element, tcp};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::{AID, Instruction};
use touchmark_identity::timestamp::Timestamp;

/// Commands that are under way at once.
const PIPELINED: usize = 64;

fn framed(apdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(apdu.len()).expect("a short command");
    [&length.to_be_bytes()[..], apdu].concat()
}

fn over_tcp(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let element = Element::create(folder.path(), Timestamp::from_micros(1_795_132_800_000_000));
    let element = element.expect("an element");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let mut stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    stream.set_nodelay(true).expect("a socket option");
    let stop = Arc::new(AtomicBool::new(false));
    let serving = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || tcp::serve(&listener, element, &stop)
    });

    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    let select = framed(&select.encode().expect("a short command"));
    let version = framed(&Instruction::GetVersion.command(Vec::new()).encode().expect("a short command"));
    let mut answers = vec![0; 2 + 9];
    stream.write_all(&select).expect("a command sent");
    stream.read_exact(&mut answers).expect("an answer");
    // How long the answer to GetVersion is, the first one tells.
    stream.write_all(&version).expect("a command sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer");
    let length = usize::from(u16::from_be_bytes(length));
    answers.resize(length, 0);
    stream.read_exact(&mut answers).expect("an answer");
    assert!(answers.ends_with(&[0x90, 0x00]), "GetVersion failed");

    let mut group = criterion.benchmark_group("element over TCP");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for (name, count) in [("one by one", 1), ("64 at once", PIPELINED)] {
        let commands = version.repeat(count);
        answers.resize((2 + length) * count, 0);
        group.throughput(Throughput::Elements(u64::try_from(count).expect("a small number")));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                stream.write_all(&commands).expect("commands sent");
                stream.read_exact(&mut answers).expect("answers");
            });
        });
        assert!(answers.ends_with(&[0x90, 0x00]), "GetVersion failed");
    }
    group.finish();
    drop(stream);
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("the element's thread").expect("an element that served");
}

criterion_group!(benches, over_tcp);
criterion_main!(benches);
