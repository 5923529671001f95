//! An element on an I²C bus, in frames of T=1 ([`touchmark_identity::t1oi2c`]): over Linux's character devices for such
//! buses, or any other [`Link`].
//!
//! What is tested is the protocol, over a bus in memory with the virtual element on it; the character device has met no
//! chip yet.

mod ffi;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use touchmark_identity::t1oi2c::{Host, Link, LinkError};

use crate::element::Transport;
use crate::store::StoreError;

/// How long a part rests between two looks whether it acknowledges.
const POLL: Duration = Duration::from_millis(1);
/// How often a write is tried: a part that sleeps wakes up by its address.
const MAX_WRITES: u32 = 20;

type Open = Box<dyn FnMut() -> io::Result<Box<dyn Link + Send>> + Send>;

/// An element on a bus. The link is made when it is first needed, and anew after a failure.
pub struct I2cTransport {
    name: String,
    open: Open,
    host: Option<Host<Box<dyn Link + Send>>>,
}

impl std::fmt::Debug for I2cTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("I2cTransport").field("name", &self.name).finish_non_exhaustive()
    }
}

impl I2cTransport {
    /// The element at the usual address ([`ADDRESS`](touchmark_identity::t1oi2c::ADDRESS)) of the bus behind a character
    /// device such as `/dev/i2c-1`; nothing is opened yet.
    #[must_use]
    pub fn device(path: &Path) -> Self {
        let device = path.to_owned();
        Self::over(
            &path.display().to_string(),
            Box::new(move || Ok(Box::new(Device::open(&device)?) as Box<dyn Link + Send>)),
        )
    }

    /// An element on a bus that `open` gives, each time anew.
    #[must_use]
    pub fn over(name: &str, open: Open) -> Self {
        Self { name: name.to_owned(), open, host: None }
    }

    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let mut host = match self.host.take() {
            Some(host) => host,
            None => Host::open((self.open)()?).map_err(into_io)?.0,
        };
        let response = host.transceive(apdu).map_err(into_io)?;
        // Only after a whole exchange are both ends known to be in step.
        self.host = Some(host);
        Ok(response)
    }
}

fn into_io(error: LinkError) -> io::Error {
    match error {
        LinkError::Bus(source) => source,
        other => io::Error::other(other),
    }
}

impl Transport for I2cTransport {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.exchange(apdu)
            .map_err(|source| StoreError::Unreachable { address: format!("the bus {}", self.name), source })
    }
}

/// A bus of Linux.
struct Device(File);

impl Device {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        ffi::set_address(&file, touchmark_identity::t1oi2c::ADDRESS)?;
        Ok(Self(file))
    }
}

/// Whether the bus said that nobody acknowledged: drivers differ in how they say it (Linux, i2c/fault-codes.rst).
fn not_acknowledged(error: &io::Error) -> bool {
    /// ENXIO, EREMOTEIO and EIO.
    const CODES: [i32; 3] = [6, 121, 5];
    error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

impl Link for Device {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match self.0.write(frame) {
                Ok(count) if count == frame.len() => return Ok(()),
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if not_acknowledged(&error) && tries < MAX_WRITES => {
                    tries += 1;
                    thread::sleep(POLL);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8], wait: u16) -> io::Result<()> {
        for _ in 0..=wait {
            match self.0.read(bytes) {
                Ok(count) if count == bytes.len() => return Ok(()),
                Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if not_acknowledged(&error) => thread::sleep(POLL),
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_no_bus_is_an_error_with_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/dev/touchmark-no-such-bus")] {
            let error = I2cTransport::device(path).transmit(&[0, 0xA4, 4, 0]).unwrap_err();
            assert!(
                matches!(&error, StoreError::Unreachable { address, .. }
                    if address.contains(&path.display().to_string())),
                "{error:?}"
            );
        }
    }
}
