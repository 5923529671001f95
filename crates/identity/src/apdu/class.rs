//! The class byte: who defines the command, on which logical channel, secured or not (ISO/IEC 7816-4:2020 §5.4.1,
//! GlobalPlatform Card Specification 2.3.1 §11.1.4).

/// A class byte, decoded. Secure messaging is GlobalPlatform's; the forms of ISO/IEC 7816-4 (bits `08` and `0C` of the
/// first range) are not spoken here and are no [`Class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// A command of GlobalPlatform or of an application (`80`), not of ISO/IEC 7816 (`00`).
    pub proprietary: bool,
    /// The logical channel, 0 to 19.
    pub channel: u8,
    /// The command carries secure messaging.
    pub secure: bool,
    /// More pieces of the same command follow.
    pub chained: bool,
}

impl Class {
    /// Reads a class byte; `None` for the reserved values (`20`-`3F`, `A0`-`BF`, `FF`) and for secure messaging other than
    /// GlobalPlatform's.
    #[must_use]
    pub fn parse(cla: u8) -> Option<Self> {
        let proprietary = cla & 0x80 != 0;
        let chained = cla & 0x10 != 0;
        match cla & 0x60 {
            _ if cla == 0xFF => None,
            0x00 => match cla & 0x0C {
                0x00 => Some(Self { proprietary, channel: cla & 0x03, secure: false, chained }),
                0x04 => Some(Self { proprietary, channel: cla & 0x03, secure: true, chained }),
                _ => None,
            },
            0x20 => None,
            further => {
                Some(Self { proprietary, channel: 4 + (cla & 0x0F), secure: further == 0x60, chained })
            }
        }
    }

    /// The byte on the wire: channels 0 to 3 in the first range, 4 to 19 in the further one. A channel above 19 has no
    /// byte and is cut to four bits.
    #[must_use]
    pub fn byte(self) -> u8 {
        let chained = if self.chained { 0x10 } else { 0 };
        let (channel, secure) = match self.channel.checked_sub(4) {
            None => (self.channel, 0x04),
            Some(further) => (0x40 | (further & 0x0F), 0x20),
        };
        self.base() | channel | chained | if self.secure { secure } else { 0 }
    }

    /// `00` or `80`: the class without channel, secure messaging and chaining.
    #[must_use]
    pub fn base(self) -> u8 {
        if self.proprietary { 0x80 } else { 0x00 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_or_is_refused() {
        for cla in 0..=u8::MAX {
            let reserved = matches!(cla, 0x20..=0x3F | 0xA0..=0xBF | 0xFF);
            let other_messaging = cla & 0x60 == 0 && cla & 0x08 != 0;
            match Class::parse(cla) {
                Some(class) => assert_eq!(class.byte(), cla),
                None => assert!(reserved || other_messaging, "{cla:02x}"),
            }
            assert_eq!(Class::parse(cla).is_none(), reserved || other_messaging, "{cla:02x}");
        }
    }

    #[test]
    fn the_ranges_of_the_standard() {
        let class = |cla| Class::parse(cla).unwrap();
        assert_eq!(class(0x84), Class { proprietary: true, channel: 0, secure: true, chained: false });
        assert_eq!(class(0x13), Class { proprietary: false, channel: 3, secure: false, chained: true });
        assert_eq!(class(0xEF).channel, 19);
        assert!(class(0xEF).secure && !class(0xCF).secure);
        assert_eq!(class(0x60).base(), 0x00);
    }
}
