//! The element as the card of vpcd, as a part on an I²C bus, and with many commands under way over TCP.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use touchmark_element::t1::{Request, Slave};
use touchmark_element::{ATR, Element, Fault, Served, Session, t1, tcp, vpcd};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1, TAG_2};
use touchmark_identity::apdu::tlv;
use touchmark_identity::t1oi2c::{Host, Link, LinkError};

fn element() -> (tempfile::TempDir, Element) {
    let dir = tempfile::tempdir().unwrap();
    let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    (dir, element)
}

fn select() -> Vec<u8> {
    [&[0x00, 0xA4, 0x04, 0x00, 16], &AID[..], &[0x00]].concat()
}

fn version() -> Vec<u8> {
    Instruction::GetVersion.command(vec![]).encode().unwrap()
}

fn random(length: u16) -> Vec<u8> {
    let fields = tlv::encode(&[(TAG_1, &length.to_be_bytes())]).unwrap();
    // An extended command, for answers that one short one cannot have.
    Command { le: Some(65_536), ..Instruction::GetRandom.command(fields) }.encode().unwrap()
}

/// Sends length and body in two writes, as vpcd does.
fn send(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(message).unwrap();
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

/// Runs a server beside a test, and stops it.
fn beside(serve: impl FnOnce(&AtomicBool) + Send, test: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&stop));
        // The server has to be stopped for the scope to end, also when the test fails.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        stop.store(true, Ordering::Relaxed);
        server.join().unwrap();
        outcome.unwrap();
    });
}

#[test]
fn a_virtual_reader_powers_resets_and_asks() {
    let (_dir, element) = element();
    let served = Served::new(element);
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reader.local_addr().unwrap().to_string();
    beside(
        |stop| vpcd::serve(&address, &served, stop).unwrap(),
        || {
            let (mut card, _) = reader.accept().unwrap();
            send(&mut card, &[0x01]);
            send(&mut card, &[0x04]);
            assert_eq!(receive(&mut card), ATR);
            send(&mut card, &select());
            assert_eq!(receive(&mut card)[..3], [3, 1, 1]);
            // Without TCP_QUICKACK, each of these would take some 40 ms: this side leaves Nagle's algorithm on.
            let begun = Instant::now();
            for _ in 0..100 {
                send(&mut card, &version());
                assert!(receive(&mut card).ends_with(&[0x90, 0x00]));
            }
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?} for 100 APDUs", begun.elapsed());
            send(&mut card, &[0x02]);
            send(&mut card, &version());
            assert!(!receive(&mut card).ends_with(&[0x90, 0x00]), "nothing is selected after a reset");
            drop(card);
            // The card comes back to a reader that closed.
            let (mut card, _) = reader.accept().unwrap();
            send(&mut card, &[0x04]);
            assert_eq!(receive(&mut card), ATR);
        },
    );
}

#[test]
fn commands_may_be_sent_without_waiting() {
    let (_dir, element) = element();
    let served = Served::new(element);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    beside(
        |stop| tcp::serve_shared(&listener, &served, stop).unwrap(),
        || {
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut sender = stream.try_clone().unwrap();
            let frames: Vec<u8> = std::iter::once(select())
                .chain((1..=500).map(random))
                .flat_map(|apdu| [&u16::try_from(apdu.len()).unwrap().to_be_bytes()[..], &apdu].concat())
                .collect();
            let sending = thread::spawn(move || {
                // In pieces that cut frames anywhere.
                for piece in frames.chunks(97) {
                    sender.write_all(piece).unwrap();
                }
            });
            assert_eq!(receive(&mut stream)[..3], [3, 1, 1]);
            for length in 1..=500_usize {
                let answer = receive(&mut stream);
                assert!(answer.len() > length && answer.ends_with(&[0x90, 0x00]), "{length}");
            }
            sending.join().unwrap();
        },
    );
}

#[test]
fn one_reader_keeps_its_session_over_connections() {
    for (served, kept) in
        [(Served::one_reader as fn(Element) -> Served, true), (Served::new as fn(Element) -> Served, false)]
    {
        let (_dir, element) = element();
        let served = served(element);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        beside(
            |stop| tcp::serve_shared(&listener, &served, stop).unwrap(),
            || {
                let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let mut first = connect();
                send(&mut first, &select());
                receive(&mut first);
                drop(first);
                let mut second = connect();
                send(&mut second, &version());
                assert_eq!(receive(&mut second).ends_with(&[0x90, 0x00]), kept);
            },
        );
    }
}

/// A bus in memory with the element on it.
struct Bus {
    slave: Slave,
    element: Element,
    session: Session,
}

impl Link for Bus {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let (element, session) = (&mut self.element, &mut self.session);
        self.slave.write(frame, &mut |request| match request {
            Request::Command(apdu) => {
                Some(element.transmit_in(session, apdu)).filter(|answer| !answer.is_empty())
            }
            Request::Reset => {
                session.reset();
                None
            }
        });
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _wait: u16) -> io::Result<()> {
        if self.slave.read(bytes) { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }
}

#[test]
fn a_thousand_apdus_pass_over_a_bus_in_memory() {
    for extensions in [0, 2] {
        let (_dir, element) = element();
        let bus = Bus { slave: Slave::new(extensions), element, session: Session::default() };
        let (mut host, said) = Host::open(bus).unwrap();
        assert_eq!(said, t1::atr());
        assert_eq!(host.transceive(&select()).unwrap()[..3], [3, 1, 1]);
        for length in 1..=500 {
            let answer = host.transceive(&random(length)).unwrap();
            assert!(answer.len() > usize::from(length) && answer.ends_with(&[0x90, 0x00]), "{length}");
            assert!(host.transceive(&version()).unwrap().ends_with(&[0x90, 0x00]));
        }
        let bus = host.close().unwrap();
        let (mut host, _) = Host::open(bus).unwrap();
        assert!(
            !host.transceive(&version()).unwrap().ends_with(&[0x90, 0x00]),
            "nothing is selected any more"
        );
    }
}

#[test]
fn a_part_without_power_is_silent_on_the_bus() {
    let (dir, element) = element();
    let bus = Bus { slave: Slave::new(0), element, session: Session::default() };
    let (mut host, _) = Host::open(bus).unwrap();
    host.transceive(&select()).unwrap();
    Fault::POWER_CUT_AFTER_COMMIT.arm(dir.path()).unwrap();
    let id = 0x5000_0000u32.to_be_bytes();
    let create = tlv::encode(&[(TAG_1, &id), (TAG_2, &[0, 4])]).unwrap();
    let lost = host.transceive(&Instruction::WriteCounter.command(create).encode().unwrap());
    assert!(matches!(lost, Err(LinkError::Damaged { .. } | LinkError::Bus(_))), "{lost:?}");
}

#[test]
fn a_bus_over_tcp_carries_writes_and_reads() {
    let (_dir, element) = element();
    let served = Served::new(element);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    beside(
        |stop| t1::serve(&listener, &served, stop).unwrap(),
        || {
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut ask = |message: &str, answer: &str| {
                stream.write_all(&hex::decode(message).unwrap()).unwrap();
                let mut found = vec![0; answer.len() / 2];
                stream.read_exact(&mut found).unwrap();
                assert_eq!(hex::encode(found), answer, "{message}");
            };
            ask("010003", "ffff");
            ask("0000055ac000fffc", "0000");
            ask("010003", "0003a5e000");
            ask("010002", "00023f19");
            ask("010003", "ffff");
        },
    );
}
