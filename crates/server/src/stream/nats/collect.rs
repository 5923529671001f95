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
    let (stream, subject) = (FINDINGS.to_owned(), FINDINGS_SUBJECT.to_owned());
    let mut reader = Reader::new(broker.context.clone(), stream, subject, 0);
    let (mut seen, mut given) = (HashSet::new(), 0u64);
    loop {
        let messages = match reader.next(AT_ONCE, WAIT).await {
            Ok(messages) => messages,
            Err(error) if !follow => return Err(error),
            Err(error) => {
                tracing::warn!("{}", error.chain());
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
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
