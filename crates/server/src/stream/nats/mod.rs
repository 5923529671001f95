//! Several machines: the log of events is a replicated one, in NATS JetStream.
//!
//! Identities are shared out over [`PARTITIONS`] by the hash of their strongest name, in the same way as a monitor shares
//! them out within itself. Partition `n` is the subject `touchmark.ev.n`, in one of [`STREAMS`] streams. A worker owns
//! partitions by [`lease`]; its state of a partition is a function of the partition's messages in the order of the stream,
//! and a checkpoint names the last message that is in it. So a partition goes from worker to worker without changing a
//! finding, and consumers hold nothing: they are made where the checkpoint ends and may vanish with a node.
//!
//! - [`publish`]: events into partitions.
//! - [`worker`]: partitions into findings.
//! - [`collect`]: findings out, each revision once.
//!
//! Made for nats-server 2.9 and later.

pub mod collect;
pub mod lease;
pub mod publish;
pub mod read;
pub mod state;
pub mod worker;

use std::time::Duration;

use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, Context, kv};
pub use touchmark_monitor::PARTITIONS;

use crate::error::ServerError;

/// Streams that hold the partitions. Each is a Raft group of its own on the servers.
pub const STREAMS: u8 = 8;
/// The stream of findings.
pub const FINDINGS: &str = "TM_FINDINGS";
/// The subject of findings.
pub const FINDINGS_SUBJECT: &str = "touchmark.finding";
/// The stream of registry lines, from which publishers learn which names belong together.
pub const REGISTRY: &str = "TM_REGISTRY";
/// The subject of registry lines.
pub const REGISTRY_SUBJECT: &str = "touchmark.registry";
/// The bucket of leases.
pub const LEASES: &str = "TM_LEASES";
/// The bucket of checkpoints' parts.
pub const STATES: &str = "TM_STATES";
/// A header whose presence says that no more events will come.
pub const END: &str = "Touchmark-End";

/// The server recognises a message that is sent again within this time.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// The client waits this long for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pause before something is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// How often setting up is tried: a cluster that has just started chooses its leaders first.
const TRIES: u32 = 240;

/// How to reach the broker, and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Servers, `nats://HOST:PORT`, separated by commas.
    pub servers: String,
    /// Copies of each stream, 1 to 5. Used when streams are made.
    pub replicas: usize,
    /// How long events are kept; zero: for ever. Used when streams are made.
    pub keep: Duration,
}

/// The stream of a partition.
#[must_use]
pub fn stream_of(partition: u8) -> String {
    format!("TM_EV_{}", partition % STREAMS)
}

/// The subject of a partition.
#[must_use]
pub fn subject_of(partition: u8) -> String {
    format!("touchmark.ev.{partition}")
}

/// What a client library says, as an error of ours.
pub(crate) fn failed<E>(action: &'static str) -> impl Fn(E) -> ServerError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| ServerError::Broker { action, source: Box::new(source) }
}

/// A connection with everything that is needed set up.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Streams.
    pub context: Context,
    /// The bucket of leases.
    pub leases: kv::Store,
    /// The bucket of checkpoints' parts.
    pub states: kv::Store,
}

impl Cluster {
    /// Connects, and makes streams and buckets that are missing. It is tried for a minute.
    ///
    /// # Errors
    /// [`ServerError::Broker`].
    pub async fn connect(&self) -> Result<Broker, ServerError> {
        let servers: Vec<&str> = self.servers.split(',').map(str::trim).collect();
        let options = async_nats::ConnectOptions::new()
            .name("touchmark")
            .connection_timeout(ANSWER_WITHIN)
            .request_timeout(Some(ANSWER_WITHIN))
            .reconnect_delay_callback(|tries| if tries <= 1 { Duration::ZERO } else { PAUSE })
            .ping_interval(Duration::from_secs(5));
        let mut tries = 0;
        let client = loop {
            match options.clone().connect(&servers).await {
                Ok(client) => break client,
                Err(error) if tries >= TRIES => return Err(failed("accept a connection")(error)),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            tries += 1;
        };
        let mut context = jetstream::new(client);
        context.set_timeout(ANSWER_WITHIN);
        loop {
            match self.set_up(&context).await {
                Ok(broker) => return Ok(broker),
                Err(error) if tries >= TRIES => return Err(error),
                Err(error) => {
                    tracing::debug!("tried again: {}", error.chain());
                    tokio::time::sleep(PAUSE).await;
                }
            }
            tries += 1;
        }
    }

    async fn set_up(&self, context: &Context) -> Result<Broker, ServerError> {
        let stream = |name: String, subjects: Vec<String>| StreamConfig {
            name,
            subjects,
            storage: StorageType::File,
            num_replicas: self.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            ..StreamConfig::default()
        };
        for number in 0..STREAMS {
            let subjects = (number..PARTITIONS).step_by(STREAMS.into()).map(subject_of).collect();
            let config = StreamConfig { max_age: self.keep, ..stream(stream_of(number), subjects) };
            self.made(context.get_or_create_stream(config).await.map_err(failed("make a stream"))?);
        }
        for (name, subject) in [(FINDINGS, FINDINGS_SUBJECT), (REGISTRY, REGISTRY_SUBJECT)] {
            let config = stream(name.to_owned(), vec![subject.to_owned()]);
            self.made(context.get_or_create_stream(config).await.map_err(failed("make a stream"))?);
        }
        let leases = self.bucket(context, LEASES).await?;
        let states = self.bucket(context, STATES).await?;
        Ok(Broker { context: context.clone(), leases, states })
    }

    /// A stream that was there before is left as it is.
    fn made(&self, stream: jetstream::stream::Stream) {
        let config = &stream.cached_info().config;
        if config.num_replicas < self.replicas {
            let (name, has, wanted) = (&config.name, config.num_replicas, self.replicas);
            tracing::warn!(
                "stream {name} has {has} copies and not {wanted}: `nats stream edit` changes that"
            );
        }
    }

    async fn bucket(&self, context: &Context, name: &str) -> Result<kv::Store, ServerError> {
        // The stream of a bucket, as NATS describes it (ADR-8). Made here, because the client's own way asks for an
        // account's limits in a form that servers before 2.10 do not have.
        let config = StreamConfig {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..StreamConfig::default()
        };
        self.made(context.get_or_create_stream(config).await.map_err(failed("make a bucket"))?);
        context.get_key_value(name).await.map_err(failed("make a bucket"))
    }
}

/// Publishes until the broker has it; an id that it has seen before it keeps once.
pub(crate) async fn publish(
    context: &Context,
    subject: String,
    message: jetstream::message::PublishMessage,
) -> Result<(), ServerError> {
    let mut tries = 0;
    loop {
        let acknowledged = match context.send_publish(subject.clone(), message.clone()).await {
            Ok(acknowledgement) => acknowledgement.await.map(|_| ()),
            Err(error) => Err(error),
        };
        match acknowledged {
            Ok(()) => return Ok(()),
            Err(error) if tries >= TRIES => return Err(failed("take a message")(error)),
            Err(error) => tracing::debug!("a message is sent again: {error}"),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_stream() {
        let mut subjects: Vec<String> = (0..PARTITIONS).map(subject_of).collect();
        subjects.dedup();
        assert_eq!(subjects.len(), usize::from(PARTITIONS));
        let of: Vec<String> = (0..STREAMS).map(stream_of).collect();
        assert!((0..PARTITIONS).all(|partition| of.contains(&stream_of(partition))));
    }
}
