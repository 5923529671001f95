//! Checkpoints in the broker: a snapshot in parts, named by the record of its partition.
//!
//! Parts are written first, under a key that no other worker uses; then the record points to them. Until then, and for
//! every worker that has lost its lease, they are nothing but parts that the next checkpoint removes.

use std::num::NonZeroUsize;

use async_nats::jetstream::kv;
use touchmark_identity::key::sha256;
use touchmark_monitor::{Monitor, Settings, SnapshotError};

use super::failed;
use super::lease::Pointer;
use crate::error::ServerError;

/// Bytes of a part; brokers take messages of 1 MiB by default.
const PART: usize = 512 * 1024;

fn part(key: &str, number: u32) -> String {
    format!("{key}.{number}")
}

/// Writes a snapshot's parts; the pointer is for the record of the partition.
///
/// # Errors
/// [`ServerError::Broker`].
pub async fn write(
    states: &kv::Store,
    partition: u8,
    worker: &str,
    sequence: u64,
    snapshot: Vec<u8>,
) -> Result<Pointer, ServerError> {
    let key = format!("{partition}.{worker}.{sequence}");
    let mut parts = 0;
    for bytes in snapshot.chunks(PART) {
        let put = states.put(part(&key, parts), bytes.to_vec().into()).await;
        put.map_err(failed("keep a checkpoint"))?;
        parts += 1;
    }
    Ok(Pointer { sequence, key, parts, sha256: hex::encode(sha256(&snapshot)) })
}

/// Takes a checkpoint back.
///
/// # Errors
/// [`ServerError::Broker`] when the broker does not answer, or what it has cannot be used: a part is missing or changed,
/// or it was made by other settings or another version.
pub async fn read(
    states: &kv::Store,
    pointer: &Pointer,
    settings: &Settings,
) -> Result<Monitor, ServerError> {
    let unusable = failed::<SnapshotError>("give back a checkpoint that can be used");
    let mut snapshot = Vec::new();
    for number in 0..pointer.parts {
        let bytes = states.get(part(&pointer.key, number)).await.map_err(failed("read a checkpoint"))?;
        let missing = || SnapshotError::Damaged { detail: format!("part {number} is missing") };
        snapshot.extend_from_slice(&bytes.ok_or_else(|| unusable(missing()))?);
    }
    if hex::encode(sha256(&snapshot)) != pointer.sha256 {
        return Err(unusable(SnapshotError::Damaged { detail: "its hash is another one".to_owned() }));
    }
    Monitor::restore(settings, NonZeroUsize::MIN, &mut snapshot.as_slice()).map_err(unusable)
}

/// Removes a partition's parts that a pointer does not name.
///
/// # Errors
/// [`ServerError::Broker`]; some may be left then.
pub async fn tidy(states: &kv::Store, partition: u8, keep: &Pointer) -> Result<(), ServerError> {
    let tidying = "remove an old checkpoint";
    let filter = format!("{}{partition}.>", states.prefix);
    let info = states.stream.info_with_subjects(&filter).await.map_err(failed(tidying))?;
    let kept = format!("{}{}.", states.prefix, keep.key);
    let old: Vec<String> = {
        use futures_util::TryStreamExt;
        info.try_filter_map(|(subject, _)| {
            let old = (!subject.starts_with(&kept)).then_some(subject);
            async { Ok(old) }
        })
        .try_collect()
        .await
        .map_err(failed(tidying))?
    };
    for subject in old {
        states.stream.purge().filter(subject).await.map_err(failed(tidying))?;
    }
    Ok(())
}
