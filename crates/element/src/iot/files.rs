//! Binary objects, counters, PCRs and user ids.

use aws_lc_rs::digest::{Context, SHA256};
use touchmark_identity::apdu::se05x::{
    MAX_BINARY_BYTES, Origin, PCR_BYTES, TAG_1, TAG_2, TAG_3, TAG_4, rule,
};
use zeroize::Zeroizing;

use super::{Request, put, target};
use crate::card::{Card, Refusal};
use crate::object::{Body, COUNTER_WRITES, Object, counter_limit};

/// The lengths of a user id, in bytes.
const USER_ID_BYTES: std::ops::RangeInclusive<usize> = 4..=16;

pub(super) fn write_binary(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let length = fields.optional(TAG_3)?.map(|length| usize::from(u16::from_be_bytes(length)));
    let mut data = match (old.as_deref(), length) {
        (None, Some(length)) if (1..=MAX_BINARY_BYTES).contains(&length) => vec![0; length],
        (None, _) => return Err(Refusal::Field),
        (Some(Object { body: Body::Binary(data), .. }), length) => {
            if length.is_some_and(|length| length != data.len()) {
                return Err(Refusal::Field);
            }
            data.clone()
        }
        (Some(_), _) => return Err(Refusal::NotSuited),
    };
    match fields.find(TAG_4) {
        Some(written) => {
            let offset = usize::from(fields.optional(TAG_2)?.map_or(0, u16::from_be_bytes));
            let end = offset.checked_add(written.len()).ok_or(Refusal::Field)?;
            data.get_mut(offset..end).ok_or(Refusal::Field)?.copy_from_slice(written);
        }
        // "Optional: if not given, TAG_3 must be filled"
        None if length.is_none() => return Err(Refusal::Field),
        None => {}
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Binary(data))
}

pub(super) fn write_counter(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let size = fields.optional(TAG_2)?.map(u16::from_be_bytes);
    let set = fields.find(TAG_3);
    let (bytes, before) = match old.as_deref() {
        Some(Object { body: Body::Counter { bytes, value, writes }, .. }) => {
            (*bytes, Some((*value, *writes)))
        }
        Some(_) => return Err(Refusal::NotSuited),
        None => {
            let given = set.map(|value| u16::try_from(value.len()).unwrap_or(u16::MAX));
            let bytes = size.or(given).and_then(|bytes| u8::try_from(bytes).ok());
            (bytes.filter(|bytes| (1..=8).contains(bytes)).ok_or(Refusal::Field)?, None)
        }
    };
    if size.is_some_and(|size| size != u16::from(bytes)) {
        return Err(Refusal::Field);
    }
    // Each write wears the memory; where the budget is used up, the counter stands.
    let writes = match before {
        None => COUNTER_WRITES,
        Some((_, left)) => left.checked_sub(1).ok_or(Refusal::CounterEnd)?,
    };
    let before = before.map(|(value, _)| value);
    let value = match (before, set) {
        (None, None) => 0,
        (Some(before), None) => {
            let next = before.checked_add(1).filter(|next| *next <= counter_limit(bytes));
            next.ok_or(Refusal::CounterEnd)?
        }
        // "An input value (TAG_3) must always have the same length as the existing counter".
        (_, Some(set)) if set.len() != usize::from(bytes) => return Err(Refusal::Field),
        (_, Some(set)) => set.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
    };
    if before.is_some_and(|before| value < before) {
        return Err(Refusal::CounterEnd);
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Counter { bytes, value, writes })
}

/// WritePCR: made with its initial value, extended with data, or taken back to its beginning.
pub(super) fn write_pcr(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.find(TAG_3);
    // "users that can delete the PCR can also reset the PCR to initial value"
    let wanted = if data.is_some() { rule::WRITE } else { rule::DELETE };
    let (id, old) = target(card, fields, wanted)?;
    let given: Option<[u8; PCR_BYTES]> = fields.optional(TAG_2)?;
    let body = match (old.as_deref(), given, data) {
        (None, Some(initial), None) => Body::Pcr { initial, value: initial },
        (Some(Object { body: Body::Pcr { initial, .. }, .. }), None, None) => {
            Body::Pcr { initial: *initial, value: *initial }
        }
        (Some(Object { body: Body::Pcr { initial, value }, .. }), None, Some(data)) => {
            let mut context = Context::new(&SHA256);
            context.update(value);
            context.update(data);
            let value = context.finish().as_ref().try_into().map_err(|_| Refusal::Crypto)?;
            Body::Pcr { initial: *initial, value }
        }
        (Some(Object { body: Body::Pcr { .. }, .. }) | None, _, _) => return Err(Refusal::Field),
        (Some(_), _, _) => return Err(Refusal::NotSuited),
    };
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, body)
}

/// WriteUserID: made once, never changed.
pub(super) fn write_user_id(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let id = u32::from_be_bytes(fields.exact(TAG_1)?);
    if card.state().objects.contains_key(&id) {
        return Err(Refusal::NotSuited);
    }
    let (id, _) = target(card, fields, rule::WRITE)?;
    let value = fields.required(TAG_2)?;
    if !USER_ID_BYTES.contains(&value.len()) {
        return Err(Refusal::Field);
    }
    put(card, fields, id, None, Origin::EXTERNAL, Body::UserId(Zeroizing::new(value.to_vec())))
}
