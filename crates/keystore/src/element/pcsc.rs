//! An element in a PC/SC reader: through `libpcsclite.so.1`, which is the system's (and speaks to `pcscd`), or the one of
//! this project that hosts the virtual element.

mod ffi;

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use crate::element::Transport;
use crate::store::StoreError;
use ffi::Connection;

/// Under this name the loader looks for the library.
const LIBRARY: &str = "libpcsclite.so.1";

/// An element in a PC/SC reader. The connection is exclusive, for a driver shares its session with nobody. Connects when
/// it first has to, and anew after a failure.
#[derive(Debug)]
pub struct PcscTransport {
    library: PathBuf,
    reader: String,
    connection: Option<Connection>,
}

impl PcscTransport {
    /// The element in the reader of this name; nothing is loaded yet.
    #[must_use]
    pub fn new(reader: &str) -> Self {
        Self::with_library(Path::new(LIBRARY), reader)
    }

    /// The same through another library with the functions of pcsc-lite.
    #[must_use]
    pub fn with_library(library: &Path, reader: &str) -> Self {
        Self { library: library.to_owned(), reader: reader.to_owned(), connection: None }
    }

    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let reader = CString::new(self.reader.as_str()).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidInput, "the reader's name holds a NUL")
                })?;
                Connection::open(&self.library, &reader)?
            }
        };
        let response = connection.transmit(apdu)?;
        // Only after a whole exchange is the connection known to be of use.
        self.connection = Some(connection);
        Ok(response)
    }
}

impl Transport for PcscTransport {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.exchange(apdu).map_err(|source| StoreError::Unreachable {
            address: format!("the PC/SC reader {}", self.reader),
            source,
        })
    }
}
