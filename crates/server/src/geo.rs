//! Where addresses are: the choice of an operator, and what it gives.
//!
//! The table that is part of the program knows countries alone, and countries are no sign of anything: they are looked up
//! when something is shown. An operator's database may know autonomous systems and positions as well; these belong to the
//! event before it is observed. What an event says of itself wins over both.

mod networks;

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use touchmark_identity::event::{Event, EventBody, Peer};
use touchmark_monitor::Enrich;
use touchmark_monitor::geography::Geography;

use crate::error::ServerError;
use networks::Networks;

/// What addresses are looked up in. As text: `built-in`, `none`, or a path (`./none` is one).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Geo {
    /// The table of countries that is part of the program.
    #[default]
    BuiltIn,
    /// Nothing.
    None,
    /// A database in MaxMind format.
    File(PathBuf),
}

impl fmt::Display for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl From<String> for Geo {
    fn from(text: String) -> Self {
        match text.as_str() {
            "built-in" => Self::BuiltIn,
            "none" => Self::None,
            _ => Self::File(text.into()),
        }
    }
}

impl From<Geo> for String {
    fn from(geo: Geo) -> Self {
        geo.to_string()
    }
}

impl FromStr for Geo {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl Geo {
    /// Opens it.
    ///
    /// # Errors
    /// [`ServerError::Config`] when the file is no database in MaxMind format.
    pub fn open(&self) -> Result<Places, ServerError> {
        Ok(match self {
            Self::BuiltIn => Places { enrich: None, geography: Geography::built_in() },
            Self::None => Places::default(),
            Self::File(path) => Places::of(Arc::new(Networks::open(path)?)),
        })
    }
}

/// What is known of addresses. Clones share it.
#[derive(Clone)]
pub struct Places {
    enrich: Option<Enrich>,
    geography: Geography,
}

impl Default for Places {
    fn default() -> Self {
        Self { enrich: None, geography: Geography::none() }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("enrich", &self.enrich.is_some())
            .field("geography", &self.geography)
            .finish()
    }
}

impl Places {
    fn of(networks: Arc<Networks>) -> Self {
        let same = Arc::clone(&networks);
        let enrich: Enrich = Arc::new(move |event| {
            if let Some(peer) = peer_of(event) {
                networks.fill(peer);
            }
        });
        Self { enrich: Some(enrich), geography: Geography::of(move |ip| same.country(ip)) }
    }

    /// What every event is given before it is observed; none where nothing would be that the engine looks at.
    #[must_use]
    pub fn enrich(&self) -> Option<Enrich> {
        self.enrich.clone()
    }

    /// In which country an address or a network is.
    #[must_use]
    pub fn geography(&self) -> &Geography {
        &self.geography
    }

    /// Completes an event that is shown: as it was observed, and its country.
    pub fn complete(&self, event: &mut Event) {
        if let Some(enrich) = &self.enrich {
            enrich(event);
        }
        if let Some(peer) = peer_of(event)
            && peer.country.is_none()
        {
            peer.country = self.geography.country(peer.ip).map(|country| country.to_string());
        }
    }
}

fn peer_of(event: &mut Event) -> Option<&mut Peer> {
    match &mut event.body {
        EventBody::Authentication(authentication) => authentication.peer.as_mut(),
        EventBody::Heartbeat(beat) => beat.peer.as_mut(),
        EventBody::SessionEnd(_) | EventBody::Registry(_) => None,
    }
}

/// A configuration error about a file.
fn unusable(path: &Path, detail: String) -> ServerError {
    ServerError::Config { path: path.display().to_string(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(peer: &str) -> Event {
        let line = format!(
            r#"{{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"g","identity":{{"client_id":"a"}},"peer":{peer}}}"#
        );
        Event::from_line(line.as_bytes()).unwrap()
    }

    fn country(geo: &Geo, peer: &str) -> Option<String> {
        let mut event = event(peer);
        geo.open().unwrap().complete(&mut event);
        peer_of(&mut event).unwrap().country.clone()
    }

    #[test]
    fn an_events_own_country_wins_and_none_is_none() {
        let says = |geo: &Geo, peer: &str| country(geo, peer);
        assert_eq!(says(&Geo::BuiltIn, r#"{"ip":"133.11.0.1"}"#).as_deref(), Some("JP"));
        assert_eq!(says(&Geo::BuiltIn, r#"{"ip":"133.11.0.1","country":"SE"}"#).as_deref(), Some("SE"));
        assert_eq!(says(&Geo::BuiltIn, r#"{"ip":"10.0.0.1"}"#), None);
        assert_eq!(says(&Geo::None, r#"{"ip":"133.11.0.1"}"#), None);
        assert!(Geo::BuiltIn.open().unwrap().enrich().is_none(), "the engine needs nothing of it");
    }

    /// A database in MaxMind format 2.0 (<https://maxmind.github.io/MaxMind-DB/>) of two halves: below 128.0.0.0 all
    /// addresses are in AS64500, in Sweden, at 59.5 N 18.25 E; the others are nowhere.
    fn database() -> Vec<u8> {
        fn text(text: &str) -> Vec<u8> {
            [&[2 << 5 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
        }
        fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
            let written = fields.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
            [7 << 5 | u8::try_from(fields.len()).unwrap()].into_iter().chain(written).collect()
        }
        let u16 = |number: u16| [&[5 << 5 | 2], number.to_be_bytes().as_slice()].concat();
        let u32 = |number: u32| [&[6 << 5 | 4], number.to_be_bytes().as_slice()].concat();
        let double = |number: f64| [&[3 << 5 | 8], number.to_be_bytes().as_slice()].concat();
        let record = map(&[
            ("autonomous_system_number", u32(64_500)),
            ("country", map(&[("iso_code", text("SE"))])),
            ("location", map(&[("latitude", double(59.5)), ("longitude", double(18.25))])),
        ]);
        let metadata = map(&[
            ("binary_format_major_version", u16(2)),
            ("binary_format_minor_version", u16(0)),
            ("build_epoch", vec![8, 2, 0, 0, 0, 0, 0x6a, 0, 0, 0]),
            ("database_type", text("Test")),
            ("description", map(&[("en", text("test"))])),
            ("ip_version", u16(4)),
            ("languages", vec![0, 4]),
            ("node_count", u32(1)),
            ("record_size", u16(24)),
        ]);
        // One node: to the left the record (node count, 16 bytes of nothing, offset 0), to the right nothing.
        let tree = [0, 0, 1 + 16, 0, 0, 1];
        [&tree, [0; 16].as_slice(), &record, b"\xab\xcd\xefMaxMind.com", &metadata].concat()
    }

    #[test]
    fn an_operators_database_wins_over_the_table_and_the_event_over_both() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), database()).unwrap();
        let places = Geo::File(file.path().to_owned()).open().unwrap();
        let enriched = |peer: &str| {
            let mut event = event(peer);
            places.enrich().unwrap()(&mut event);
            peer_of(&mut event).unwrap().clone()
        };
        let peer = enriched(r#"{"ip":"41.203.64.1"}"#);
        assert_eq!((peer.asn.unwrap().0, peer.country.as_deref()), (64_500, Some("SE")));
        assert_eq!((peer.lat, peer.lon), (Some(59.5), Some(18.25)));
        let peer = enriched(r#"{"ip":"41.203.64.1","asn":7,"country":"FR","lat":1.0,"lon":2.0}"#);
        assert_eq!((peer.asn.unwrap().0, peer.country.as_deref()), (7, Some("FR")));
        assert_eq!((peer.lat, peer.lon), (Some(1.0), Some(2.0)));
        let peer = enriched(r#"{"ip":"133.11.0.1"}"#);
        assert_eq!((peer.asn, peer.country), (None, None), "the table does not fill its gaps");
        let country = |places: &Places, network: &str| {
            places.geography().country_of_network(network).map(|country| country.to_string())
        };
        assert_eq!(country(&places, "41.203.64.0/24").as_deref(), Some("SE"));
        assert_eq!(country(&places, "133.11.0.0/24"), None);
        assert_eq!(country(&Geo::BuiltIn.open().unwrap(), "41.203.64.0/24").as_deref(), Some("NG"));
    }

    #[test]
    fn the_choice_is_a_text() {
        for (text, geo) in [
            ("built-in", Geo::BuiltIn),
            ("none", Geo::None),
            ("./none", Geo::File("./none".into())),
            ("/srv/city.mmdb", Geo::File("/srv/city.mmdb".into())),
        ] {
            assert_eq!(Geo::from(text.to_owned()), geo);
            assert_eq!(geo.to_string(), text);
        }
        let error = Geo::File("/nowhere/at.mmdb".into()).open().unwrap_err();
        assert!(error.code() == "SV-0001" && error.to_string().contains("/nowhere/at.mmdb"), "{error}");
    }
}
