//! The exported functions and data of `winscard.h` (pcsc-lite 1.9.9): pointers in, pointers out, and nothing else.
//!
//! Each function copies what it was given, calls [`Library`], and copies the answer back. Null pointers and short buffers
//! are answered as pcsc-lite answers them. No panic leaves an export.
//!
//! What every caller promises, as with every C interface: a pointer that is not null points to what the header says, of
//! the length that goes with it, and nobody else writes there meanwhile.
#![expect(unsafe_code, reason = "this module is the C interface of the library")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, c_char, c_long, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use touchmark_element::ATR;

use crate::card::Home;
use crate::codes::{Code, protocol};
use crate::library::{Disposition, Library, READER, Share, Watch};

/// The most bytes of an answer to reset.
const MAX_ATR_BYTES: usize = 33;
/// As a length: the library allocates, and SCardFreeMemory frees.
const AUTOALLOCATE: c_ulong = c_ulong::MAX;
/// As a timeout: for ever.
const INFINITE: c_ulong = 0xFFFF_FFFF;
/// SCardGetStatusChange takes no more readers than pcsc-lite does.
const MAX_WATCHES: c_ulong = 16;
/// An extended APDU has no more bytes.
const MAX_APDU_BYTES: c_ulong = 4 + 3 + 65_536 + 3 + 2;
/// The only group of readers, as a list.
const GROUPS: &[u8] = b"SCard$DefaultReaders\0\0";

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let variable = |name| env::var_os(name);
    Library::new(Home::from(variable("TOUCHMARK_ELEMENT_STATE"), variable("TOUCHMARK_ELEMENT_TCP")))
});

/// What was allocated for callers, by address.
static ALLOCATED: Mutex<BTreeMap<usize, Box<[u8]>>> = Mutex::new(BTreeMap::new());

/// SCARD_IO_REQUEST.
#[repr(C)]
struct IoRequest {
    protocol: c_ulong,
    length: c_ulong,
}

impl IoRequest {
    const fn of(protocol: c_ulong) -> Self {
        Self { protocol, length: size_of::<Self>() as c_ulong }
    }
}

/// SCARD_READERSTATE.
#[repr(C)]
struct ReaderState {
    reader: *const c_char,
    user_data: *mut c_void,
    current: c_ulong,
    event: c_ulong,
    atr_length: c_ulong,
    atr: [u8; MAX_ATR_BYTES],
}

#[unsafe(no_mangle)]
static g_rgSCardT0Pci: IoRequest = IoRequest::of(1);
#[unsafe(no_mangle)]
static g_rgSCardT1Pci: IoRequest = IoRequest::of(2);
#[unsafe(no_mangle)]
static g_rgSCardRawPci: IoRequest = IoRequest::of(4);

/// Runs what an export does; a panic in it is an internal error.
fn export(body: impl FnOnce() -> Result<(), Code>) -> c_long {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Code::INTERNAL_ERROR));
    outcome.err().unwrap_or(Code::SUCCESS).long()
}

/// Writes through a pointer that must not be null.
fn put<T>(pointer: *mut T, value: T) -> Result<(), Code> {
    if pointer.is_null() {
        return Err(Code::INVALID_PARAMETER);
    }
    // SAFETY: it is not null, and the caller promises that it points to a `T`.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Writes through a pointer, where there is one.
fn put_if_wanted<T>(pointer: *mut T, value: T) -> Result<(), Code> {
    if pointer.is_null() { Ok(()) } else { put(pointer, value) }
}

/// The text at a pointer; nothing when it is null or not UTF-8.
fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the caller promises a string that ends with NUL.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().ok().map(str::to_owned)
}

/// Gives bytes: into the buffer, or only their length where the buffer is null, or in memory of this library's where
/// the length is [`AUTOALLOCATE`].
fn give(bytes: &[u8], buffer: *mut u8, length: *mut c_ulong) -> Result<(), Code> {
    if length.is_null() {
        return Err(Code::INVALID_PARAMETER);
    }
    // SAFETY: it is not null, and the caller promises that it points to a length.
    let room = unsafe { length.read() };
    let needed = c_ulong::try_from(bytes.len()).map_err(|_| Code::INTERNAL_ERROR)?;
    if room == AUTOALLOCATE {
        let mut copy: Box<[u8]> = bytes.into();
        let address = copy.as_mut_ptr();
        // With this length, the buffer is a pointer to a pointer.
        put(buffer.cast::<*mut u8>(), address)?;
        ALLOCATED.lock().map_err(|_| Code::INTERNAL_ERROR)?.insert(address.addr(), copy);
        return put(length, needed);
    }
    put(length, needed)?;
    if buffer.is_null() {
        return Ok(());
    }
    if room < needed {
        return Err(Code::INSUFFICIENT_BUFFER);
    }
    // SAFETY: the buffer is not null, the caller promises `room` bytes there, and `bytes` is memory of this library.
    unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn SCardEstablishContext(
    scope: c_ulong,
    _reserved_1: *const c_void,
    _reserved_2: *const c_void,
    context: *mut c_long,
) -> c_long {
    export(|| {
        put(context, 0)?;
        if scope > 3 {
            return Err(Code::INVALID_VALUE);
        }
        let number = LIBRARY.establish()?;
        put(context, c_long::try_from(number).map_err(|_| Code::INTERNAL_ERROR)?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardReleaseContext(context: c_long) -> c_long {
    export(|| LIBRARY.release(context))
}

#[unsafe(no_mangle)]
extern "C" fn SCardIsValidContext(context: c_long) -> c_long {
    export(|| LIBRARY.is_valid(context))
}

#[unsafe(no_mangle)]
extern "C" fn SCardConnect(
    context: c_long,
    reader: *const c_char,
    share: c_ulong,
    protocols: c_ulong,
    handle: *mut c_long,
    active: *mut c_ulong,
) -> c_long {
    export(|| {
        if handle.is_null() || active.is_null() {
            return Err(Code::INVALID_PARAMETER);
        }
        put(handle, 0)?;
        let reader = text(reader).ok_or(Code::UNKNOWN_READER)?;
        let (number, protocol) = LIBRARY.connect(context, &reader, Share::parse(share)?, protocols)?;
        put(handle, c_long::try_from(number).map_err(|_| Code::INTERNAL_ERROR)?)?;
        put(active, c_ulong::from(protocol))
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardReconnect(
    handle: c_long,
    share: c_ulong,
    protocols: c_ulong,
    before: c_ulong,
    active: *mut c_ulong,
) -> c_long {
    export(|| {
        if active.is_null() {
            return Err(Code::INVALID_PARAMETER);
        }
        let (share, before) = (Share::parse(share)?, Disposition::parse(before)?);
        let protocol = LIBRARY.reconnect(handle, share, protocols, before)?;
        put(active, c_ulong::from(protocol))
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardDisconnect(handle: c_long, after: c_ulong) -> c_long {
    export(|| LIBRARY.disconnect(handle, Disposition::parse(after)?))
}

#[unsafe(no_mangle)]
extern "C" fn SCardBeginTransaction(handle: c_long) -> c_long {
    export(|| LIBRARY.begin(handle))
}

#[unsafe(no_mangle)]
extern "C" fn SCardEndTransaction(handle: c_long, after: c_ulong) -> c_long {
    export(|| LIBRARY.end(handle, Disposition::parse(after)?))
}

#[unsafe(no_mangle)]
extern "C" fn SCardStatus(
    handle: c_long,
    reader: *mut u8,
    reader_length: *mut c_ulong,
    state: *mut c_ulong,
    protocol: *mut c_ulong,
    atr: *mut u8,
    atr_length: *mut c_ulong,
) -> c_long {
    export(|| {
        let status = LIBRARY.status(handle)?;
        put_if_wanted(state, c_ulong::from(status.state))?;
        put_if_wanted(protocol, c_ulong::from(status.protocol))?;
        let given = |bytes: &[u8], buffer: *mut u8, length: *mut c_ulong| {
            if length.is_null() { Ok(()) } else { give(bytes, buffer, length) }
        };
        // Both lengths are told, also when one buffer is too short.
        let name = given(&[READER.as_bytes(), b"\0"].concat(), reader, reader_length);
        let answer = given(if status.present { &ATR } else { &[] }, atr, atr_length);
        name.and(answer)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardGetStatusChange(
    context: c_long,
    timeout: c_ulong,
    states: *mut ReaderState,
    count: c_ulong,
) -> c_long {
    export(|| {
        if count > MAX_WATCHES || (states.is_null() && count > 0) {
            return Err(Code::INVALID_PARAMETER);
        }
        if count == 0 {
            return LIBRARY.is_valid(context);
        }
        let count = usize::try_from(count).map_err(|_| Code::INVALID_PARAMETER)?;
        // SAFETY: it is not null, and the caller promises so many readers' states there.
        let states = unsafe { std::slice::from_raw_parts_mut(states, count) };
        let mut watches: Vec<Watch> = states
            .iter()
            .map(|state| {
                let current = u32::try_from(state.current).unwrap_or(0);
                Watch { reader: text(state.reader), current, event: 0, present: false }
            })
            .collect();
        let timeout = (timeout < INFINITE).then(|| Duration::from_millis(timeout));
        let outcome = LIBRARY.wait(context, timeout, &mut watches);
        for (state, watch) in states.iter_mut().zip(&watches) {
            state.event = c_ulong::from(watch.event);
            state.atr_length = 0;
            if watch.present {
                let (atr, _) = state.atr.split_at_mut(ATR.len());
                atr.copy_from_slice(&ATR);
                state.atr_length = ATR.len() as c_ulong;
            }
        }
        outcome
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardControl(
    handle: c_long,
    code: c_ulong,
    _command: *const c_void,
    _command_length: c_ulong,
    answer: *mut c_void,
    room: c_ulong,
    returned: *mut c_ulong,
) -> c_long {
    export(|| {
        put_if_wanted(returned, 0)?;
        let bytes = LIBRARY.control(handle, code)?;
        if answer.is_null() {
            return Err(Code::INSUFFICIENT_BUFFER);
        }
        let mut length = room.min(AUTOALLOCATE - 1);
        give(&bytes, answer.cast(), &raw mut length)?;
        put_if_wanted(returned, length)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardTransmit(
    handle: c_long,
    send: *const IoRequest,
    command: *const u8,
    command_length: c_ulong,
    receive: *mut IoRequest,
    answer: *mut u8,
    answer_length: *mut c_ulong,
) -> c_long {
    export(|| {
        if command.is_null() || answer.is_null() || answer_length.is_null() || send.is_null() {
            return Err(Code::INVALID_PARAMETER);
        }
        if command_length > MAX_APDU_BYTES {
            return Err(Code::INSUFFICIENT_BUFFER);
        }
        // SAFETY: it is not null, and the caller promises a request there.
        let protocol = unsafe { (*send).protocol };
        if protocol != c_ulong::from(protocol::T1) {
            return Err(Code::PROTO_MISMATCH);
        }
        let command_length = usize::try_from(command_length).map_err(|_| Code::INVALID_PARAMETER)?;
        // SAFETY: it is not null, and the caller promises so many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(command, command_length) };
        let response = LIBRARY.transmit(handle, bytes)?;
        put_if_wanted(receive, IoRequest::of(c_ulong::from(protocol::T1)))?;
        give(&response, answer, answer_length)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardListReaderGroups(context: c_long, groups: *mut u8, length: *mut c_ulong) -> c_long {
    export(|| {
        LIBRARY.is_valid(context)?;
        give(GROUPS, groups, length)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardListReaders(
    context: c_long,
    _groups: *const c_char,
    readers: *mut u8,
    length: *mut c_ulong,
) -> c_long {
    export(|| {
        LIBRARY.is_valid(context)?;
        give(&[READER.as_bytes(), b"\0\0"].concat(), readers, length)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardFreeMemory(context: c_long, memory: *const c_void) -> c_long {
    export(|| {
        LIBRARY.is_valid(context)?;
        let mut allocated = ALLOCATED.lock().map_err(|_| Code::INTERNAL_ERROR)?;
        allocated.remove(&memory.addr()).map(drop).ok_or(Code::INVALID_PARAMETER)
    })
}

#[unsafe(no_mangle)]
extern "C" fn SCardCancel(context: c_long) -> c_long {
    export(|| LIBRARY.cancel(context))
}

#[unsafe(no_mangle)]
extern "C" fn SCardGetAttrib(
    handle: c_long,
    id: c_ulong,
    attribute: *mut u8,
    length: *mut c_ulong,
) -> c_long {
    export(|| give(&LIBRARY.attribute(handle, id)?, attribute, length))
}

#[unsafe(no_mangle)]
extern "C" fn SCardSetAttrib(handle: c_long, _id: c_ulong, attribute: *const u8, _length: c_ulong) -> c_long {
    export(|| {
        LIBRARY.status(handle)?;
        Err(if attribute.is_null() { Code::INVALID_PARAMETER } else { Code::UNSUPPORTED_FEATURE })
    })
}

#[unsafe(no_mangle)]
extern "C" fn pcsc_stringify_error(code: c_long) -> *const c_char {
    Code::text(code).as_ptr()
}
