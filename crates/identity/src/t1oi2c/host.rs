//! The host's end of the link.

use std::io::{self, ErrorKind};

use super::{
    Atr, Block, CRC_BYTES, FrameError, HEADER_BYTES, MAX_INFORMATION_BYTES, Reception, Supervision,
    TO_ELEMENT, TO_HOST,
};

/// How often a frame is asked for again before the link is made anew.
const MAX_REPEATS: u32 = 3;
/// How often a part may ask for more time over one command: at a second each, longer than any command takes.
const MAX_EXTENSIONS: u32 = 120;
/// A response of more bytes than an extended APDU has is refused.
const MAX_RESPONSE_BYTES: usize = 65_536 + 2;
/// The waiting time of a part that has not said its own, in milliseconds.
const DEFAULT_WAITING_TIME: u16 = 1_000;

/// The bus under the host's end. It knows the time, which the state machine does not.
pub trait Link {
    /// Writes one whole frame.
    ///
    /// # Errors
    /// What the bus said.
    fn write(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Reads so many bytes of the frame that the part has ready. At the beginning of a frame it polls, at most `wait`
    /// milliseconds.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when the part has no frame ready in time; otherwise what the bus said.
    fn read(&mut self, bytes: &mut [u8], wait: u16) -> io::Result<()>;
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        (**self).write(frame)
    }

    fn read(&mut self, bytes: &mut [u8], wait: u16) -> io::Result<()> {
        (**self).read(bytes, wait)
    }
}

/// Why a command was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The bus failed, or nobody answers there.
    #[error("the bus does not carry frames")]
    Bus(#[source] io::Error),
    /// Frames were damaged too often; the link was made anew, and whether the command was carried out is not known.
    #[error("frames were damaged or lost {repeats} times in a row; the link was made anew")]
    Damaged {
        /// How often.
        repeats: u32,
    },
    /// The part does not keep to the protocol.
    #[error("the part sent {what}")]
    Protocol {
        /// What it sent.
        what: &'static str,
    },
}

/// The host's end of the link: a bus, and what is expected next.
#[derive(Debug)]
pub struct Host<L> {
    link: L,
    to_element: bool,
    from_element: bool,
    /// Whether the part counts as this end does. After a failure nobody knows, and one bit would be right half of the time.
    in_step: bool,
    /// The most bytes in a frame to the part, and how long it may take to answer, in milliseconds.
    piece_bytes: usize,
    waiting_time: u16,
}

enum Arrived {
    Block(Block),
    Damaged(Reception),
    Nothing,
}

impl<L: Link> Host<L> {
    /// Makes the link anew: sequence numbers and interface; the part forgets what was selected, and says what it is.
    ///
    /// # Errors
    /// [`LinkError`] when nobody answers, or not in this protocol.
    pub fn open(link: L) -> Result<(Self, Atr), LinkError> {
        let mut host = Self {
            link,
            to_element: false,
            from_element: false,
            in_step: false,
            piece_bytes: MAX_INFORMATION_BYTES,
            waiting_time: DEFAULT_WAITING_TIME,
        };
        host.supervise(Supervision::Resynchronise)?;
        let atr = host.supervise(Supervision::InterfaceReset)?;
        let atr = Atr::parse(&atr).ok_or(LinkError::Protocol { what: "another answer to reset" })?;
        host.piece_bytes = usize::from(atr.information_bytes).clamp(1, MAX_INFORMATION_BYTES);
        host.waiting_time = atr.waiting_time.max(1);
        Ok((host, atr))
    }

    /// Sends one command APDU and waits for its response APDU.
    ///
    /// # Errors
    /// [`LinkError`]; the command is not sent a second time as a whole, and whether it was carried out is not known.
    pub fn transceive(&mut self, command: &[u8]) -> Result<Vec<u8>, LinkError> {
        if !self.in_step {
            self.supervise(Supervision::Resynchronise)?;
        }
        self.in_step = false;
        let response = self.exchange(command)?;
        self.in_step = true;
        Ok(response)
    }

    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut pieces = command.chunks(self.piece_bytes).peekable();
        let mut piece = self.piece(pieces.next().unwrap_or_default(), pieces.peek().is_some());
        let mut response = Vec::new();
        let (mut repeats, mut extensions) = (0, 0);
        self.send(&piece)?;
        loop {
            let next = match self.arrive()? {
                Arrived::Nothing => self.ready(Reception::Good),
                Arrived::Damaged(reception) => self.ready(reception),
                Arrived::Block(Block::Receive { expected, reception }) => {
                    let taken = expected != self.to_element && reception == Reception::Good;
                    if taken && pieces.peek().is_some() {
                        self.to_element = !self.to_element;
                        let data = pieces.next().unwrap_or_default();
                        piece = self.piece(data, pieces.peek().is_some());
                        repeats = 0;
                        self.send(&piece)?;
                        continue;
                    }
                    // Nothing but a response is left to wait for where the last piece was taken.
                    if taken { self.ready(Reception::Good) } else { piece.clone() }
                }
                Arrived::Block(Block::Information { sequence, more, data }) if pieces.peek().is_none() => {
                    if sequence == self.from_element {
                        self.from_element = !self.from_element;
                        repeats = 0;
                        response.extend(data);
                        if response.len() > MAX_RESPONSE_BYTES {
                            self.supervise(Supervision::Resynchronise)?;
                            return Err(LinkError::Protocol { what: "a response without an end" });
                        }
                        if !more {
                            self.to_element = !self.to_element;
                            return Ok(response);
                        }
                        self.send(&self.ready(Reception::Good))?;
                        continue;
                    }
                    self.ready(Reception::Good)
                }
                Arrived::Block(Block::Supervisory {
                    kind: Supervision::MoreTime,
                    answer: false,
                    data,
                    ..
                }) => {
                    extensions += 1;
                    if extensions > MAX_EXTENSIONS {
                        self.supervise(Supervision::Resynchronise)?;
                        return Err(LinkError::Protocol { what: "requests for time without an end" });
                    }
                    self.send(&Block::Supervisory { kind: Supervision::MoreTime, answer: true, data })?;
                    continue;
                }
                Arrived::Block(_) => self.ready(Reception::Bad),
            };
            repeats += 1;
            if repeats > MAX_REPEATS {
                self.supervise(Supervision::Resynchronise)?;
                return Err(LinkError::Damaged { repeats: MAX_REPEATS });
            }
            self.send(&next)?;
        }
    }

    /// Tells the part that no more commands come.
    ///
    /// # Errors
    /// As for [`Host::open`].
    pub fn close(mut self) -> Result<L, LinkError> {
        self.supervise(Supervision::EndOfSession)?;
        Ok(self.link)
    }

    fn piece(&self, data: &[u8], more: bool) -> Block {
        Block::Information { sequence: self.to_element, more, data: data.to_vec() }
    }

    fn ready(&self, reception: Reception) -> Block {
        Block::Receive { expected: self.from_element, reception }
    }

    fn send(&mut self, block: &Block) -> Result<(), LinkError> {
        self.link.write(&block.encode(TO_ELEMENT)).map_err(LinkError::Bus)
    }

    /// Asks until it is answered, and gives what the answer carries.
    fn supervise(&mut self, kind: Supervision) -> Result<Vec<u8>, LinkError> {
        let ask = Block::Supervisory { kind, answer: false, data: Vec::new() };
        for _ in 0..=MAX_REPEATS {
            self.send(&ask)?;
            if let Arrived::Block(Block::Supervisory { kind: answered, answer: true, data }) =
                self.arrive()?
                && answered == kind
            {
                (self.to_element, self.from_element, self.in_step) = (false, false, true);
                return Ok(data);
            }
        }
        let nobody = io::Error::new(ErrorKind::TimedOut, "no answer to a supervisory block");
        Err(LinkError::Bus(nobody))
    }

    /// Reads the header, then what it announces.
    fn arrive(&mut self) -> Result<Arrived, LinkError> {
        let mut frame = vec![0; HEADER_BYTES];
        match self.link.read(&mut frame, self.waiting_time) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Arrived::Nothing),
            Err(error) => return Err(LinkError::Bus(error)),
        }
        let length = frame.last().map_or(0, |length| usize::from(*length));
        if length > MAX_INFORMATION_BYTES {
            return Ok(Arrived::Damaged(Reception::Bad));
        }
        let mut rest = vec![0; length + CRC_BYTES];
        match self.link.read(&mut rest, self.waiting_time) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Arrived::Damaged(Reception::Bad)),
            Err(error) => return Err(LinkError::Bus(error)),
        }
        frame.extend(rest);
        Ok(match Block::parse(TO_HOST, &frame) {
            Ok(block) => Arrived::Block(block),
            Err(FrameError::Checksum { .. }) => Arrived::Damaged(Reception::BadChecksum),
            Err(_) => Arrived::Damaged(Reception::Bad),
        })
    }
}
