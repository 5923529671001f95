//! The element in the reader: opened here, or behind TCP.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use touchmark_element::{Element, ElementError, Session};

use crate::codes::Code;

/// How long a connection to a served element may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; generating keys takes a part seconds.
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
                let stream = connect(address).map_err(|_| Code::UNRESPONSIVE_CARD)?;
                Ok(Card::There { address: address.clone(), stream })
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
        /// Where.
        address: String,
        /// Each APDU, both ways, behind its length in two bytes, big-endian.
        stream: TcpStream,
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
            Self::There { stream, .. } => exchange(stream, apdu).map_err(|_| Code::NOT_TRANSACTED)?,
        };
        if answer.is_empty() { Err(Code::NOT_TRANSACTED) } else { Ok(answer) }
    }

    /// A reset: what was selected is not any more.
    pub(crate) fn reset(&mut self) -> Result<(), Code> {
        match self {
            Self::Here { session, .. } => **session = Session::default(),
            Self::There { address, stream } => {
                *stream = connect(address).map_err(|_| Code::UNRESPONSIVE_CARD)?;
            }
        }
        Ok(())
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(stream: &mut TcpStream, apdu: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(apdu.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    stream.write_all(&[&length.to_be_bytes()[..], apdu].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response)?;
    Ok(response)
}
