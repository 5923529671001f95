//! The functions of pcsc-lite's `winscard.h` that the driver needs, behind a safe type.
#![expect(unsafe_code, reason = "this module calls a C library")]

use std::ffi::{CStr, c_char, c_long, c_ulong, c_void};
use std::io;
use std::path::Path;
use std::ptr;

use libloading::Library;

/// DWORD of pcsc-lite; Apple's framework has another one.
#[cfg(not(target_vendor = "apple"))]
type Dword = c_ulong;
#[cfg(target_vendor = "apple")]
type Dword = u32;
/// LONG, contexts and handles likewise.
#[cfg(not(target_vendor = "apple"))]
type Long = c_long;
#[cfg(target_vendor = "apple")]
type Long = i32;

const SCOPE_SYSTEM: Dword = 2;
const SHARE_EXCLUSIVE: Dword = 1;
const PROTOCOL_ANY: Dword = 3;
const RESET_CARD: Dword = 1;
/// The response of an extended APDU.
const MAX_RESPONSE_BYTES: usize = 65_536 + 2;

/// SCARD_IO_REQUEST.
#[repr(C)]
struct IoRequest {
    protocol: c_ulong,
    length: c_ulong,
}

type EstablishContext = unsafe extern "C" fn(Dword, *const c_void, *const c_void, *mut Long) -> Long;
type ReleaseContext = unsafe extern "C" fn(Long) -> Long;
type Connect = unsafe extern "C" fn(Long, *const c_char, Dword, Dword, *mut Long, *mut Dword) -> Long;
type Disconnect = unsafe extern "C" fn(Long, Dword) -> Long;
type Transmit = unsafe extern "C" fn(
    Long,
    *const IoRequest,
    *const u8,
    Dword,
    *mut IoRequest,
    *mut u8,
    *mut Dword,
) -> Long;

/// The library and its functions, which live as long as it.
struct Api {
    establish_context: EstablishContext,
    release_context: ReleaseContext,
    connect: Connect,
    disconnect: Disconnect,
    transmit: Transmit,
    _library: Library,
}

impl Api {
    fn load(path: &Path) -> io::Result<Self> {
        // SAFETY: whoever names the library, or puts it into the loader's path, vouches for what it does when loaded.
        let library = unsafe { Library::new(path) }.map_err(io::Error::other)?;
        Ok(Self {
            establish_context: function(&library, b"SCardEstablishContext\0")?,
            release_context: function(&library, b"SCardReleaseContext\0")?,
            connect: function(&library, b"SCardConnect\0")?,
            disconnect: function(&library, b"SCardDisconnect\0")?,
            transmit: function(&library, b"SCardTransmit\0")?,
            _library: library,
        })
    }
}

/// A function by its name; `T` is one of the types above.
fn function<T: Copy>(library: &Library, name: &[u8]) -> io::Result<T> {
    // SAFETY: the types above are those of `winscard.h`, and the value is kept beside the library.
    let symbol = unsafe { library.get::<T>(name) }.map_err(io::Error::other)?;
    Ok(*symbol)
}

/// What a function answered, with what the more common codes mean.
fn done(function: &'static str, code: Long) -> io::Result<()> {
    let code = code & 0xFFFF_FFFF;
    let meaning = match code & 0xFFFF {
        0 => return Ok(()),
        0x09 => "no reader has this name; opensc-tool -l lists them",
        0x0B => "another program has the card",
        0x0C => "no card is in the reader",
        0x16 => "the card did not answer",
        0x1D => "there is no PC/SC service; is pcscd running?",
        0x66 | 0x67 => "the card does not respond",
        0x68 => "another program reset the card",
        0x69 => "the card was taken out",
        _ => "see pcsc-lite's pcsclite.h",
    };
    Err(io::Error::other(format!("{function} answered {code:08X}: {meaning}")))
}

/// An exclusive connection to the card in a reader; reset and ended when it is dropped.
pub(super) struct Connection {
    api: Api,
    context: Long,
    card: Option<(Long, Dword)>,
    /// Room for a response.
    response: Box<[u8]>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn open(library: &Path, reader: &CStr) -> io::Result<Self> {
        let api = Api::load(library)?;
        let mut context = 0;
        // SAFETY: the context is ours to write; the reserved pointers are null.
        let code =
            unsafe { (api.establish_context)(SCOPE_SYSTEM, ptr::null(), ptr::null(), &raw mut context) };
        done("SCardEstablishContext", code)?;
        let response = vec![0; MAX_RESPONSE_BYTES].into_boxed_slice();
        let mut connection = Self { api, context, card: None, response };
        let (mut card, mut protocol) = (0, 0);
        // SAFETY: the name ends with NUL; handle and protocol are ours to write.
        let code = unsafe {
            (connection.api.connect)(
                context,
                reader.as_ptr(),
                SHARE_EXCLUSIVE,
                PROTOCOL_ANY,
                &raw mut card,
                &raw mut protocol,
            )
        };
        done("SCardConnect", code)?;
        connection.card = Some((card, protocol));
        Ok(connection)
    }

    pub(super) fn transmit(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "the APDU is too long");
        let (card, protocol) = self.card.ok_or(io::ErrorKind::NotConnected)?;
        let send = IoRequest {
            protocol: c_ulong::from(protocol),
            length: c_ulong::try_from(size_of::<IoRequest>()).map_err(too_long)?,
        };
        let mut length = Dword::try_from(self.response.len()).map_err(too_long)?;
        let apdu_length = Dword::try_from(apdu.len()).map_err(too_long)?;
        // SAFETY: all pointers are to memory of ours, of the lengths that are told; the library writes no more than
        // `length` bytes, and then says how many.
        let code = unsafe {
            (self.api.transmit)(
                card,
                &raw const send,
                apdu.as_ptr(),
                apdu_length,
                ptr::null_mut(),
                self.response.as_mut_ptr(),
                &raw mut length,
            )
        };
        done("SCardTransmit", code)?;
        let written = usize::try_from(length).ok().and_then(|length| self.response.get(..length));
        written
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::Error::other("the library says that it wrote more than it may"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some((card, _)) = self.card {
            // SAFETY: the handle is open. There is nobody to tell that it did not end well.
            let _ended = unsafe { (self.api.disconnect)(card, RESET_CARD) };
        }
        // SAFETY: the context is open; nothing of it is used afterwards.
        let _released = unsafe { (self.api.release_context)(self.context) };
    }
}
