//! The same promises however the element is reached: over TCP, over T=1 on a bus in memory, and inside a secure channel
//! over each. PC/SC is tested where the library for it is built.

use touchmark_element::{Effect, Session, Trigger, t1};
use touchmark_identity::apdu::scp03::{AesKey, INITIALIZE_UPDATE, KeySet, Level};
use touchmark_identity::t1oi2c::Link;

use super::*;

/// How an element is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tcp,
    /// The part asks so many times for more time before each response.
    Bus {
        extensions: u8,
    },
}

/// The element on a bus in memory; it has power as long as the bus is there.
struct Bus {
    slave: t1::Slave,
    element: Arc<Mutex<Element>>,
    session: Session,
}

impl Link for Bus {
    fn write(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let mut element = self.element.lock().unwrap();
        let session = &mut self.session;
        self.slave.write(frame, &mut |request| match request {
            t1::Request::Command(apdu) => {
                Some(element.transmit_in(session, apdu)).filter(|answer| !answer.is_empty())
            }
            t1::Request::Reset => {
                *session = Session::default();
                None
            }
        });
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _wait: u16) -> std::io::Result<()> {
        if self.slave.read(bytes) { Ok(()) } else { Err(std::io::ErrorKind::TimedOut.into()) }
    }
}

/// An element that is opened anew, with power anew, each time that it is reached.
struct Part {
    dir: tempfile::TempDir,
    way: Way,
    server: Option<Server>,
    /// Every APDU that the driver sent.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Part {
    fn each() -> [Self; 3] {
        [Way::Tcp, Way::Bus { extensions: 0 }, Way::Bus { extensions: 1 }].map(|way| {
            let (dir, seen) = (tempfile::tempdir().unwrap(), Arc::default());
            Self { dir, way, server: None, seen }
        })
    }

    fn transport(&mut self) -> Box<dyn Transport + Send> {
        let dir = self.dir.path();
        let mut inner: Box<dyn Transport + Send> = match self.way {
            Way::Tcp => {
                self.server = None;
                let server = self.server.insert(Server::start(dir, "127.0.0.1:0"));
                Box::new(TcpTransport::new(&server.address.to_string()))
            }
            Way::Bus { extensions } => {
                let element =
                    if dir.join("state").exists() { Element::open(dir) } else { Element::create(dir, now()) };
                let element = Arc::new(Mutex::new(element.unwrap()));
                let open = move || {
                    let (slave, element) = (t1::Slave::new(extensions), Arc::clone(&element));
                    Ok(Box::new(Bus { slave, element, session: Session::default() }) as Box<dyn Link + Send>)
                };
                Box::new(I2cTransport::over("in memory", Box::new(open)))
            }
        };
        let seen = Arc::clone(&self.seen);
        Box::new(Recorded { seen, inner: move |apdu: &[u8]| inner.transmit(apdu) })
    }

    fn open(&mut self, keys: Option<ChannelKeys>) -> Result<ElementStore, StoreError> {
        let transport = self.transport();
        match keys {
            Some(keys) => ElementStore::secured(transport, keys),
            None => ElementStore::new(transport),
        }
    }

    /// That nothing went over in plain but SELECT, the opening of a channel, and the fetching of an answer's rest.
    fn is_secured(&self) {
        for apdu in &*self.seen.lock().unwrap() {
            let allowed = matches!(
                apdu[..],
                [0x00, 0xA4, 0x04, ..] | [0x80, INITIALIZE_UPDATE, ..] | [0x84, ..] | [0x00, 0xC0, ..]
            );
            assert!(allowed, "{:?}: {} went over in plain", self.way, hex::encode(apdu));
        }
    }
}

/// Keeps what is sent.
struct Recorded<F> {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    inner: F,
}

impl<F: FnMut(&[u8]) -> Result<Vec<u8>, StoreError>> Transport for Recorded<F> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.seen.lock().unwrap().push(apdu.to_vec());
        (self.inner)(apdu)
    }
}

/// The keys with which the domain of the applet starts, but for their first byte.
fn keys_with(first: u8, version: u8) -> ChannelKeys {
    let key = |last: u8| {
        let mut key = [0xAB, 0xCD].repeat(7);
        key[0] = first;
        key.extend([0x00, last]);
        AesKey::new(&key).unwrap()
    };
    let set = KeySet { enc: key(1), mac: key(2), dek: key(3) };
    ChannelKeys { set, version, level: Level::FULL, counter: None }
}

fn keys() -> ChannelKeys {
    keys_with(0xAB, 0x0B)
}

#[test]
fn conformance_over_each_transport() {
    for mut part in Part::each() {
        conformance::run(&mut || Box::new(part.open(None).unwrap()));
    }
}

#[test]
fn conformance_inside_a_secure_channel_over_each_transport() {
    for mut part in Part::each() {
        conformance::run(&mut || Box::new(part.open(Some(keys())).unwrap()));
        assert!(part.seen.lock().unwrap().len() > 100);
        part.is_secured();
    }
}

#[test]
fn wrong_keys_are_refused_over_each_transport_and_nothing_goes_over_in_plain() {
    for mut part in Part::each() {
        drop(part.open(Some(keys())).unwrap());
        for (wrong, says) in
            [(keys_with(0xAA, 0x0B), "card cryptogram is wrong"), (keys_with(0xAB, 0x0C), "6A88")]
        {
            part.seen.lock().unwrap().clear();
            let refused = part.open(Some(wrong)).unwrap_err();
            assert_eq!(refused.code(), "KS-0020", "{:?}: {refused}", part.way);
            assert!(refused.to_string().contains(says), "{refused}");
            assert_eq!(part.seen.lock().unwrap().len(), 2, "SELECT and INITIALIZE UPDATE");
            part.is_secured();
        }
        part.open(Some(keys())).unwrap();
    }
}

/// Somebody else selects on the same card: the session is gone, which the driver is told, and nothing goes on in plain.
#[test]
fn a_session_that_was_ended_is_not_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let element = Arc::new(Mutex::new(Element::create(dir.path(), now()).unwrap()));
    let inside = Arc::clone(&element);
    let seen = Arc::default();
    let inner = move |apdu: &[u8]| Ok(inside.lock().unwrap().transmit(apdu));
    let transport = Recorded { seen: Arc::clone(&seen), inner };
    let mut store = ElementStore::secured(Box::new(transport), keys()).unwrap();
    store.generate(&key("device")).unwrap();
    let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &AID, &[0x00]].concat();
    assert!(element.lock().unwrap().transmit(&select).ends_with(&[0x90, 0x00]));
    let ended = store.sign_digest(&key("device"), &[7; 32]).unwrap_err();
    assert_eq!(ended.code(), "KS-0021", "{ended}");
    store.sign_digest(&key("device"), &[7; 32]).unwrap();
    let opened = seen.lock().unwrap().iter().filter(|apdu| apdu[1] == INITIALIZE_UPDATE).count();
    assert_eq!(opened, 2, "and the next command went through a channel of its own");
}

#[test]
fn a_counter_ends_over_each_transport() {
    for mut part in Part::each() {
        let mut store = part.open(Some(keys())).unwrap();
        store.increment_counter(&counter("telemetry")).unwrap();
        let slots = Slots::of(Kind::Counter, "telemetry");
        store.set_count(slots, COUNTER_BYTES, u64::from(u32::MAX)).unwrap();
        let ended = store.increment_counter(&counter("telemetry")).unwrap_err();
        assert!(matches!(ended, StoreError::Exhausted { what: "counts", .. }), "{:?}: {ended}", part.way);
        // A part whose counters wear out before their number is at its end.
        store.increment_counter(&counter("firmware")).unwrap();
        arm(part.dir.path(), Effect::ExhaustCounter(None));
        let ended = store.increment_counter(&counter("firmware")).unwrap_err();
        assert!(matches!(ended, StoreError::Refused { code: 0x6985, .. }), "{:?}: {ended}", part.way);
        assert_eq!(store.read_counter(&counter("firmware")).unwrap(), 1);
    }
}

fn arm(dir: &Path, what: Effect) {
    Fault { when: Trigger::Next, what }.arm(dir).unwrap();
}

/// The part carries a change out, and its answer is lost: the driver does not know, and does not send it again.
#[test]
fn a_lost_response_is_an_unknown_outcome_over_each_transport() {
    for secured in [false, true] {
        for mut part in Part::each() {
            let mut store = part.open(secured.then(keys)).unwrap();
            store.increment_counter(&counter("sent")).unwrap();
            let fault = Fault { when: Trigger::Instruction(0x01), what: Effect::LoseResponse };
            fault.arm(part.dir.path()).unwrap();
            let lost = store.increment_counter(&counter("sent")).unwrap_err();
            assert_eq!(lost.code(), "KS-0007", "{:?}: {lost}", part.way);
            assert_eq!(store.read_counter(&counter("sent")).unwrap(), 2, "{:?}: once, not twice", part.way);
            assert_eq!(store.increment_counter(&counter("sent")).unwrap(), 3);
            // A read whose answer is lost is sent again.
            arm(part.dir.path(), Effect::LoseResponse);
            assert_eq!(store.read_counter(&counter("sent")).unwrap(), 3, "{:?}", part.way);
            if secured {
                part.is_secured();
            }
        }
    }
}

/// Power is lost in the middle of a change: the driver says that it does not know, does not send the change a second
/// time, and goes on with whatever the part kept.
#[test]
fn a_power_cut_is_an_unknown_outcome_over_each_transport() {
    for secured in [false, true] {
        for mut part in Part::each() {
            let keys = || secured.then(keys);
            let mut store = part.open(keys()).unwrap();
            let public = store.generate(&key("device")).unwrap();
            assert_eq!(store.increment_counter(&counter("sent")).unwrap(), 1);
            let mut kept = 1;
            for (fault, counted) in [(Fault::POWER_CUT_BEFORE_COMMIT, 0), (Fault::POWER_CUT_AFTER_COMMIT, 1)]
            {
                fault.arm(part.dir.path()).unwrap();
                let lost = store.increment_counter(&counter("sent")).unwrap_err();
                assert_eq!(lost.code(), "KS-0007", "{:?}: {lost}", part.way);
                drop(store);
                store = part.open(keys()).unwrap();
                kept += counted;
                assert_eq!(store.read_counter(&counter("sent")).unwrap(), kept, "{:?}, {fault}", part.way);
                assert_eq!(store.public_key(&key("device")).unwrap(), public);
            }
            if secured {
                part.is_secured();
            }
        }
    }
}
