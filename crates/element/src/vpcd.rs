//! The element as the card of vpcd, the virtual reader of the vsmartcard project under `pcscd`.
//!
//! vpcd listens, and the card connects. Both ways, a message is preceded by its length in two bytes, big-endian. A message
//! of one byte is for the card as such: power off, power on, reset (none of which is answered), answer to reset. Any
//! longer one is an APDU.
//!
//! vpcd writes length and body one after the other. Where the system then waits with the acknowledgement of the first, the
//! second waits for it (Nagle's algorithm against delayed acknowledgements): some 50 ms for each APDU. So each read is
//! preceded by `TCP_QUICKACK`, which the system forgets each time, and each answer is one write.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::card::Session;
use crate::error::ElementError;
use crate::frames::{self, Frames, POLL};
use crate::served::Served;

/// How long the card waits before it calls again where vpcd is not there.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Serves the element to the vpcd at `address` (`HOST:PORT`) until `stop` is set. While vpcd is away, it calls again
/// every second.
///
/// # Errors
/// [`ElementError::PowerLost`] when the element lost its power.
pub fn serve(address: &str, served: &Served, stop: &AtomicBool) -> Result<(), ElementError> {
    let over = || stop.load(Ordering::Relaxed) || served.is_lost();
    while !over() {
        if let Ok(stream) = TcpStream::connect(address) {
            let mut session = Session::default();
            // A broken connection is a card that was pulled; it comes back.
            let _pulled = converse(stream, served, &mut session, &over);
            served.reset(&mut session);
        }
        let mut waited = Duration::ZERO;
        while waited < RETRY_AFTER && !over() {
            thread::sleep(POLL);
            waited += POLL;
        }
    }
    if served.is_lost() { Err(ElementError::PowerLost) } else { Ok(()) }
}

fn converse(
    mut stream: TcpStream,
    served: &Served,
    session: &mut Session,
    over: &dyn Fn() -> bool,
) -> io::Result<()> {
    frames::prepare(&stream)?;
    let mut came = Frames::new();
    let mut answers = Vec::new();
    while came.read(&mut stream, over, acknowledge_at_once)? {
        while let Some(message) = came.next() {
            match message {
                [0x00..=0x02] => served.reset(session),
                [0x04] => frames::push(&mut answers, &crate::ATR)?,
                // The card has no answer to what it does not know; nor to nothing.
                [] | [_] => {}
                apdu => {
                    let Some(response) = served.answer(session, apdu) else { return Ok(()) };
                    frames::push(&mut answers, &response)?;
                }
            }
        }
        stream.write_all(&answers)?;
        answers.clear();
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn acknowledge_at_once(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_quickack(stream, true)?)
}

#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}
