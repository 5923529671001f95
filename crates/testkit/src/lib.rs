//! Test PKI, foreign peers and a browser; a dev-dependency only.

pub mod browser;
pub mod clients;
pub mod curl;
pub mod disk;
pub mod element;
pub mod est;
pub mod fleet;
pub mod haproxy;
pub mod kafka;
pub mod kryoptic;
pub mod mosquitto;
pub mod nats;
pub mod nginx;
pub mod openssl;
pub mod pcsc;
pub mod peer;
pub mod process;
pub mod served;
pub mod server;
pub mod softhsm;
pub mod swtpm;
pub mod telemetry;
pub mod token;
