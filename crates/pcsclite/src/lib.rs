//! A shared library in the place of `libpcsclite.so.1` that hosts the virtual secure element in the client's process.
//!
//! Place in the life of a credential: in tests and CI, below programs that know smart cards by PC/SC alone (OpenSC, a
//! Java program, this project's own driver). With it they need neither a daemon nor root.
//!
//! The interface is that of pcsc-lite's `winscard.h` and `pcsclite.h`, version 1.9.9: the same functions, data symbols,
//! types and numbers, under the same library name. One reader is there, `Touchmark TEST element`, and what is in it says
//! the environment:
//!
//! - `TOUCHMARK_ELEMENT_STATE=DIR`: the element in that state directory (`touchmark element new`). It has power while
//!   somebody is connected; a second process that connects meanwhile gets `SCARD_E_SHARING_VIOLATION`.
//! - `TOUCHMARK_ELEMENT_TCP=HOST:PORT`: an element that `touchmark element run` serves, so that several processes share
//!   it. Where both are set, the directory counts.
//! - With neither, there is no service: `SCARD_E_NO_SERVICE`.
//!
//! The FFI is in the module `ffi` alone; everything behind it is safe code.
//!
//! Deliberately absent: readers other than the one, T=0 and raw protocols, setting of attributes, and platforms other
//! than Linux with 64 bits.

mod card;
mod codes;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod ffi;
mod library;
#[cfg(test)]
mod tests;
