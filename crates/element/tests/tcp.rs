//! The element behind TCP: sessions apart, one card, and frames that lie close their own connection only.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use touchmark_element::{Element, ElementError, Fault, tcp};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1, TAG_2};
use touchmark_identity::apdu::tlv;

struct Server {
    dir: tempfile::TempDir,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ElementError>>>,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || tcp::serve(&listener, element, &told)));
        Self { dir, address, stop, thread }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    fn end(mut self) -> Result<(), ElementError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn send(stream: &mut TcpStream, frame: &[u8]) {
    let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], frame].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response).ok()?;
    Some(response)
}

fn exchange(stream: &mut TcpStream, frame: &[u8]) -> Option<Vec<u8>> {
    send(stream, frame);
    receive(stream)
}

fn select() -> Vec<u8> {
    Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) }.encode().unwrap()
}

fn version() -> Vec<u8> {
    Instruction::GetVersion.command(vec![]).encode().unwrap()
}

#[test]
fn sessions_are_apart_and_the_card_is_one() {
    let server = Server::start();
    let (mut one, mut two) = (server.connect(), server.connect());
    exchange(&mut one, &select()).unwrap();
    assert!(exchange(&mut one, &version()).unwrap().ends_with(&[0x90, 0x00]));
    assert_eq!(
        exchange(&mut two, &version()).unwrap(),
        [0x6D, 0x00],
        "the other session is where a reset leaves it, at the issuer's domain"
    );

    let id = 0x5000_0000u32.to_be_bytes();
    let create = tlv::encode(&[(TAG_1, &id), (TAG_2, &[0, 4])]).unwrap();
    let create = Instruction::WriteCounter.command(create).encode().unwrap();
    assert_eq!(exchange(&mut one, &create).unwrap(), [0x90, 0x00]);
    exchange(&mut two, &select()).unwrap();
    let read = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &id)]).unwrap()).encode().unwrap();
    assert_eq!(exchange(&mut two, &read).unwrap(), [0x41, 4, 0, 0, 0, 0, 0x90, 0x00]);
    server.end().unwrap();
}

#[test]
fn a_malformed_frame_closes_its_connection_and_no_other() {
    let server = Server::start();
    let (mut good, mut bad) = (server.connect(), server.connect());
    exchange(&mut good, &select()).unwrap();
    assert_eq!(exchange(&mut bad, &[0x80]), None, "no APDU has one byte");
    assert!(exchange(&mut good, &version()).is_some());
    // A frame that ends early is no command; a command that is none is answered.
    let mut cut = server.connect();
    cut.write_all(&[0, 9, 1, 2]).unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(receive(&mut cut), None);
    assert_eq!(exchange(&mut good, &[0x80, 0x04, 0x00, 0x49, 9]).unwrap().len(), 2);
    server.end().unwrap();
}

#[test]
fn without_power_the_server_ends() {
    let mut server = Server::start();
    let mut stream = server.connect();
    exchange(&mut stream, &select()).unwrap();
    Fault::POWER_CUT_AFTER_COMMIT.arm(server.dir.path()).unwrap();
    let id = 0x5000_0000u32.to_be_bytes();
    let create = tlv::encode(&[(TAG_1, &id), (TAG_2, &[0, 4])]).unwrap();
    assert_eq!(exchange(&mut stream, &Instruction::WriteCounter.command(create).encode().unwrap()), None);
    let ended = server.thread.take().unwrap().join().unwrap();
    assert!(matches!(ended, Err(ElementError::PowerLost)));
}
