//! The card runtime: logical channels, command and response chaining, selection, and the gate of the card's life cycle
//! (ISO/IEC 7816-4; GlobalPlatform Card Specification 2.3.1 §6).

mod select;

use std::time::Duration;

use touchmark_identity::apdu::class::Class;
use touchmark_identity::apdu::scp03::{EXTERNAL_AUTHENTICATE, INITIALIZE_UPDATE, SecureChannel};
use touchmark_identity::apdu::{Command, MAX_COMMAND_DATA, RawCommand, Response, StatusWord};

use crate::card::{Card, Refusal};
use crate::gp::registry::{CardState, Instance, Module};
use crate::gp::{self, Aid};
use crate::iot;
use crate::notes;
use crate::scp::{self, Handshake};

/// MANAGE CHANNEL (ISO/IEC 7816-4 §11.1.2).
const INS_MANAGE_CHANNEL: u8 = 0x70;
/// SELECT by name (ISO/IEC 7816-4 §11.2.2).
const INS_SELECT: u8 = 0xA4;
/// GET RESPONSE (ISO/IEC 7816-4 §11.8.1).
const INS_GET_RESPONSE: u8 = 0xC0;
/// GET DATA (GlobalPlatform Card Specification 2.3.1 §11.3).
const INS_GET_DATA: u8 = 0xCA;
/// Logical channels, the basic one included (ISO/IEC 7816-4 §5.4.1: the class byte names no more).
const CHANNELS: usize = 20;
/// Ne of an interindustry command without Le.
const NE_WITHOUT_LE: u32 = 256;

/// What a command is answered with, when it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) data: Vec<u8>,
    pub(crate) sw: StatusWord,
}

impl From<Vec<u8>> for Reply {
    fn from(data: Vec<u8>) -> Self {
        Self { data, sw: StatusWord::SUCCESS }
    }
}

/// What an element does with an APDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response APDU; empty when the element has no power.
    pub bytes: Vec<u8>,
    /// How long the element takes for it, beyond the time of the computation.
    pub delay: Duration,
    /// An armed fault loses the response on its way; `bytes` is empty, and the element goes on.
    pub lost: bool,
}

/// What belongs to one connection, from its reset on: the logical channels, and on each what is selected and what waits.
pub struct Session {
    /// Boxed, because each command takes its channel out and puts it back.
    channels: [Option<Box<Channel>>; CHANNELS],
}

/// A logical channel.
#[derive(Default)]
struct Channel {
    /// The selected instance; `None` until the first command, which finds the default-selected instance.
    selected: Option<Aid>,
    /// What GET RESPONSE would give, and the status behind it.
    pending: Option<Reply>,
    /// The beginning of a chain of commands.
    chain: Option<Command>,
    /// A secure channel session that is being opened.
    handshake: Option<Handshake>,
    /// The host has authenticated, with the protection of what follows.
    level: Option<gp::Level>,
    codec: Option<SecureChannel>,
    /// What the card manager remembers between commands.
    gp: gp::Volatile,
    /// What the IoT applet remembers.
    iot: iot::Volatile,
}

impl Channel {
    /// Ends the secure channel session.
    fn close(&mut self) {
        self.handshake = None;
        self.level = None;
        self.codec = None;
    }
}

impl Session {
    /// Back to what a reset of the card leaves: the basic channel alone, and nothing selected by the host.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The instances that the channels hold, other than the one in use.
    fn selections(&self) -> Vec<Aid> {
        self.channels.iter().flatten().filter_map(|channel| channel.selected.clone()).collect()
    }

    /// Puts a secure channel session on the basic channel, as an authentication would.
    #[cfg(test)]
    pub(crate) fn authenticate(&mut self, level: gp::Level) {
        self.channels[0].as_mut().unwrap().level = Some(level);
    }
}

impl Default for Session {
    fn default() -> Self {
        let mut channels = [const { None }; CHANNELS];
        let [basic, ..] = &mut channels;
        *basic = Some(Box::default());
        Self { channels }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.channels.iter().enumerate().filter_map(|(number, channel)| {
            channel.as_ref().map(|channel| (number, channel.selected.clone()))
        });
        f.debug_map().entries(open).finish()
    }
}

impl Card {
    /// Answers one APDU; nothing at all without power.
    pub(crate) fn transmit(&mut self, session: &mut Session, apdu: &[u8]) -> Answer {
        if self.is_powered() {
            self.before_command(apdu.get(1).copied());
        }
        let answer = if self.is_powered() { self.receive(session, apdu) } else { Err(Refusal::Commit) };
        let lost = self.is_powered() && self.before_answer();
        let delay = self.take_delay();
        if lost || !self.is_powered() {
            return Answer { bytes: Vec::new(), delay, lost };
        }
        Answer { bytes: answer.unwrap_or_else(failed).encode(), delay, lost }
    }

    fn receive(&mut self, session: &mut Session, apdu: &[u8]) -> Result<Response, Refusal> {
        let raw = RawCommand::parse(apdu).map_err(|_| Refusal::Length)?;
        let class = Class::parse(raw.command.cla).ok_or_else(|| class_refusal(raw.command.cla))?;
        let slot = usize::from(class.channel);
        let mut channel = session.channels.get_mut(slot).and_then(Option::take).ok_or(Refusal::Channel)?;
        let answer = self.on_channel(session, &mut channel, class, &raw);
        if let Some(slot) = session.channels.get_mut(slot) {
            // MANAGE CHANNEL may have closed its own channel: it says so by leaving no room for it.
            if !matches!(answer, Ok((_, Fate::Closed))) {
                *slot = Some(channel);
            }
        }
        answer.map(|(response, _)| response)
    }

    fn on_channel(
        &mut self,
        session: &mut Session,
        channel: &mut Channel,
        class: Class,
        raw: &RawCommand,
    ) -> Result<(Response, Fate), Refusal> {
        let waiting = channel.pending.take();
        if channel.selected.is_none() {
            channel.selected = self.gp().default_selected().map(|instance| instance.aid.clone());
        }
        // The answer to a challenge comes next, or not at all.
        let begun = match raw.command.ins {
            INS_GET_RESPONSE if !class.proprietary => None,
            _ => channel.handshake.take(),
        };
        if class.secure && class.chained {
            // Chains are for what is longer than a command; behind a code each command stands for itself.
            channel.close();
            return Err(Refusal::Chaining);
        }
        let ins = raw.command.ins;
        let handshake = class.proprietary
            && match ins {
                INITIALIZE_UPDATE => !class.secure,
                EXTERNAL_AUTHENTICATE => class.secure,
                _ => false,
            };
        if handshake {
            let reply = self.authenticate(channel, begun, raw)?;
            let ne = raw.command.le.unwrap_or(u32::MAX);
            return Ok((split(channel, reply, ne), Fate::Open));
        }
        // These are for the card, not for whoever the secure channel ends at.
        let for_the_card =
            !class.proprietary && matches!(ins, INS_GET_RESPONSE | INS_SELECT | INS_MANAGE_CHANNEL);
        let opened = match channel.codec.as_mut() {
            Some(codec) if class.secure || !for_the_card => {
                let opened = codec.unwrap(raw);
                if opened.is_err() {
                    channel.close();
                }
                opened?
            }
            None if class.secure => return Err(Refusal::Security),
            _ => raw.command.clone(),
        };
        let Some(mut command) = link(channel, class, opened)? else {
            return Ok((Response { data: Vec::new(), sw: StatusWord::SUCCESS }, Fate::Open));
        };
        command.cla = class.base();
        // Hosts on T=1 and T=1' leave out Le and get their data all the same, however long it is.
        let unlimited = class.proprietary || command.ins == INS_SELECT;
        let ne = command.le.unwrap_or(if unlimited { u32::MAX } else { NE_WITHOUT_LE });

        let carried_out = self.carry_out(session, channel, class, &command, waiting);
        // What waits for GET RESPONSE has its code already.
        let plain = for_the_card && (!class.secure || ins == INS_GET_RESPONSE);
        if plain || !self.is_powered() {
            let (reply, fate) = carried_out?;
            return Ok((split(channel, reply, ne), fate));
        }
        let (response, fate) = match carried_out {
            Ok((Reply { data, sw }, fate)) => (Response { data, sw }, fate),
            Err(refusal) => (failed(refusal), Fate::Open),
        };
        let Response { data, sw } = match channel.codec.as_mut() {
            Some(codec) => codec.wrap_response(response)?,
            None => response,
        };
        Ok((split(channel, Reply { data, sw }, ne), fate))
    }

    fn carry_out(
        &mut self,
        session: &mut Session,
        channel: &mut Channel,
        class: Class,
        command: &Command,
        waiting: Option<Reply>,
    ) -> Result<(Reply, Fate), Refusal> {
        self.gate(command)?;
        let interindustry = (!class.proprietary).then_some(command.ins);
        match interindustry {
            Some(INS_GET_RESPONSE) => Ok((waiting.ok_or(Refusal::NotNow)?, Fate::Open)),
            Some(INS_MANAGE_CHANNEL) => self.manage_channel(session, channel, class.channel, command),
            Some(INS_SELECT) => {
                let (aid, reply) = self.select(channel.selected.as_ref(), command)?;
                channel.close();
                channel.gp = gp::Volatile::default();
                channel.iot = iot::Volatile::default();
                channel.selected = Some(aid);
                Ok((reply, Fate::Open))
            }
            _ => Ok((self.dispatch(session, channel, command)?, Fate::Open)),
        }
    }

    /// INITIALIZE UPDATE and EXTERNAL AUTHENTICATE, with whatever is selected: an applet leaves them to its domain.
    fn authenticate(
        &mut self,
        channel: &mut Channel,
        begun: Option<Handshake>,
        raw: &RawCommand,
    ) -> Result<Reply, Refusal> {
        self.gate(&raw.command)?;
        channel.close();
        channel.chain = None;
        channel.gp = gp::Volatile::default();
        let instance = self.selected(channel)?.clone();
        if raw.command.ins == INITIALIZE_UPDATE {
            let (handshake, answer, delay) = scp::initialize_update(self, &instance, &raw.command)?;
            channel.handshake = Some(handshake);
            self.wait(delay);
            return Ok(answer.into());
        }
        let (opened, reply) = scp::external_authenticate(self, begun.ok_or(Refusal::NotNow)?, raw)?;
        if let Some((level, codec)) = opened {
            channel.level = Some(level);
            channel.codec = Some(codec);
        }
        Ok(reply)
    }

    /// What the life cycle of the card lets through (GlobalPlatform Card Specification 2.3.1 §5.1.1): a terminated
    /// card gives its data and does nothing else; a locked one opens no channels.
    fn gate(&self, command: &Command) -> Result<(), Refusal> {
        match (self.gp().card, command.cla, command.ins) {
            (CardState::Terminated, _, INS_GET_DATA) | (CardState::Terminated, 0x00, INS_GET_RESPONSE) => {
                Ok(())
            }
            (CardState::Terminated, _, _) => Err(Refusal::NotNow),
            (CardState::Locked, 0x00, INS_MANAGE_CHANNEL) => Err(Refusal::Function),
            _ => Ok(()),
        }
    }

    /// MANAGE CHANNEL: `00 70 00 00 01` opens the next free channel and answers its number; `00 70 00 NN` opens that
    /// one; `00 70 80 NN` closes it, `0X 70 80 00` the channel on which it comes.
    fn manage_channel(
        &self,
        session: &mut Session,
        channel: &Channel,
        current: u8,
        command: &Command,
    ) -> Result<(Reply, Fate), Refusal> {
        if !command.data.is_empty() {
            return Err(Refusal::Length);
        }
        let number = usize::from(command.p2);
        match (command.p1, command.p2) {
            (0x00, wanted) => {
                let open = |(at, slot): &(usize, &Option<Box<Channel>>)| {
                    slot.is_none() && *at != usize::from(current)
                };
                let free = session.channels.iter().enumerate().skip(1).find(open).map(|(at, _)| at);
                let number = match wanted {
                    0 => free.ok_or(Refusal::Function)?,
                    _ if number == usize::from(current) => return Err(Refusal::Parameters),
                    _ => number,
                };
                // "from the basic logical channel: the Application with the Card Reset privilege; else the one that
                // is selected on the opening channel" (§6.4.1.2)
                let selected = if current == 0 { None } else { channel.selected.clone() };
                match session.channels.get_mut(number) {
                    Some(slot @ None) => *slot = Some(Box::new(Channel { selected, ..Channel::default() })),
                    _ => return Err(Refusal::Parameters),
                }
                let data = if wanted == 0 { vec![u8::try_from(number).unwrap_or(0)] } else { Vec::new() };
                Ok((data.into(), Fate::Open))
            }
            (0x80, 0) if current == 0 => Err(Refusal::Parameters),
            (0x80, 0) => Ok((Vec::new().into(), Fate::Closed)),
            (0x80, wanted) if wanted == current => Ok((Vec::new().into(), Fate::Closed)),
            (0x80, _) => match session.channels.get_mut(number) {
                Some(slot @ Some(_)) => {
                    *slot = None;
                    Ok((Vec::new().into(), Fate::Open))
                }
                Some(None) => {
                    Ok((Reply { data: Vec::new(), sw: StatusWord::CHANNEL_ALREADY_CLOSED }, Fate::Open))
                }
                None => Err(Refusal::Parameters),
            },
            _ => Err(Refusal::Parameters),
        }
    }

    /// Gives the command to the selected instance.
    fn dispatch(
        &mut self,
        session: &Session,
        channel: &mut Channel,
        command: &Command,
    ) -> Result<Reply, Refusal> {
        let instance = self.selected(channel)?.clone();
        self.set_level(channel.level.clone());
        match instance.module {
            Module::Domain => {
                let elsewhere = session.selections();
                gp::process(self, &mut channel.gp, &instance, &elsewhere, command)
            }
            _ if command.cla != 0x80 => Err(Refusal::Instruction),
            Module::Iot => {
                let protection = channel.codec.as_ref().map(SecureChannel::level);
                std::mem::swap(self.iot(), &mut channel.iot);
                let reply = iot::process(self, protection, command);
                std::mem::swap(self.iot(), &mut channel.iot);
                reply
            }
            Module::Notes => Ok(notes::process(self, &instance.aid, command)?.into()),
        }
    }

    /// The instance that answers on a channel.
    fn selected(&self, channel: &Channel) -> Result<&Instance, Refusal> {
        let gp = self.gp();
        let instance = match &channel.selected {
            // The one domain that a terminated card has left, whatever was selected before.
            _ if gp.card == CardState::Terminated => gp.issuer(),
            Some(aid) => gp.instance(aid),
            None => None,
        };
        // It may have been deleted or locked since.
        let instance = instance.filter(|instance| instance.is_selectable()).ok_or(Refusal::NotNow)?;
        if gp.card == CardState::Locked && !gp.is_issuer(&instance.aid) {
            return Err(Refusal::NotNow);
        }
        Ok(instance)
    }
}

/// What is wrong with a class that is none (ISO/IEC 7816-4 §5.4.1): bits 3 and 4 may ask for another secure messaging
/// than GlobalPlatform's.
fn class_refusal(cla: u8) -> Refusal {
    match cla {
        0x00..=0x1F | 0x80..=0x9F if cla & 0x0C != 0 => Refusal::SecureMessaging,
        _ => Refusal::Class,
    }
}

fn failed(refusal: Refusal) -> Response {
    Response { data: Vec::new(), sw: refusal.status() }
}

/// Whether a channel is there after a command.
enum Fate {
    Open,
    Closed,
}

/// Command chaining (ISO/IEC 7816-4 §5.3.3): gives the whole command with the last of a chain, `None` before.
fn link(channel: &mut Channel, class: Class, command: Command) -> Result<Option<Command>, Refusal> {
    let whole = match channel.chain.take() {
        None => command,
        Some(mut begun) => {
            let same = Class::parse(begun.cla).map(Class::base) == Some(class.base())
                && (begun.ins, begun.p1, begun.p2) == (command.ins, command.p1, command.p2);
            if !same {
                return Err(Refusal::ChainBroken);
            }
            begun.data.extend(command.data);
            begun.le = command.le;
            begun
        }
    };
    if whole.data.len() > MAX_COMMAND_DATA {
        return Err(Refusal::Memory);
    }
    if class.chained {
        channel.chain = Some(whole);
        return Ok(None);
    }
    Ok(Some(whole))
}

/// Gives as much as the host makes room for, and keeps the rest for GET RESPONSE.
fn split(channel: &mut Channel, mut reply: Reply, ne: u32) -> Response {
    let room = usize::try_from(ne).unwrap_or(usize::MAX);
    if reply.data.len() <= room {
        return Response { data: reply.data, sw: reply.sw };
    }
    let rest = reply.data.split_off(room);
    let sw = StatusWord::more(rest.len());
    channel.pending = Some(Reply { data: rest, sw: reply.sw });
    Response { data: reply.data, sw }
}
