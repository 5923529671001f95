//! Partitions into findings: what a worker does while it holds leases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv;
use async_nats::jetstream::message::PublishMessage;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use touchmark_identity::finding::Finding;
use touchmark_monitor::{Monitor, Settings};

use super::lease::{Lease, Observed, share};
use super::read::{Reader, Taken};
use super::{Broker, FINDINGS_SUBJECT, PARTITIONS, PAUSE, failed, publish, state, stream_of, subject_of};
use crate::error::ServerError;
use crate::geo::Places;
use crate::http::serve::Stop;

/// How long the broker waits for a first message.
const WAIT: Duration = Duration::from_millis(500);
/// Messages that are asked for at once.
const AT_ONCE: usize = 32;
/// After so many times the time to live without a sign of life a worker's record is removed.
const FORGOTTEN_AFTER: u32 = 20;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, which no other worker may have: letters, digits and hyphens.
    pub name: String,
    /// A lease that is not renewed for this long is free.
    pub time_to_live: Duration,
    /// Time between checkpoints of a partition.
    pub checkpoint: Duration,
    /// The detection engine.
    pub settings: Settings,
    /// What events are given before they are observed; the same for all workers.
    pub places: Places,
}

/// Why a partition is not worked on any longer.
#[derive(Debug)]
enum Ended {
    /// Another worker has it, or may have it.
    Lost,
    /// It was given back.
    GivenBack,
    /// The broker failed; the lease will run out.
    Failed(ServerError),
}

/// A record with its revision; none is revision 0.
async fn read(leases: &kv::Store, key: &str) -> Result<(u64, Lease), ServerError> {
    let entry = leases.entry(key).await.map_err(failed("read a lease"))?;
    Ok(entry
        .filter(|entry| entry.operation == kv::Operation::Put)
        .and_then(|entry| Some((entry.revision, serde_json::from_slice(&entry.value).ok()?)))
        .unwrap_or_default())
}

/// Changes a record that has this revision; fails when it has another one.
async fn swap(leases: &kv::Store, key: &str, revision: u64, lease: &Lease) -> Result<u64, ServerError> {
    let value = serde_json::to_vec(lease).map_err(failed("take a lease"))?.into();
    leases.update(key, value, revision).await.map_err(failed("take a lease"))
}

fn partition_key(partition: u8) -> String {
    format!("p.{partition}")
}

/// What a worker sees of the others.
struct View {
    partitions: BTreeMap<u8, (u64, Lease, Observed)>,
    workers: BTreeMap<String, Observed>,
}

/// Works until it is told to stop; then it gives its partitions back.
///
/// # Errors
/// None that the broker's absence causes: a worker waits for it. [`ServerError::TaskEnded`] when a part panics.
pub async fn work(broker: Broker, options: Options, mut stop: Stop) -> Result<(), ServerError> {
    let began = Instant::now();
    let period = options.time_to_live / 4;
    let mut view = View {
        partitions: (0..PARTITIONS).map(|n| (n, (0, Lease::default(), Observed::default()))).collect(),
        workers: BTreeMap::new(),
    };
    let mut mine: BTreeMap<u8, watch::Sender<bool>> = BTreeMap::new();
    let mut tasks: JoinSet<(u8, Ended)> = JoinSet::new();
    loop {
        if let Err(error) = look(&broker, &options, &mut view, began).await {
            tracing::warn!("{}", error.chain());
        } else if !*stop.borrow() {
            let now = began.elapsed();
            let ttl = options.time_to_live;
            let live = view.workers.iter().filter(|(_, seen)| seen.live_owner(now, ttl).is_some());
            let mut workers: BTreeSet<&str> = live.map(|(name, _)| name.as_str()).collect();
            workers.insert(&options.name);
            let target = share(PARTITIONS.into(), workers.len());
            for (_, give_back) in mine.iter().skip(target) {
                // The task may have ended by itself.
                let _ended = give_back.send(true);
            }
            // Workers begin at different places, so that they seldom want the same.
            let offset = u8::try_from(options.name.bytes().map(u32::from).sum::<u32>() % 64).unwrap_or(0);
            for at in 0..PARTITIONS {
                let partition = (at + offset) % PARTITIONS;
                let Some((revision, lease, seen)) = view.partitions.get(&partition) else { continue };
                if mine.len() >= target || mine.contains_key(&partition) || !seen.is_free(now, ttl) {
                    continue;
                }
                let taken = Lease {
                    owner: options.name.clone(),
                    beat: lease.beat + 1,
                    checkpoint: lease.checkpoint.clone(),
                };
                // Another one may have been faster.
                if let Ok(revision) = swap(&broker.leases, &partition_key(partition), *revision, &taken).await
                {
                    let (sender, give_back) = watch::channel(false);
                    mine.insert(partition, sender);
                    let held = Held {
                        broker: broker.clone(),
                        options: options.clone(),
                        partition,
                        revision,
                        lease: taken,
                        renewed: Instant::now(),
                        pending: VecDeque::new(),
                    };
                    tasks.spawn(async move { (partition, held.work(give_back).await) });
                }
            }
        }
        let stopping = tokio::select! {
            () = tokio::time::sleep(period) => false,
            _gone = stop.wait_for(|stop| *stop) => true,
            Some(ended) = tasks.join_next() => {
                end(&mut mine, ended)?;
                false
            }
        };
        while let Some(ended) = tasks.try_join_next() {
            end(&mut mine, ended)?;
        }
        if stopping {
            break;
        }
    }
    for give_back in mine.values() {
        let _ended = give_back.send(true);
    }
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            end(&mut mine, ended)?;
        }
        Ok(())
    };
    // What is not given back in time runs out.
    let ended = tokio::time::timeout(options.time_to_live, all).await.unwrap_or(Ok(()));
    forget(&broker.leases, &options.name).await;
    ended
}

/// Removes the record by which a worker said that it lives.
async fn forget(leases: &kv::Store, name: &str) {
    let subject = format!("{}w.{name}", leases.prefix);
    if let Err(error) = leases.stream.purge().filter(subject).await {
        tracing::debug!("the record of worker {name} stays: {error}");
    }
}

fn end(
    mine: &mut BTreeMap<u8, watch::Sender<bool>>,
    ended: Result<(u8, Ended), tokio::task::JoinError>,
) -> Result<(), ServerError> {
    let (partition, ended) = ended.map_err(|_| ServerError::TaskEnded { task: "partition" })?;
    mine.remove(&partition);
    match ended {
        Ended::Lost => tracing::warn!(partition, "another worker has taken the partition"),
        Ended::GivenBack => tracing::info!(partition, "given back"),
        Ended::Failed(error) => tracing::warn!(partition, "{}", error.chain()),
    }
    Ok(())
}

/// Says that this worker lives, and reads all records.
async fn look(
    broker: &Broker,
    options: &Options,
    view: &mut View,
    began: Instant,
) -> Result<(), ServerError> {
    let presence = format!("w.{}", options.name);
    let beat = serde_json::to_vec(&began.elapsed().as_millis()).map_err(failed("take a lease"))?;
    broker.leases.put(presence, beat.into()).await.map_err(failed("take a lease"))?;
    let keys: Vec<u8> = view.partitions.keys().copied().collect();
    let read = keys.iter().map(|partition| {
        let key = partition_key(*partition);
        async move { read(&broker.leases, &key).await }
    });
    for (partition, read) in keys.iter().zip(join_all(read).await) {
        let (revision, lease) = read?;
        if let Some((at, known, seen)) = view.partitions.get_mut(partition) {
            seen.note(revision, &lease.owner, began.elapsed());
            (*at, *known) = (revision, lease);
        }
    }
    let mut names = broker.leases.keys().await.map_err(failed("read a lease"))?;
    while let Some(key) = names.next().await {
        let key = key.map_err(failed("read a lease"))?;
        if let Some(name) = key.strip_prefix("w.") {
            let entry = broker.leases.entry(&key).await.map_err(failed("read a lease"))?;
            let revision = entry.map_or(0, |entry| entry.revision);
            view.workers.entry(name.to_owned()).or_default().note(revision, name, began.elapsed());
        }
    }
    // Workers come and go under other names.
    let gone = |seen: &Observed| seen.unchanged_for(began.elapsed()) > options.time_to_live * FORGOTTEN_AFTER;
    for (name, _) in view.workers.extract_if(.., |_, seen| gone(seen)) {
        forget(&broker.leases, &name).await;
    }
    Ok(())
}

/// A partition that this worker holds.
struct Held {
    broker: Broker,
    options: Options,
    partition: u8,
    revision: u64,
    lease: Lease,
    renewed: Instant,
    /// Found, and not sent yet.
    pending: VecDeque<Finding>,
}

impl Held {
    async fn work(mut self, give_back: Stop) -> Ended {
        match self.follow(give_back).await {
            Ok(()) => Ended::GivenBack,
            Err(error) => {
                // Whether the lease is still there shows the record.
                match read(&self.broker.leases, &partition_key(self.partition)).await {
                    Ok((revision, _)) if revision == self.revision => Ended::Failed(error),
                    Ok(_) => Ended::Lost,
                    Err(_) => Ended::Failed(error),
                }
            }
        }
    }

    /// Writes the record, as nobody else may have done since.
    async fn change(&mut self) -> Result<(), ServerError> {
        self.lease.beat += 1;
        let key = partition_key(self.partition);
        loop {
            let error = match swap(&self.broker.leases, &key, self.revision, &self.lease).await {
                Ok(revision) => {
                    (self.revision, self.renewed) = (revision, Instant::now());
                    return Ok(());
                }
                Err(error) => error,
            };
            // Where a node went, the answer may be lost and the record written.
            match read(&self.broker.leases, &key).await {
                Ok((revision, lease)) if lease == self.lease => {
                    (self.revision, self.renewed) = (revision, Instant::now());
                    return Ok(());
                }
                Ok((revision, _)) if revision > self.revision => return Err(error),
                _ if self.renewed.elapsed() >= self.options.time_to_live => return Err(error),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits for something that may take longer than the lease, and renews the lease meanwhile.
    async fn while_renewing<T>(
        &mut self,
        work: impl Future<Output = Result<T, ServerError>>,
    ) -> Result<T, ServerError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(self.options.time_to_live / 4) => self.change().await?,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), ServerError> {
        if self.renewed.elapsed() >= self.options.time_to_live / 4 {
            self.change().await?;
        }
        Ok(())
    }

    async fn follow(&mut self, give_back: Stop) -> Result<(), ServerError> {
        let (sequence, mut monitor) = match &self.lease.checkpoint {
            Some(pointer) => {
                let (states, settings) = (self.broker.states.clone(), self.options.settings.clone());
                let pointer = pointer.clone();
                let reading = async { state::read(&states, &pointer, &settings).await };
                match self.while_renewing(reading).await? {
                    Ok(monitor) => (pointer.sequence, monitor),
                    Err(error) => {
                        // The state follows from the log: the findings are the same, and were sent before.
                        let partition = self.partition;
                        tracing::warn!(partition, "the log is read from its beginning, because: {error}");
                        (0, Monitor::new(&settings, NonZeroUsize::MIN))
                    }
                }
            }
            None => (0, Monitor::new(&self.options.settings, NonZeroUsize::MIN)),
        };
        if let Some(enrich) = self.options.places.enrich() {
            monitor.enrich_with(enrich);
        }
        let (mut covered, mut saved) = (sequence, Instant::now());
        let (stream, subject) = (stream_of(self.partition), subject_of(self.partition));
        let mut reader = Reader::new(self.broker.context.clone(), stream, subject, sequence);
        let mut trouble = Instant::now();
        loop {
            self.renew().await?;
            let due = saved.elapsed() >= self.options.checkpoint || *give_back.borrow();
            if due && reader.sequence() > covered {
                self.save(&monitor, reader.sequence()).await?;
                (covered, saved) = (reader.sequence(), Instant::now());
            }
            if *give_back.borrow() {
                self.lease.owner = String::new();
                return self.change().await;
            }
            match reader.next(AT_ONCE, WAIT).await {
                Ok(messages) => {
                    trouble = Instant::now();
                    // Other partitions of this worker renew their leases meanwhile.
                    tokio::task::block_in_place(|| {
                        for message in messages {
                            take(&mut monitor, &message);
                            self.pending.extend(monitor.drain());
                        }
                    });
                    self.send().await?;
                }
                // A node that is gone takes its consumers along: another one begins where this one stopped.
                Err(error) if trouble.elapsed() < self.options.time_to_live => {
                    tracing::debug!(partition = self.partition, "{}", error.chain());
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what was found and is not sent yet.
    async fn send(&mut self) -> Result<(), ServerError> {
        while let Some(finding) = self.pending.front() {
            let message = PublishMessage::build()
                .message_id(format!("{}.{}", finding.id, finding.revision))
                .payload(finding.to_line().into());
            publish(&self.broker.context, FINDINGS_SUBJECT.to_owned(), message).await?;
            self.pending.pop_front();
            self.renew().await?;
        }
        Ok(())
    }

    /// Writes a checkpoint, after what was found up to it was sent.
    async fn save(&mut self, monitor: &Monitor, sequence: u64) -> Result<(), ServerError> {
        self.send().await?;
        let mut snapshot = Vec::new();
        tokio::task::block_in_place(|| monitor.snapshot(&self.options.settings, &mut snapshot))
            .map_err(failed("keep a checkpoint"))?;
        let (states, name) = (self.broker.states.clone(), self.options.name.clone());
        let writing = state::write(&states, self.partition, &name, sequence, snapshot);
        let pointer = self.while_renewing(writing).await?;
        self.lease.checkpoint = Some(pointer.clone());
        self.change().await?;
        if let Err(error) = state::tidy(&self.broker.states, self.partition, &pointer).await {
            tracing::debug!(partition = self.partition, "{}", error.chain());
        }
        Ok(())
    }
}

/// Has the monitor take a message. What that leads to depends on nothing but the messages before.
fn take(monitor: &mut Monitor, message: &Taken) {
    if message.is_end {
        monitor.finish();
        return;
    }
    let lines = message.payload.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines.filter(|line| !line.trim_ascii().is_empty()).collect();
    monitor.take_lines(&lines, &mut |_, error| {
        tracing::warn!(reason = error.reason(), "a line in the broker is no event: {error}");
    });
}
