//! Messages of a stream in its order, each once, from a place on.
//!
//! The broker keeps nothing for the reader: a consumer is made where the reader stands, asks for no acknowledgements, and
//! may vanish with its node. What it skips shows as a gap in its own count; another one is made then. Where the last
//! message of all was lost on its way, nothing shows: a consumer that gives nothing for a while is replaced as well.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt;

use super::{END, failed};
use crate::error::ServerError;

/// A consumer that nobody asks is forgotten by the broker after this time.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// So often in turn a consumer may have nothing to give before another one is made.
const SILENT: u32 = 20;
/// So often in turn may nothing come although the stream has more.
const OVERDUE: u32 = 10;
/// What the broker does here, for errors.
const READING: &str = "give messages";

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number in the stream.
    pub sequence: u64,
    /// Its content.
    pub payload: Bytes,
    /// Whether it says that no more events will come.
    pub is_end: bool,
}

/// A place in a stream, or in one of its subjects.
#[derive(Debug)]
pub struct Reader {
    context: Context,
    stream: String,
    filter: String,
    sequence: u64,
    consumer: Option<(Consumer<pull::Config>, u64)>,
    silent: u32,
}

impl Reader {
    /// A reader of one subject that begins after a message.
    #[must_use]
    pub fn new(context: Context, stream: String, filter: String, after: u64) -> Self {
        Self { context, stream, filter, sequence: after, consumer: None, silent: 0 }
    }

    /// The number of the last message that was given.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next messages, at most so many; none when none came for so long.
    ///
    /// # Errors
    /// [`ServerError::Broker`]; asking again goes on where the last messages ended.
    pub async fn next(&mut self, at_most: usize, wait: Duration) -> Result<Vec<Taken>, ServerError> {
        let taken = self.fetch(at_most, wait).await;
        match taken.as_ref().map(|taken| taken.last()) {
            Ok(Some(last)) => (self.sequence, self.silent) = (last.sequence, 0),
            Ok(None) if self.silent < SILENT => self.silent += 1,
            Ok(None) | Err(_) => (self.consumer, self.silent) = (None, 0),
        }
        taken
    }

    /// The next messages of a stream with one subject, as long as there are any at the moment; none at its end.
    ///
    /// # Errors
    /// [`ServerError::Broker`], also when messages that are there do not come; asking again goes on.
    pub async fn next_there(&mut self, at_most: usize, wait: Duration) -> Result<Vec<Taken>, ServerError> {
        let stream = self.context.get_stream_no_info(&self.stream).await.map_err(failed(READING))?;
        let state = stream.get_info().await.map_err(failed(READING))?.state;
        for _ in 0..OVERDUE {
            if state.messages == 0 || self.sequence >= state.last_sequence {
                return Ok(Vec::new());
            }
            let taken = self.next(at_most, wait).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            self.consumer = None;
        }
        let overdue =
            format!("message {} does not come, the last was {}", state.last_sequence, self.sequence);
        Err(ServerError::Broker { action: READING, source: overdue.into() })
    }

    async fn fetch(&mut self, at_most: usize, wait: Duration) -> Result<Vec<Taken>, ServerError> {
        let broken = |source| ServerError::Broker { action: READING, source };
        if self.consumer.is_none() {
            let config = pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.sequence + 1 },
                ack_policy: AckPolicy::None,
                filter_subject: self.filter.clone(),
                inactive_threshold: FORGOTTEN,
                ..pull::Config::default()
            };
            let made = self.context.create_consumer_on_stream(config, &self.stream).await;
            self.consumer = Some((made.map_err(failed(READING))?, 0));
        }
        let Some((consumer, delivered)) = &mut self.consumer else { return Ok(Vec::new()) };
        let messages = consumer.fetch().max_messages(at_most).expires(wait).messages().await;
        let mut messages = messages.map_err(failed(READING))?;
        let mut taken = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(broken)?;
            let info = message.info().map_err(broken)?;
            if info.consumer_sequence != *delivered + 1 {
                let gap = format!("message {} came after {delivered}", info.consumer_sequence);
                return Err(broken(gap.into()));
            }
            *delivered += 1;
            let is_end = message.headers.as_ref().is_some_and(|headers| headers.get(END).is_some());
            let sequence = info.stream_sequence;
            taken.push(Taken { sequence, payload: message.payload.clone(), is_end });
        }
        Ok(taken)
    }
}
