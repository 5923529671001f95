//! The element behind a TCP socket: each APDU, in both directions, is preceded by its length in two bytes,
//! big-endian. Each connection has its own session; all share the card.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Element;
use crate::card::Session;
use crate::error::ElementError;

/// Connections at the same time; a further one is closed at once.
const MAX_CONNECTIONS: usize = 32;
/// How long a wait for bytes or connections may hide that the server was told to stop.
const POLL: Duration = Duration::from_millis(50);
/// How often a started frame may time out before its connection is closed: 10 s.
const FRAME_POLLS: u32 = 200;
/// A command APDU has a header of four bytes.
const LEAST_FRAME_BYTES: u16 = 4;

/// Serves the element until `stop` is set. A malformed frame closes its connection and no other.
///
/// # Errors
/// [`ElementError::Listener`] when the socket cannot accept, [`ElementError::PowerLost`] when the element lost its
/// power: by a failed write, or by an armed [`Fault`](crate::Fault).
pub fn serve(listener: &TcpListener, element: Element, stop: &AtomicBool) -> Result<(), ElementError> {
    listener.set_nonblocking(true).map_err(|source| ElementError::Listener { source })?;
    let element = Mutex::new(element);
    let lost = AtomicBool::new(false);
    let connections = AtomicUsize::new(0);
    let over = || stop.load(Ordering::Relaxed) || lost.load(Ordering::Relaxed);
    thread::scope(|scope| {
        while !over() {
            match listener.accept() {
                Ok((stream, _)) if connections.load(Ordering::Relaxed) < MAX_CONNECTIONS => {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let (element, lost, connections) = (&element, &lost, &connections);
                    scope.spawn(move || {
                        // A broken connection is the peer's affair; the next one starts anew.
                        let _closed = converse(stream, element, lost, &over);
                        connections.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => thread::sleep(POLL / 10),
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(source) => {
                    lost.store(true, Ordering::Relaxed);
                    return Err(ElementError::Listener { source });
                }
            }
        }
        Ok(())
    })?;
    if lost.load(Ordering::Relaxed) { Err(ElementError::PowerLost) } else { Ok(()) }
}

fn converse(
    mut stream: TcpStream,
    element: &Mutex<Element>,
    lost: &AtomicBool,
    over: &dyn Fn() -> bool,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut session = Session::default();
    while let Some(apdu) = read_frame(&mut stream, over)? {
        let response = {
            // A poisoned lock means that the element failed in the middle of a command: it has no power any more.
            let Ok(mut element) = element.lock() else {
                lost.store(true, Ordering::Relaxed);
                return Ok(());
            };
            let answer = element.answer(&mut session, &apdu);
            // The card does one thing at a time: whoever else talks to it waits too.
            thread::sleep(answer.delay);
            if answer.lost {
                // The host hears nothing more on this connection, and may come back with another.
                return Ok(());
            }
            answer.bytes
        };
        if response.is_empty() {
            lost.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let length = u16::try_from(response.len()).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        stream.write_all(&[&length.to_be_bytes()[..], &response].concat())?;
    }
    Ok(())
}

/// Reads one frame, at most 65,535 bytes; `None` when the peer is gone between frames, or the server stops.
fn read_frame(stream: &mut TcpStream, over: &dyn Fn() -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    if !fill(stream, &mut length, over, true)? {
        return Ok(None);
    }
    let length = u16::from_be_bytes(length);
    if length < LEAST_FRAME_BYTES {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut apdu = vec![0; usize::from(length)];
    Ok(fill(stream, &mut apdu, over, false)?.then_some(apdu))
}

/// Fills the buffer; `false` when the server stops, or when the peer is gone and `may_end` allows it.
fn fill(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    over: &dyn Fn() -> bool,
    may_end: bool,
) -> io::Result<bool> {
    let mut filled = 0;
    let mut polls = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) if may_end && filled == 0 => return Ok(false),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let started = !may_end || filled > 0;
                polls += u32::from(started);
                if over() {
                    return Ok(false);
                }
                if polls > FRAME_POLLS {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
