//! The host side of a secure channel: SCP03 (`touchmark_identity::apdu::scp03`) between the driver and its transport.
//!
//! SELECT ends a channel, so it goes over in plain, and right behind it a channel is opened with INITIALIZE UPDATE and
//! EXTERNAL AUTHENTICATE; only then does the driver learn that the applet is selected. Every other APDU goes through the
//! channel. There is no way back: where no channel can be opened, or one broke, nothing but SELECT is sent any more.

mod keys;
#[cfg(test)]
mod served_tests;
#[cfg(test)]
mod tests;

use touchmark_identity::apdu::scp03::{
    CounterRule, Parameter, Scp03Error, SecureChannel, SessionKeys, UpdateResponse, initialize_update,
};
use touchmark_identity::apdu::se05x::AppletVersion;
use touchmark_identity::apdu::{Command, Response, StatusWord};

use super::transport::Transport;
use super::{MAX_CONTINUATIONS, PART, malformed};
use crate::store::StoreError;
pub use keys::ChannelKeys;

/// The key version that SE05x parts keep for their platform keys. Such a part reports the parameter i = 00 and accepts
/// level 33 all the same.
const SE05X_KEY_VERSION: u8 = 0x0B;
/// From this applet version on, SE05x parts count every command.
const COUNTS_EVERY_COMMAND: [u8; 2] = [4, 3];

/// A transport that secures what the one below it carries.
#[derive(Debug)]
pub struct Secured<T> {
    inner: T,
    keys: ChannelKeys,
    /// Absent until SELECT has opened one, and after a failure.
    channel: Option<SecureChannel>,
    /// Why there is no channel.
    reason: String,
}

impl<T: Transport> Secured<T> {
    /// Secures a transport; nothing is sent before the first SELECT.
    #[must_use]
    pub fn new(inner: T, keys: ChannelKeys) -> Self {
        let reason = "it is opened by SELECT, which has not been sent".to_owned();
        Self { inner, keys, channel: None, reason }
    }

    /// Sends a command as it is and collects a chained response.
    fn plain(&mut self, name: &'static str, command: &Command) -> Result<Response, StoreError> {
        let mut response = self.once(name, command)?;
        for _ in 0..MAX_CONTINUATIONS {
            let Some(waiting) = response.sw.waiting() else { return Ok(response) };
            let more = Command { cla: 0, ins: 0xC0, p1: 0, p2: 0, data: Vec::new(), le: Some(waiting) };
            let next = self.once("GET RESPONSE", &more)?;
            response.data.extend(next.data);
            response.sw = next.sw;
        }
        Err(malformed(name, format!("more than {MAX_CONTINUATIONS} continuations")))
    }

    fn once(&mut self, name: &'static str, command: &Command) -> Result<Response, StoreError> {
        let apdu = command.encode().map_err(|error| malformed(name, error.to_string()))?;
        let answer = self.inner.transmit(&apdu)?;
        Response::parse(&answer).map_err(|error| malformed(name, error.to_string()))
    }

    /// Opens a channel to what was just selected.
    fn open(&mut self, selected: &[u8]) -> Result<SecureChannel, StoreError> {
        let (update, keys) = self.initialize()?;
        let level = self.keys.level;
        let version = update.version;
        if self.keys.version != 0 && version != self.keys.version {
            return Err(self.refused(format!("it answered with key version {version:02X}")));
        }
        if !self.level_is_possible(&update) {
            let Parameter(i) = update.parameter;
            let level = level.byte();
            return Err(self.refused(format!(
                "its parameter i = {i:02X} does not offer level {level:02X}; name a lower `level` in the key file if \
                 that is meant"
            )));
        }
        let rule = self.keys.counter.unwrap_or_else(|| rule_of(version, selected));
        let begun = SecureChannel::begin(keys, level, rule);
        let (channel, authenticate) = begun.map_err(|error| self.refused(error.to_string()))?;
        match self.plain("EXTERNAL AUTHENTICATE", &authenticate)? {
            Response { sw: StatusWord::SUCCESS, .. } => Ok(channel),
            Response { sw, .. } => Err(self.refused(format!("EXTERNAL AUTHENTICATE was answered with {sw}"))),
        }
    }

    /// INITIALIZE UPDATE with a challenge of 8 bytes, and of 16 where the card's keys want S16. The card's cryptogram has
    /// been checked when this returns.
    fn initialize(&mut self) -> Result<(UpdateResponse, SessionKeys), StoreError> {
        let mut challenge = [0; 16];
        aws_lc_rs::rand::fill(&mut challenge)
            .map_err(|_| StoreError::Crypto { operation: "making a challenge" })?;
        let (short, _) = challenge.split_at(8);
        let mut sent = short;
        let mut response = self.plain("INITIALIZE UPDATE", &initialize_update(self.keys.version, sent))?;
        if response.sw == StatusWord::WRONG_LENGTH {
            sent = &challenge;
            response = self.plain("INITIALIZE UPDATE", &initialize_update(self.keys.version, sent))?;
        }
        if response.sw != StatusWord::SUCCESS {
            return Err(self.refused(format!("INITIALIZE UPDATE was answered with {}", response.sw)));
        }
        let checked = || -> Result<(UpdateResponse, SessionKeys), Scp03Error> {
            let update = UpdateResponse::parse(&response.data)?;
            let keys = SessionKeys::derive(&self.keys.set, sent, &update.challenge)?;
            keys.check_card(&update.cryptogram)?;
            Ok((update, keys))
        };
        checked().map_err(|error| self.refused(error.to_string()))
    }

    fn level_is_possible(&self, update: &UpdateResponse) -> bool {
        let silent = update.version == SE05X_KEY_VERSION && update.parameter == Parameter(0x00);
        silent || update.parameter.allows(self.keys.level)
    }

    fn refused(&self, detail: String) -> StoreError {
        StoreError::ChannelRefused { part: PART, version: self.keys.version, detail }
    }

    fn broken(&self) -> StoreError {
        StoreError::ChannelBroken { part: PART, detail: self.reason.clone() }
    }

    fn select(&mut self, command: &Command) -> Result<Response, StoreError> {
        self.channel = None;
        "no channel could be opened".clone_into(&mut self.reason);
        let response = self.plain("SELECT", command)?;
        if response.sw == StatusWord::SUCCESS {
            self.channel = Some(self.open(&response.data)?);
        }
        Ok(response)
    }

    /// Sends a command through the channel. The channel is put back only when all went as it has to.
    fn through(&mut self, command: &Command) -> Result<Response, StoreError> {
        let mut channel = self.channel.take().ok_or_else(|| self.broken())?;
        "the connection failed".clone_into(&mut self.reason);
        let failed = |secured: &mut Self, error: Scp03Error| {
            secured.reason = error.to_string();
            secured.broken()
        };
        let wrapped = match channel.wrap(command) {
            Err(error @ Scp03Error::TooLong { .. }) => {
                self.channel = Some(channel);
                return Err(malformed("a command for the secure channel", error.to_string()));
            }
            wrapped => wrapped.map_err(|error| failed(self, error))?,
        };
        let response = self.plain("a secured command", &wrapped)?;
        if response.sw == StatusWord::SECURITY_STATUS_NOT_SATISFIED {
            self.reason = format!("the part answered {} and has ended the channel", response.sw);
            return Err(self.broken());
        }
        let response = channel.unwrap_response(response).map_err(|error| failed(self, error))?;
        self.channel = Some(channel);
        Ok(response)
    }
}

impl<T: Transport> Transport for Secured<T> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, StoreError> {
        let command = Command::parse(apdu).map_err(|error| malformed("a command", error.to_string()))?;
        let by_name = (command.cla, command.ins, command.p1) == (0x00, 0xA4, 0x04);
        let response = if by_name { self.select(&command) } else { self.through(&command) };
        Ok(response?.encode())
    }
}

/// Which commands the part counts: the platform keys of SE05x applets before 4.3 only those with data.
fn rule_of(version: u8, selected: &[u8]) -> CounterRule {
    match AppletVersion::parse(selected) {
        Some(AppletVersion { version: [major, minor, _], .. })
            if version == SE05X_KEY_VERSION && [major, minor] < COUNTS_EVERY_COMMAND =>
        {
            CounterRule::WithDataOnly
        }
        _ => CounterRule::EveryCommand,
    }
}
