//! Somebody sits on the bus: he reads along, and he changes bytes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::super::measured::{Measured, Terms};
use super::*;

const SECRET: &[u8] = b"the secret that is sealed, 32 b.";
const VALUE: &[u8] = b"value that authorises";

/// Which bit of which message changes, counted from the moment of [`Bus::arm`]; commands are even, responses odd.
#[derive(Clone, Copy)]
struct Flip {
    message: usize,
    byte: usize,
    bit: u8,
}

#[derive(Default)]
struct Watched {
    messages: Vec<Vec<u8>>,
    flip: Option<Flip>,
}

/// What passes, for whoever does something to it.
pub(super) enum Passing<'a> {
    /// A command that is about to be sent, and the way to the TPM.
    Command(&'a [u8], &'a mut TcpStream),
    /// It was sent, and is not answered yet.
    Sent,
    /// The answer is here, and the store has not got it.
    Answered,
}

/// What somebody does as messages pass; none cuts the line.
pub(super) type Hook = Box<dyn FnMut(Passing<'_>) -> Option<()> + Send>;

/// Stands between store and TPM.
pub(super) struct Bus {
    pub(super) address: String,
    /// The TPM at the other end, which may be exchanged.
    pub(super) tpm: Arc<Mutex<String>>,
    pub(super) hook: Arc<Mutex<Option<Hook>>>,
    watched: Arc<Mutex<Watched>>,
}

pub(super) fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message).ok()?;
    let size = u32::from_be_bytes(message[2..6].try_into().unwrap());
    message.resize(usize::try_from(size).unwrap(), 0);
    stream.read_exact(&mut message[10..]).ok()?;
    Some(message)
}

/// The next message from one side, as it is passed on.
fn noted(watched: &Mutex<Watched>, from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = message(from)?;
    let mut watched = watched.lock().unwrap();
    let number = watched.messages.len();
    watched.messages.push(message.clone());
    if let Some(flip) = watched.flip
        && flip.message == number
        // Answers of another run may be shorter.
        && let Some(byte) = message.get_mut(flip.byte)
    {
        *byte ^= 1 << flip.bit;
    }
    Some(message)
}

fn exchange(
    watched: &Mutex<Watched>,
    hook: &Mutex<Option<Hook>>,
    host: &mut TcpStream,
    chip: &mut TcpStream,
) -> Option<()> {
    let pass = |what: Passing<'_>| match &mut *hook.lock().unwrap() {
        Some(hook) => hook(what),
        None => Some(()),
    };
    let command = noted(watched, host)?;
    pass(Passing::Command(&command, chip))?;
    chip.write_all(&command).ok()?;
    pass(Passing::Sent)?;
    let response = noted(watched, chip)?;
    pass(Passing::Answered)?;
    host.write_all(&response).ok()
}

impl Bus {
    pub(super) fn between(tpm: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let watched = Arc::new(Mutex::new(Watched::default()));
        let (tpm, hook) = (Arc::new(Mutex::new(tpm.to_owned())), Arc::new(Mutex::new(None)));
        let (seen, other_end, hooked) = (Arc::clone(&watched), Arc::clone(&tpm), Arc::clone(&hook));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut host = stream.unwrap();
                let tpm = other_end.lock().unwrap().clone();
                // A TPM that is not there is a line that ends at once.
                let Ok(mut chip) = TcpStream::connect(tpm) else { continue };
                host.set_nodelay(true).unwrap();
                while exchange(&seen, &hooked, &mut host, &mut chip).is_some() {}
            }
        });
        Self { address, tpm, hook, watched }
    }

    fn arm(&self, flip: Option<Flip>) {
        *self.watched.lock().unwrap() = Watched { messages: Vec::new(), flip };
    }

    fn messages(&self) -> Vec<Vec<u8>> {
        self.watched.lock().unwrap().messages.clone()
    }

    fn saw(&self, bytes: &[u8]) -> bool {
        self.messages().iter().any(|message| message.windows(bytes.len()).any(|window| window == bytes))
    }
}

fn code_of(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().unwrap())
}

/// The place of the command with this code among the messages.
fn place_of(messages: &[Vec<u8>], spec: super::super::command::Spec) -> usize {
    messages.iter().step_by(2).position(|command| code_of(command) == spec.code.0).unwrap() * 2
}

#[test]
fn neither_secret_nor_value_is_on_the_bus() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let bus = Bus::between(&swtpm.address);
    let mut store = TpmStore::open(&bus.address).unwrap();
    let pcrs = Some("sha256:16".parse().unwrap());
    for pcrs in [None, pcrs] {
        let terms = Terms { pcrs, auth_value: VALUE, ..Terms::default() };
        let sealed = store.seal(SECRET, &terms).unwrap();
        assert_eq!(store.unseal(&sealed, VALUE, None).unwrap().as_slice(), SECRET);
        let wrong = store.unseal(&sealed, b"another value", None);
        assert!(matches!(wrong, Err(StoreError::WrongSecret { .. })), "{wrong:?}");
        // The recorder works: it has seen what is public.
        assert!(bus.saw(&sealed.public[4..]));
        for hidden in [SECRET, VALUE, &sha256(VALUE), b"another value"] {
            assert!(!bus.saw(hidden), "{hidden:02x?}");
        }
    }
    // What an object's index holds is encrypted as well, both ways, and so is a challenge that was opened.
    let name = key("certificate");
    store.objects().unwrap().write_object(&name, SECRET).unwrap();
    assert_eq!(store.objects().unwrap().read_object(&name).unwrap(), SECRET);
    assert!(!bus.saw(SECRET));
    // No two messages carry the same nonces: what was recorded is of no use later.
    let signs = |bus: &Bus| {
        bus.arm(None);
        store_signs(&bus.address);
        let messages = bus.messages();
        messages[place_of(&messages, super::super::command::SIGN)].clone()
    };
    store.generate(&key("device")).unwrap();
    assert_ne!(signs(&bus), signs(&bus));
}

fn store_signs(address: &str) {
    TpmStore::open(address).unwrap().sign_digest(&key("device"), &[7; 32]).unwrap();
}

#[test]
fn a_changed_byte_is_an_error_that_says_so() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let bus = Bus::between(&swtpm.address);
    let mut store = TpmStore::open(&bus.address).unwrap();
    let public = store.generate(&key("device")).unwrap();
    let sealed = store.seal(SECRET, &Terms::default()).unwrap();
    let tampered = |result: &Result<Vec<u8>, StoreError>| matches!(result, Err(StoreError::Tampered { .. }));

    bus.arm(None);
    let good = store.sign_digest(&key("device"), &sha256(b"m")).unwrap();
    public.verify(b"m", &good).unwrap();
    let messages = bus.messages();
    let sign = place_of(&messages, super::super::command::SIGN);
    // Behind header, handle and authorisation (session 4, nonce 2 + 32, attributes 1, HMAC 2 + 32) come the parameters;
    // the same flip in the nonce or the HMAC is found as well.
    let (nonce, hmac, parameters) = (10 + 4 + 4 + 4 + 2, 10 + 4 + 4 + 4 + 34 + 1 + 2, 10 + 4 + 4 + 73);
    assert_eq!(u16::from_be_bytes(messages[sign][parameters..parameters + 2].try_into().unwrap()), 32);
    let inside = (nonce..nonce + 32).chain(hmac..hmac + 32).chain(parameters..messages[sign].len());
    for byte in inside.step_by(5) {
        bus.arm(Some(Flip { message: sign, byte, bit: 3 }));
        let result = store.sign_digest(&key("device"), &sha256(b"m"));
        assert!(tampered(&result), "byte {byte} of the command: {result:?}");
    }
    // The response: size of the parameters, parameters, nonce, attributes, HMAC.
    let size = messages[sign + 1].len();
    for byte in (14..size - 69).chain(size - 67..size - 35).chain(size - 32..size).step_by(3) {
        bus.arm(Some(Flip { message: sign + 1, byte, bit: 6 }));
        let result = store.sign_digest(&key("device"), &sha256(b"m"));
        assert!(tampered(&result), "byte {byte} of the response: {result:?}");
    }

    bus.arm(None);
    assert_eq!(store.unseal(&sealed, &[], None).unwrap().as_slice(), SECRET);
    let messages = bus.messages();
    let unseal = place_of(&messages, super::super::command::UNSEAL) + 1;
    for byte in (14..14 + 2 + SECRET.len()).step_by(3) {
        bus.arm(Some(Flip { message: unseal, byte, bit: 0 }));
        let result = store.unseal(&sealed, &[], None).map(|secret| secret.to_vec());
        assert!(tampered(&result), "byte {byte} of the secret: {result:?}");
    }

    // A public key that is changed on its way is not believed.
    bus.arm(None);
    store.public_key(&key("device")).unwrap();
    let messages = bus.messages();
    let read = place_of(&messages, super::super::command::READ_PUBLIC) + 1;
    // The size of the public area, the area, the size of its Name, the Name; a qualified name that nobody uses.
    let area = usize::from(u16::from_be_bytes(messages[read][10..12].try_into().unwrap()));
    for byte in (12..12 + area).chain(14 + area..14 + area + 34).step_by(7) {
        bus.arm(Some(Flip { message: read, byte, bit: 1 }));
        let result = store.public_key(&key("device"));
        assert!(result.is_err(), "byte {byte} of the public area: {result:?}");
    }
    bus.arm(None);
    assert_eq!(store.public_key(&key("device")).unwrap(), public);
}

#[test]
fn no_flip_anywhere_gives_another_result() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let bus = Bus::between(&swtpm.address);
    let mut store = TpmStore::open(&bus.address).unwrap();
    let sealed = store
        .seal(SECRET, &Terms { pcrs: Some("sha256:0,16".parse().unwrap()), ..Terms::default() })
        .unwrap();
    bus.arm(None);
    store.unseal(&sealed, &[], None).unwrap();
    let (mut refused, messages) = (0, bus.messages());
    for (number, message) in messages.iter().enumerate() {
        // Sizes of whole messages stay: who changes them makes both sides wait, which is another matter.
        for byte in (0..2).chain(6..message.len()).step_by(13) {
            bus.arm(Some(Flip { message: number, byte, bit: 2 }));
            match store.unseal(&sealed, &[], None) {
                Ok(secret) => assert_eq!(secret.as_slice(), SECRET, "byte {byte} of message {number}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 20, "{refused} flips of {} messages were refused", messages.len());
    bus.arm(None);
    assert_eq!(store.unseal(&sealed, &[], None).unwrap().as_slice(), SECRET);
}

#[test]
fn a_salt_key_of_somebody_else_is_refused() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let name = store.salt_key().unwrap();
    let pinned = format!("{}?salt-key={name}", swtpm.address);
    TpmStore::open(&pinned).unwrap().generate(&key("device")).unwrap();
    // The same address, another TPM.
    let Some(other) = Swtpm::start(EkKind::P384) else { return };
    let moved = format!("{}?salt-key={name}", other.address);
    let refused = TpmStore::open(&moved).unwrap().generate(&key("device"));
    assert!(matches!(refused, Err(StoreError::Tampered { .. })), "{refused:?}");
}
