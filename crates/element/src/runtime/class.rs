//! The class byte (ISO/IEC 7816-4 §5.4.1; GlobalPlatform Card Specification 2.3.1 §11.1.4).

/// What a class byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    /// A command of GlobalPlatform or of the application, rather than of ISO/IEC 7816-4.
    pub(crate) proprietary: bool,
    /// The logical channel, 0 to 19.
    pub(crate) channel: u8,
    /// Secure messaging.
    pub(crate) secure: bool,
    /// Not the last command of a chain.
    pub(crate) chained: bool,
}

impl Class {
    /// Reads a class byte: 0x (first interindustry), 4x to 7x (further interindustry), 8x and Cx to Fx (the same,
    /// proprietary). `None` for the others, which are reserved.
    pub(crate) fn parse(cla: u8) -> Option<Self> {
        let proprietary = cla & 0x80 != 0;
        match cla & 0x70 {
            0x00 | 0x10 => Some(Self {
                proprietary,
                channel: cla & 0x03,
                secure: cla & 0x0C != 0,
                chained: cla & 0x10 != 0,
            }),
            // FF is no class byte (ISO/IEC 7816-4 §5.4.1).
            0x40..=0x70 if cla != 0xFF => Some(Self {
                proprietary,
                channel: (cla & 0x0F) + 4,
                secure: cla & 0x20 != 0,
                chained: cla & 0x10 != 0,
            }),
            _ => None,
        }
    }

    /// The class byte without channel, secure messaging and chaining: 00 or 80.
    pub(crate) fn base(self) -> u8 {
        if self.proprietary { 0x80 } else { 0x00 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_the_standards() {
        let class =
            |proprietary, channel, secure, chained| Some(Class { proprietary, channel, secure, chained });
        for (cla, expected) in [
            (0x00, class(false, 0, false, false)),
            (0x03, class(false, 3, false, false)),
            (0x04, class(false, 0, true, false)),
            (0x0C, class(false, 0, true, false)),
            (0x10, class(false, 0, false, true)),
            (0x40, class(false, 4, false, false)),
            (0x4F, class(false, 19, false, false)),
            (0x62, class(false, 6, true, false)),
            (0x7F, class(false, 19, true, true)),
            (0x80, class(true, 0, false, false)),
            (0x85, class(true, 1, true, false)),
            (0x90, class(true, 0, false, true)),
            (0xC0, class(true, 4, false, false)),
            (0xE1, class(true, 5, true, false)),
        ] {
            assert_eq!(Class::parse(cla), expected, "{cla:02X}");
        }
        for reserved in [0x20, 0x3F, 0xA0, 0xBF, 0xFF] {
            assert_eq!(Class::parse(reserved), None, "{reserved:02X}");
        }
    }
}
