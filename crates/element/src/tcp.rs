//! The element behind a TCP socket: each APDU, in both directions, is preceded by its length in two bytes,
//! big-endian. Each connection has its own session, unless all are [one reader](Served::one_reader); all share the card.
//! A peer may send commands without waiting; the answers come in their order.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::Element;
use crate::card::Session;
use crate::error::ElementError;
use crate::frames::{self, Frames, POLL, WRITE_BYTES};
use crate::served::Served;

/// Connections at the same time; a further one is closed at once.
const MAX_CONNECTIONS: usize = 32;
/// A command APDU has a header of four bytes.
const LEAST_FRAME_BYTES: usize = 4;

/// Serves the element until `stop` is set. A malformed frame closes its connection and no other.
///
/// # Errors
/// [`ElementError::Listener`] when the socket cannot accept, [`ElementError::PowerLost`] when the element lost its
/// power: by a failed write, or by an armed [`Fault`](crate::Fault).
pub fn serve(listener: &TcpListener, element: Element, stop: &AtomicBool) -> Result<(), ElementError> {
    serve_shared(listener, &Served::new(element), stop)
}

/// Serves an element that others serve too; when it loses its power, all end.
///
/// # Errors
/// As for [`serve`].
pub fn serve_shared(listener: &TcpListener, served: &Served, stop: &AtomicBool) -> Result<(), ElementError> {
    accept(listener, served, stop, &converse)
}

/// What serves one connection.
type Converse = dyn Fn(TcpStream, &Served, &dyn Fn() -> bool) -> io::Result<()> + Sync;

/// Accepts connections until it is over, and gives each a thread.
pub(crate) fn accept(
    listener: &TcpListener,
    served: &Served,
    stop: &AtomicBool,
    converse: &Converse,
) -> Result<(), ElementError> {
    listener.set_nonblocking(true).map_err(|source| ElementError::Listener { source })?;
    let connections = AtomicUsize::new(0);
    let over = || stop.load(Ordering::Relaxed) || served.is_lost();
    thread::scope(|scope| {
        while !over() {
            match listener.accept() {
                Ok((stream, _)) if connections.load(Ordering::Relaxed) < MAX_CONNECTIONS => {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let connections = &connections;
                    scope.spawn(move || {
                        // A broken connection is the peer's affair; the next one starts anew.
                        let _closed = converse(stream, served, &over);
                        connections.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => thread::sleep(POLL / 10),
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(source) => {
                    served.give_up();
                    return Err(ElementError::Listener { source });
                }
            }
        }
        Ok(())
    })?;
    if served.is_lost() { Err(ElementError::PowerLost) } else { Ok(()) }
}

fn converse(mut stream: TcpStream, served: &Served, over: &dyn Fn() -> bool) -> io::Result<()> {
    frames::prepare(&stream)?;
    let mut session = Session::default();
    let mut came = Frames::new();
    let mut answers = Vec::new();
    while came.read(&mut stream, over, |_| Ok(()))? {
        let mut end = None;
        while let Some(apdu) = came.next() {
            if apdu.len() < LEAST_FRAME_BYTES {
                end = Some(Err(ErrorKind::InvalidData.into()));
                break;
            }
            let Some(response) = served.answer(&mut session, apdu) else {
                end = Some(Ok(()));
                break;
            };
            frames::push(&mut answers, &response)?;
            if answers.len() >= WRITE_BYTES {
                stream.write_all(&answers)?;
                answers.clear();
            }
        }
        stream.write_all(&answers)?;
        answers.clear();
        if let Some(end) = end {
            return end;
        }
    }
    Ok(())
}
