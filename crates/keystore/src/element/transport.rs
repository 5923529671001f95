//! How APDUs get to the element and back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::store::StoreError;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. Chips take up to seconds to generate a key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What a read makes room for before the length of the answer is known.
const FIRST_READ_BYTES: usize = 1_024;

/// Carries APDUs to an element.
///
/// A transport never sends an APDU twice. After [`StoreError::Unreachable`] the driver takes it that the next APDU goes
/// over a fresh connection, in which nothing is selected.
pub trait Transport {
    /// Sends one command APDU and waits for its response APDU.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when the connection broke; whether the command was carried out is then not known.
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError>;
}

impl Transport for Box<dyn Transport + Send> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        (**self).transmit(apdu)
    }
}

/// An element in the same process: a function from command to response. An empty response means that the element has
/// no power.
impl<F: FnMut(&[u8]) -> Vec<u8>> Transport for F {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        match self(apdu) {
            silence if silence.is_empty() => Err(StoreError::Unreachable {
                address: "the element in this process".to_owned(),
                source: ErrorKind::UnexpectedEof.into(),
            }),
            response => Ok(response),
        }
    }
}

/// An element behind TCP: each APDU, both ways, behind its length in two bytes, big-endian. Connects when it first
/// has to, and anew after a failure.
#[derive(Debug)]
pub struct TcpTransport {
    address: String,
    stream: Option<TcpStream>,
}

impl TcpTransport {
    /// An element at `host:port`; nothing is sent yet.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
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

    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(apdu.len())
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "the APDU is too long"))?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(&[&length.to_be_bytes()[..], apdu].concat())?;
        let response = read_frame(&mut stream)?;
        // Only after a whole exchange is the connection known to be in step.
        self.stream = Some(stream);
        Ok(response)
    }
}

/// Reads one frame, most of them by one call to the system.
fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; FIRST_READ_BYTES];
    let mut filled = 0;
    loop {
        match stream.read(frame.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let Some((length, _)) = frame.get(..filled).and_then(<[u8]>::split_first_chunk::<2>) else {
            continue;
        };
        let whole = 2 + usize::from(u16::from_be_bytes(*length));
        if filled > whole {
            return Err(io::Error::new(ErrorKind::InvalidData, "the element sent more than its answer"));
        }
        frame.resize(whole, 0);
        if filled == whole {
            frame.drain(..2);
            return Ok(frame);
        }
    }
}

impl Transport for TcpTransport {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        let address = self.address.clone();
        self.exchange(apdu).map_err(|source| StoreError::Unreachable { address, source })
    }
}
