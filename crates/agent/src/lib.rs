//! The device side of Touchmark: it enrols, authenticates, counts, and refuses downgrades.
//!
//! Place in the life of a credential: from the first enrolment to the end of the device. [`enrol::enrol`] has the key
//! store make the key, hands its evidence to the authority and keeps the certificate; [`run::run`] then sends
//! heartbeats over mutual TLS, in which the private key is used and never seen, and installs firmware offers whose
//! security version is not below the floor ([`firmware`]). What the agent remembers lies beside the key store, on
//! flash, where an attacker may read and rewrite it: see [`device::Device`].
//!
//! Specifications: PKCS#10 (RFC 2986), TLS 1.3 and 1.2 (RFC 8446, RFC 5246), HTTP/1.1 (RFC 9112), Basic authentication
//! (RFC 7617) for the one-time token.
//!
//! Deliberately absent: renewal, flashing of the firmware's bytes, retries inside one request, a private key in memory
//! of this process when the key store is a chip.
//!
//! ```
//! use touchmark_agent::config::AgentConfig;
//!
//! let config = AgentConfig::parse(
//!     r#"
//!     device = "meter-0001"
//!     device_type = "meter"
//!     store = "tpm:/dev/tpmrm0"
//!     flash = "flash.img"
//!     server = "https://pki.example:8443"
//!     telemetry = "https://telemetry.example:9443"
//!     trust_anchors = "root.pem"
//!     enrol_token_file = "token"
//!     firmware = "2.1.0"
//!     security_version = 1
//!     "#,
//!     "agent.toml",
//! )?;
//! assert_eq!(config.heartbeat_ms, 60_000);
//! # Ok::<(), touchmark_agent::AgentError>(())
//! ```

pub mod clock;
pub mod config;
pub mod csr;
pub mod device;
pub mod enrol;
pub mod firmware;
pub mod heartbeat;
pub mod http;
pub mod run;
pub mod tls;

mod error;
mod secret;

pub use error::AgentError;
pub use secret::Private;

#[cfg(test)]
mod testpki;
