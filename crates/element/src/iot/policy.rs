//! Who may do what with an object: policies, held against the session in which a command came.

use std::sync::Arc;

use touchmark_identity::apdu::se05x::rule;

use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// From whom a command comes, as far as the applet knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The authentication object of the session; 0 is everybody, without a session.
    pub(crate) user: u32,
    /// The command came authenticated and encrypted: from the platform's secure channel, or the session's own.
    pub(crate) secure: bool,
}

/// An object with its value: of a transient one, the value that this channel has.
pub(super) fn find(card: &Card, id: u32) -> Option<Arc<Object>> {
    let object = card.state().objects.get(&id)?;
    let value = if object.transient { card.iot_ref().values.get(&id) } else { None };
    Some(Arc::clone(value.unwrap_or(object)))
}

/// Whether the caller may do all of what is wanted, bits of [`rule`].
///
/// The policy that counts is the one for the session's authentication object; where there is none, the one for everybody
/// (0); where there is none either, nothing is allowed. An object without policies lets everybody do everything, but
/// vouch for other objects; an authentication object without policies is not read.
pub(super) fn allowed(card: &Card, object: &Object, wanted: u32) -> Result<(), Refusal> {
    if object.policies.is_empty() {
        let closed = if object.auth.is_some() { rule::ATTEST | rule::READ } else { rule::ATTEST };
        return if wanted & closed == 0 { Ok(()) } else { Err(Refusal::Policy) };
    }
    let caller = card.iot_ref().caller;
    let policy_for = |user: u32| object.policies.iter().find(|policy| policy.authentication == user);
    let policy = policy_for(caller.user).or_else(|| policy_for(0)).ok_or(Refusal::Policy)?;
    let forbidden = policy.rule & rule::FORBID_ALL != 0 || policy.rule & wanted != wanted;
    let unprotected = policy.rule & rule::REQUIRE_SECURE_MESSAGING != 0 && !caller.secure;
    if forbidden || unprotected || !pcr_holds(card, &policy.extension) {
        return Err(Refusal::Policy);
    }
    Ok(())
}

/// Whether the PCR object that a policy names has the value that it names; so too when it names none.
fn pcr_holds(card: &Card, extension: &[u8]) -> bool {
    let Some((id, wanted)) = extension.split_first_chunk::<4>() else { return true };
    let object = find(card, u32::from_be_bytes(*id));
    object.is_some_and(|object| matches!(&object.body, Body::Pcr { value, .. } if value.as_slice() == wanted))
}
