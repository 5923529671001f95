//! `touchmark lab`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use touchmark_identity::key::PublicKey;
use touchmark_lab::extract::search_parallel;

use crate::demo;
use crate::failure::{NotSo, Usage};
use crate::input::read;
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Search a flash image for the private key of a public key. Ends with 1 when it is not found.
    Search {
        /// The image.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// The public key or certificate, PEM.
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
        /// Write the private key that was found (PKCS#8, DER) to this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take a small fleet through its whole life: enrol, operate, attack, watch, revoke.
    Demo(demo::Options),
}

#[derive(Debug, Serialize)]
struct SearchData {
    schema: &'static str,
    found: Vec<Place>,
    bytes_searched: usize,
    candidates_tried: u64,
}

#[derive(Debug, Serialize)]
struct Place {
    offset: usize,
    encoding: String,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let (image, public, out) = match verb {
        Verb::Demo(options) => return demo::run(&options, printer),
        Verb::Search { image, public, out } => (image, public, out),
    };
    let bytes = read(&image)?;
    let target = public_key(&read(&public)?)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let search = search_parallel(&bytes, &target, threads, &mut |done, total| {
        printer.progress(&format!("searching {} of {} KiB", done / 1024, total / 1024));
    });
    printer.progress("");
    let places: Vec<Place> =
        search.found.iter().map(|f| Place { offset: f.offset, encoding: f.encoding.to_string() }).collect();
    let text = places
        .iter()
        .map(|p| format!("found at offset {:#x} as {}", p.offset, p.encoding))
        .collect::<Vec<_>>()
        .join("\n");
    let (bytes_searched, candidates_tried) = (search.bytes_searched, search.candidates_tried);
    printer
        .say(&format!("{bytes_searched} bytes, {candidates_tried} candidates tried against the public key"));
    if let (Some(path), Some(found)) = (out, search.found.first()) {
        std::fs::write(&path, found.pkcs8.as_slice())?;
    }
    let none = places.is_empty();
    if !none || printer.is_json() {
        let data =
            SearchData { schema: "touchmark.key-search/1", found: places, bytes_searched, candidates_tried };
        printer.data(&data, &text)?;
    }
    if none {
        return Err(NotSo(
            "the private key was not found in these bytes, in any form that was tried".to_owned(),
        )
        .into());
    }
    Ok(())
}

fn public_key(pem: &[u8]) -> anyhow::Result<PublicKey> {
    let (label, der) =
        der::pem::decode_vec(pem).map_err(|e| Usage(format!("the public key is not PEM: {e}")))?;
    Ok(match label {
        "CERTIFICATE" => touchmark_authority::x509::HeldCertificate::from_der(&der)?.public_key()?,
        _ => PublicKey::from_spki_der(&der).map_err(|e| Usage(e.to_string()))?,
    })
}
