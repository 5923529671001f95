//! The crate `scll`, a GlobalPlatform client that is not ours, against the virtual element.
//!
//! `peer-scll --tcp HOST:PORT` runs its checks in order on a new element that `touchmark element run` serves, prints
//! `ok NAME` or `FAIL NAME why` for each, and ends with 0 if all are ok, else with 1. The element is changed: key sets
//! come and go, and the card ends in the state SECURED.

mod cap;
mod checks;
mod transport;

use std::process::ExitCode;

use scll::CardManager;
use scll::backend::{KeyBackend, KeyHandle, KeyKind};
use scll::backend_rustcrypto::RustCryptoBackend;
use scll::error::ScllError;
use scll::model::ScpVariant;
use scll::report::{OpenScpParams, ScpTargetKind};
use scll::workflow::{OpenScpArgs, SdKeys};

use transport::Tcp;

/// The issuer security domain of a new element.
const ISSUER: &[u8] = &[0xA0, 0, 0, 1, 0x51, 0, 0, 0];
/// What the element says it speaks: all of SCP03.
const SCP03: ScpVariant = ScpVariant::Scp03 { i_param: 0x70 };

type Manager = CardManager<Tcp, RustCryptoBackend<rand_core::OsRng>>;

/// A host with a connection of its own; a card after a reset.
struct Host(Manager);

/// ENC, MAC and DEK of one size.
#[derive(Clone, Copy)]
struct Keys {
    kind: KeyKind,
    enc: KeyHandle,
    mac: KeyHandle,
    dek: KeyHandle,
}

impl Host {
    fn connect(address: &str) -> Result<Self, String> {
        let tcp = Tcp::connect(address).map_err(|error| error.to_string())?;
        Ok(Self(CardManager::new(tcp, RustCryptoBackend::new(rand_core::OsRng))))
    }

    /// Takes three keys in; their size says of what kind they are.
    fn keys(&self, bytes: [&[u8]; 3]) -> Result<Keys, String> {
        let kind = match bytes[0].len() {
            16 => KeyKind::Aes128,
            24 => KeyKind::Aes192,
            _ => KeyKind::Aes256,
        };
        let take = |bytes: &[u8]| self.0.backend().import_key(kind, bytes).map_err(|e| format!("{e:?}"));
        Ok(Keys { kind, enc: take(bytes[0])?, mac: take(bytes[1])?, dek: take(bytes[2])? })
    }

    /// The published test keys, 40 41 42 ...
    fn test_keys(&self, bytes: u8) -> Result<Keys, String> {
        let key: Vec<u8> = (0x40..0x40 + bytes).collect();
        self.keys([&key, &key, &key])
    }

    fn try_open(
        &mut self,
        target: &[u8],
        keys: &Keys,
        version: u8,
        level: u8,
    ) -> Result<OpenScpParams, ScllError> {
        self.0.open_scp(&OpenScpArgs {
            target_aid: target,
            target_kind: ScpTargetKind::SecurityDomainAid,
            sd_keys: SdKeys { enc: keys.enc, mac: keys.mac, dek: keys.dek },
            advertised: &[SCP03],
            force_scp: None,
            kvn: version,
            requested_level: level,
        })
    }

    /// Opens a channel, and holds what came of it against what was asked for.
    fn open(&mut self, target: &[u8], keys: &Keys, version: u8, level: u8) -> Result<OpenScpParams, String> {
        let opened = self.try_open(target, keys, version, level).map_err(|error| error.to_string())?;
        if opened.kvn_effective != version || opened.security_level_effective != level {
            return Err(format!("asked for version {version:02X} and level {level:02X}, got {opened:?}"));
        }
        Ok(opened)
    }

    /// A channel to the issuer's domain with the first key set and everything on.
    fn at_issuer(address: &str) -> Result<(Self, Keys), String> {
        let mut host = Self::connect(address)?;
        let keys = host.test_keys(16)?;
        host.open(ISSUER, &keys, 0x30, 0x33)?;
        Ok((host, keys))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, address] = arguments.as_slice() else {
        eprintln!("usage: peer-scll --tcp HOST:PORT");
        return ExitCode::from(2);
    };
    if flag != "--tcp" {
        eprintln!("usage: peer-scll --tcp HOST:PORT");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for (name, check) in checks::all() {
        match check(address) {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                failed = true;
                println!("FAIL {name} {}", why.replace('\n', " "));
            }
        }
    }
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}
