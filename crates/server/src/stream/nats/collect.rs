//! Findings out of the broker, each revision once.
//!
//! A partition that goes to another worker may have findings sent again; beyond the broker's window for duplicates that
//! shows, so the reader looks again. Ids are deterministic: the same finding has the same id and revision.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures_util::StreamExt;
use touchmark_identity::finding::Finding;

use super::{Broker, FINDINGS, PAUSE, failed};
use crate::error::ServerError;

/// How long the broker waits for a first message.
const WAIT: Duration = Duration::from_secs(1);
/// Messages that are asked for at once.
const AT_ONCE: usize = 256;

/// Reads findings from the first on and gives each revision to `take`. With `follow`, it goes on until `take` fails;
/// else it ends when there are no more at the moment. Gives how many there were.
///
/// # Errors
/// [`ServerError::Broker`] when the broker does not answer; [`ServerError::File`] when `take` fails.
pub async fn collect(
    broker: &Broker,
    follow: bool,
    take: &mut (dyn FnMut(&Finding) -> std::io::Result<()> + Send),
) -> Result<u64, ServerError> {
    let (mut seen, mut sequence, mut given) = (HashSet::new(), 0u64, 0u64);
    loop {
        let consumer = consumer(broker, sequence + 1).await;
        let consumer = match consumer {
            Ok(consumer) => consumer,
            Err(error) if !follow => return Err(error),
            Err(error) => {
                tracing::warn!("{}", error.chain());
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        loop {
            let messages = consumer.fetch().max_messages(AT_ONCE).expires(WAIT).messages().await;
            let mut messages = match messages {
                Ok(messages) => messages,
                Err(error) if !follow => return Err(failed("give findings")(error)),
                Err(_) => break,
            };
            let mut any = false;
            let mut whole = true;
            while let Some(message) = messages.next().await {
                let Ok(message) = message else {
                    whole = false;
                    break;
                };
                let Ok(info) = message.info() else { continue };
                // What a consumer has lost it does not give again: a new one begins after what is known.
                if info.stream_sequence <= sequence {
                    continue;
                }
                (sequence, any) = (info.stream_sequence, true);
                match Finding::from_line(&message.payload) {
                    Ok(finding) => {
                        if seen.insert((finding.id.to_string(), finding.revision)) {
                            given += 1;
                            take(&finding).map_err(|source| ServerError::File {
                                action: "write findings to",
                                path: "stdout".to_owned(),
                                source,
                            })?;
                        }
                    }
                    Err(error) => tracing::error!(sequence, "a message is no finding: {error}"),
                }
            }
            if !whole {
                break;
            }
            if !any && !follow {
                return Ok(given);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn consumer(
    broker: &Broker,
    start_sequence: u64,
) -> Result<async_nats::jetstream::consumer::Consumer<pull::Config>, ServerError> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(30),
        ..pull::Config::default()
    };
    let made = broker.context.create_consumer_on_stream(config, FINDINGS).await;
    made.map_err(failed("give findings"))
}
