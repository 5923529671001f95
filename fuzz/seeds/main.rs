//! Writes the first inputs of the fuzz targets: for each target at least one that it accepts, so that the fuzzer begins
//! behind the outermost check. `DIRECTORY`, the last argument, gets `TARGET/seed-N`; what is there is written anew.
//!
//! It has the form of a target, for it is built with the flags of the targets: then nothing below it is compiled twice.
//! libFuzzer begins, and ends before it calls the target.
#![no_main]

mod keys;
#[cfg(feature = "all")]
mod others;

use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;

type Failed = Box<dyn std::error::Error>;

/// The directory that is filled.
struct Seeds(PathBuf);

impl Seeds {
    fn add(&self, target: &str, inputs: impl IntoIterator<Item = impl AsRef<[u8]>>) -> std::io::Result<()> {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory)?;
        for (number, input) in inputs.into_iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), input)?;
        }
        Ok(())
    }
}

fn write_all() -> Result<(), Failed> {
    let directory = std::env::args_os().skip(1).last().ok_or("usage: seeds [OPTION...] DIRECTORY")?;
    let seeds = Seeds(directory.into());
    let work = tempfile::tempdir()?;
    keys::add(&seeds, work.path())?;
    #[cfg(feature = "all")]
    others::add(&seeds, work.path())?;
    Ok(())
}

fn main() {
    let result = write_all();
    if let Err(error) = &result {
        eprintln!("seeds: {error}");
    }
    std::process::exit(i32::from(result.is_err()));
}

fuzz_target!(init: main(), |_data: &[u8]| {});
