//! Findings out of the broker, each revision once.
//!
//! A partition that goes to another worker may have findings sent again; beyond the broker's window for duplicates that
//! shows, so the reader looks again. Ids are deterministic: the same finding has the same id and revision.

use std::collections::HashSet;
use std::time::Duration;

use touchmark_identity::finding::Finding;

use super::read::Reader;
use super::{Broker, FINDINGS, FINDINGS_SUBJECT, PAUSE};
use crate::error::ServerError;

/// How long the broker waits for a message.
const WAIT: Duration = Duration::from_secs(1);
/// Messages that are asked for at once.
const AT_ONCE: usize = 256;
/// How often in turn what is there is asked for: a node that has just gone leaves its work to others first.
const MAX_TRIES: u32 = 40;

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
    let (stream, subject) = (FINDINGS.to_owned(), FINDINGS_SUBJECT.to_owned());
    let mut reader = Reader::new(broker.context.clone(), stream, subject, 0);
    let (mut seen, mut given, mut tries) = (HashSet::new(), 0u64, 0);
    loop {
        let read =
            if follow { reader.next(AT_ONCE, WAIT).await } else { reader.next_there(AT_ONCE, WAIT).await };
        let messages = match read {
            Ok(messages) => messages,
            Err(error) if tries >= MAX_TRIES && !follow => return Err(error),
            Err(error) => {
                tries += 1;
                tracing::warn!("{}", error.chain());
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        tries = 0;
        if messages.is_empty() && !follow {
            return Ok(given);
        }
        for message in messages {
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
                Err(error) => {
                    tracing::error!(sequence = message.sequence, "a message is no finding: {error}");
                }
            }
        }
    }
}
