//! Lines into partitions.
//!
//! Of each partition one message is under way at a time, so a partition's messages are in the order of the lines whatever
//! has to be sent again. A message's id is the digest of its content: what is sent again is kept once.

use async_nats::jetstream::message::PublishMessage;
use futures_util::future::try_join_all;
use touchmark_identity::event::Event;
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::adapters::safe_example;
use touchmark_monitor::{PARTITIONS, Router};

use super::{Broker, END, publish, subject_of};
use crate::error::ServerError;
use crate::stream::station::Refused;

/// A message holds lines of about this many bytes.
const MESSAGE: usize = 64 * 1024;

/// Shares lines out, and sends them.
#[derive(Debug)]
pub struct Publisher {
    broker: Broker,
    router: Router,
    waiting: Vec<Vec<u8>>,
    /// Lines sent.
    pub events: u64,
    /// Lines that are no event, by reason.
    pub refused: Refused,
}

impl Publisher {
    /// A publisher that knows no other names of an identity yet.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        let waiting = (0..PARTITIONS).map(|_| Vec::new()).collect();
        Self { broker, router: Router::default(), waiting, events: 0, refused: Refused::new() }
    }

    /// Takes whole lines and sends them; the broker has them when it returns.
    ///
    /// # Errors
    /// [`ServerError::Broker`]; some may have been sent then, and sending all again changes nothing.
    pub async fn send(&mut self, lines: &[u8]) -> Result<(), ServerError> {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match Event::from_line(line) {
                Ok(event) => {
                    let at = self.router.route(&event);
                    self.wait(at, line);
                }
                Err(error) => self.refuse(error.reason(), line),
            }
        }
        self.flush().await
    }

    /// Sends registry lines that are valid from the beginning, whatever their `time` says.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub async fn register(&mut self, lines: &[u8]) -> Result<(), ServerError> {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match Event::from_line(line) {
                Ok(event) if event.body.type_name() == "registry" => {
                    let at = self.router.route(&event);
                    let first = Event { time: Timestamp::from_micros(0), ..event };
                    self.wait(at, first.to_line().as_bytes());
                }
                Ok(_) => self.refuse("not-a-registry-line", line),
                Err(error) => self.refuse(error.reason(), line),
            }
        }
        self.flush().await
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

    fn wait(&mut self, partition: u8, line: &[u8]) {
        if let Some(waiting) = self.waiting.get_mut(usize::from(partition)) {
            waiting.extend_from_slice(line);
            waiting.push(b'\n');
            self.events += 1;
        }
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
