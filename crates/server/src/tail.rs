//! Reading a terminator's log as it grows.
//!
//! How far a file was read is written down in the transaction that writes the last event of it, so a crash loses no
//! line and repeats none. A rotated file (another inode) and a truncated one (shorter than read) are read from their
//! beginning; a line without its end is left until the end is there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use touchmark_authority::AuthorityError;
use touchmark_identity::event::Event;
use touchmark_monitor::adapters;

use crate::app::App;
use crate::config::Source;
use crate::error::ServerError;
use crate::events::NewEvent;
use crate::http::serve::Stop;

/// How often a file is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// A line longer than this is no log line; it is counted and skipped.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// How many lines are read before others get their turn.
const LINES_AT_ONCE: usize = 1_000;

/// How far a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    inode: u64,
    offset: u64,
}

impl Place {
    fn to_text(self) -> String {
        format!("{}:{}", self.inode, self.offset)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (inode, offset) = text.split_once(':')?;
        Some(Self { inode: inode.parse().ok()?, offset: offset.parse().ok()? })
    }
}

/// Follows one source until the server stops.
pub async fn follow(app: Arc<App>, source: Source, mut stop: Stop) {
    app.watch().inputs.entry(source.name.clone()).or_default().reads = source.path.display().to_string();
    let reader = Arc::new(std::sync::Mutex::new(Reader::new(&source)));
    loop {
        let (task, reader) = (Arc::clone(&app), Arc::clone(&reader));
        let more = tokio::task::spawn_blocking(move || {
            reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner).step(&task)
        })
        .await;
        let trouble = match &more {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.chain()),
            Err(_) => Some("the reading task ended unexpectedly".to_owned()),
        };
        app.watch().inputs.entry(source.name.clone()).or_default().trouble = trouble;
        if matches!(more, Ok(Ok(true))) && !*stop.borrow() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _gone = stop.wait_for(|stop| *stop) => return,
        }
    }
}

struct Reader {
    source: Source,
    adapter: adapters::Reader,
    place: Option<Place>,
}

impl Reader {
    fn new(source: &Source) -> Self {
        let adapter = adapters::Reader::new(source.format, &source.name);
        Self { source: source.clone(), adapter, place: None }
    }

    fn key(&self) -> String {
        format!("tail:{}", self.source.name)
    }

    /// Reads what is there, up to a bound; true when more may be there.
    fn step(&mut self, app: &App) -> Result<bool, ServerError> {
        let path = self.source.path.display().to_string();
        let failed = |source| ServerError::File { action: "read", path: path.clone(), source };
        let file = match File::open(&self.source.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let stored = match self.place {
            Some(place) => Some(place),
            None => app.watch().log().place(&self.key())?.as_deref().and_then(Place::from_text),
        };
        let mut place = stored
            .filter(|p| p.inode == metadata.ino() && p.offset <= metadata.len())
            .unwrap_or(Place { inode: metadata.ino(), offset: 0 });
        let mut input = BufReader::new(file);
        input.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        let (mut unplaced, mut lines) = (false, 0);
        while lines < LINES_AT_ONCE {
            let mut line = Vec::new();
            let read = input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
            let complete = line.last() == Some(&b'\n');
            if read == 0 || (!complete && (read as u64) < MAX_LINE_BYTES) {
                break;
            }
            lines += 1;
            place.offset += read as u64;
            unplaced = !self.take(app, &line, place)?;
        }
        if unplaced {
            app.watch().log_mut().set_place(&self.key(), &place.to_text())?;
        }
        self.place = Some(place);
        let mut watch = app.watch();
        let input = watch.inputs.entry(self.source.name.clone()).or_default();
        input.lag_bytes = Some(metadata.len().saturating_sub(place.offset));
        Ok(lines == LINES_AT_ONCE)
    }

    /// Takes one line; returns whether the place was written down with it, which is done with its last event. After a
    /// crash between two events of a line, the first comes again with its id.
    fn take(&mut self, app: &App, line: &[u8], place: Place) -> Result<bool, ServerError> {
        let events = match self.adapter.read(line) {
            Ok(events) => events,
            Err(error) => {
                self.refuse(app, error.reason(), &adapters::safe_example(line));
                return Ok(false);
            }
        };
        let (key, text) = (self.key(), place.to_text());
        let mut left = events.len();
        for event in &events {
            left -= 1;
            let device = device_of(app, event)?;
            let place = (left == 0).then_some((key.as_str(), text.as_str()));
            let new = NewEvent { event, device: device.as_deref(), continuity: None, place };
            app.accept(&new)?;
        }
        Ok(!events.is_empty())
    }

    fn refuse(&self, app: &App, reason: &str, example: &str) {
        app.metrics.line_refused(reason);
        app.watch().inputs.entry(self.source.name.clone()).or_default().refuse(reason, example);
    }
}

/// The device that an event of a terminator is about, for the dashboard's timeline; the monitor resolves it by itself.
/// The first use of a certificate is noted.
fn device_of(app: &App, event: &Event) -> Result<Option<String>, ServerError> {
    let serial = event.identity.serial.as_ref().and_then(|serial| hex_bytes(serial.as_str()));
    let mut authority = app.authority();
    let found = match (serial, event.identity.cert_sha256) {
        (Some(serial), _) => authority.registry().certificate(&serial),
        (None, Some(digest)) => authority.registry().certificate_by_sha256(&digest.to_string()),
        (None, None) => return Ok(None),
    };
    drop(authority);
    let Some(record) = found.map_err(AuthorityError::from)? else { return Ok(None) };
    app.note_use(&record, event)?;
    Ok(record.device.map(|device| device.to_string()))
}

fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let even = if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    hex::decode(even).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_and_read() {
        let place = Place { inode: 42, offset: 7 };
        assert_eq!(Place::from_text(&place.to_text()), Some(place));
        assert_eq!(Place::from_text("42"), None);
    }
}
