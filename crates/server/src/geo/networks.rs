//! What a database in MaxMind format says of an address: autonomous system, country, place.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::Reader;
use serde::Deserialize;
use touchmark_identity::event::{Asn, Peer};
use touchmark_monitor::geography::Country;

use super::unusable;
use crate::error::ServerError;

/// An open database.
#[derive(Debug)]
pub(super) struct Networks(Reader<Vec<u8>>);

/// The fields that are read; a database may hold any of them.
#[derive(Debug, Default, Deserialize)]
struct Record<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    country: Option<Named<'a>>,
    location: Option<Location>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Networks {
    pub(super) fn open(path: &Path) -> Result<Self, ServerError> {
        let reader = Reader::open_readfile(path)
            .map_err(|error| unusable(path, format!("this is no database in MaxMind format: {error}")))?;
        Ok(Self(reader))
    }

    /// Fills in what an event does not say of its peer. What the event says wins, and an address that the damaged part
    /// of a database holds stays unknown.
    pub(super) fn fill(&self, peer: &mut Peer) {
        let record = self.record(peer.ip);
        peer.asn = peer.asn.or(record.autonomous_system_number.map(Asn));
        if peer.country.is_none() {
            peer.country = record.country().map(|country| country.to_string());
        }
        if peer.lat.is_none() && peer.lon.is_none() {
            let place = record.location.and_then(|l| l.latitude.zip(l.longitude));
            (peer.lat, peer.lon) = place.unzip();
        }
    }

    /// The country of an address.
    pub(super) fn country(&self, ip: IpAddr) -> Option<Country> {
        self.record(ip).country()
    }

    fn record(&self, ip: IpAddr) -> Record<'_> {
        self.0.lookup(ip).and_then(|found| found.decode()).ok().flatten().unwrap_or_default()
    }
}

impl Record<'_> {
    fn country(&self) -> Option<Country> {
        self.country.as_ref()?.iso_code?.parse().ok()
    }
}
