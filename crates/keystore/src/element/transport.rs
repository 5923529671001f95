//! How APDUs get to the element and back.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::framed::FramedTcp;
use crate::store::StoreError;

/// How long an answer may take. Chips take up to seconds to generate a key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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

/// An element behind TCP, by [`FramedTcp`]. Connects when it first has to, and anew after a failure.
#[derive(Debug)]
pub struct TcpTransport(FramedTcp);

impl TcpTransport {
    /// An element at `host:port`; nothing is sent yet.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self(FramedTcp::new(address, ANSWER_TIMEOUT))
    }

    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        if !self.0.is_connected() {
            self.0.connect()?;
        }
        self.0.exchange(apdu)
    }
}

impl Transport for TcpTransport {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.exchange(apdu).map_err(|source| {
            let address = self.0.address().to_owned();
            StoreError::Unreachable { address, source }
        })
    }
}
