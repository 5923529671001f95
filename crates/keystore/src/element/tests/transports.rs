//! The same promises however the element is reached: over TCP, in this process, over T=1 on a bus in memory, and inside a
//! secure channel over each. PC/SC is tested where the library for it is built.

use touchmark_element::{Applet, Class, Effect, Session, Trigger, t1};
use touchmark_identity::apdu::scp03::{AesKey, INITIALIZE_UPDATE, KeySet, Level};
use touchmark_identity::t1oi2c::Link;

use super::*;
use crate::conformance::element::{ElementBench, Keys, Way};
use crate::conformance::{self, Adverse};

/// How an element is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// By calls in this process.
    Calls,
    Tcp,
    /// The part asks so many times for more time before each response.
    Bus {
        extensions: u8,
    },
}

/// The one session of an element in this process, and the element where it has power.
struct Card {
    element: Option<Element>,
    session: Session,
}

impl Card {
    fn power_on(&mut self, dir: &Path) {
        // The element of before holds the directory's lock.
        self.element = None;
        *self = Self { element: Some(Element::open(dir).unwrap()), session: Session::default() };
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let Self { element: Some(element), session } = self else { return Vec::new() };
        element.transmit_in(session, apdu)
    }
}

/// The element on a bus in memory.
struct Bus {
    slave: t1::Slave,
    card: Arc<Mutex<Card>>,
}

impl Link for Bus {
    fn write(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let mut card = self.card.lock().unwrap();
        self.slave.write(frame, &mut |request| match request {
            t1::Request::Command(apdu) => Some(card.transmit(apdu)).filter(|answer| !answer.is_empty()),
            t1::Request::Reset => {
                card.session = Session::default();
                None
            }
        });
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _wait: u16) -> std::io::Result<()> {
        if self.slave.read(bytes) { Ok(()) } else { Err(std::io::ErrorKind::TimedOut.into()) }
    }
}

/// An element, and what reaches it.
struct Part {
    dir: tempfile::TempDir,
    route: Route,
    card: Arc<Mutex<Card>>,
    server: Option<Server>,
    /// Every APDU that the driver sent.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Part {
    fn new(route: Route) -> Self {
        Self::with_applet(route, Applet::default())
    }

    fn with_applet(route: Route, applet: Applet) -> Self {
        let (dir, seen) = (tempfile::tempdir().unwrap(), Arc::default());
        Element::create_of_class(dir.path(), now(), Class { applet, ..Class::default() }).unwrap();
        let card = Arc::new(Mutex::new(Card { element: None, session: Session::default() }));
        let mut part = Self { dir, route, card, server: None, seen };
        part.power_on();
        part
    }

    fn each() -> [Self; 4] {
        [Route::Calls, Route::Tcp, Route::Bus { extensions: 0 }, Route::Bus { extensions: 1 }].map(Self::new)
    }

    fn address(&self) -> String {
        self.server.as_ref().unwrap().address.to_string()
    }

    fn calls(&self) -> impl FnMut(&[u8]) -> Vec<u8> + Send + use<> {
        let card = Arc::clone(&self.card);
        move |apdu: &[u8]| card.lock().unwrap().transmit(apdu)
    }

    fn transport(&mut self) -> Box<dyn Transport + Send> {
        let mut inner: Box<dyn Transport + Send> = match self.route {
            Route::Calls => Box::new(self.calls()),
            Route::Tcp => Box::new(TcpTransport::new(&self.address())),
            Route::Bus { extensions } => {
                let card = Arc::clone(&self.card);
                let open = move || {
                    let (slave, card) = (t1::Slave::new(extensions), Arc::clone(&card));
                    Ok(Box::new(Bus { slave, card }) as Box<dyn Link + Send>)
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
}

/// That nothing went over in plain but SELECT, the opening of a channel, and the fetching of an answer's rest.
fn all_secured(seen: &[Vec<u8>]) {
    for apdu in seen {
        let allowed = matches!(
            apdu[..],
            [0x00, 0xA4, 0x04, ..] | [0x80, INITIALIZE_UPDATE, ..] | [0x84, ..] | [0x00, 0xC0, ..]
        );
        assert!(allowed, "{} went over in plain", hex::encode(apdu));
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

impl Way for Part {
    fn state(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    fn open(&mut self, how: Keys) -> Result<Box<dyn KeyStore>, StoreError> {
        let keys = match how {
            Keys::None => None,
            Keys::Right => Some(keys()),
            Keys::Wrong => Some(keys_with(0xAA, 0x0B)),
            Keys::WrongVersion => Some(keys_with(0xAB, 0x0C)),
        };
        let before = self.seen.lock().unwrap().len();
        let store = self.open(keys);
        if matches!(how, Keys::Wrong | Keys::WrongVersion) {
            assert_eq!(self.seen.lock().unwrap().len() - before, 2, "SELECT and INITIALIZE UPDATE");
        }
        Ok(Box::new(store?))
    }

    fn client(&mut self) -> Box<dyn Transport + Send> {
        match self.route {
            Route::Tcp => Box::new(TcpTransport::new(&self.address())),
            Route::Calls | Route::Bus { .. } => Box::new(self.calls()),
        }
    }

    fn shares_session(&self) -> bool {
        true
    }

    fn power_on(&mut self) {
        if self.route == Route::Tcp {
            let address =
                self.server.take().map_or_else(|| "127.0.0.1:0".to_owned(), |it| it.address.to_string());
            self.server = Some(Server::start(self.dir.path(), &address));
        } else {
            self.card.lock().unwrap().power_on(self.dir.path());
        }
    }

    fn breaks_with_power(&self) -> bool {
        self.route == Route::Tcp
    }
}

fn conforms(part: Part) {
    conformance::run(&mut ElementBench::new(part, false), &[Adverse::WrongKey]);
}

fn conforms_inside_a_channel(part: Part) {
    let seen = Arc::clone(&part.seen);
    conformance::run(&mut ElementBench::new(part, true), &[]);
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1_000);
    all_secured(&seen);
}

#[test]
fn conformance_in_process() {
    conforms(Part::new(Route::Calls));
}

#[test]
fn conformance_with_applet_7_2() {
    conforms(Part::with_applet(Route::Calls, Applet::V7_2));
    conforms_inside_a_channel(Part::with_applet(Route::Calls, Applet::V7_2));
}

#[test]
fn conformance_over_tcp() {
    conforms(Part::new(Route::Tcp));
}

#[test]
fn conformance_over_a_bus() {
    conforms(Part::new(Route::Bus { extensions: 0 }));
}

#[test]
fn conformance_over_a_bus_of_a_slow_part() {
    conforms(Part::new(Route::Bus { extensions: 1 }));
}

#[test]
fn conformance_in_process_inside_a_channel() {
    conforms_inside_a_channel(Part::new(Route::Calls));
}

#[test]
fn conformance_over_tcp_inside_a_channel() {
    conforms_inside_a_channel(Part::new(Route::Tcp));
}

#[test]
fn conformance_over_a_bus_inside_a_channel() {
    conforms_inside_a_channel(Part::new(Route::Bus { extensions: 0 }));
}

#[test]
fn conformance_over_a_bus_of_a_slow_part_inside_a_channel() {
    conforms_inside_a_channel(Part::new(Route::Bus { extensions: 1 }));
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
            assert_eq!(lost.code(), "KS-0007", "{:?}: {lost}", part.route);
            assert_eq!(store.read_counter(&counter("sent")).unwrap(), 2, "{:?}: once, not twice", part.route);
            assert_eq!(store.increment_counter(&counter("sent")).unwrap(), 3);
            // A read whose answer is lost is sent again.
            arm(part.dir.path(), Effect::LoseResponse);
            assert_eq!(store.read_counter(&counter("sent")).unwrap(), 3, "{:?}", part.route);
            if secured {
                all_secured(&part.seen.lock().unwrap());
            }
        }
    }
}
