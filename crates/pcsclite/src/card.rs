//! The element in the reader: opened here, or behind TCP.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use touchmark_element::{Element, ElementError, Session};
use touchmark_keystore::element::FramedTcp;

use crate::codes::Code;

/// How long the answer of a served element may take: as long as an armed fault can slow the generation of a key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the element is.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// In this state directory.
    Directory(PathBuf),
    /// Served at this `host:port`.
    Tcp(String),
}

impl Home {
    /// What the two environment variables say.
    pub(crate) fn from(state: Option<OsString>, tcp: Option<OsString>) -> Option<Self> {
        let set = |value: Option<OsString>| value.filter(|value| !value.is_empty());
        set(state).map(|directory| Self::Directory(directory.into())).or_else(|| {
            let address = set(tcp)?.into_string().ok()?;
            Some(Self::Tcp(address))
        })
    }

    /// Whether there is a card in the reader. A served element is asked only when somebody connects.
    pub(crate) fn holds_card(&self) -> bool {
        match self {
            Self::Directory(directory) => directory.join("lock").exists(),
            Self::Tcp(_) => true,
        }
    }

    /// Gives the card power.
    pub(crate) fn power_on(&self) -> Result<Card, Code> {
        match self {
            Self::Directory(directory) => match Element::open(directory) {
                Ok(element) => {
                    Ok(Card::Here { element: Box::new(element), session: Box::new(Session::default()) })
                }
                Err(ElementError::Locked { .. }) => Err(Code::SHARING_VIOLATION),
                Err(ElementError::Missing { .. }) => Err(Code::NO_SMARTCARD),
                Err(_) => Err(Code::UNRESPONSIVE_CARD),
            },
            Self::Tcp(address) => {
                let mut client = FramedTcp::new(address, ANSWER_TIMEOUT);
                client.connect().map_err(|_| Code::UNRESPONSIVE_CARD)?;
                Ok(Card::There { client })
            }
        }
    }
}

/// A card with power.
pub(crate) enum Card {
    /// In this process.
    Here {
        /// The element, which no other process can open meanwhile.
        element: Box<Element>,
        /// What is selected.
        session: Box<Session>,
    },
    /// In the process that serves it; the connection is the session.
    There {
        /// Connected; what fails is not tried again, since a new connection is a card that was reset.
        client: FramedTcp,
    },
}

impl Card {
    /// The answer to one APDU; [`Code::NOT_TRANSACTED`] when the card lost its power over it.
    pub(crate) fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, Code> {
        let answer = match self {
            Self::Here { element, session } => {
                let answer = element.answer(session, apdu);
                thread::sleep(answer.delay);
                answer.bytes
            }
            Self::There { client } => client.exchange(apdu).map_err(|_| Code::NOT_TRANSACTED)?,
        };
        if answer.is_empty() { Err(Code::NOT_TRANSACTED) } else { Ok(answer) }
    }

    /// A reset: what was selected is not any more.
    pub(crate) fn reset(&mut self) -> Result<(), Code> {
        match self {
            Self::Here { session, .. } => session.reset(),
            Self::There { client } => client.connect().map_err(|_| Code::UNRESPONSIVE_CARD)?,
        }
        Ok(())
    }
}
