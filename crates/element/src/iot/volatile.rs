//! What the applet forgets without power: the crypto objects. It belongs to the card, not to a connection, and SELECT
//! of the applet clears it.

use std::collections::BTreeMap;

use super::crypto_object::CryptoObject;

#[derive(Default)]
pub(crate) struct Volatile {
    pub(crate) crypto_objects: BTreeMap<u16, CryptoObject>,
}
