//! The state file of a virtual element as a fuzzer can change it: without the hashes, which are made to fit.

use touchmark_identity::key::sha256;

/// The line with which a journal begins.
const FORMAT: &[u8] = b"touchmark-element-state/3\n";

/// A journal with these payloads.
#[must_use]
pub fn journal<P: AsRef<[u8]>>(payloads: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut file = FORMAT.to_vec();
    let mut hash = sha256(FORMAT);
    for payload in payloads {
        let payload = payload.as_ref();
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let check = sha256(&[&hash[..], &length].concat());
        hash = sha256(&[&hash[..], &length, payload].concat());
        file.extend([&length[..], &check[..4], &hash, payload].concat());
    }
    file
}

/// The opposite of [`journal`].
#[must_use]
pub fn payloads(journal: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = journal.strip_prefix(FORMAT).expect("a journal");
    let mut payloads = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<40>() {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let (payload, after) = behind.split_at(usize::try_from(length).expect("a short payload"));
        payloads.push(payload.to_vec());
        rest = after;
    }
    payloads
}

/// Payloads with these changes, each a byte, the key up to a zero, and the value. Of the byte, bit 0 says that the value is
/// put, else it is deleted, and bit 1 that the next change is one of another record.
#[must_use]
pub fn written<'a>(changes: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut payloads = vec![Vec::new()];
    for change in changes {
        let Some((kind, change)) = change.split_first() else { continue };
        let mut parts = change.splitn(2, |byte| *byte == 0);
        let (key, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut payload = payloads.pop().unwrap_or_default();
        payload.push(kind & 1);
        payload.extend(u16::try_from(key.len()).expect("a short key").to_be_bytes());
        payload.extend(key);
        if kind & 1 != 0 {
            payload.extend(u32::try_from(value.len()).expect("a short value").to_be_bytes());
            payload.extend(value);
        }
        payloads.push(payload);
        if kind & 2 != 0 {
            payloads.push(Vec::new());
        }
    }
    payloads.retain(|payload| !payload.is_empty());
    payloads
}

/// The opposite of [`written`].
#[must_use]
pub fn changes(payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut changes: Vec<Vec<u8>> = Vec::new();
    for payload in payloads {
        let mut rest = &payload[..];
        while let [kind, high, low, behind @ ..] = rest {
            let (key, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            let (value, behind) = match behind.split_first_chunk::<4>() {
                Some((length, behind)) if *kind == 1 => {
                    behind.split_at(usize::try_from(u32::from_be_bytes(*length)).expect("a short value"))
                }
                _ => (&[][..], behind),
            };
            changes.push([&[*kind][..], key, &[0], value].concat());
            rest = behind;
        }
        if let Some(last) = changes.last_mut() {
            last[0] |= 2;
        }
    }
    changes
}

/// A state of format 1 or 2: a line with the digest of what follows.
#[must_use]
pub fn old(format: u8, body: &[u8]) -> Vec<u8> {
    let line = format!("touchmark-element-state/{format} {}\n", hex::encode(sha256(body)));
    [line.as_bytes(), body].concat()
}
