//! An element that several servers share: over TCP, behind vpcd, over T=1.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Element;
use crate::card::Session;

/// An element that several servers share.
#[derive(Debug)]
pub struct Served {
    element: Mutex<Element>,
    lost: AtomicBool,
    /// The session of all connections, where there is one reader.
    reader: Option<Mutex<Session>>,
}

impl Served {
    /// Each connection has its own session, as if each had a reader with a channel of its own to the card.
    #[must_use]
    pub fn new(element: Element) -> Self {
        Self { element: Mutex::new(element), lost: AtomicBool::new(false), reader: None }
    }

    /// All connections are one reader: what one selected is selected for the next, until the reader resets the card.
    #[must_use]
    pub fn one_reader(element: Element) -> Self {
        Self { reader: Some(Mutex::default()), ..Self::new(element) }
    }

    /// Whether the element lost its power, or one of its servers failed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends every server.
    pub(crate) fn give_up(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// The answer to one APDU; `None` when there is no power.
    pub(crate) fn answer(&self, own: &mut Session, apdu: &[u8]) -> Option<Vec<u8>> {
        // A poisoned lock means that the element failed in the middle of a command: it has no power any more.
        let response = match &self.reader {
            Some(reader) => match (reader.lock(), self.element.lock()) {
                (Ok(mut session), Ok(mut element)) => respond(&mut element, &mut session, apdu),
                _ => Vec::new(),
            },
            None => self
                .element
                .lock()
                .map_or_else(|_| Vec::new(), |mut element| respond(&mut element, own, apdu)),
        };
        if response.is_empty() {
            self.give_up();
            return None;
        }
        Some(response)
    }

    /// A reset by the reader: what was selected is not any more.
    pub(crate) fn reset(&self, own: &mut Session) {
        *own = Session::default();
        if let Some(Ok(mut session)) = self.reader.as_ref().map(Mutex::lock) {
            *session = Session::default();
        }
    }
}

/// The element's response, after the time that it takes. The card does one thing at a time: while it is locked here,
/// whoever else talks to it waits too.
fn respond(element: &mut Element, session: &mut Session, apdu: &[u8]) -> Vec<u8> {
    let answer = element.answer(session, apdu);
    std::thread::sleep(answer.delay);
    answer.bytes
}
