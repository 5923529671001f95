//! A report as one HTML file: no scripts, nothing from elsewhere, and each figure a link to where it comes from.

mod appendix;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::svg::{self, Place};
use super::words::slug;
use super::{Block, Chart, Report, Span, Tone, series, words};
use crate::error::EconomicsError;

const STYLE: &str = include_str!("html/page.css");

/// More rows of a chart's values are not written beside it; the CSV has them all.
const ROWS: usize = 60;

/// The report as a page.
///
/// Every figure is a link to the appendix, which says for each where it comes from. Elements that hold digits carry
/// `data-origin`, by which [`super::walk::stray`] finds digits that lead nowhere.
///
/// # Errors
/// EC-0004 where a chart cannot be drawn.
pub fn page(report: &Report) -> Result<String, EconomicsError> {
    let charts = drawings(report)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                style { (PreEscaped(style())) }
            }
            body {
                main {
                    h1 { (report.title) }
                    p.lead { (spans(report, &report.summary)) }
                    @for block in &report.blocks { (written(report, block, &charts)) }
                    (appendix::of(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// The blocks of a report and its appendix, to be set into a page that has the style of [`style`].
///
/// # Errors
/// EC-0004 where a chart cannot be drawn.
pub fn fragment(report: &Report) -> Result<String, EconomicsError> {
    let charts = drawings(report)?;
    let fragment = html! {
        p.lead { (spans(report, &report.summary)) }
        @for block in &report.blocks { (written(report, block, &charts)) }
        (appendix::of(report))
    };
    Ok(fragment.into_string())
}

/// The rules of a page, with those of the drawings in it.
#[must_use]
pub fn style() -> String {
    format!(
        "{STYLE}{}\n@media screen and (prefers-color-scheme:dark){{{}}}\n",
        svg::halo_rule("svg.drawing", "var(--paper)"),
        svg::dark_rules("svg.drawing")
    )
}

/// The same rules for a [`fragment`] inside an element of somebody else's page: nested, so that they reach nothing else
/// (CSS Nesting Module, §2).
#[must_use]
pub fn style_within(selector: &str) -> String {
    format!("{selector}{{{}}}", style().replace(":root{", "&{"))
}

/// The drawings of each chart, by its id: for wide pages and for narrow ones.
fn drawings(report: &Report) -> Result<BTreeMap<&str, [String; 2]>, EconomicsError> {
    let charts = report.blocks.iter().filter_map(|block| match block {
        Block::Chart(chart) => Some(chart),
        _ => None,
    });
    let drawn = |chart| {
        svg::drawn(chart, report, Place::Wide)
            .and_then(|wide| Ok([wide, svg::drawn(chart, report, Place::Narrow)?]))
    };
    charts.map(|chart| Ok((chart.id.as_str(), drawn(chart)?))).collect()
}

fn written(report: &Report, block: &Block, charts: &BTreeMap<&str, [String; 2]>) -> Markup {
    match block {
        Block::Heading { text } => html! { h2 { (text) } },
        Block::Paragraph { spans: parts } => html! { p { (spans(report, parts)) } },
        Block::List { items } => html! {
            ul { @for item in items { li { (spans(report, item)) } } }
        },
        Block::Table { caption, columns, rows } => table(report, caption, columns, rows),
        Block::Chart(chart) => figure(report, chart, charts.get(chart.id.as_str())),
    }
}

fn table(report: &Report, caption: &str, columns: &[String], rows: &[Vec<Vec<Span>>]) -> Markup {
    let numbers = words::numbers(columns, rows);
    let class = |at: usize| numbers.get(at).copied().unwrap_or(false).then_some("number");
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr {
                    @for (at, column) in columns.iter().enumerate() { th scope="col" class=[class(at)] { (column) } }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 && class(at).is_none() {
                                    th scope="row" { (spans(report, cell)) }
                                } @else {
                                    td class=[class(at)] { (spans(report, cell)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(report: &Report, chart: &Chart, drawn: Option<&[String; 2]>) -> Markup {
    let values = series::table(chart, ROWS);
    html! {
        figure id={ "chart-" (slug(&chart.id)) } {
            figcaption {
                h3 { (chart.title) }
                p { (spans(report, &chart.says)) }
            }
            @if let Some(drawn) = drawn { @for one in drawn { (PreEscaped(one)) } }
            (under(report, chart))
            details data-origin="chart" {
                summary { "The values drawn" @if values.thinned { ", not all of them" } }
                div.scroll tabindex="0" role="region" aria-label={ "Values of " (chart.title) } {
                    table {
                        thead { tr {
                            @for (at, column) in values.columns.iter().enumerate() {
                                th scope="col" class=[(at > 0).then_some("number")] { (column) }
                            }
                        } }
                        tbody {
                            @for row in &values.rows {
                                tr {
                                    @for (at, cell) in row.iter().enumerate() {
                                        @if at == 0 { th scope="row" { (cell) } } @else { td.number { (cell) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The line under a chart: what it is computed from, and the sources of that.
fn under(report: &Report, chart: &Chart) -> Markup {
    let leaves = words::leaves(report, &chart.from);
    html! {
        p.under data-origin="chart" {
            "Computed from "
            @for (at, id) in chart.from.iter().enumerate() {
                @if at > 0 { ", " }
                a href={ "#fig-" (slug(id)) } { (report.figures.get(id).map_or(id.as_str(), |figure| &figure.text)) }
            }
            "."
            @if !leaves.given.is_empty() {
                " Your inputs: "
                @for (at, file) in leaves.given.iter().enumerate() { @if at > 0 { ", " } (file) }
                "."
            }
            @if !leaves.sources.is_empty() {
                " Sources: "
                @for (at, id) in leaves.sources.iter().enumerate() {
                    @if at > 0 { ", " }
                    a href={ "#src-" (slug(id)) } { (id) }
                }
                "."
            }
        }
    }
}

pub(super) fn spans(report: &Report, spans: &[Span]) -> Markup {
    html! { @for span in spans { (one(report, span)) } }
}

fn one(report: &Report, span: &Span) -> Markup {
    match span {
        Span::Text { text } => html! { (text) },
        Span::Name { text } => html! { span data-origin="name" { (text) } },
        Span::Given { text } => html! { span.given data-origin="given" { (text) } },
        Span::Sourced { text, source, grade } => html! {
            span data-origin="sourced" {
                (text) " "
                a.source href={ "#src-" (slug(source)) } title=(grade.meaning()) { "[" (source) ", " (grade.word()) "]" }
            }
        },
        Span::Figure { id } => link(report, id, &words::value(report, id)),
        Span::Range { id } => link(report, id, &words::range(report, id)),
        Span::Verdict { text, tone } => {
            let tone = match tone {
                Tone::Good => "good",
                Tone::Warning => "warning",
                Tone::Bad => "bad",
                Tone::Neutral => "neutral",
            };
            html! { span.verdict.(tone) { (text) } }
        }
    }
}

fn link(report: &Report, id: &str, words: &str) -> Markup {
    let title = report.figures.get(id).map_or("", |figure| figure.text.as_str());
    let value = report.figures.get(id).map_or(f64::NAN, |figure| figure.value);
    html! {
        a.figure data-origin="figure" href={ "#fig-" (slug(id)) } title=(title) data-value=(value) { (words) }
    }
}

#[cfg(test)]
mod tests;
