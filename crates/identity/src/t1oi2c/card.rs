//! The part's end of the link.

use super::{Atr, Block, FrameError, MAX_INFORMATION_BYTES, Reception, Supervision, TO_ELEMENT, TO_HOST};

/// A chain of more bytes than an extended APDU has is aborted.
const MAX_COMMAND_BYTES: usize = 4 + 3 + 65_535 + 3;

/// What a frame from the host leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This frame goes to the host.
    Send(Vec<u8>),
    /// A whole command is there; [`Card::answer`] has the frame for its response.
    Command(Vec<u8>),
    /// What was selected is not any more; then this frame goes to the host.
    Reset(Vec<u8>),
    /// The host gave the time that [`Card::ask_for_time`] asked for.
    Granted,
}

/// The part's end of the link: what it expects next, and what it sent last.
#[derive(Debug, Clone)]
pub struct Card {
    atr: Vec<u8>,
    /// N(S) of the next piece to the host, and of the next piece from it.
    to_host: bool,
    from_host: bool,
    incoming: Vec<u8>,
    /// What is left of a response.
    outgoing: Vec<u8>,
    /// The last piece of a response and its number, until the host sends its next command.
    last: Option<(bool, Vec<u8>)>,
}

impl Card {
    /// The end of a part with this answer to reset.
    #[must_use]
    pub fn new(atr: &Atr) -> Self {
        Self {
            atr: atr.encode(),
            to_host: false,
            from_host: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            last: None,
        }
    }

    /// What a frame from the host leads to. A damaged frame is answered with the request to send it again.
    pub fn receive(&mut self, frame: &[u8]) -> Step {
        match Block::parse(TO_ELEMENT, frame) {
            Ok(Block::Information { sequence, more, data }) => self.piece(sequence, more, &data),
            Ok(Block::Receive { expected, reception }) => self.acknowledged(expected, reception),
            Ok(Block::Supervisory { kind: Supervision::MoreTime, answer: true, .. }) => Step::Granted,
            Ok(Block::Supervisory { answer: true, .. }) => self.again(Reception::Bad),
            Ok(Block::Supervisory { kind, data, .. }) => self.supervised(kind, data),
            Err(FrameError::Checksum { .. }) => self.again(Reception::BadChecksum),
            Err(_) => self.again(Reception::Bad),
        }
    }

    /// The first frame of a response.
    pub fn answer(&mut self, response: &[u8]) -> Vec<u8> {
        self.outgoing = response.to_vec();
        self.next_piece()
    }

    /// A frame that asks the host for more time: so many times the waiting time.
    #[must_use]
    pub fn ask_for_time(times: u8) -> Vec<u8> {
        let more = Block::Supervisory { kind: Supervision::MoreTime, answer: false, data: vec![times] };
        more.encode(TO_HOST)
    }

    fn piece(&mut self, sequence: bool, more: bool, data: &[u8]) -> Step {
        if sequence != self.from_host {
            return self.again(Reception::Good);
        }
        if self.incoming.len().saturating_add(data.len()) > MAX_COMMAND_BYTES {
            self.incoming.clear();
            return self.again(Reception::Bad);
        }
        self.from_host = !self.from_host;
        self.incoming.extend(data);
        self.outgoing.clear();
        self.last = None;
        if more { self.again(Reception::Good) } else { Step::Command(std::mem::take(&mut self.incoming)) }
    }

    /// The host expects a piece, or did not get the last frame (ISO/IEC 7816-3 §11.6.3). A host that reports damage
    /// gets the last piece again, whatever number it expects.
    fn acknowledged(&mut self, expected: bool, reception: Reception) -> Step {
        match &self.last {
            Some((sequence, frame)) if *sequence == expected || reception != Reception::Good => {
                Step::Send(frame.clone())
            }
            Some(_) if !self.outgoing.is_empty() => Step::Send(self.next_piece()),
            // All that was sent arrived: what is lost is a piece from the host, or that it arrived.
            _ => self.again(Reception::Good),
        }
    }

    fn supervised(&mut self, kind: Supervision, data: Vec<u8>) -> Step {
        let (atr, data) = match kind {
            Supervision::InterfaceReset | Supervision::AnswerToReset => (true, data),
            _ => (false, data),
        };
        let data = if atr { self.atr.clone() } else { data };
        let frame = Block::Supervisory { kind, answer: true, data }.encode(TO_HOST);
        match kind {
            Supervision::Resynchronise | Supervision::Abort => self.forget(),
            Supervision::InterfaceReset | Supervision::ChipReset | Supervision::EndOfSession => {
                self.forget();
                return Step::Reset(frame);
            }
            _ => {}
        }
        Step::Send(frame)
    }

    fn forget(&mut self) {
        (self.to_host, self.from_host, self.last) = (false, false, None);
        self.incoming.clear();
        self.outgoing.clear();
    }

    /// Says which piece is expected next.
    fn again(&self, reception: Reception) -> Step {
        Step::Send(Block::Receive { expected: self.from_host, reception }.encode(TO_HOST))
    }

    fn next_piece(&mut self) -> Vec<u8> {
        let rest = self.outgoing.split_off(self.outgoing.len().min(MAX_INFORMATION_BYTES));
        let data = std::mem::replace(&mut self.outgoing, rest);
        let block = Block::Information { sequence: self.to_host, more: !self.outgoing.is_empty(), data };
        let frame = block.encode(TO_HOST);
        self.last = Some((self.to_host, frame.clone()));
        self.to_host = !self.to_host;
        frame
    }
}
