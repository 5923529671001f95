//! A file of lines that grows, and stdin.
//!
//! The place that a file was read to is written in the transaction of its lines, so a crash loses no line and repeats
//! none. A rotated file (another inode) and a truncated one (shorter than read) are read from their beginning; a line
//! without its end is left until the end is there. What a rotation leaves unread in the old file is not seen.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::intake::Intake;
use super::lines::{Lines, PIECE};
use crate::error::ServerError;
use crate::http::serve::Stop;

/// How often a file is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// Pauses after an input or the log failed.
const PAUSE: Duration = Duration::from_secs(1);
/// A line that is longer than this is taken without its end.
const LONGEST: usize = 128 * 1024;

/// Follows a file until the monitor stops, whatever fails; with `once`, to its end or the first failure.
///
/// # Errors
/// With `once`: [`ServerError::File`] when the file cannot be read, and the errors of [`Intake::take`].
pub async fn follow(intake: Intake, path: PathBuf, once: bool, mut stop: Stop) -> Result<(), ServerError> {
    loop {
        let (input, file) = (intake.clone(), path.clone());
        let step = intake.desk().blocking(move |_| read(&input, &file, once)).await;
        let (more, failed) = (matches!(step, Ok(true)), step.is_err());
        intake.desk().report(intake.name(), more, step.as_ref().err().map(ServerError::chain));
        if *stop.borrow() || (once && !more) {
            return step.map(|_| ());
        }
        if !more {
            tokio::select! {
                () = tokio::time::sleep(if failed { PAUSE } else { PERIOD }) => {}
                _gone = stop.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }
}

/// Takes what is there, up to a bound; true when more may be there.
fn read(intake: &Intake, path: &Path, once: bool) -> Result<bool, ServerError> {
    let failed = |source| ServerError::File { action: "read", path: path.display().to_string(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !once => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let key = format!("file:{}", intake.name());
    let stored = intake.desk().station().place(&key)?;
    let offset = stored
        .as_deref()
        .and_then(|place| place.split_once(':'))
        .and_then(|(inode, offset)| Some((inode.parse::<u64>().ok()?, offset.parse::<u64>().ok()?)))
        .filter(|(inode, offset)| *inode == metadata.ino() && *offset <= metadata.len())
        .map_or(0, |(_, offset)| offset);
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes).map_err(failed)?;
    let full = bytes.len() >= PIECE;
    let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None if bytes.len() >= LONGEST || once => bytes.len(),
        None => 0,
    };
    // What is read to its end may have a last line without one.
    let whole = if once && !full { bytes.len() } else { whole };
    bytes.truncate(whole);
    if bytes.is_empty() {
        return Ok(false);
    }
    let place = format!("{}:{}", metadata.ino(), offset + whole as u64);
    intake.take(bytes, Some((&key, &place)))?;
    Ok(full)
}

/// Reads stdin to its end. What was read and not written down when the monitor is killed is gone: stdin cannot be asked
/// again.
pub async fn stdin(intake: Intake, mut stop: Stop) {
    let (desk, name) = (Arc::clone(intake.desk()), intake.name().to_owned());
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
    // A blocked read cannot be ended; the thread ends with the process.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let (mut lines, mut buffer) = (Lines::default(), vec![0; PIECE]);
        loop {
            let piece = match stdin.read(&mut buffer) {
                Ok(0) => {
                    let last = lines.finish();
                    // Nobody listens when the monitor has stopped.
                    let _gone = sender.blocking_send(last);
                    return;
                }
                Ok(read) => lines.push(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!("stdin cannot be read: {error}");
                    return;
                }
            };
            if !piece.is_empty() && sender.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    loop {
        let piece = tokio::select! {
            piece = receiver.recv() => piece,
            _gone = stop.wait_for(|stop| *stop) => return,
        };
        let Some(piece) = piece else { break };
        // What the log refuses is kept until it takes it: it was read already.
        loop {
            let taken = if piece.is_empty() { Ok(()) } else { intake.take_async(piece.clone()).await };
            desk.report(
                &name,
                taken.is_err() || !receiver.is_empty(),
                taken.as_ref().err().map(ServerError::chain),
            );
            if taken.is_ok() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _gone = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
    desk.report(&name, false, None);
}
