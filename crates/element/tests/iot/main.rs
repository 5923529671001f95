//! The IoT applet, as a host sees it: published vectors, OpenSSL, and what is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

mod applet_7_2;
mod host;
mod objects;
mod openssl;
mod policies;
mod sessions;
mod vectors;
