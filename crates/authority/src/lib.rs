//! The certification authority and its registry.
//!
//! Place in the life of a credential: enrol, renew, revoke. The authority takes a certification request with the
//! Verifier's record of where the key lives ([`enrol`]), writes its intent down, signs, writes the certificate down and
//! only then answers ([`issue`]). The record goes into the registry row, the certificate extension and the journal
//! entry alike. It quarantines and revokes ([`revoke`]) and says so by CRL ([`crl`]) and OCSP ([`ocsp`]).
//!
//! Storage is one trait, [`registry::Registry`]; [`registry::sqlite`] is its embedded form, and [`registry::survey`] reads that
//! one in passing, beside the process that holds it.
//!
//! Deliberately absent: HTTP, a clock, randomness other than from the cryptographic library, and any way to a
//! certificate that leaves no registry row.
//!
//! # Source
//! RFC 5280 (certificates and CRLs), RFC 6960 (OCSP), RFC 7030 (EST), RFC 2986 (certification requests).

pub mod ca;
pub mod class_break;
pub mod crl;
pub mod csr;
pub mod enrol;
pub mod error;
pub mod est;
pub mod issue;
pub mod ocsp;
pub mod registry;
pub mod renew;
pub mod revoke;
pub mod settings;
pub mod x509;

pub use ca::Authority;
pub use error::AuthorityError;
pub use settings::Settings;
