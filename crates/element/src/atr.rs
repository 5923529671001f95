//! What the element says at power-on (ISO/IEC 7816-3 §8).

use crate::Element;

/// The answer to reset: direct convention, T=1 alone; historical bytes in compact TLV (ISO/IEC 7816-4 §12.1.1): card
/// capabilities (SELECT by full and by partial name; extended length), issuer's data `TM TEST`; check byte.
pub const ATR: [u8; 17] =
    [0x3B, 0x8D, 0x01, 0x80, 0x73, 0xC0, 0x01, 0x40, 0x57, b'T', b'M', b' ', b'T', b'E', b'S', b'T', 0x86];

impl Element {
    /// The answer to reset, which is the same for every element: [`ATR`].
    #[must_use]
    pub const fn atr(&self) -> &'static [u8] {
        &ATR
    }
}

#[cfg(test)]
mod tests {
    use super::ATR;

    #[test]
    fn the_answer_to_reset_holds_together() {
        let [initial, format, protocol, historical @ .., check] = &ATR;
        assert_eq!(*initial, 0x3B, "direct convention");
        assert_eq!(*format, 0x80 | u8::try_from(historical.len()).unwrap(), "TD1, and the historical bytes");
        assert_eq!(*protocol, 0x01, "T=1, and nothing after it");
        assert_eq!(ATR[1..16].iter().fold(0, |sum, byte| sum ^ byte), *check);
    }
}
