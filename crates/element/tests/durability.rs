//! What was answered is durable, and what is found after a loss of power is whole.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::AtomicBool;

use touchmark_element::{Element, ElementError, Fault, tcp};
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1, TAG_2, TAG_3, TAG_4};
use touchmark_identity::apdu::{Command, Response, StatusWord, tlv};

const COUNTER: u32 = 0x5000_0000;
/// Tells the helper test which directory to serve.
const DIRECTORY: &str = "TOUCHMARK_ELEMENT_TEST_DIRECTORY";

fn now() -> touchmark_identity::timestamp::Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn select() -> Vec<u8> {
    Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) }.encode().unwrap()
}

fn apdu(instruction: Instruction, fields: &[(u8, &[u8])]) -> Vec<u8> {
    instruction.command(tlv::encode(fields).unwrap()).encode().unwrap()
}

fn increment() -> Vec<u8> {
    apdu(Instruction::WriteCounter, &[(TAG_1, &COUNTER.to_be_bytes())])
}

fn create_counter() -> Vec<u8> {
    apdu(Instruction::WriteCounter, &[(TAG_1, &COUNTER.to_be_bytes()), (TAG_2, &[0, 4])])
}

fn generate(id: u32) -> Vec<u8> {
    apdu(Instruction::WriteEcKeyPair, &[(TAG_1, &id.to_be_bytes()), (TAG_2, &[3])])
}

fn read(id: u32) -> Vec<u8> {
    apdu(Instruction::ReadObject, &[(TAG_1, &id.to_be_bytes())])
}

fn counter(element: &mut Element) -> u32 {
    element.transmit(&select());
    let response = Response::parse(&element.transmit(&read(COUNTER))).unwrap();
    u32::from_be_bytes(response.data[2..].try_into().unwrap())
}

fn with_counter(dir: &Path) -> Element {
    let mut element = Element::create(dir, now()).unwrap();
    element.transmit(&select());
    assert_eq!(element.transmit(&create_counter()), [0x90, 0x00]);
    assert_eq!(element.transmit(&increment()), [0x90, 0x00]);
    element
}

#[test]
fn a_torn_write_is_never_visible() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = with_counter(dir.path());
    let whole = fs::read(dir.path().join("state")).unwrap();
    Fault::POWER_CUT_BEFORE_COMMIT.arm(dir.path()).unwrap();
    assert!(element.transmit(&increment()).is_empty(), "no answer without power");
    assert!(element.transmit(&select()).is_empty(), "not even later");
    assert!(!element.is_powered());
    drop(element);
    let torn = fs::read(dir.path().join("state")).unwrap();
    assert!(torn.len() > whole.len() && torn.starts_with(&whole), "the fault left half a record");

    let mut element = Element::open(dir.path()).unwrap();
    assert_eq!(counter(&mut element), 1, "the count that was not made durable is not there");
    Fault::POWER_CUT_AFTER_COMMIT.arm(dir.path()).unwrap();
    assert!(element.transmit(&increment()).is_empty());
    drop(element);
    let mut element = Element::open(dir.path()).unwrap();
    assert_eq!(counter(&mut element), 2, "the durable count is there, though its answer was lost");
}

#[test]
fn a_generated_key_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    for (id, fault, expected) in [
        (0x4000_0010, Fault::POWER_CUT_BEFORE_COMMIT, StatusWord::CONDITIONS_NOT_SATISFIED),
        (0x4000_0014, Fault::POWER_CUT_AFTER_COMMIT, StatusWord::SUCCESS),
    ] {
        let mut element = if dir.path().join("state").exists() {
            Element::open(dir.path())
        } else {
            Element::create(dir.path(), now())
        }
        .unwrap();
        element.transmit(&select());
        fault.arm(dir.path()).unwrap();
        assert!(element.transmit(&generate(id)).is_empty());
        drop(element);
        let mut element = Element::open(dir.path()).unwrap();
        element.transmit(&select());
        assert_eq!(Response::parse(&element.transmit(&read(id))).unwrap().sw, expected);
    }
}

#[test]
fn a_fault_at_start_up_is_an_error_and_strikes_once() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_counter(dir.path()));
    Fault::POWER_CUT_BEFORE_COMMIT.arm(dir.path()).unwrap();
    assert!(matches!(Element::open(dir.path()), Err(ElementError::PowerCut { .. })));
    assert_eq!(counter(&mut Element::open(dir.path()).unwrap()), 1);
}

#[test]
fn an_unreadable_state_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_counter(dir.path()));
    let path = dir.path().join("state");
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(matches!(Element::open(dir.path()), Err(ElementError::Corrupt { .. })), "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), bad);
        assert!(matches!(Element::create(dir.path(), now()), Err(ElementError::Exists { .. })));
    }
    for end in [0, 1, 10, 25, 26, 100] {
        fs::write(&path, &good[..end]).unwrap();
        assert!(matches!(Element::open(dir.path()), Err(ElementError::Corrupt { .. })), "cut at {end}");
    }
}

/// What a damaged file has in it is not brought to a terminal.
#[test]
fn why_a_state_is_refused_is_printable_and_short() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_counter(dir.path()));
    let path = dir.path().join("state");
    let unknown = r#"{"\u001b[2J\u007f":1}"#;
    let digest = hex::encode(touchmark_identity::key::sha256(unknown.as_bytes()));
    for bad in [
        format!("touchmark-element-state/1 {digest}\n{unknown}"),
        format!("touchmark-element-state/1 {digest}\n\u{1b}[2J"),
        format!("\u{1b}[2J{}\n", "x".repeat(10_000)),
        r#"{"a":1}"#.replace('a', &"x".repeat(10_000)),
    ] {
        fs::write(&path, &bad).unwrap();
        let error = Element::open(dir.path()).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
        assert!(error.len() < 600, "{} bytes", error.len());
    }
    assert_eq!(Element::inspect(dir.path()).unwrap_err().code(), "EL-0004");
}

/// A state of the format before there was a card manager: a key pair, and a counter at 7.
#[test]
fn format_1_is_read_and_written_anew() {
    let sample = &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/test-state-1");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample, dir.path().join("state")).unwrap();
    for _ in 0..2 {
        let mut element = Element::open(dir.path()).unwrap();
        assert_eq!(counter(&mut element), 7);
        let key = Response::parse(&element.transmit(&read(0x4000_0010))).unwrap();
        assert_eq!((key.sw, key.data.len()), (StatusWord::SUCCESS, 67));
        let domain = element.transmit(&[0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x01, 0x51, 0x00]);
        assert!(domain.ends_with(&[0x90, 0x00]), "the card manager is that of a new card");
    }
    assert!(fs::read(dir.path().join("state")).unwrap().starts_with(b"touchmark-element-state/3\n"));

    // The power fails while the new format is written in the old one's place.
    for word in ["power-cut-in-write", "power-cut-between-writes", "power-cut-after-write"] {
        for write in 1..=2 {
            let dir = tempfile::tempdir().unwrap();
            fs::copy(sample, dir.path().join("state")).unwrap();
            fs::write(dir.path().join("fault"), format!("write={write} {word}")).unwrap();
            assert!(
                matches!(Element::open(dir.path()), Err(ElementError::PowerCut { .. })),
                "{word} {write}"
            );
            assert_eq!(counter(&mut Element::open(dir.path()).unwrap()), 7, "{word} {write}");
        }
    }
}

/// The last record, cut at every byte: the old object or the new one, whole.
#[test]
fn a_cut_at_every_byte_of_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = with_counter(dir.path());
    element.transmit(&generate(0x4000_0010));
    let before = fs::read(dir.path().join("state")).unwrap();
    assert_eq!(element.transmit(&increment()), [0x90, 0x00]);
    drop(element);
    let behind = fs::read(dir.path().join("state")).unwrap();
    assert!(behind.starts_with(&before));
    for cut in before.len()..=behind.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state"), &behind[..cut]).unwrap();
        let mut element = Element::open(dir.path()).unwrap();
        assert_eq!(counter(&mut element), if cut == behind.len() { 2 } else { 1 }, "cut at {cut}");
        assert_eq!(element.transmit(&increment()), [0x90, 0x00], "it goes on");
        drop(element);
        assert_eq!(counter(&mut Element::open(dir.path()).unwrap()), if cut == behind.len() { 3 } else { 2 });
    }
}

#[test]
fn one_process_at_a_time_and_nobody_elses_eyes() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("element");
    assert!(matches!(Element::open(&inner), Err(ElementError::Missing { .. })));
    let element = Element::create(&inner, now()).unwrap();
    assert!(matches!(Element::open(&inner), Err(ElementError::Locked { .. })));
    assert!(matches!(Element::create(&inner, now()), Err(ElementError::Locked { .. })));
    drop(element);
    assert!(matches!(Element::create(&inner, now()), Err(ElementError::Exists { .. })));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(inner.join("state")), 0o600);
    assert_eq!(mode(inner.clone()), 0o700);
    Element::open(&inner).unwrap();
}

/// The other side of `kill_dash_nine`: serves the element that the parent names, and prints the port.
#[test]
#[ignore = "the process that kill_dash_nine starts and kills"]
fn serve_for_the_parent() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let element = Element::open(Path::new(&dir)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nport {}", listener.local_addr().unwrap().port());
    tcp::serve(&listener, element, &AtomicBool::new(false)).unwrap();
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn exchange(stream: &mut TcpStream, apdu: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(apdu.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], apdu].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response)?;
    Ok(response)
}

/// Starts a process that serves the element, and connects to it.
fn serve(dir: &Path) -> (Server, TcpStream) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "serve_for_the_parent", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server = Server(child);
    let port: u16 = lines
        .map(|line| line.unwrap())
        .find_map(|line| line.strip_prefix("port ").map(|port| port.parse().unwrap()))
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(exchange(&mut stream, &select()).unwrap().ends_with(&[0x90, 0x00]));
    (server, stream)
}

/// A file is rewritten as fast as it goes, over more than one writing anew of the journal, and the process is killed at
/// whatever it does just then: the file is the last acknowledged or the one that was sent behind it, whole.
#[test]
fn kill_dash_nine_in_a_storm_of_writes() {
    const FILE: u32 = 0x5000_0003;
    let content = |number: u16| number.to_be_bytes().repeat(400);
    let write = |number: u16| {
        let (id, content) = (FILE.to_be_bytes(), content(number));
        apdu(Instruction::WriteBinary, &[(TAG_1, &id), (TAG_3, &[0x03, 0x20]), (TAG_4, &content)])
    };
    let dir = tempfile::tempdir().unwrap();
    let mut element = with_counter(dir.path());
    assert_eq!(element.transmit(&write(0)), [0x90, 0x00]);
    drop(element);
    let mut acknowledged = 0u16;
    for round in 0..16u64 {
        let (mut server, mut stream) = serve(dir.path());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(round * round * 1_000 + round * 137));
            server.0.kill().unwrap();
            server.0.wait().unwrap();
        });
        while exchange(&mut stream, &write(acknowledged + 1)).is_ok_and(|answer| answer == [0x90, 0x00]) {
            acknowledged += 1;
        }
        killer.join().unwrap();
        let mut element = Element::open(dir.path()).unwrap();
        element.transmit(&select());
        let read = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &FILE.to_be_bytes())]).unwrap());
        let read = Command { le: Some(65_536), ..read }.encode().unwrap();
        let found = Response::parse(&element.transmit(&read)).unwrap().data;
        let found = tlv::Tlvs::parse(&found).unwrap().required(TAG_1).unwrap().to_vec();
        let number = u16::from_be_bytes([found[0], found[1]]);
        assert_eq!(found, content(number), "a mixture");
        assert!(
            number == acknowledged || number == acknowledged + 1,
            "{acknowledged} was acknowledged, {number} is there"
        );
        acknowledged = number;
        assert_eq!(counter(&mut element), 1);
    }
    // Each write takes 1,700 bytes, and most are outdated.
    let length = fs::metadata(dir.path().join("state")).unwrap().len();
    assert!(length < 1_100_000, "{length} bytes for {acknowledged} writes");
}

#[test]
fn kill_dash_nine() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_counter(dir.path()));
    let mut acknowledged = 1;
    for round in 0..4 {
        let (mut server, mut stream) = serve(dir.path());
        for _ in 0..=round {
            assert_eq!(exchange(&mut stream, &increment()).unwrap(), [0x90, 0x00]);
            acknowledged += 1;
        }
        // One more is sent and not waited for, so that the kill strikes at any moment of its way.
        let unanswered = increment();
        let length = u16::try_from(unanswered.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &unanswered].concat()).unwrap();
        server.0.kill().unwrap();
        server.0.wait().unwrap();

        let found = counter(&mut Element::open(dir.path()).unwrap());
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "{acknowledged} counts were acknowledged, {found} are there"
        );
        acknowledged = found;
    }
}
