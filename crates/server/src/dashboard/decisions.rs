//! What people decided about a finding, and the form in which they do.
//!
//! The form works without a script: what only a suppression needs is folded away by the style sheet until suppression
//! is chosen, and shown where the style sheet cannot do that.

use maud::{Markup, html};

use super::parts::{finding_url, moment, standing_tag};
use super::view::FindingPage;
use crate::triage::{Decision, MAX_NOTE_CHARS, Reason, Standing, Triage};

/// How long a suppression may last, in hours, with its words.
const TERMS: [(u64, &str); 5] =
    [(1, "1 hour"), (24, "1 day"), (168, "7 days"), (720, "30 days"), (2_160, "90 days")];

/// What was decided so far; a part that lives on.
pub(super) fn decisions(view: &FindingPage) -> Markup {
    let standing = view.finding.standing;
    html! {
        p.verdict {
            (standing_tag(standing)) " "
            @match (standing, &view.suppressed_by) {
                (Standing::Suppressed, Some(by)) => {
                    @if let Some(reach) = &by.what.suppression {
                        "until " (moment(reach.until, false))
                        @if by.finding != view.finding.id { ", " a href=(finding_url(&by.finding)) { "decided there" } }
                        ". It stays out of the lists, and nothing is done about it automatically."
                    }
                },
                (Standing::FalseAlarm, _) => "Nothing is done about it automatically, unless it grows surer.",
                (Standing::Open, _) => "Nobody has decided anything that still stands.",
                _ => "",
            }
        }
        @if !view.triage.is_empty() {
            ol.decisions {
                @for row in view.triage.iter().rev() { (decision(row)) }
            }
        }
    }
}

fn decision(row: &Triage) -> Markup {
    let class = row.undone.map(|_| "undone");
    html! {
        li class=[class] id={ "decision-" (row.seq) } {
            p {
                strong { (word(row.what.decision)) }
                @if let Some(reason) = row.what.reason { ", " (reason.says()) }
                " " span.when { (moment(row.at, false)) }
            }
            @if !row.what.note.is_empty() { p.remark { (row.what.note) } }
            @if let Some(reach) = &row.what.suppression {
                p.faint {
                    (row.device.as_deref().unwrap_or(&row.identity)) ", findings up to " (reach.ceiling.as_str())
                    @if let Some(rule) = &reach.rule { ", rule " code { (rule) } }
                    ", until " (moment(reach.until, false))
                }
            }
            @match row.undone {
                Some(at) => p.faint { "Undone " (moment(at, false)) },
                None => form.undo method="post" action={ "/triage/" (row.seq) "/undo" } { button type="submit" { "Undo" } },
            }
        }
    }
}

/// A decision that was taken.
pub(super) fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Acknowledge => "Acknowledged",
        Decision::Confirm => "Upheld",
        Decision::FalseAlarm => "Called a false alarm",
        Decision::Suppress => "Suppressed",
    }
}

/// The form.
pub(super) fn form(view: &FindingPage) -> Markup {
    let about = view.finding.device.as_deref().unwrap_or(&view.finding.identity);
    html! {
        form.triage method="post" action={ (finding_url(&view.finding.id)) "/triage" } {
            fieldset {
                legend { "Decide" }
                @for decision in Decision::ALL {
                    label.choice {
                        input type="radio" name="decision" value=(decision.as_str()) required
                            checked[*decision == Decision::Acknowledge];
                        span { (decision.says()) }
                    }
                }
            }
            div.fields {
                p {
                    label for="triage-reason" { "Reason" }
                    select #triage-reason name="reason" {
                        option value="" { "none" }
                        @for reason in Reason::ALL { option value=(reason.as_str()) { (reason.says()) } }
                    }
                }
                p.suppress-only {
                    label for="triage-hours" { "For" }
                    select #triage-hours name="hours" {
                        @for (hours, words) in TERMS { option value=(hours) selected[hours == 24] { (words) } }
                    }
                }
                p.suppress-only {
                    label for="triage-ceiling" { "Findings up to" }
                    select #triage-ceiling name="ceiling" {
                        option value="note" { "note" }
                        option value="suspect" selected { "suspect" }
                    }
                }
                p.suppress-only {
                    label for="triage-rule" { "Rule" }
                    select #triage-rule name="rule" {
                        option value="" { "any" }
                        @for rule in &view.rules { option value=(rule) { (rule) } }
                    }
                }
                p.remark-field {
                    label for="triage-note" { "Remark" }
                    input #triage-note name="note" type="text" maxlength=(MAX_NOTE_CHARS) autocomplete="off";
                }
                p { button.primary type="submit" { "Write it down" } }
            }
            p.note.suppress-only {
                "Suppression covers later findings of this kind about " strong { (about) } " as well. A confirmed finding always shows."
            }
            p.note { "There are no accounts here, so no name is recorded. Every decision stays on record and can be undone." }
        }
    }
}
