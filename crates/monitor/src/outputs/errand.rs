//! Errands: what a response asks of people, as it is sent to them. A work order, a new key for an original, the question
//! whether to revoke; and that one of these is withdrawn.
//!
//! An errand is an act of a case ([`crate::respond::Act`]), read back from its line.

use serde::Deserialize;
use serde_json::{Value, json};
use touchmark_identity::finding::FindingId;
use touchmark_identity::timestamp::Timestamp;

use super::{Context, Form, compact, one_line};
use crate::respond::{Measure, SCHEMA};

/// Why a line is no errand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoErrand {
    /// The line is not an act of this version, or not one that asks for a measure or takes one back.
    #[error("it is no act of {SCHEMA} that asks for something or takes it back")]
    Unread,
    /// What the act asks for is carried out by the server itself.
    #[error("the measure {measure} is not asked of people")]
    Machine {
        /// The measure.
        measure: &'static str,
    },
}

/// One errand.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    finding: FindingId,
    number: u32,
    at: Timestamp,
    measure: Measure,
    withdrawn: bool,
    line: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Do,
    Undo,
}

#[derive(Deserialize)]
struct Line {
    schema: String,
    finding: FindingId,
    number: u32,
    at: Timestamp,
    request: Word,
    #[serde(flatten)]
    measure: Measure,
}

impl Form {
    /// Whether errands can be sent in this form; the others know findings alone.
    #[must_use]
    pub fn carries_errands(self) -> bool {
        match self {
            Self::Native | Self::CloudEvents => true,
            Self::Ocsf | Self::Ecs | Self::Cef => false,
        }
    }
}

impl Measure {
    /// Whether it is people who carry it out.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::WorkOrder { .. } | Self::RekeyWinner(_) | Self::AskRevoke { .. } => true,
            Self::Challenge { .. } | Self::ReduceRights { .. } | Self::Quarantine { .. } => false,
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::WorkOrder { device: Some(device), .. }
            | Self::Challenge { device, .. }
            | Self::ReduceRights { device, .. }
            | Self::Quarantine { device }
            | Self::AskRevoke { device } => device.clone(),
            Self::WorkOrder { device: None, identity } => identity.label(),
            Self::RekeyWinner(request) => request.device.clone(),
        }
    }
}

impl Errand {
    /// Reads an act's line.
    ///
    /// # Errors
    /// [`NoErrand`], where the act is none.
    pub fn from_line(line: &str) -> Result<Self, NoErrand> {
        let read: Line = serde_json::from_str(line).map_err(|_| NoErrand::Unread)?;
        if read.schema != SCHEMA {
            return Err(NoErrand::Unread);
        }
        if !read.measure.is_for_people() {
            return Err(NoErrand::Machine { measure: read.measure.as_str() });
        }
        let Line { finding, number, at, request, measure, .. } = read;
        let withdrawn = matches!(request, Word::Undo);
        Ok(Self { finding, number, at, measure, withdrawn, line: line.to_owned() })
    }

    /// Names one delivery: the finding's id and the number of the act. Who receives the same one twice may forget the
    /// second.
    #[must_use]
    pub fn delivery_id(&self) -> String {
        format!("{}.act-{}", self.finding, self.number)
    }

    /// CloudEvents' `type`: the measure, and `withdrawn` behind it where it is taken back.
    fn kind(&self) -> String {
        let withdrawn = if self.withdrawn { ".withdrawn" } else { "" };
        format!("touchmark.response.{}{withdrawn}", self.measure.as_str())
    }

    /// The errand as one line without a line feed: as CloudEvents 1.0, in every other form as `touchmark.response/1`.
    #[must_use]
    pub fn write(&self, form: Form, context: &Context) -> String {
        match form {
            Form::CloudEvents => one_line(&compact(self.envelope(context)).to_string()),
            Form::Native | Form::Ocsf | Form::Ecs | Form::Cef => one_line(&self.line),
        }
    }

    /// CloudEvents 1.0.2 §3.1.
    fn envelope(&self, context: &Context) -> Value {
        let data: Value = serde_json::from_str(&self.line).unwrap_or_default();
        json!({
            "specversion": "1.0",
            "id": self.delivery_id(),
            "source": context.source,
            "type": self.kind(),
            "subject": self.measure.subject(),
            "time": self.at,
            "datacontenttype": "application/json",
            "findingid": self.finding,
            "data": data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_identity::event::{IdentityRef, RawDigest};
    use touchmark_identity::finding::Kind;

    use crate::respond::{Act, Request};

    fn line(request: Request) -> String {
        let name = IdentityRef::by_common_name("m");
        let act = Act {
            schema: SCHEMA,
            finding: FindingId::derive(&name, Kind::Clone, "r", RawDigest([1; 32])),
            number: 3,
            rule: "a\u{2028}rule".to_owned(),
            at: Timestamp::from_micros(1_795_132_800_000_000),
            request,
            says: "somebody goes there".to_owned(),
        };
        act.to_line()
    }

    fn order(device: Option<&str>) -> Measure {
        Measure::WorkOrder {
            device: device.map(str::to_owned),
            identity: IdentityRef::by_common_name("by its name"),
        }
    }

    #[test]
    fn an_errand_names_its_act_and_what_is_asked() {
        let context = Context::new("urn:touchmark:test", "here");
        let asked = line(Request::Do(order(Some("meter-1"))));
        let errand = Errand::from_line(&asked).unwrap();
        let sent = errand.write(Form::CloudEvents, &context);
        let event: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(event["type"], "touchmark.response.work-order");
        assert_eq!(event["id"], errand.delivery_id());
        assert!(errand.delivery_id().ends_with(".act-3"));
        assert_eq!((&event["subject"], &event["specversion"]), (&json!("meter-1"), &json!("1.0")));
        assert_eq!(event["data"], serde_json::from_str::<Value>(&asked).unwrap());
        assert!(!sent.contains('\u{2028}'), "{sent}");
        assert_eq!(sent, Errand::from_line(&asked).unwrap().write(Form::CloudEvents, &context));
        let native: Value = serde_json::from_str(&errand.write(Form::Native, &context)).unwrap();
        assert_eq!(native["schema"], SCHEMA);

        let undone = Errand::from_line(&line(Request::Undo(order(None)))).unwrap();
        let event: Value = serde_json::from_str(&undone.write(Form::CloudEvents, &context)).unwrap();
        assert_eq!(event["type"], "touchmark.response.work-order.withdrawn");
        assert!(event["subject"].as_str().unwrap().contains("by its name"), "{event}");
    }

    #[test]
    fn what_the_server_does_itself_is_no_errand() {
        let hold = Measure::Quarantine { device: "meter-1".to_owned() };
        let refused = Errand::from_line(&line(Request::Do(hold))).unwrap_err();
        assert_eq!(refused, NoErrand::Machine { measure: "quarantine" });
        for other in [line(Request::Record).as_str(), "{}", "", r#"{"schema":"touchmark.finding/1"}"#] {
            assert_eq!(Errand::from_line(other), Err(NoErrand::Unread), "{other}");
        }
    }
}
