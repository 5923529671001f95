//! An element that several servers share: over TCP, behind vpcd, over T=1.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::card::Session;
use crate::{Answer, Element};

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

    /// The answer to one APDU; `None` when there is no power, or a fault loses the answer on its way: the connection
    /// then ends.
    pub(crate) fn answer(&self, own: &mut Session, apdu: &[u8]) -> Option<Vec<u8>> {
        let answer = match &self.reader {
            Some(reader) => reader.lock().ok().and_then(|mut session| self.carry_out(&mut session, apdu)),
            None => self.carry_out(own, apdu),
        };
        match answer {
            Some(Answer { lost: true, .. }) => None,
            Some(Answer { bytes, .. }) if !bytes.is_empty() => Some(bytes),
            _ => {
                self.give_up();
                None
            }
        }
    }

    fn carry_out(&self, session: &mut Session, apdu: &[u8]) -> Option<Answer> {
        // A poisoned lock means that the element failed in the middle of a command: it has no power any more.
        let mut element = self.element.lock().ok()?;
        let answer = element.answer(session, apdu);
        if !answer.delay.is_zero() {
            // The card does one thing at a time: whoever else talks to it waits too.
            thread::sleep(answer.delay);
        }
        Some(answer)
    }

    /// A reset by the reader: what was selected is not any more.
    pub(crate) fn reset(&self, own: &mut Session) {
        own.reset();
        if let Some(Ok(mut session)) = self.reader.as_ref().map(Mutex::lock) {
            session.reset();
        }
    }
}
