//! A topic of Kafka, or of what speaks its protocol: Redpanda, Azure Event Hubs.
//!
//! All partitions are read, without a consumer group: how far each was read is written in the transaction of its lines, so
//! a crash loses no record and repeats none. What brokers have removed before it was read, what a producer spoilt, and a
//! topic that was made anew are said, with the offsets. Open and aborted transactions are read like everything else.
//!
//! - [`wire`]: primitive types; [`message`]: requests and answers; [`broker`]: a connection.
//! - [`batch`]: stored records; [`unpack`]: their compression; [`crc32c`]: their checksum.
//! - [`partition`]: what was fetched, and in which order it is taken; [`place`]: how far it was.
//!
//! Why there is no library: `docs/adr/0011-own-kafka-reader.md`.

pub mod batch;
pub mod broker;
pub mod crc32c;
pub mod message;
pub mod partition;
pub mod place;
pub mod unpack;
pub mod wire;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use self::broker::{Access, Broker, KafkaError};
use self::message::{Amount, Edge, Metadata, Node};
use self::partition::{Partition, Passed};
use self::place::{OutOfRange, Place};
use super::intake::Intake;
use crate::error::ServerError;
use crate::http::serve::Stop;
use crate::stream::station::Taken;

/// Pauses after a broker or the log failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Pauses where nothing could be taken although there is more.
const IDLE: Duration = Duration::from_millis(50);
/// How long a broker waits for a record before it says that there is none, in milliseconds.
const WAIT_MS: i32 = 500;
/// How often brokers are asked where the topic is, which is how new partitions are found.
const LOCATE_EVERY: Duration = Duration::from_secs(60);
/// Fetched at a time, over all partitions, in bytes.
const FETCH: i32 = 64 << 20;
/// Of it, what a partition may give at least and at most.
const PARTITION_LEAST: i32 = 64 << 10;
const PARTITION_MOST: i32 = 1 << 20;

/// What an input needs to know of its topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Brokers to begin with: host and port. They tell the others.
    pub brokers: Vec<(String, u16)>,
    /// The topic's name.
    pub name: String,
    /// How brokers are reached.
    pub access: Access,
}

/// What came of asking for a partition.
enum Found {
    /// Records from this offset on, and the offset behind the last that is there.
    Records { from: i64, end: i64, records: bytes::Bytes },
    /// The offset is not there.
    OutOfRange(OutOfRange),
    /// The broker refused.
    Failed(KafkaError),
}

struct Reader {
    intake: Intake,
    topic: Topic,
    /// The name under which the place is kept.
    key: String,
    /// How far lines are durable.
    place: Place,
    nodes: BTreeMap<i32, Node>,
    connections: BTreeMap<i32, Broker>,
    partitions: BTreeMap<i32, Partition>,
    /// When brokers are asked next where the topic is.
    locate_at: Instant,
    /// Why they could not say.
    trouble: Option<String>,
    once: bool,
}

/// Reads a topic until the monitor stops, whatever fails; with `once`, each partition to its end, or to the first failure.
///
/// # Errors
/// With `once`: [`ServerError::Input`] when brokers cannot be read, and the errors of [`Intake::take`].
pub async fn follow(intake: Intake, topic: Topic, once: bool, mut stop: Stop) -> Result<(), ServerError> {
    let key = format!("kafka:{}", intake.name());
    let mut reader = Reader {
        intake,
        topic,
        key,
        place: Place::default(),
        nodes: BTreeMap::new(),
        connections: BTreeMap::new(),
        partitions: BTreeMap::new(),
        locate_at: Instant::now(),
        trouble: None,
        once,
    };
    while let Err(error) = reader.open().await {
        reader.intake.desk().report(reader.intake.name(), true, Some(error.chain()));
        if once {
            return Err(error);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _gone = stop.wait_for(|stop| *stop) => return Ok(()),
        }
    }
    loop {
        // What is fetched when the monitor stops is fetched again; what is being taken is taken first.
        tokio::select! {
            () = reader.fetch() => {}
            _gone = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        let mut moved = false;
        while reader.take(&mut stop).await? {
            moved = true;
        }
        if *stop.borrow() {
            return Ok(());
        }
        let (behind, trouble) = reader.state();
        reader.intake.desk().report(reader.intake.name(), behind, trouble.clone());
        match trouble {
            Some(detail) if once => {
                return Err(ServerError::Input { input: reader.intake.name().to_owned(), detail });
            }
            None if once && !behind => return Ok(()),
            trouble => {
                if !moved && (behind || trouble.is_some()) {
                    tokio::select! {
                        () = tokio::time::sleep(IDLE) => {}
                        _gone = stop.wait_for(|stop| *stop) => return Ok(()),
                    }
                }
            }
        }
    }
}

impl Reader {
    /// Learns how far the topic was read.
    async fn open(&mut self) -> Result<(), ServerError> {
        let key = self.key.clone();
        let Some(text) = self.intake.desk().blocking(move |desk| desk.station().place(&key)).await? else {
            return Ok(());
        };
        match text.parse() {
            Ok(place) => self.place = place,
            Err(error) => tracing::error!(
                input = self.intake.name(),
                "{text:?}: {error}; reading from the beginning of the topic"
            ),
        }
        Ok(())
    }

    /// Whether there is more to take, and why it cannot be had.
    fn state(&self) -> (bool, Option<String>) {
        let behind = self.partitions.is_empty() || self.partitions.values().any(Partition::is_behind);
        let of_partitions = || {
            self.partitions
                .values()
                .find_map(|partition| partition.trouble.as_ref().map(|(why, _)| why.clone()))
        };
        (behind, self.trouble.clone().or_else(of_partitions))
    }

    /// Fetches from all leaders at once for partitions of which everything was taken.
    async fn fetch(&mut self) {
        if Instant::now() >= self.locate_at {
            let located = self.locate().await;
            let pause = if located.is_ok() { LOCATE_EVERY } else { PAUSE };
            self.locate_at = Instant::now() + pause;
            self.trouble = located.err().map(|error| error.to_string());
        }
        let now = Instant::now();
        let (behind, trouble) = self.state();
        let number = i32::try_from(self.partitions.len().max(1)).unwrap_or(i32::MAX);
        let amount = Amount {
            wait_ms: if behind || trouble.is_some() { 0 } else { WAIT_MS },
            bytes: FETCH,
            partition_bytes: (FETCH / number).clamp(PARTITION_LEAST, PARTITION_MOST),
        };
        let mut wanted: BTreeMap<i32, Vec<(i32, Option<i64>)>> = BTreeMap::new();
        for (number, partition) in &self.partitions {
            let due = partition.not_before.is_none_or(|moment| moment <= now);
            let done = self.once && !partition.is_behind();
            if partition.is_empty() && due && !done && self.nodes.contains_key(&partition.leader) {
                wanted.entry(partition.leader).or_default().push((*number, partition.next));
            }
        }
        let asked = wanted.into_iter().filter_map(|(leader, wanted)| {
            let broker = self.connections.remove(&leader);
            let node = self.nodes.get(&leader)?;
            Some(ask(&self.topic, node, broker, wanted, amount))
        });
        for (leader, wanted, answer) in join_all(asked.collect::<Vec<_>>()).await {
            match answer {
                Ok((broker, found)) => {
                    self.connections.insert(leader, broker);
                    for (partition, found) in found {
                        self.found(partition, found);
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    for (partition, _) in wanted {
                        self.fail(partition, why.clone());
                    }
                }
            }
        }
    }

    /// Asks any broker: one that is connected, those of the configuration, those that were told.
    async fn metadata(&mut self) -> Result<Metadata, KafkaError> {
        let topic = self.topic.name.clone();
        if let Some((id, mut broker)) = self.connections.pop_first() {
            match broker.metadata(&topic).await {
                Ok(found) => {
                    self.connections.insert(id, broker);
                    return Ok(found);
                }
                Err(error) => tracing::debug!(input = self.intake.name(), "{error}"),
            }
        }
        let mut addresses = self.topic.brokers.clone();
        addresses.extend(self.nodes.values().map(|node| (node.host.clone(), node.port)));
        let mut answer = Err(KafkaError::NoTopic { topic: topic.clone() });
        for (host, port) in addresses {
            answer = match Broker::connect(&self.topic.access, &host, port).await {
                Ok(mut broker) => broker.metadata(&topic).await,
                Err(error) => Err(error),
            };
            if matches!(answer, Ok(_) | Err(KafkaError::NoTopic { .. } | KafkaError::Refused { .. })) {
                break;
            }
        }
        answer
    }

    /// Learns where the topic is.
    async fn locate(&mut self) -> Result<(), KafkaError> {
        let found = self.metadata().await?;
        if let Some(why) = self.place.turn_to(&self.topic.name, found.id) {
            tracing::error!(input = self.intake.name(), "{why}");
            self.partitions.clear();
        }
        let nodes: BTreeMap<i32, Node> = found.nodes.into_iter().map(|node| (node.id, node)).collect();
        // A broker that moved is connected to anew.
        self.connections.retain(|id, _| self.nodes.get(id) == nodes.get(id));
        self.nodes = nodes;
        self.partitions.retain(|number, _| found.partitions.iter().any(|(listed, _)| listed == number));
        for (number, leader) in found.partitions {
            let next = self.place.next.get(&number).copied();
            let partition = self.partitions.entry(number).or_insert_with(|| Partition::from(next));
            partition.leader = leader;
            if !self.nodes.contains_key(&leader) {
                self.fail(number, KafkaError::NoLeader { partition: number }.to_string());
            }
        }
        Ok(())
    }

    fn found(&mut self, number: i32, found: Found) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        match found {
            Found::Records { from, end, records } => {
                partition.next = Some(from);
                partition.add(records, end);
            }
            Found::Failed(error) => self.fail(number, error.to_string()),
            Found::OutOfRange(what) => match what.verdict() {
                Some((next, said)) => {
                    partition.restart(Some(next));
                    tracing::error!(input = self.intake.name(), "partition {number}: {said}");
                    if let OutOfRange::Removed { stored, earliest } = what {
                        let gone = earliest.abs_diff(stored);
                        self.count("removed-before-read", gone, format!("partition {number}: {said}"));
                    }
                }
                None => self.fail(number, format!("partition {number} was cut for a moment")),
            },
        }
    }

    /// A partition cannot be read at the moment; where it is, is asked soon.
    fn fail(&mut self, number: i32, why: String) {
        let now = Instant::now();
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.fail(why, now);
            partition.not_before = Some(now + PAUSE);
        }
        self.locate_at = self.locate_at.min(now + PAUSE);
    }

    /// Makes the next lines durable, with the place that is reached with them; true when there may be more. What the log
    /// refuses is kept until it takes it, or the monitor stops.
    async fn take(&mut self, stop: &mut Stop) -> Result<bool, ServerError> {
        let (mut partitions, now) = (std::mem::take(&mut self.partitions), Instant::now());
        let desk = self.intake.desk();
        let taken = desk.blocking(move |_| {
            let piece = partition::take(&mut partitions, now);
            Ok((partitions, piece))
        });
        let piece = match taken.await {
            Ok((partitions, piece)) => {
                self.partitions = partitions;
                piece
            }
            // Then the partitions are gone, and are read again from what is durable.
            Err(error) => {
                self.locate_at = Instant::now();
                return if self.once { Err(error) } else { Ok(false) };
            }
        };
        for (partition, error) in piece.stuck {
            self.fail(partition, error.to_string());
        }
        for passed in piece.passed {
            self.pass(&passed);
        }
        if piece.next.is_empty() {
            return Ok(false);
        }
        self.place.next.extend(piece.next);
        let text = self.place.to_string();
        loop {
            let (intake, key, text, lines) =
                (self.intake.clone(), self.key.clone(), text.clone(), piece.lines.clone());
            let done = self.intake.desk().blocking(move |desk| {
                if lines.is_empty() {
                    return desk.station().set_place(&key, &text);
                }
                intake.take(lines, Some((&key, &text)))
            });
            let Err(error) = done.await else { return Ok(!*stop.borrow()) };
            self.intake.desk().report(self.intake.name(), true, Some(error.chain()));
            if self.once {
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _gone = stop.wait_for(|stop| *stop) => return Ok(false),
            }
        }
    }

    fn pass(&self, passed: &Passed) {
        let Passed { partition, from, next, records, detail } = passed;
        let said = format!(
            "partition {partition}: the batch with offsets {from} to {} is passed over, {detail}",
            next.saturating_sub(1)
        );
        tracing::error!(input = self.intake.name(), "{said}");
        self.count("unreadable-batch", *records, said);
    }

    fn count(&self, reason: &'static str, number: u64, example: String) {
        let mut taken = Taken::default();
        taken.refused.insert(reason, (number, example));
        self.intake.desk().count(self.intake.name(), &taken);
    }
}

type Wanted = Vec<(i32, Option<i64>)>;

/// Asks one leader for its partitions. The connection comes back where it is still of use.
async fn ask(
    topic: &Topic,
    node: &Node,
    broker: Option<Broker>,
    wanted: Wanted,
    amount: Amount,
) -> (i32, Wanted, Result<(Broker, Vec<(i32, Found)>), KafkaError>) {
    let asking = async {
        let mut broker = match broker {
            Some(broker) => broker,
            None => Broker::connect(&topic.access, &node.host, node.port).await?,
        };
        let found = ask_broker(&topic.name, &mut broker, &wanted, amount).await?;
        Ok((broker, found))
    };
    let answer = asking.await;
    (node.id, wanted, answer)
}

async fn ask_broker(
    topic: &str,
    broker: &mut Broker,
    wanted: &[(i32, Option<i64>)],
    amount: Amount,
) -> Result<Vec<(i32, Found)>, KafkaError> {
    let mut from: Vec<(i32, i64)> =
        wanted.iter().filter_map(|(partition, next)| Some((*partition, (*next)?))).collect();
    let fresh: Vec<i32> =
        wanted.iter().filter(|(_, next)| next.is_none()).map(|(partition, _)| *partition).collect();
    if !fresh.is_empty() {
        let earliest = broker.offsets(topic, &fresh, Edge::Earliest).await?;
        from.extend(fresh.into_iter().zip(earliest));
    }
    let mut answers = broker.records(topic, &from, amount).await?;
    let mut found = Vec::new();
    let mut lost = Vec::new();
    for (partition, from) in from {
        let Some(at) = answers.iter().position(|answer| answer.partition == partition) else {
            found.push((partition, Found::Failed(broker.said_nothing(partition))));
            continue;
        };
        let answer = answers.swap_remove(at);
        match answer.error {
            0 => {
                let (end, records) = (answer.end, answer.records);
                found.push((partition, Found::Records { from, end, records }));
            }
            1 => lost.push((partition, from)),
            code => {
                let error = broker.refused(format!("records of partition {partition}"), code);
                found.push((partition, Found::Failed(error)));
            }
        }
    }
    if !lost.is_empty() {
        let partitions: Vec<i32> = lost.iter().map(|(partition, _)| *partition).collect();
        let earliest = broker.offsets(topic, &partitions, Edge::Earliest).await?;
        let end = broker.offsets(topic, &partitions, Edge::End).await?;
        for ((partition, stored), (earliest, end)) in lost.into_iter().zip(earliest.into_iter().zip(end)) {
            found.push((partition, Found::OutOfRange(OutOfRange::of(stored, earliest, end))));
        }
    }
    Ok(found)
}
