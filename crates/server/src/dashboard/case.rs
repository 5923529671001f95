//! The case of a finding: where it stands on its ladder, what was asked for and came of it, and what a person may decide.
//!
//! Each decision is a form of its own with its own id, so that a page that lives on never puts one button in another's
//! place under somebody's finger.

use maud::{Markup, html};

use super::parts::{finding_url, moment};
use super::view::FindingPage;
use crate::respond::{ActView, AnswerView, CaseDecision, CaseView};

/// The case; a part that lives on.
pub(super) fn case(view: &FindingPage) -> Markup {
    html! {
        @match &view.case {
            None => p.empty { "No policy asks for anything about this finding." },
            Some(case) => {
                (standing(case))
                @if !case.answers.is_empty() { (answers(&case.answers)) }
                (buttons(case))
                @if let Some(request) = &case.rekey {
                    p.note {
                        "A new key is asked for instance " (request.branch.id) " of " strong { (request.device) }
                        ", because of its " (request.because) ". Giving it one is work for a person."
                    }
                }
                ol.decisions.acts {
                    @for act in case.acts.iter().rev() { (act_row(act)) }
                }
            }
        }
    }
}

fn standing(case: &CaseView) -> Markup {
    html! {
        p.verdict {
            strong { (case.state) @if let Some(how) = &case.how { " (" (how) ")" } }
            ", rule " code { (case.rule) }
            @if case.dry_run { ". " strong { "Dry run" } ": everything is written down, nothing is done" }
            @if let Some(next) = &case.next {
                // The ladder never revokes: its last step asks.
                ". Next: " strong { @if next == "revoke" { "ask a person whether to revoke" } @else { (next) } }
                @if let Some(due) = case.due { " at " (moment(due, false)) }
            }
            "."
        }
        p.faint {
            @if case.in_force.is_empty() { "Nothing is in force." }
            @else { "In force: " (case.in_force.join(", ")) "." }
        }
    }
}

fn answers(rows: &[AnswerView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="case-title" {
            table {
                thead { tr {
                    th scope="col" { "Instance" }
                    th scope="col" { "Challenge" }
                    th scope="col" { "What it gave" }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { "Branch " (row.branch) }
                            td { (row.verdict.as_deref().unwrap_or("no answer yet")) }
                            td {
                                (row.detail)
                                @if let Some(at) = row.answered { " " span.when { (moment(at, false)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn act_row(act: &ActView) -> Markup {
    let word = match act.request.as_str() {
        "do" => "",
        "undo" => "taken back: ",
        "revoke" => "revoked",
        _ => "noted",
    };
    html! {
        li id={ "act-" (act.number) } {
            p {
                strong { (word) (act.measure.as_deref().unwrap_or_default()) }
                @if act.outcome != "recorded" { ", " (act.outcome) }
                " " span.when { (moment(act.at, false)) }
            }
            p.faint { (act.says) @if !act.detail.is_empty() { " (" (act.detail) ")" } }
        }
    }
}

fn says(decision: CaseDecision) -> &'static str {
    match decision {
        CaseDecision::Proceed => "Take the next step now",
        CaseDecision::Hold => "Hold: stay here, what was done stays",
        CaseDecision::Resume => "Go on",
        CaseDecision::Release => "Release: take everything back and end the case",
        CaseDecision::Revoke => "Revoke for good",
    }
}

fn buttons(case: &CaseView) -> Markup {
    let action = format!("{}/case", finding_url(&case.finding.to_string()));
    // A dry run revokes nothing, whoever asks.
    let offered = |decision: &&CaseDecision| **decision != CaseDecision::Revoke || !case.dry_run;
    html! {
        div.case-buttons {
            @for decision in case.takes.iter().filter(offered) {
                form id={ "case-" (decision.as_str()) } method="post" action=(action) {
                    input type="hidden" name="decision" value=(decision.as_str());
                    @if *decision == CaseDecision::Revoke {
                        label for="case-confirm" { "The device's name, to revoke it for good" }
                        input #case-confirm name="confirm" type="text" autocomplete="off" required;
                    }
                    button type="submit" { (says(*decision)) }
                }
            }
        }
    }
}
