//! Frames behind their length in two bytes, big-endian: one read for as many as have come, one write for the answers.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

/// How long a wait for bytes or connections may hide that the server was told to stop.
pub(crate) const POLL: Duration = Duration::from_millis(50);
/// How often a started frame may time out before its connection is closed: 10 s.
pub(crate) const FRAME_POLLS: u32 = 200;
/// Two bytes, and as many as they can announce.
const BUFFER_BYTES: usize = 2 + 65_535;
/// Answers that wait for each other are written out from here on.
pub(crate) const WRITE_BYTES: usize = 65_536;

/// What came from a peer and is not handled yet.
pub(crate) struct Frames {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let (length, rest) = self.buffer.get(self.start..self.end)?.split_first_chunk::<2>()?;
        let frame = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        self.start += 2 + frame.len();
        Some(frame)
    }

    /// Reads what has come, at least one byte; `prepare` is called before each read. `false` when the peer is gone
    /// between frames, or the server stops.
    pub(crate) fn read(
        &mut self,
        stream: &mut TcpStream,
        over: &dyn Fn() -> bool,
        prepare: fn(&TcpStream) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let mut polls = 0;
        // Also between frames of a peer that never pauses.
        while !over() {
            prepare(stream)?;
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match stream.read(room) {
                Ok(0) if self.end == 0 => return Ok(false),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    polls += u32::from(self.end > 0);
                    if polls > FRAME_POLLS {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Makes a connection ready: answers leave at once, and no wait is endless.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))
}

/// Appends a frame.
pub(crate) fn push(frames: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    frames.extend(length.to_be_bytes());
    frames.extend(bytes);
    Ok(())
}
