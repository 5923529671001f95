//! What a database in MaxMind format says of an address: autonomous system, country, place.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::Reader;
use serde::Deserialize;
use touchmark_identity::event::{Asn, Event, EventBody, Peer};

use crate::failure::Usage;

/// An open database.
#[derive(Debug)]
pub(crate) struct Networks(Reader<Vec<u8>>);

/// The fields that are read; a database may hold any of them.
#[derive(Debug, Default, Deserialize)]
struct Record<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    country: Option<Country<'a>>,
    location: Option<Location>,
}

#[derive(Debug, Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Networks {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let reader = Reader::open_readfile(path)
            .map_err(|e| Usage(format!("{} is not a database in MaxMind format: {e}", path.display())))?;
        Ok(Self(reader))
    }

    /// Fills in what an event does not say of its peer. What the event says wins, and an address that the damaged part
    /// of a database holds stays unknown.
    pub(crate) fn enrich(&self, event: &mut Event) {
        let peer = match &mut event.body {
            EventBody::Authentication(a) => a.peer.as_mut(),
            EventBody::Heartbeat(beat) => beat.peer.as_mut(),
            EventBody::SessionEnd(_) | EventBody::Registry(_) => None,
        };
        if let Some(peer) = peer {
            self.fill(peer);
        }
    }

    fn fill(&self, peer: &mut Peer) {
        let record = self.record(peer.ip);
        peer.asn = peer.asn.or(record.autonomous_system_number.map(Asn));
        if peer.country.is_none() {
            peer.country = record.country.and_then(|c| c.iso_code.map(str::to_owned));
        }
        if peer.lat.is_none() && peer.lon.is_none() {
            let place = record.location.and_then(|l| l.latitude.zip(l.longitude));
            (peer.lat, peer.lon) = place.unzip();
        }
    }

    fn record(&self, ip: IpAddr) -> Record<'_> {
        self.0.lookup(ip).and_then(|found| found.decode()).ok().flatten().unwrap_or_default()
    }
}
