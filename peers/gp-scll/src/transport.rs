//! APDUs over TCP, each behind its length in two bytes, big-endian, as `touchmark element run --tcp` takes them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use heapless::Vec;
use scll::limits::RAPDU_MAX;
use scll::transport::{AtrAts, Transport, TransportCaps, TransportError, TransportProtocol};

/// A connection is a session of the element: a new one is a reset.
pub struct Tcp {
    address: String,
    stream: Option<TcpStream>,
}

impl Tcp {
    /// Connects.
    pub fn connect(address: &str) -> io::Result<Self> {
        Ok(Self { address: address.to_owned(), stream: Some(open(address)?) })
    }

    /// Sends an APDU as it is, and gives the answer with its status word.
    pub fn exchange(&mut self, apdu: &[u8]) -> io::Result<std::vec::Vec<u8>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let length = u16::try_from(apdu.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes(), apdu].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

fn open(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

impl Transport for Tcp {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8, RAPDU_MAX>, TransportError> {
        let answer = self.exchange(apdu).map_err(|_| TransportError::CardRemoved)?;
        // More than a short APDU may bring is the card's mistake.
        Vec::from_slice(&answer).map_err(|()| TransportError::ProtocolError)
    }

    fn capabilities(&self) -> TransportCaps {
        TransportCaps { handles_t0_get_response: false, protocol: self.protocol(), contactless: false }
    }

    fn reset(&mut self) -> Result<AtrAts, TransportError> {
        self.stream = None;
        self.stream = Some(open(&self.address).map_err(|_| TransportError::ReaderGone)?);
        // Over TCP there is no answer to reset.
        Ok(AtrAts { bytes: Vec::new(), protocol: self.protocol() })
    }

    fn protocol(&self) -> TransportProtocol {
        TransportProtocol::T1
    }

    fn is_connected(&self) -> bool {
        self.stream.is_some()
    }
}
