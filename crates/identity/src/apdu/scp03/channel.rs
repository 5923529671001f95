//! An open channel: wraps what leaves, unwraps what arrives.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::{BLOCK_BYTES, EXTERNAL_AUTHENTICATE, Level, Scp03Error, SessionKeys, is_secured};
use crate::apdu::class::Class;
use crate::apdu::{Command, MAX_COMMAND_DATA, RawCommand, Response};

/// Which commands the encryption counter counts. No code covers the counter: two sides with different rules pass each
/// other's codes, and read wrong first blocks. So the rule is known for a set of keys, never tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterRule {
    /// Every command (Amendment D from 1.1.1, §6.2.6).
    EveryCommand,
    /// Only commands with data: SE05x applets before 4.3, and their hosts.
    WithDataOnly,
}

/// One side of an open channel, host or card. Commands and responses strictly alternate.
#[derive(Debug)]
pub struct SecureChannel {
    keys: SessionKeys,
    level: Level,
    rule: CounterRule,
    /// The MAC chaining value: the full code of the last command.
    chaining: [u8; BLOCK_BYTES],
    counter: u128,
    broken: bool,
}

impl SecureChannel {
    /// Host: opens a channel, once the card's cryptogram was checked. Gives EXTERNAL AUTHENTICATE, to be sent as it is;
    /// only the card's `9000` makes the channel one.
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn begin(keys: SessionKeys, level: Level, rule: CounterRule) -> Result<(Self, Command), Scp03Error> {
        let cryptogram = keys.host_cryptogram()?;
        let p1 = level.byte();
        let mut command =
            Command { cla: 0x84, ins: EXTERNAL_AUTHENTICATE, p1, p2: 0x00, data: cryptogram, le: None };
        let mut channel = Self::resume(keys, level, rule);
        channel.append_mac(&mut command)?;
        Ok((channel, command))
    }

    /// Card: opens a channel by the host's EXTERNAL AUTHENTICATE. Which level it may ask for is the caller's rule: `level`
    /// is what its P1 said.
    ///
    /// # Errors
    /// [`Scp03Error::Cryptogram`] when the host does not hold the keys, [`Scp03Error::Mac`] when the command was changed,
    /// [`Scp03Error::Unsecured`] when it is no EXTERNAL AUTHENTICATE of this level.
    pub fn accept(
        keys: SessionKeys,
        level: Level,
        rule: CounterRule,
        command: &RawCommand,
    ) -> Result<Self, Scp03Error> {
        let Command { cla, ins, p1, p2, ref data, .. } = command.command;
        let secure = Class::parse(cla).is_some_and(|class| class.secure && class.proprietary);
        if !secure || (ins, p1, p2) != (EXTERNAL_AUTHENTICATE, level.byte(), 0x00) {
            return Err(Scp03Error::Unsecured { what: "command" });
        }
        let width = keys.width.bytes();
        let (cryptogram, _) = data.split_at_checked(width).ok_or(Scp03Error::Cryptogram { whose: "host" })?;
        keys.check_host(cryptogram)?;
        let mut channel = Self::resume(keys, level, rule);
        let checked = channel.check_mac(command)?;
        if checked.len() != width {
            return Err(Scp03Error::Mac { what: "command" });
        }
        Ok(channel)
    }

    /// Either side: a channel that is open without EXTERNAL AUTHENTICATE, as SE05x sessions with an EC key are.
    #[must_use]
    pub fn resume(keys: SessionKeys, level: Level, rule: CounterRule) -> Self {
        let chaining = keys.chaining;
        Self { keys, level, rule, chaining, counter: 0, broken: false }
    }

    /// The security level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether an earlier failure ended the channel.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Ends the channel, as after a lost answer: the two sides no longer know that they are in step.
    pub fn break_off(&mut self) {
        self.broken = true;
    }

    /// The largest number of data bytes that [`SecureChannel::wrap`] can take.
    #[must_use]
    pub fn max_command_data(&self) -> usize {
        let room = MAX_COMMAND_DATA - self.keys.width.bytes();
        match (self.level.command_mac(), self.level.command_encryption()) {
            (false, _) => MAX_COMMAND_DATA,
            (true, false) => room,
            (true, true) => room - room % BLOCK_BYTES - 1,
        }
    }

    /// Host: secures a command.
    ///
    /// # Errors
    /// [`Scp03Error::TooLong`], after which the channel still works; [`Scp03Error::Broken`].
    pub fn wrap(&mut self, command: &Command) -> Result<Command, Scp03Error> {
        self.alive()?;
        let mut command = command.clone();
        if !self.level.command_mac() {
            return Ok(command);
        }
        if command.data.len() > self.max_command_data() {
            return Err(Scp03Error::TooLong { found: command.data.len() });
        }
        let class = Class::parse(command.cla).ok_or(Scp03Error::Unsecured { what: "command" })?;
        command.cla = Class { secure: true, ..class }.byte();
        let wrapped = self.wrap_counted(command);
        self.settle(wrapped)
    }

    fn wrap_counted(&mut self, mut command: Command) -> Result<Command, Scp03Error> {
        self.count(command.data.is_empty())?;
        if self.level.command_encryption() && !command.data.is_empty() {
            self.encrypt(self.counter, &mut command.data)?;
        }
        self.append_mac(&mut command)?;
        Ok(command)
    }

    /// Card: checks and opens a secured command. The result has the class byte without secure messaging.
    ///
    /// # Errors
    /// [`Scp03Error::Unsecured`], [`Scp03Error::Mac`], [`Scp03Error::Padding`]: the channel is then broken.
    /// [`Scp03Error::Broken`] ever after.
    pub fn unwrap(&mut self, command: &RawCommand) -> Result<Command, Scp03Error> {
        self.alive()?;
        let opened = self.unwrap_checked(command);
        self.settle(opened)
    }

    fn unwrap_checked(&mut self, raw: &RawCommand) -> Result<Command, Scp03Error> {
        let unsecured = Scp03Error::Unsecured { what: "command" };
        let class = Class::parse(raw.command.cla).ok_or(unsecured)?;
        if class.secure != self.level.command_mac() {
            return Err(unsecured);
        }
        if !class.secure {
            return Ok(raw.command.clone());
        }
        let mut data = self.check_mac(raw)?;
        self.count(data.is_empty())?;
        if self.level.command_encryption() && !data.is_empty() {
            self.decrypt(self.counter, &mut data, "command")?;
        }
        let cla = Class { secure: false, ..class }.byte();
        let Command { ins, p1, p2, le, .. } = raw.command;
        Ok(Command { cla, ins, p1, p2, data, le })
    }

    /// Card: secures the response to the command that was unwrapped last. An error status stays plain and brings no data.
    ///
    /// # Errors
    /// [`Scp03Error::Broken`].
    pub fn wrap_response(&mut self, mut response: Response) -> Result<Response, Scp03Error> {
        self.alive()?;
        if !self.level.response_mac() {
            return Ok(response);
        }
        if !is_secured(response.sw) {
            response.data.clear();
            return Ok(response);
        }
        let wrapped = self.wrap_data(&mut response);
        self.settle(wrapped)?;
        Ok(response)
    }

    fn wrap_data(&self, response: &mut Response) -> Result<(), Scp03Error> {
        if self.level.response_encryption() && !response.data.is_empty() {
            self.encrypt(self.response_counter(), &mut response.data)?;
        }
        let mac = self.response_mac(&response.data, response)?;
        response.data.extend(mac.into_iter().take(self.keys.width.bytes()));
        Ok(())
    }

    /// Host: checks and opens the response to the command that was wrapped last. An error status is not secured; it is
    /// given as it is, but may bring no data.
    ///
    /// # Errors
    /// [`Scp03Error::Unsecured`], [`Scp03Error::Mac`], [`Scp03Error::Padding`]: the channel is then broken.
    /// [`Scp03Error::Broken`] ever after.
    pub fn unwrap_response(&mut self, response: Response) -> Result<Response, Scp03Error> {
        self.alive()?;
        if !self.level.response_mac() {
            return Ok(response);
        }
        let opened = self.unwrap_data(response);
        self.settle(opened)
    }

    fn unwrap_data(&self, response: Response) -> Result<Response, Scp03Error> {
        if !is_secured(response.sw) {
            return if response.data.is_empty() {
                Ok(response)
            } else {
                Err(Scp03Error::Unsecured { what: "response" })
            };
        }
        let wrong = Scp03Error::Mac { what: "response" };
        let width = self.keys.width.bytes();
        let at = response.data.len().checked_sub(width).ok_or(wrong)?;
        let (data, mac) = response.data.split_at_checked(at).ok_or(wrong)?;
        let expected = self.response_mac(data, &response)?;
        let expected = expected.get(..width).ok_or(wrong)?;
        verify_slices_are_equal(expected, mac).map_err(|_| wrong)?;
        let mut data = data.to_vec();
        if self.level.response_encryption() && !data.is_empty() {
            self.decrypt(self.response_counter(), &mut data, "response")?;
        }
        Ok(Response { data, sw: response.sw })
    }

    fn response_mac(&self, data: &[u8], response: &Response) -> Result<[u8; BLOCK_BYTES], Scp03Error> {
        self.keys.rmac.cmac(&[&self.chaining, data, &response.sw.0.to_be_bytes()])
    }

    /// Appends the code over a command as it will be sent, and makes it the chaining value.
    fn append_mac(&mut self, command: &mut Command) -> Result<(), Scp03Error> {
        let width = self.keys.width.bytes();
        let extended = command.data.len() + width > 0xFF || command.le.is_some_and(|ne| ne > 256);
        let mac = self.command_mac(command, command.data.len() + width, extended, &command.data)?;
        self.chaining = mac;
        command.data.extend(mac.into_iter().take(width));
        Ok(())
    }

    /// Checks the code of a command as it arrived, makes it the chaining value, and gives the data before it.
    fn check_mac(&mut self, raw: &RawCommand) -> Result<Vec<u8>, Scp03Error> {
        let wrong = Scp03Error::Mac { what: "command" };
        let command = &raw.command;
        let width = self.keys.width.bytes();
        let at = command.data.len().checked_sub(width).ok_or(wrong)?;
        let (data, mac) = command.data.split_at_checked(at).ok_or(wrong)?;
        let full = self.command_mac(command, command.data.len(), raw.extended, data)?;
        let expected = full.get(..width).ok_or(wrong)?;
        verify_slices_are_equal(expected, mac).map_err(|_| wrong)?;
        self.chaining = full;
        Ok(data.to_vec())
    }

    /// Amendment D §6.2.4: over the chaining value, the header with the basic channel's class, Lc as it is sent, and the
    /// data. Le is not covered.
    fn command_mac(
        &self,
        command: &Command,
        nc: usize,
        extended: bool,
        data: &[u8],
    ) -> Result<[u8; BLOCK_BYTES], Scp03Error> {
        let class = Class::parse(command.cla).ok_or(Scp03Error::Unsecured { what: "command" })?;
        let cla = Class { channel: 0, secure: true, ..class }.byte();
        let nc = u16::try_from(nc).map_err(|_| Scp03Error::TooLong { found: nc })?;
        let [high, low] = nc.to_be_bytes();
        let lc: &[u8] = if extended { &[0, high, low] } else { &[low] };
        self.keys.mac.cmac(&[&self.chaining, &[cla, command.ins, command.p1, command.p2], lc, data])
    }

    fn count(&mut self, without_data: bool) -> Result<(), Scp03Error> {
        if self.rule == CounterRule::EveryCommand || !without_data {
            self.counter = self.counter.checked_add(1).ok_or(Scp03Error::Broken)?;
        }
        Ok(())
    }

    /// Amendment D §6.2.7: the counter of the command, with the first byte `80`.
    fn response_counter(&self) -> u128 {
        self.counter | (0x80 << 120)
    }

    /// Amendment D §6.2.6: pads with `80 00…`, then AES-CBC; the initial vector is the encrypted counter.
    fn encrypt(&self, counter: u128, data: &mut Vec<u8>) -> Result<(), Scp03Error> {
        let iv = self.keys.enc.encrypt_block(counter.to_be_bytes())?;
        data.push(0x80);
        data.resize(data.len().next_multiple_of(BLOCK_BYTES), 0x00);
        self.keys.enc.cbc_encrypt(iv, data)
    }

    fn decrypt(&self, counter: u128, data: &mut Vec<u8>, what: &'static str) -> Result<(), Scp03Error> {
        if !data.len().is_multiple_of(BLOCK_BYTES) {
            return Err(Scp03Error::Padding { what });
        }
        let iv = self.keys.enc.encrypt_block(counter.to_be_bytes())?;
        let mut clear = Zeroizing::new(std::mem::take(data));
        self.keys.enc.cbc_decrypt(iv, &mut clear)?;
        let end = clear.iter().rposition(|byte| *byte != 0x00);
        let end = end.filter(|end| clear.len() - end <= BLOCK_BYTES && clear.get(*end) == Some(&0x80));
        let end = end.ok_or(Scp03Error::Padding { what })?;
        data.extend(clear.iter().take(end));
        Ok(())
    }

    fn alive(&self) -> Result<(), Scp03Error> {
        if self.broken { Err(Scp03Error::Broken) } else { Ok(()) }
    }

    /// A failure ends the channel.
    fn settle<T>(&mut self, result: Result<T, Scp03Error>) -> Result<T, Scp03Error> {
        self.broken |= result.is_err();
        result
    }
}
