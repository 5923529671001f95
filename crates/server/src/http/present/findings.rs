//! The list of findings, sources, and single lines of the log.

use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{Event, RawDigest};
use touchmark_identity::finding::{Certainty, Finding};

use super::{all_findings, finding_row, frame, input_view};
use crate::app::{App, REGISTRY_SOURCE};
use crate::dashboard::view::{
    EventPage, FindingFilter, FindingsPage, SourceRow, SourcesPage, StandingFilter,
};
use crate::error::ServerError;
use crate::renewal;
use crate::triage::Standing;

/// Findings on one page of the list.
const PAGE: usize = 50;

/// What the address of the list asks for; what cannot be read counts as not asked for.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct FilterQuery {
    kind: String,
    grade: String,
    regime: String,
    standing: String,
    device: String,
    page: String,
}

impl FilterQuery {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> FindingFilter {
        FindingFilter {
            kind: self.kind.parse().ok(),
            grade: self.grade.parse().ok(),
            regime: [Regime::Duplication, Regime::Behaviour].into_iter().find(|r| r.as_str() == self.regime),
            standing: match self.standing.as_str() {
                "all" => StandingFilter::All,
                word => Standing::of(word).map_or(StandingFilter::Current, StandingFilter::Only),
            },
            device: self.device.trim().chars().take(128).collect(),
            page: self.page.parse().unwrap_or(0),
        }
    }
}

fn matches(filter: &FindingFilter, finding: &Finding) -> bool {
    let wanted = filter.device.to_lowercase();
    let named = || {
        let device = finding.device.as_deref().unwrap_or_default().to_lowercase();
        device.contains(&wanted) || finding.identity.label().to_lowercase().contains(&wanted)
    };
    filter.kind.is_none_or(|kind| kind == finding.kind)
        && filter.grade.is_none_or(|grade| grade == finding.grade)
        && filter.regime.is_none_or(|regime| regime == finding.regime)
        && (wanted.is_empty() || named())
}

/// The list of findings.
///
/// # Errors
/// [`ServerError::EventLog`] when the log cannot be read.
pub fn findings(app: &App, query: &FilterQuery) -> Result<FindingsPage, ServerError> {
    let (now, watch) = (app.now(), app.watch());
    let all = all_findings(&watch)?;
    let register = watch.triage();
    let mut filter = query.filter();
    let narrowed: Vec<(&Finding, Standing)> = all
        .iter()
        .filter(|finding| matches(&filter, finding))
        .map(|finding| (finding, register.standing(finding, now)))
        .collect();
    let standings = Standing::ALL
        .iter()
        .map(|standing| (*standing, narrowed.iter().filter(|(_, s)| s == standing).count() as u64))
        .collect();
    let shown: Vec<&(&Finding, Standing)> = narrowed
        .iter()
        .filter(|(_, standing)| match filter.standing {
            StandingFilter::Current => standing.is_current(),
            StandingFilter::All => true,
            StandingFilter::Only(only) => *standing == only,
        })
        .collect();
    let of = |grade: Certainty| shown.iter().filter(|(finding, _)| finding.grade == grade).count() as u64;
    let pages = (shown.len().div_ceil(PAGE) as u64).max(1);
    filter.page = filter.page.min(pages - 1);
    let skipped = usize::try_from(filter.page).unwrap_or(0).saturating_mul(PAGE);
    Ok(FindingsPage {
        frame: frame(app),
        rows: shown
            .iter()
            .skip(skipped)
            .take(PAGE)
            .map(|(finding, standing)| finding_row(finding, *standing))
            .collect(),
        matching: shown.len() as u64,
        grades: [of(Certainty::Confirmed), of(Certainty::Suspect), of(Certainty::Note)],
        standings,
        pages,
        suppressions: register.in_force(now).into_iter().cloned().collect(),
        filter,
    })
}

/// The sources.
#[must_use]
pub fn sources(app: &App) -> SourcesPage {
    let (now, watch) = (app.now(), app.watch());
    let row = |(name, input): (&String, &crate::watch::InputState)| {
        let view = input_view(name, input);
        let example = |reason: &str| input.refused.get(reason).map(|(_, example)| example.clone());
        SourceRow {
            examples: view.refused.iter().map(|r| example(&r.reason).unwrap_or_default()).collect(),
            watermark: input.pace.watermark(),
            delay_ms: input.pace.delay_ms(),
            heard: input.pace.last(),
            usual_ms: input.pace.usual_ms(),
            // The registry speaks when something changes, devices renew when they have to: neither has a pace to keep.
            silent: ![REGISTRY_SOURCE, renewal::SOURCE].contains(&name.as_str()) && input.pace.is_silent(now),
            input: view,
        }
    };
    let sources = watch.inputs.iter().map(row).collect();
    drop(watch);
    SourcesPage { frame: frame(app), sources }
}

/// One line of the log.
///
/// # Errors
/// [`ServerError::NotFound`] when there is no such line.
pub fn event(app: &App, seq: u64) -> Result<EventPage, ServerError> {
    let logged = app.watch().log().event(seq)?.ok_or(ServerError::NotFound { what: "event" })?;
    let read = Event::from_line(logged.line.as_bytes()).ok();
    let named = read.as_ref().and_then(|event| event.identity.common_name.clone());
    let device = named.filter(|name| {
        touchmark_identity::ids::DeviceId::new(name).is_ok_and(|id| app.authority().known(&id).is_ok())
    });
    Ok(EventPage {
        frame: frame(app),
        seq,
        kind: read.as_ref().map(|event| event.body.type_name().to_owned()).unwrap_or_default(),
        at: read.as_ref().map(|event| event.time),
        source: read.map(|event| event.source).unwrap_or_default(),
        device,
        sha256: RawDigest::of(logged.line.as_bytes()).to_string(),
        line: logged.line,
    })
}
