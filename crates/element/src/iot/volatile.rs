//! What the applet forgets: the crypto objects. It belongs to a logical channel, and ends with SELECT and reset.

use std::collections::BTreeMap;

use super::crypto_object::CryptoObject;

#[derive(Default)]
pub(crate) struct Volatile {
    pub(crate) crypto_objects: BTreeMap<u16, CryptoObject>,
}
