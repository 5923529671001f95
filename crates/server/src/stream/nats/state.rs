//! Checkpoints in the broker: a snapshot in parts, named by the record of its partition.
//!
//! Parts are written first, under a key that no other worker uses; then the record points to them. Until then, and for
//! every worker that has lost its lease, they are nothing but parts that a later checkpoint removes.

use std::num::NonZeroUsize;
use std::time::Duration;

use async_nats::jetstream::kv;
use touchmark_identity::key::sha256;
use touchmark_monitor::{Monitor, Settings, SnapshotError};

use super::failed;
use super::lease::Pointer;
use crate::error::ServerError;

/// Bytes of a part; brokers take messages of 1 MiB by default.
const PART: usize = 512 * 1024;
/// How often a part that is not there is asked for: a replica may be behind.
const LOOKS: u32 = 8;
/// Pause before it is asked for again.
const PAUSE: Duration = Duration::from_millis(250);

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

/// Takes a checkpoint back, or says why it cannot be used: a part is missing or changed, or it was made by other settings
/// or another version.
///
/// # Errors
/// [`ServerError::Broker`] when the broker does not answer.
pub async fn read(
    states: &kv::Store,
    pointer: &Pointer,
    settings: &Settings,
) -> Result<Result<Monitor, SnapshotError>, ServerError> {
    let mut snapshot = Vec::new();
    for number in 0..pointer.parts {
        let Some(bytes) = find(states, &part(&pointer.key, number)).await? else {
            let detail = format!("part {number} of {} is missing", pointer.parts);
            return Ok(Err(SnapshotError::Damaged { detail }));
        };
        snapshot.extend_from_slice(&bytes);
    }
    // Both may take a while; other partitions of this worker go on meanwhile.
    Ok(tokio::task::block_in_place(|| {
        if hex::encode(sha256(&snapshot)) != pointer.sha256 {
            return Err(SnapshotError::Damaged { detail: "its hash is another one".to_owned() });
        }
        Monitor::restore(settings, NonZeroUsize::MIN, &mut snapshot.as_slice())
    }))
}

async fn find(states: &kv::Store, key: &str) -> Result<Option<bytes::Bytes>, ServerError> {
    for _ in 0..LOOKS {
        if let Some(bytes) = states.get(key).await.map_err(failed("read a checkpoint"))? {
            return Ok(Some(bytes));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

/// The message that a part's key (`PARTITION.WORKER.SEQUENCE.PART`) says was the last.
fn sequence_of(key: &str) -> Option<u64> {
    key.split('.').nth(2)?.parse().ok()
}

/// Removes a partition's parts of checkpoints that are older than the one that a pointer names.
///
/// Younger ones stay: whoever calls this may have lost its lease since it wrote the pointer, and they may be those of its
/// successor.
///
/// # Errors
/// [`ServerError::Broker`]; some may be left then.
pub async fn tidy(states: &kv::Store, partition: u8, keep: &Pointer) -> Result<(), ServerError> {
    let tidying = "remove an old checkpoint";
    let filter = format!("{}{partition}.>", states.prefix);
    let info = states.stream.info_with_subjects(&filter).await.map_err(failed(tidying))?;
    let old: Vec<String> = {
        use futures_util::TryStreamExt;
        info.try_filter_map(|(subject, _)| {
            let written = subject.strip_prefix(&states.prefix).and_then(sequence_of);
            let old = written.is_some_and(|sequence| sequence < keep.sequence).then_some(subject);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_of_which_message_it_is() {
        let key = part("17.worker-1.4096", 3);
        assert_eq!((key.as_str(), sequence_of(&key)), ("17.worker-1.4096.3", Some(4_096)));
        assert_eq!((sequence_of("17.worker-1"), sequence_of("17.a.x.0")), (None, None));
    }
}
