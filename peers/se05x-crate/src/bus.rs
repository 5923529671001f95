//! An I2C bus whose writes and reads go over TCP, as `touchmark element run --t1` takes them: a byte (00 write, 01
//! read) and a length in two bytes, big-endian, then what is written; answered by a length and as many bytes, which for
//! a write are none. The length FFFF says that the part did not acknowledge.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use se05x::embedded_hal::Hal10;
use se05x::se05x::Se05X;
use se05x::t1::I2CErrorNack;

/// The driver over this bus.
pub type Driver = Se05X<Hal10<Bus>, Hal10<Wait>>;

/// The part's address on a bus.
const PART: u8 = 0x48;

/// A bus.
pub struct Bus(TcpStream);

/// Waits as told; the driver polls.
pub struct Wait;

/// What may happen on the bus.
#[derive(Debug)]
pub enum BusError {
    /// The part did not acknowledge its address: it is not ready.
    NotAcknowledged,
    /// The connection broke.
    Broken,
}

impl Bus {
    /// Connects.
    pub fn connect(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
        Ok(Self(stream))
    }

    /// The driver.
    pub fn driver(self) -> Driver {
        Se05X::new_hal_10(self, PART, Wait)
    }

    fn exchange(&mut self, kind: u8, length: usize, data: &[u8], answer: &mut [u8]) -> Result<(), BusError> {
        let length = u16::try_from(length).map_err(|_| BusError::Broken)?;
        let message = [&[kind][..], &length.to_be_bytes(), data].concat();
        self.0.write_all(&message).map_err(|_| BusError::Broken)?;
        let mut length = [0; 2];
        self.0.read_exact(&mut length).map_err(|_| BusError::Broken)?;
        match u16::from_be_bytes(length) {
            0xFFFF => Err(BusError::NotAcknowledged),
            length if usize::from(length) == answer.len() => {
                self.0.read_exact(answer).map_err(|_| BusError::Broken)
            }
            _ => Err(BusError::Broken),
        }
    }
}

impl I2CErrorNack for BusError {
    fn is_address_nack(&self) -> bool {
        matches!(self, Self::NotAcknowledged)
    }

    fn is_data_nack(&self) -> bool {
        false
    }
}

impl embedded_hal::i2c::Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAcknowledged => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            Self::Broken => ErrorKind::Bus,
        }
    }
}

impl ErrorType for Bus {
    type Error = BusError;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        if address != PART {
            return Err(BusError::NotAcknowledged);
        }
        for operation in operations {
            match operation {
                Operation::Write(bytes) => self.exchange(0x00, bytes.len(), bytes, &mut [])?,
                Operation::Read(bytes) => self.exchange(0x01, bytes.len(), &[], bytes)?,
            }
        }
        Ok(())
    }
}

impl DelayNs for Wait {
    fn delay_ns(&mut self, nanoseconds: u32) {
        std::thread::sleep(Duration::from_nanos(nanoseconds.into()));
    }
}
