//! What the functions do, without pointers: contexts, connections, transactions, and one reader with one card.
//!
//! Two locks: the state, then the card. An APDU holds the card alone, so that a long one stops neither status nor
//! cancellation.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use touchmark_element::ATR;

use crate::card::{Card, Home};
use crate::codes::{Code, card_state, protocol, reader_state};

/// The reader's name.
pub(crate) const READER: &str = "Touchmark TEST element";
/// Whoever waits for readers to come and go names this one.
const PLUG_AND_PLAY: &str = r"\\?PnP?\Notification";
/// How often a wait looks whether the card has come or gone.
const POLL: Duration = Duration::from_millis(100);
/// SCARD_CTL_CODE(3400): which features the reader has (PC/SC part 10 §2.2).
const GET_FEATURE_REQUEST: u64 = 0x4200_0000 + 3400;
/// SCARD_CTL_CODE(1): the reader's properties; a number of our own, which the list of features names.
const GET_PROPERTIES: u32 = 0x4200_0001;
/// FEATURE_GET_TLV_PROPERTIES (PC/SC part 10 §2.3).
const FEATURE_GET_TLV_PROPERTIES: u8 = 0x12;
/// dwMaxAPDUDataSize, 4 bytes, little-endian (PC/SC part 10 §2.6.14): extended APDUs pass.
const MAX_APDU_DATA_SIZE: [u8; 6] = [0x0A, 4, 0x00, 0x00, 0x01, 0x00];

/// How a connection shares the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Alone.
    Exclusive,
    /// With others.
    Shared,
    /// With the reader, card or no card; alone.
    Direct,
}

impl Share {
    pub(crate) fn parse(mode: u64) -> Result<Self, Code> {
        match mode {
            1 => Ok(Self::Exclusive),
            2 => Ok(Self::Shared),
            3 => Ok(Self::Direct),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

/// What happens to the card at the end of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Nothing.
    Leave,
    /// A reset.
    Reset,
    /// Its power goes, and comes back; there is no slot that could eject.
    Unpower,
}

impl Disposition {
    pub(crate) fn parse(value: u64) -> Result<Self, Code> {
        match value {
            0 => Ok(Self::Leave),
            1 => Ok(Self::Reset),
            2 | 3 => Ok(Self::Unpower),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

/// What SCardStatus tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Bits of [`card_state`], and the event counter in the high word.
    pub(crate) state: u32,
    /// The protocol in use, or 0.
    pub(crate) protocol: u32,
    /// Whether a card is there to give its answer to reset.
    pub(crate) present: bool,
}

/// What SCardGetStatusChange asks about one reader, and is told.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// The reader; `None` when the name was null or no text.
    pub(crate) reader: Option<String>,
    /// What the caller knows.
    pub(crate) current: u32,
    /// What is.
    pub(crate) event: u32,
    /// Whether a card is there to give its answer to reset.
    pub(crate) present: bool,
}

#[derive(Debug, Default)]
struct Context {
    waiting: usize,
    cancelled: bool,
}

#[derive(Debug)]
struct Connection {
    context: i64,
    share: Share,
    protocol: u32,
    /// The resets that it knows of.
    resets: u64,
}

#[derive(Debug, Default)]
struct State {
    contexts: BTreeMap<i64, Context>,
    connections: BTreeMap<i64, Connection>,
    /// Contexts and connections share one row of numbers, none of which comes twice.
    last: i64,
    resets: u64,
    /// Whose transaction it is, and how many deep.
    transaction: Option<(i64, u32)>,
    /// Whether a card was there at the last look, and how often that changed.
    present: bool,
    events: u16,
}

impl State {
    fn number(&mut self) -> i64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn connection(&self, handle: i64) -> Result<&Connection, Code> {
        self.connections.get(&handle).ok_or(Code::INVALID_HANDLE)
    }

    /// A connection that may speak to the card now.
    fn speaker(&self, handle: i64) -> Result<&Connection, Code> {
        let connection = self.connection(handle)?;
        if connection.resets != self.resets {
            return Err(Code::RESET_CARD);
        }
        match self.transaction {
            Some((owner, _)) if owner != handle => Err(Code::SHARING_VIOLATION),
            _ => Ok(connection),
        }
    }

    /// Whether the card can be shared so with everybody but `except`.
    fn can_share(&self, share: Share, except: Option<i64>) -> bool {
        let mut others = self.connections.iter().filter(|(handle, _)| Some(**handle) != except);
        match share {
            Share::Shared => others.all(|(_, other)| other.share == Share::Shared),
            Share::Exclusive | Share::Direct => others.next().is_none(),
        }
    }

    fn look(&mut self, home: &Home) {
        let present = home.holds_card();
        if present != self.present {
            self.present = present;
            self.events = self.events.wrapping_add(1);
        }
    }

    fn reader_state(&self) -> u32 {
        let card = if self.present { reader_state::PRESENT } else { reader_state::EMPTY };
        let shares = self.connections.values().map(|connection| match connection.share {
            Share::Shared | Share::Direct => reader_state::IN_USE,
            Share::Exclusive => reader_state::IN_USE | reader_state::EXCLUSIVE,
        });
        shares.fold(card, |all, one| all | one)
    }

    /// Fills in one watch; whether it tells something new.
    fn watch(&self, watch: &mut Watch) -> bool {
        let counter = u32::from(self.events) << 16;
        if watch.current & reader_state::IGNORE != 0 {
            watch.event = reader_state::IGNORE;
            return false;
        }
        if watch.reader.as_deref() == Some(PLUG_AND_PLAY) {
            watch.event = watch.current & !reader_state::CHANGED;
            return false;
        }
        let state = self.reader_state();
        let known = watch.current & 0xFFFF & !reader_state::CHANGED;
        let counted = watch.current & 0xFFFF_0000;
        let changed =
            watch.current == reader_state::UNAWARE || known != state || (counted != 0 && counted != counter);
        watch.present = self.present;
        watch.event = counter | state | if changed { reader_state::CHANGED } else { 0 };
        changed
    }
}

/// The library's one instance is made from the environment; tests make their own.
pub(crate) struct Library {
    home: Option<Home>,
    state: Mutex<State>,
    changed: Condvar,
    card: Mutex<Option<Card>>,
}

impl Library {
    pub(crate) fn new(home: Option<Home>) -> Self {
        Self { home, state: Mutex::default(), changed: Condvar::new(), card: Mutex::default() }
    }

    fn home(&self) -> Result<&Home, Code> {
        self.home.as_ref().ok_or(Code::NO_SERVICE)
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, Code> {
        self.state.lock().map_err(|_| Code::INTERNAL_ERROR)
    }

    fn card(&self) -> Result<MutexGuard<'_, Option<Card>>, Code> {
        self.card.lock().map_err(|_| Code::INTERNAL_ERROR)
    }

    /// Gives the card power, unless it has it.
    fn power(&self, home: &Home) -> Result<(), Code> {
        let mut card = self.card()?;
        if card.is_none() {
            *card = Some(home.power_on()?);
        }
        Ok(())
    }

    pub(crate) fn establish(&self) -> Result<i64, Code> {
        let home = self.home()?;
        let mut state = self.state()?;
        if state.last == 0 {
            state.present = home.holds_card();
        }
        let number = state.number();
        state.contexts.insert(number, Context::default());
        Ok(number)
    }

    /// Ends a context and what it is connected to.
    pub(crate) fn release(&self, context: i64) -> Result<(), Code> {
        let handles: Vec<i64> = {
            let mut state = self.state()?;
            state.contexts.remove(&context).ok_or(Code::INVALID_HANDLE)?;
            let connections = state.connections.iter();
            connections.filter(|(_, one)| one.context == context).map(|(handle, _)| *handle).collect()
        };
        for handle in handles {
            self.disconnect(handle, Disposition::Reset)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    pub(crate) fn is_valid(&self, context: i64) -> Result<(), Code> {
        self.state()?.contexts.get(&context).map(drop).ok_or(Code::INVALID_HANDLE)
    }

    /// Gives the handle and the protocol.
    pub(crate) fn connect(
        &self,
        context: i64,
        reader: &str,
        share: Share,
        protocols: u64,
    ) -> Result<(i64, u32), Code> {
        let home = self.home()?;
        let mut state = self.state()?;
        if !state.contexts.contains_key(&context) {
            return Err(Code::INVALID_HANDLE);
        }
        if reader != READER {
            return Err(Code::UNKNOWN_READER);
        }
        let protocol = choose(share, protocols)?;
        state.look(home);
        if !state.can_share(share, None) {
            return Err(Code::SHARING_VIOLATION);
        }
        if share != Share::Direct {
            self.power(home)?;
        }
        let handle = state.number();
        let resets = state.resets;
        state.connections.insert(handle, Connection { context, share, protocol, resets });
        self.changed.notify_all();
        Ok((handle, protocol))
    }

    /// Gives the protocol. The card has power afterwards.
    pub(crate) fn reconnect(
        &self,
        handle: i64,
        share: Share,
        protocols: u64,
        before: Disposition,
    ) -> Result<u32, Code> {
        let home = self.home()?;
        let mut state = self.state()?;
        state.connection(handle)?;
        if matches!(state.transaction, Some((owner, _)) if owner != handle) {
            return Err(Code::SHARING_VIOLATION);
        }
        let protocol = choose(share, protocols)?;
        if !state.can_share(share, Some(handle)) {
            return Err(Code::SHARING_VIOLATION);
        }
        self.dispose(&mut state, before)?;
        if share != Share::Direct {
            self.power(home)?;
        }
        let resets = state.resets;
        if let Some(connection) = state.connections.get_mut(&handle) {
            (connection.share, connection.protocol, connection.resets) = (share, protocol, resets);
        }
        self.changed.notify_all();
        Ok(protocol)
    }

    /// With the last connection goes the card's power.
    pub(crate) fn disconnect(&self, handle: i64, after: Disposition) -> Result<(), Code> {
        let mut state = self.state()?;
        state.connections.remove(&handle).ok_or(Code::INVALID_HANDLE)?;
        // Nobody resets the card in the middle of another's transaction.
        let after = match state.transaction {
            Some((owner, _)) if owner != handle => Disposition::Leave,
            _ => after,
        };
        state.transaction = state.transaction.filter(|(owner, _)| *owner != handle);
        if state.connections.is_empty() {
            *self.card()? = None;
        } else {
            self.dispose(&mut state, after)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Does to the card what a disposition says, and lets the connections know.
    fn dispose(&self, state: &mut State, disposition: Disposition) -> Result<(), Code> {
        let mut card = self.card()?;
        match disposition {
            Disposition::Leave => return Ok(()),
            Disposition::Reset => {
                if let Some(card) = card.as_mut() {
                    card.reset()?;
                }
            }
            Disposition::Unpower => {
                if card.take().is_some() {
                    *card = Some(self.home()?.power_on()?);
                }
            }
        }
        state.resets = state.resets.saturating_add(1);
        Ok(())
    }

    /// Waits until the card is free, then takes it for one connection.
    pub(crate) fn begin(&self, handle: i64) -> Result<(), Code> {
        let mut state = self.state()?;
        loop {
            match state.speaker(handle) {
                Ok(_) => {
                    let depth = state.transaction.map_or(0, |(_, depth)| depth);
                    state.transaction = Some((handle, depth.saturating_add(1)));
                    return Ok(());
                }
                Err(Code::SHARING_VIOLATION) => {
                    state = self.changed.wait(state).map_err(|_| Code::INTERNAL_ERROR)?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    pub(crate) fn end(&self, handle: i64, after: Disposition) -> Result<(), Code> {
        let mut state = self.state()?;
        state.connection(handle)?;
        match state.transaction {
            Some((owner, depth)) if owner == handle => {
                state.transaction = depth.checked_sub(1).filter(|left| *left > 0).map(|left| (owner, left));
            }
            Some(_) => return Err(Code::SHARING_VIOLATION),
            None => return Err(Code::NOT_TRANSACTED),
        }
        self.dispose(&mut state, after)?;
        self.changed.notify_all();
        Ok(())
    }

    pub(crate) fn transmit(&self, handle: i64, apdu: &[u8]) -> Result<Vec<u8>, Code> {
        if self.state()?.speaker(handle)?.protocol == 0 {
            return Err(Code::PROTO_MISMATCH);
        }
        let mut card = self.card()?;
        let answer = card.as_mut().ok_or(Code::UNPOWERED_CARD)?.transmit(apdu);
        if answer.is_err() {
            // It answers nothing any more; a reconnection gives it power again.
            *card = None;
        }
        answer
    }

    pub(crate) fn status(&self, handle: i64) -> Result<Status, Code> {
        let home = self.home()?;
        let mut state = self.state()?;
        state.look(home);
        let connection = state.connection(handle)?;
        let bits = match (state.present, connection.protocol) {
            (false, _) => card_state::ABSENT,
            (true, 0) => card_state::PRESENT | card_state::POWERED | card_state::NEGOTIABLE,
            (true, _) => card_state::PRESENT | card_state::POWERED | card_state::SPECIFIC,
        };
        let state_word = u32::from(state.events) << 16 | bits;
        Ok(Status { state: state_word, protocol: connection.protocol, present: state.present })
    }

    /// Waits until a watched reader differs from what the caller knows. `None` waits for ever.
    pub(crate) fn wait(
        &self,
        context: i64,
        timeout: Option<Duration>,
        watches: &mut [Watch],
    ) -> Result<(), Code> {
        let home = self.home()?;
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state()?;
        state.contexts.get_mut(&context).ok_or(Code::INVALID_HANDLE)?.waiting += 1;
        let outcome = loop {
            match state.contexts.get_mut(&context) {
                None => return Err(Code::CANCELLED),
                Some(context) if context.cancelled => break Err(Code::CANCELLED),
                Some(_) => {}
            }
            state.look(home);
            let known = |watch: &Watch| {
                matches!(watch.reader.as_deref(), Some(READER | PLUG_AND_PLAY))
                    || watch.current & reader_state::IGNORE != 0
            };
            if watches.iter().any(|watch| watch.reader.is_none()) {
                break Err(Code::INVALID_VALUE);
            }
            if !watches.iter().all(known) {
                let unknown = watches.iter_mut().filter(|watch| !known(watch));
                unknown.for_each(|watch| watch.event = reader_state::UNKNOWN | reader_state::CHANGED);
                break Err(Code::UNKNOWN_READER);
            }
            let mut changed = false;
            for watch in watches.iter_mut() {
                changed |= state.watch(watch);
            }
            if changed || watches.iter().all(|watch| watch.current & reader_state::IGNORE != 0) {
                break Ok(());
            }
            let left = until.map_or(POLL, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break Err(Code::TIMEOUT);
            }
            state = match self.changed.wait_timeout(state, left.min(POLL)) {
                Ok((state, _)) => state,
                Err(_) => return Err(Code::INTERNAL_ERROR),
            };
        };
        if let Some(context) = state.contexts.get_mut(&context) {
            context.waiting = context.waiting.saturating_sub(1);
            context.cancelled &= context.waiting > 0;
        }
        outcome
    }

    /// Ends the waits of a context; without any, nothing happens.
    pub(crate) fn cancel(&self, context: i64) -> Result<(), Code> {
        let mut state = self.state()?;
        let context = state.contexts.get_mut(&context).ok_or(Code::INVALID_HANDLE)?;
        context.cancelled = context.waiting > 0;
        self.changed.notify_all();
        Ok(())
    }

    pub(crate) fn control(&self, handle: i64, code: u64) -> Result<Vec<u8>, Code> {
        self.state()?.connection(handle)?;
        match code {
            GET_FEATURE_REQUEST => {
                Ok([&[FEATURE_GET_TLV_PROPERTIES, 4][..], &GET_PROPERTIES.to_be_bytes()].concat())
            }
            code if code == u64::from(GET_PROPERTIES) => Ok(MAX_APDU_DATA_SIZE.to_vec()),
            _ => Err(Code::UNSUPPORTED_FEATURE),
        }
    }

    /// Attributes as `reader.h` numbers them; numbers are little-endian.
    pub(crate) fn attribute(&self, handle: i64, id: u64) -> Result<Vec<u8>, Code> {
        let present = self.status(handle)?.present;
        let text = |text: &str| [text.as_bytes(), b"\0"].concat();
        match id {
            // Vendor's name, model, version, serial number.
            0x0001_0100 => Ok(text("Touchmark")),
            0x0001_0101 => Ok(text("TEST element")),
            0x0001_0102 => Ok(vec![0, 0, 1, 0]),
            0x0001_0103 => Ok(text("TEST")),
            // Channel, whether a card is there, whether it has its contacts, of which kind it is.
            0x0002_0110 => Ok(vec![0; 4]),
            0x0009_0300 | 0x0009_0301 => Ok(vec![if present { 2 } else { 0 }]),
            0x0009_0304 => Ok(vec![0]),
            0x0009_0303 if present => Ok(ATR.to_vec()),
            0x0009_0303 => Err(Code::NO_SMARTCARD),
            // The reader's names for people and for programs.
            0x7FFF_0003 | 0x7FFF_0004 => Ok(text(READER)),
            _ => Err(Code::UNSUPPORTED_FEATURE),
        }
    }
}

/// The protocol for a connection: T=1, or none for one with the reader alone.
fn choose(share: Share, protocols: u64) -> Result<u32, Code> {
    let has = |protocol: u32| protocols & u64::from(protocol) != 0;
    match share {
        Share::Direct => Ok(0),
        _ if has(protocol::T1) => Ok(protocol::T1),
        _ if has(protocol::T0) || has(protocol::RAW) => Err(Code::PROTO_MISMATCH),
        _ => Err(Code::INVALID_VALUE),
    }
}
