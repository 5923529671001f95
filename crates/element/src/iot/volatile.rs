//! What the applet forgets: crypto objects, sessions, the values of transient objects. It belongs to a logical channel,
//! and ends with SELECT and reset.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crypto_object::CryptoObject;
use super::policy::Caller;
use super::session::Session;
use crate::object::Object;

#[derive(Default)]
pub(crate) struct Volatile {
    pub(crate) crypto_objects: BTreeMap<u16, CryptoObject>,
    pub(crate) sessions: Vec<Session>,
    /// The transient objects that have a value.
    pub(crate) values: BTreeMap<u32, Arc<Object>>,
    /// The transient lock is open.
    pub(crate) unlocked: bool,
    /// From whom the command comes that is being carried out.
    pub(crate) caller: Caller,
}
