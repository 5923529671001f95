//! The dashboard: pages written on the server from plain values, and three small assets.
//!
//! Place in the life of a credential: watch. The server fills the structs of [`view`]; the functions here turn them
//! into HTML. Every value is escaped by the template, because device names, findings and log lines are written by
//! strangers. The pages load nothing from elsewhere and hold no script or style of their own, so
//! [`CONTENT_SECURITY_POLICY`] can refuse both.
//!
//! A page is whole without a script. With `live.js` it stays current: each part that changes carries the address
//! of its fragment (`data-live`), which is asked for again every few seconds and merged in place. Answer fragments
//! with [`etag`], so that an unchanged part costs a 304. The server routes:
//!
//! | Address | Answer |
//! |---|---|
//! | `/` | [`overview`] |
//! | `/device/{id}` | [`device`] |
//! | `/device/{id}/timeline` | [`history`] |
//! | `/findings` | [`findings`] |
//! | `/finding/{id}` | [`finding`] |
//! | `/event/{seq}` | [`event`] |
//! | `/sources` | [`sources`] |
//! | `/decide/{model}` | [`model`] |
//! | `/decide/{model}/report.{form}`, `/fragment/decide/{model}` | the model's report |
//! | `/fragment/overview/{part}` | [`overview_fragment`], `part` being one of [`OVERVIEW_PARTS`] |
//! | `/fragment/device/{id}/{part}` | [`device_fragment`], `part` being one of [`DEVICE_PARTS`] |
//! | `/fragment/finding/{id}/{part}` | [`finding_fragment`], `part` being one of [`FINDING_PARTS`] |
//! | `/fragment/findings/{part}` | [`findings_fragment`], `part` being one of [`FINDINGS_PARTS`] |
//! | `/fragment/sources/{part}` | [`sources_fragment`], `part` being one of [`SOURCES_PARTS`] |
//! | `/assets/{name}` | [`asset`] |
//! | POST `/finding/{id}/triage`, POST `/triage/{seq}/undo` | to the finding's page |
//! | POST `/finding/{id}/case` | to the finding's page |
//!
//! Deliberately absent: any act on a device without a case. The pages show and propose, and take down what people decided
//! about a finding and its case; everything else stays with the command line.

mod case;
mod chart;
mod decisions;
mod device;
mod event;
mod finding;
mod findings;
mod frame;
mod history;
mod model;
mod overview;
mod parts;
mod picture;
mod sources;
mod trouble;
pub mod view;

#[cfg(test)]
mod browser_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use sample::frame as sample_frame;

pub use device::{DEVICE_PARTS, device, device_fragment};
pub use event::event;
pub use finding::{FINDING_PARTS, finding, finding_fragment};
pub use findings::{FINDINGS_PARTS, findings, findings_fragment};
pub use history::history;
pub use model::model;
pub use overview::{OVERVIEW_PARTS, overview, overview_fragment};
pub use sources::{SOURCES_PARTS, sources, sources_fragment};
pub use trouble::trouble;

use std::sync::LazyLock;

/// The value of the `Content-Security-Policy` header for every page and fragment (W3C Content Security Policy
/// Level 3 §6): own scripts, styles, images, requests and forms, and nothing else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file served under `/assets/`.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    vec![
        Asset {
            name: "dashboard.css",
            content_type: "text/css; charset=utf-8",
            bytes: include_bytes!("assets/dashboard.css"),
        },
        Asset {
            name: "live.js",
            content_type: "text/javascript; charset=utf-8",
            bytes: include_bytes!("assets/live.js"),
        },
        Asset {
            name: "sliders.js",
            content_type: "text/javascript; charset=utf-8",
            bytes: include_bytes!("assets/sliders.js"),
        },
        Asset { name: "report.css", content_type: "text/css; charset=utf-8", bytes: REPORT_STYLE.as_bytes() },
        Asset {
            name: "emblem.svg",
            content_type: "image/svg+xml",
            bytes: include_bytes!("assets/emblem.svg"),
        },
    ]
});

/// The style of reports, for reports alone: their rules are made for a page of their own.
static REPORT_STYLE: LazyLock<String> =
    LazyLock::new(|| touchmark_economics::report::html::style_within(".report"));

/// The content type and the bytes of an asset, by its name without the query.
///
/// Pages ask for `/assets/NAME?v=DIGEST`, where the digest changes with the content: an answer to a request with a
/// query may be kept by the browser for ever.
#[must_use]
pub fn asset(name: &str) -> Option<(&'static str, &'static [u8])> {
    ASSETS.iter().find(|asset| asset.name == name).map(|asset| (asset.content_type, asset.bytes))
}

/// A strong entity tag for a page or fragment, with its quotes (RFC 9110 §8.8.3).
///
/// It tells versions of one page apart; it protects nothing.
#[must_use]
pub fn etag(body: &str) -> String {
    format!("\"{:016x}\"", fnv1a(body.as_bytes()))
}

/// The address of an asset, with a digest of its content.
fn asset_url(name: &str) -> String {
    let digest = asset(name).map_or(0, |(_, bytes)| fnv1a(bytes));
    format!("/assets/{name}?v={digest:016x}")
}

/// FNV-1a with 64 bits (draft-eastlake-fnv §2): the same on every machine and in every build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
