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
