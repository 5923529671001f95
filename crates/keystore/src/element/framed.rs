//! The host's end of the framed TCP that elements are served on: each APDU, both ways, behind its length in two bytes,
//! big-endian.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a read makes room for before the length of the answer is known.
const FIRST_READ_BYTES: usize = 1_024;

/// A client of an element behind TCP. It connects when it is told to and never by itself, for a connection is a session:
/// in a new one nothing is selected.
#[derive(Debug)]
pub struct FramedTcp {
    address: String,
    answer_timeout: Duration,
    stream: Option<TcpStream>,
}

impl FramedTcp {
    /// A client of the element at `host:port`, which waits for `answer_timeout` before it takes an answer for lost; parts
    /// take seconds to make a key. Nothing is sent yet.
    #[must_use]
    pub fn new(address: &str, answer_timeout: Duration) -> Self {
        Self { address: address.to_owned(), answer_timeout, stream: None }
    }

    /// Where the element is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether there is a connection, as far as the last exchange tells.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Connects, in the place of the connection that there is. When that fails, the old one stays.
    ///
    /// # Errors
    /// What the system says when the name has no address, or nobody answers there within 5 seconds.
    pub fn connect(&mut self) -> io::Result<()> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(self.answer_timeout))?;
                    stream.set_write_timeout(Some(self.answer_timeout))?;
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends one command APDU, once, and waits for its response APDU.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the APDU is too long for a frame, [`ErrorKind::NotConnected`] without a
    /// connection: then nothing was sent. After any other error the connection is gone, since the next answer on it could
    /// be the one to this command; whether the command was carried out is not known.
    pub fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(apdu.len()).map_err(|_| {
            let detail = format!("an APDU of {} bytes does not fit a frame, which holds 65,535", apdu.len());
            io::Error::new(ErrorKind::InvalidInput, detail)
        })?;
        let mut stream = self.stream.take().ok_or(ErrorKind::NotConnected)?;
        let sent = stream.write_all(&[&length.to_be_bytes()[..], apdu].concat());
        let response = sent.and_then(|()| read_frame(&mut stream)).map_err(|error| match error.kind() {
            // The system calls a time that is over by either name.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                let detail = format!("no answer within {:?}", self.answer_timeout);
                io::Error::new(ErrorKind::TimedOut, detail)
            }
            _ => error,
        })?;
        // Only after a whole exchange is the connection known to be in step.
        self.stream = Some(stream);
        Ok(response)
    }
}

/// Reads one frame, most of them by one call to the system.
fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; FIRST_READ_BYTES];
    let mut filled = 0;
    loop {
        match stream.read(frame.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the element closed the connection"));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Gives at most so many bytes by one read.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(buffer.get_mut(..count).unwrap_or_default())
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    #[test]
    fn a_frame_is_read_in_whatever_pieces_it_comes() {
        for length in [0, 1, 2, 1_021, 1_022, 1_023, 65_535] {
            let body: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let bytes = framed(&body);
            for piece in [1, 3, 1_024, 70_000] {
                assert_eq!(read_frame(&mut Slow(&bytes, piece)).unwrap(), body, "{length} by {piece}");
            }
        }
    }

    #[test]
    fn every_truncation_and_anything_behind_is_refused() {
        let bytes = framed(&[7; 40]);
        for end in 0..bytes.len() {
            let error = read_frame(&mut &bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}");
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(read_frame(&mut &more[..]).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn silence_is_an_error_with_the_time_that_was_waited() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut client = FramedTcp::new(&address, Duration::from_millis(20));
        client.connect().unwrap();
        let error = client.exchange(&[0x80, 0x04, 0, 0x20]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::TimedOut, "no answer within 20ms")
        );
        assert!(!client.is_connected());
    }

    #[test]
    fn a_connection_that_failed_is_gone_until_somebody_connects() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = thread::spawn(move || {
            // The first answer is cut off, the second connection is served.
            for answer in [&[0, 2, 0x90][..], &[0, 2, 0x90, 0x00]] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut command = [0; 6];
                stream.read_exact(&mut command).unwrap();
                assert_eq!(command, [0, 4, 0x80, 0x04, 0, 0x20]);
                stream.write_all(answer).unwrap();
            }
        });
        let mut client = FramedTcp::new(&address, Duration::from_secs(10));
        let command = [0x80, 0x04, 0, 0x20];
        assert_eq!(client.exchange(&command).unwrap_err().kind(), ErrorKind::NotConnected);
        client.connect().unwrap();
        assert_eq!(client.exchange(&command).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(!client.is_connected());
        assert_eq!(client.exchange(&command).unwrap_err().kind(), ErrorKind::NotConnected);
        client.connect().unwrap();
        let long = vec![0; 65_536];
        assert_eq!(client.exchange(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(client.is_connected(), "nothing was sent");
        assert_eq!(client.exchange(&command).unwrap(), [0x90, 0x00]);
        serving.join().unwrap();
    }
}
