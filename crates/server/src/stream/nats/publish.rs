//! Lines into partitions.
//!
//! Of each partition one message is under way at a time, so a partition's messages are in the order of the lines whatever
//! has to be sent again. A message's id is the digest of its content: what is sent again is kept once.
//!
//! Which names belong to one device, registry lines say. They go into a stream of their own first, and every publisher
//! learns from that stream alone, in its order, before it sends anything; so all publishers share events out alike, also
//! those that are started later.

use std::borrow::Cow;
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use futures_util::future::try_join_all;
use touchmark_identity::event::{Event, EventBody};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::adapters::safe_example;
use touchmark_monitor::{PARTITIONS, Router};

use super::read::Reader;
use super::{Broker, END, PAUSE, REGISTRY, REGISTRY_SUBJECT, TRIES, publish, subject_of};
use crate::error::ServerError;
use crate::stream::station::Refused;

/// A message holds lines of about this many bytes.
const MESSAGE: usize = 64 * 1024;
/// Messages of the registry that are asked for at once.
const AT_ONCE: usize = 256;
/// How long the broker waits for a message that it has.
const WAIT: Duration = Duration::from_secs(2);

/// Shares lines out, and sends them.
#[derive(Debug)]
pub struct Publisher {
    broker: Broker,
    router: Router,
    registry: Reader,
    waiting: Vec<Vec<u8>>,
    /// Lines sent.
    pub events: u64,
    /// Lines that are no event, by reason.
    pub refused: Refused,
}

impl Publisher {
    /// A publisher that has learnt nothing yet.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        let waiting = (0..PARTITIONS).map(|_| Vec::new()).collect();
        let (stream, subject) = (REGISTRY.to_owned(), REGISTRY_SUBJECT.to_owned());
        let registry = Reader::new(broker.context.clone(), stream, subject, 0);
        Self { broker, router: Router::default(), registry, waiting, events: 0, refused: Refused::new() }
    }

    /// Takes whole lines and sends them; the broker has them when it returns.
    ///
    /// # Errors
    /// [`ServerError::Broker`]; some may have been sent then, and sending all again changes nothing.
    pub async fn send(&mut self, lines: &[u8]) -> Result<(), ServerError> {
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let mut events = Vec::new();
        for line in lines {
            match Event::from_line(line) {
                Ok(event) => events.push((event, Cow::Borrowed(line))),
                Err(error) => self.refuse(error.reason(), line),
            }
        }
        self.share_out(events).await
    }

    /// Sends registry lines that are valid from the beginning, whatever their `time` says.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub async fn register(&mut self, lines: &[u8]) -> Result<(), ServerError> {
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let mut events = Vec::new();
        for line in lines {
            match Event::from_line(line) {
                Ok(event) if matches!(event.body, EventBody::Registry(_)) => {
                    let first = Event { time: Timestamp::from_micros(0), ..event };
                    let line = first.to_line().into_bytes();
                    events.push((first, Cow::Owned(line)));
                }
                Ok(_) => self.refuse("not-a-registry-line", line),
                Err(error) => self.refuse(error.reason(), line),
            }
        }
        self.share_out(events).await
    }

    async fn share_out(&mut self, events: Vec<(Event, Cow<'_, [u8]>)>) -> Result<(), ServerError> {
        let mut registry = Vec::new();
        for (_, line) in events.iter().filter(|(event, _)| matches!(event.body, EventBody::Registry(_))) {
            registry.extend_from_slice(line);
            registry.push(b'\n');
        }
        for payload in messages(&registry) {
            let message = PublishMessage::build()
                .message_id(hex::encode(sha256(payload)))
                .payload(payload.to_vec().into());
            publish(&self.broker.context, REGISTRY_SUBJECT.to_owned(), message).await?;
        }
        self.learn().await?;
        for (event, line) in &events {
            let at = self.router.of(event);
            if let Some(waiting) = self.waiting.get_mut(usize::from(at)) {
                waiting.extend_from_slice(line);
                waiting.push(b'\n');
                self.events += 1;
            }
        }
        self.flush().await
    }

    /// Learns what registry lines there are by now, of all publishers.
    async fn learn(&mut self) -> Result<(), ServerError> {
        let mut tries = 0;
        loop {
            match self.learn_once().await {
                Err(error) if tries >= TRIES => return Err(error),
                Err(error) => tracing::debug!("the registry is asked again: {}", error.chain()),
                Ok(()) => return Ok(()),
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn learn_once(&mut self) -> Result<(), ServerError> {
        loop {
            let messages = self.registry.next_there(AT_ONCE, WAIT).await?;
            if messages.is_empty() {
                return Ok(());
            }
            for message in messages {
                for line in message.payload.split(|byte| *byte == b'\n') {
                    if let Ok(event) = Event::from_line(line) {
                        self.router.learn(&event);
                    }
                }
            }
        }
    }

    /// Says that no more events will come: what is held back is observed.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub async fn end(&mut self) -> Result<(), ServerError> {
        let context = &self.broker.context;
        let end = |partition| {
            let message = PublishMessage::build().header(END, "1").payload(Vec::new().into());
            publish(context, subject_of(partition), message)
        };
        try_join_all((0..PARTITIONS).map(end)).await.map(|_| ())
    }

    fn refuse(&mut self, reason: &'static str, line: &[u8]) {
        self.refused.entry(reason).or_insert_with(|| (0, safe_example(line))).0 += 1;
    }

    async fn flush(&mut self) -> Result<(), ServerError> {
        let context = &self.broker.context;
        let partitions = (0..PARTITIONS).zip(&mut self.waiting).map(|(partition, waiting)| {
            let lines = std::mem::take(waiting);
            async move {
                for payload in messages(&lines) {
                    let mut id = subject_of(partition).into_bytes();
                    id.extend_from_slice(payload);
                    let message = PublishMessage::build()
                        .message_id(hex::encode(sha256(&id)))
                        .payload(payload.to_vec().into());
                    publish(context, subject_of(partition), message).await?;
                }
                Ok(())
            }
        });
        try_join_all(partitions).await.map(|_| ())
    }
}

/// Whole lines, about [`MESSAGE`] bytes at a time.
fn messages(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let mut end = rest.len().min(MESSAGE);
        while end < rest.len() && rest.get(end - 1) != Some(&b'\n') {
            end += 1;
        }
        let (now, later) = rest.split_at_checked(end)?;
        rest = later;
        (!now.is_empty()).then_some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_lines() {
        let lines = [vec![b'a'; 70_000], vec![b'\n'], vec![b'b'; 10], vec![b'\n']].concat();
        let parts: Vec<&[u8]> = messages(&lines).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [70_001, 11]);
        assert_eq!(messages(b"").count(), 0);
    }
}
