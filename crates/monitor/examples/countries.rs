//! Builds `crates/monitor/data/countries.bin` of two lists of ranges; `crates/monitor/data/README.md` says of which.
//!
//! `cargo run --release -p touchmark-monitor --example countries -- IPV4.csv IPV6.csv OUT.bin`

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use touchmark_monitor::geography::{Countries, build};

fn run() -> Result<String, String> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [ipv4, ipv6, out] = paths.as_slice() else {
        return Err("the call is: countries IPV4.csv IPV6.csv OUT.bin".to_owned());
    };
    let read =
        |path: &String| fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"));
    let table = build(&read(ipv4)?, &read(ipv6)?).map_err(|error| format!("{}: {error}", error.code()))?;
    let (v4, v6) = Countries::read(&table).map_err(|error| error.to_string())?.ranges();
    fs::write(out, &table).map_err(|error| format!("cannot write {out}: {error}"))?;
    Ok(format!("{v4} ranges of IPv4, {v6} of IPv6, {} bytes\n", table.len()))
}

fn main() -> ExitCode {
    let (says, code) = match run() {
        Ok(says) => (says, ExitCode::SUCCESS),
        Err(error) => (format!("{error}\n"), ExitCode::from(2)),
    };
    // A terminal that is gone is no reason to fail.
    let _gone = io::stderr().write_all(says.as_bytes());
    code
}
