//! Bytes to a TPM and back: one whole command, one whole response.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use touchmark_identity::tpm::Name;
use zeroize::Zeroizing;

use crate::StoreError;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one command may take. A chip may look for RSA primes for tens of seconds, and a TPM in software serves one
/// connection after the other.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// No command or response is larger than this, in bytes (`TPM_PT_MAX_RESPONSE_SIZE` of PC clients).
pub(super) const MAX_BYTES: usize = 4_096;
/// A Name with SHA-256.
const NAME_BYTES: usize = 34;
/// Tag, size and code.
pub(super) const HEADER_BYTES: usize = 10;

/// Where a TPM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Raw TPM commands over TCP, as swtpm takes them with `--server type=tcp`.
    Tcp(String),
    /// A character device: `/dev/tpmrm0` is the kernel's resource manager.
    Device(String),
}

impl Address {
    /// Reads `HOST:PORT` or an absolute path.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let bad = |detail: &str| StoreError::BadUri {
            uri: text.chars().take(200).collect(),
            detail: detail.to_owned(),
        };
        if text.starts_with('/') {
            return Ok(Self::Device(text.to_owned()));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(bad("write HOST:PORT, or the path of a device such as /dev/tpmrm0"));
        };
        match port.parse::<u16>() {
            Ok(1..) if !host.is_empty() => Ok(Self::Tcp(text.to_owned())),
            _ => Err(bad(
                "the port behind the last colon must be a number from 1 to 65535, the host in front not empty",
            )),
        }
    }

    /// Reads an address as above, behind which `?salt-key=` and the Name of the salt key in hex may follow.
    pub(super) fn parse_pinned(text: &str) -> Result<(Self, Option<Name>), StoreError> {
        let Some((address, settings)) = text.split_once('?') else { return Ok((Self::parse(text)?, None)) };
        let name = settings.strip_prefix("salt-key=").and_then(|digits| hex::decode(digits).ok());
        match name {
            Some(name) if name.len() == NAME_BYTES => Ok((Self::parse(address)?, Some(Name(name)))),
            _ => Err(StoreError::BadUri {
                uri: text.chars().take(200).collect(),
                detail: format!(
                    "behind the question mark stands salt-key= and the name of the TPM's storage primary key, {NAME_BYTES} \
                     bytes in hex"
                ),
            }),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Tcp(text) | Self::Device(text) => text,
        }
    }

    pub(super) fn unreachable(&self, source: io::Error) -> StoreError {
        StoreError::Unreachable { address: self.text().to_owned(), source }
    }

    pub(super) fn connect(&self) -> Result<Transport, StoreError> {
        let opened = match self {
            Self::Tcp(address) => connect_tcp(address).map(Transport::Tcp),
            Self::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(Transport::Device),
        };
        opened.map_err(|source| self.unreachable(source))
    }
}

fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(COMMAND_TIMEOUT))?;
                stream.set_write_timeout(Some(COMMAND_TIMEOUT))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// An open way to a TPM.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Device(File),
}

impl Transport {
    /// Sends one command and waits for its response. The response may hold secrets.
    pub(super) fn exchange(&mut self, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Tcp(stream) => {
                stream.write_all(command)?;
                let mut response = Zeroizing::new(vec![0; HEADER_BYTES]);
                stream.read_exact(&mut response)?;
                let size = declared_size(&response)?;
                response.resize(size, 0);
                let (_, body) = response.split_at_mut(HEADER_BYTES);
                stream.read_exact(body)?;
                Ok(response)
            }
            Self::Device(file) => {
                // The kernel takes a command in one write, gives its response in one read, and has time limits of its
                // own for each command.
                if file.write(command)? != command.len() {
                    return Err(io::Error::new(
                        io::ErrorKind::WriteZero,
                        "the device took part of a command",
                    ));
                }
                let mut response = Zeroizing::new(vec![0; MAX_BYTES]);
                let count = file.read(&mut response)?;
                response.truncate(count);
                if declared_size(&response)? != count {
                    return Err(invalid(format!(
                        "the response's size does not agree with its {count} bytes"
                    )));
                }
                Ok(response)
            }
        }
    }
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

/// The size that a response's header declares, from 10 to 4,096.
fn declared_size(response: &[u8]) -> io::Result<usize> {
    let [_, _, a, b, c, d, ..] = *response else {
        return Err(invalid(format!("a response of {} bytes has no header", response.len())));
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(size) {
        Ok(size) if (HEADER_BYTES..=MAX_BYTES).contains(&size) => Ok(size),
        _ => Err(invalid(format!(
            "a response declares {size} bytes; from {HEADER_BYTES} to {MAX_BYTES} are allowed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("127.0.0.1:2321").unwrap(), Address::Tcp("127.0.0.1:2321".into()));
        assert_eq!(Address::parse("[::1]:2321").unwrap(), Address::Tcp("[::1]:2321".into()));
        assert_eq!(Address::parse("/dev/tpmrm0").unwrap(), Address::Device("/dev/tpmrm0".into()));
        for wrong in ["", "tpm", ":1", "host:", "host:0", "host:65536", "host:-1"] {
            assert!(matches!(Address::parse(wrong), Err(StoreError::BadUri { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_pinned_salt_key_is_read() {
        let digits = format!("000b{}", "5a".repeat(32));
        let (address, name) = Address::parse_pinned(&format!("127.0.0.1:2321?salt-key={digits}")).unwrap();
        assert_eq!(address, Address::Tcp("127.0.0.1:2321".into()));
        assert_eq!(name.unwrap().to_string(), digits);
        assert_eq!(
            Address::parse_pinned("/dev/tpmrm0").unwrap(),
            (Address::Device("/dev/tpmrm0".into()), None)
        );
        for wrong in
            ["/dev/tpmrm0?", "/dev/tpmrm0?salt-key=", "/dev/tpmrm0?salt-key=000b", "/dev/tpmrm0?key=00"]
        {
            assert!(matches!(Address::parse_pinned(wrong), Err(StoreError::BadUri { .. })), "{wrong}");
        }
    }

    #[test]
    fn sizes_outside_the_bounds_are_refused() {
        let header = |size: u32| [&[0x80, 1][..], &size.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(declared_size(&header(10)).unwrap(), 10);
        assert_eq!(declared_size(&header(4_096)).unwrap(), 4_096);
        for wrong in [0, 9, 4_097, u32::MAX] {
            assert!(declared_size(&header(wrong)).is_err(), "{wrong}");
        }
        assert!(declared_size(&[0x80, 1, 0, 0, 0]).is_err());
    }
}
