//! The registry (GlobalPlatform Card Specification 2.3.1 §6.6): what code the card has, and which instances of it.

use serde::{Deserialize, Serialize};
use touchmark_identity::apdu::se05x;

use super::aid::Aid;

/// The executable module of a security domain.
pub(crate) const DOMAIN_ELF: &[u8] = &[0xA0, 0x00, 0x00, 0x01, 0x51, 0x53, 0x50];
/// The AID of the issuer security domain of a new card.
pub(crate) const ISSUER_DOMAIN: &[u8] = &[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];
/// The domain of the IoT applet, as NXP's hosts address it.
pub(crate) const PLATFORM_DOMAIN: &[u8] = &[0xD2, 0x76, 0x00, 0x00, 0x85, 0x30, 0x4A, 0x43, 0x4F, 0x90, 0x03];
/// The executable load file of the IoT applet: the applet's name without its last two bytes.
const IOT_ELF: &[u8] = &[0xA0, 0x00, 0x00, 0x03, 0x96, 0x54, 0x53, 0x00, 0x00, 0x00, 0x01, 0x03, 0x00, 0x00];

/// What an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Module {
    /// A security domain.
    Domain,
    /// The IoT applet.
    Iot,
    /// The applet that keeps notes.
    Notes,
}

/// An executable load file. All of them are native code of this program; none is loaded or deleted.
pub(crate) struct Elf {
    pub(crate) aid: &'static [u8],
    pub(crate) modules: &'static [(&'static [u8], Module)],
}

/// The executable load files. The domain's stands under both names by which host tools ask for it.
pub(crate) const ELFS: &[Elf] = &[
    Elf { aid: DOMAIN_ELF, modules: &[(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x53, 0x50, 0x41], Module::Domain)] },
    Elf {
        aid: &[0xA0, 0x00, 0x00, 0x00, 0x03, 0x53, 0x50],
        modules: &[(&[0xA0, 0x00, 0x00, 0x00, 0x03, 0x53, 0x50, 0x41], Module::Domain)],
    },
    Elf { aid: IOT_ELF, modules: &[(&se05x::AID, Module::Iot)] },
    Elf { aid: crate::notes::ELF, modules: &[(crate::notes::MODULE, Module::Notes)] },
];

/// Life cycle of the card (GlobalPlatform Card Specification 2.3.1 §5.1, table 11-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CardState {
    #[serde(rename = "OP_READY")]
    OpReady,
    #[serde(rename = "INITIALIZED")]
    Initialized,
    #[serde(rename = "SECURED")]
    Secured,
    #[serde(rename = "CARD_LOCKED")]
    Locked,
    #[serde(rename = "TERMINATED")]
    Terminated,
}

impl CardState {
    pub(crate) const ALL: [Self; 5] =
        [Self::OpReady, Self::Initialized, Self::Secured, Self::Locked, Self::Terminated];

    /// The coding of the state, one byte.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::OpReady => 0x01,
            Self::Initialized => 0x07,
            Self::Secured => 0x0F,
            Self::Locked => 0x7F,
            Self::Terminated => 0xFF,
        }
    }

    /// The name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpReady => "OP_READY",
            Self::Initialized => "INITIALIZED",
            Self::Secured => "SECURED",
            Self::Locked => "CARD_LOCKED",
            Self::Terminated => "TERMINATED",
        }
    }

    /// The state that a byte means.
    pub(crate) fn find(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.byte() == byte)
    }

    /// Whether the card may go from here to there (§5.1, figure 5-1): forwards one step at a time, back only from
    /// `CARD_LOCKED`, and to `TERMINATED` from everywhere.
    pub(crate) fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::OpReady, Self::Initialized)
                | (Self::Initialized, Self::Secured)
                | (Self::Secured, Self::Locked)
                | (Self::Locked, Self::Secured)
        ) || (next == Self::Terminated && self != Self::Terminated)
    }
}

/// Life cycle states of instances (§5.3, tables 11-4 and 11-5).
pub(crate) mod life {
    pub(crate) const LOADED: u8 = 0x01;
    pub(crate) const INSTALLED: u8 = 0x03;
    pub(crate) const SELECTABLE: u8 = 0x07;
    pub(crate) const PERSONALIZED: u8 = 0x0F;
    /// Set beside the state from which the instance was locked.
    pub(crate) const LOCKED: u8 = 0x80;
}

/// Privileges (§6.6.1, tables 11-7 to 11-9): three bytes, here as one number.
pub(crate) mod privilege {
    pub(crate) const SECURITY_DOMAIN: u32 = 0x80_00_00;
    pub(crate) const CARD_LOCK: u32 = 0x10_00_00;
    pub(crate) const CARD_TERMINATE: u32 = 0x08_00_00;
    /// "Card Reset", called Default Selected in older versions.
    pub(crate) const CARD_RESET: u32 = 0x04_00_00;
    pub(crate) const AUTHORIZED_MANAGEMENT: u32 = 0x00_40_00;
    pub(crate) const GLOBAL_DELETE: u32 = 0x00_10_00;
    pub(crate) const GLOBAL_LOCK: u32 = 0x00_08_00;
    pub(crate) const GLOBAL_REGISTRY: u32 = 0x00_04_00;
    pub(crate) const FINAL_APPLICATION: u32 = 0x00_02_00;
    /// What the issuer's domain has; Card Reset only as long as no other instance has it.
    pub(crate) const ISSUER: u32 = SECURITY_DOMAIN
        | CARD_LOCK
        | CARD_TERMINATE
        | AUTHORIZED_MANAGEMENT
        | GLOBAL_DELETE
        | GLOBAL_LOCK
        | GLOBAL_REGISTRY
        | FINAL_APPLICATION;
}

/// One row of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub(crate) aid: Aid,
    pub(crate) module: Module,
    /// The executable load file that it came from.
    pub(crate) elf: Aid,
    /// The security domain that it belongs to; the issuer's belongs to itself.
    pub(crate) domain: Aid,
    /// A state of [`life`]; of no meaning for the issuer's domain, whose state is the card's.
    pub(crate) life_cycle: u8,
    /// Bits of [`privilege`].
    pub(crate) privileges: u32,
    /// The parameter i of SCP03 that a domain takes for new key sets.
    pub(crate) parameter: u8,
}

impl Instance {
    /// Whether SELECT finds it.
    pub(crate) fn is_selectable(&self) -> bool {
        self.life_cycle & life::LOCKED == 0 && self.life_cycle >= life::SELECTABLE
    }

    pub(crate) fn is_domain(&self) -> bool {
        self.module == Module::Domain
    }

    pub(crate) fn has(&self, privilege: u32) -> bool {
        self.privileges & privilege == privilege
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step of the card's life cycle, allowed or not.
    #[test]
    fn card_steps() {
        let allowed: Vec<(u8, u8)> = CardState::ALL
            .into_iter()
            .flat_map(|from| CardState::ALL.into_iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .map(|(from, to)| (from.byte(), to.byte()))
            .collect();
        assert_eq!(
            allowed,
            [
                (0x01, 0x07),
                (0x01, 0xFF),
                (0x07, 0x0F),
                (0x07, 0xFF),
                (0x0F, 0x7F),
                (0x0F, 0xFF),
                (0x7F, 0x0F),
                (0x7F, 0xFF),
            ]
        );
        assert_eq!(CardState::find(0x02), None);
    }
}
