//! The appendix: where each figure comes from.

use maud::{Markup, html};

use crate::report::words::{self, Piece, operand, slug};
use crate::report::{Figure, FigureOrigin, Report, number};
use crate::source::Grade;

/// Every figure, then every source, then what the grades mean.
pub(super) fn of(report: &Report) -> Markup {
    html! {
        section.appendix data-origin="appendix" {
            h2 id="figures" { "Where each figure comes from" }
            p {
                "Each figure of this report is a link to its row here. A figure that was computed names the figures it comes "
                "from, and so on back to a source, an input of yours, or a definition."
            }
            div.scroll tabindex="0" role="region" aria-label="Where each figure comes from" {
                table {
                    thead { tr {
                        th scope="col" { "Figure" }
                        th scope="col" { "Value and range" }
                        th scope="col" { "Where it comes from" }
                    } }
                    tbody { @for (id, figure) in words::figures(report) { (row(report, id, figure)) } }
                }
            }
            @if !report.sources.is_empty() {
                h2 id="sources" { "Sources" }
                ul {
                    @for (id, source) in &report.sources {
                        li id={ "src-" (slug(id)) } {
                            (source.title) ", " (source.date) ". "
                            @match words::link(source) {
                                Some(link) => { a href=(link) rel="noreferrer" { (source.address) } }
                                None => { (source.address) }
                            }
                            ". " code { (id) }
                        }
                    }
                }
                p.quiet {
                    "How far a source carries is said by one word: "
                    @for (at, grade) in GRADES.iter().enumerate() {
                        @if at > 0 { "; " }
                        b { (grade.word()) } ", " (grade.meaning())
                    }
                    "."
                }
            }
        }
    }
}

const GRADES: [Grade; 7] = [
    Grade::Whole,
    Grade::Quoted,
    Grade::Opening,
    Grade::Secondary,
    Grade::Unverified,
    Grade::Assumed,
    Grade::Yours,
];

fn row(report: &Report, id: &str, figure: &Figure) -> Markup {
    html! {
        tr id={ "fig-" (slug(id)) } {
            th scope="row" {
                (figure.text)
                @if figure.text != id { br; code { (id) } }
            }
            td.value {
                (number::written(figure.value, &figure.unit))
                @if figure.range.is_some() { br; span.quiet { (words::range(report, id)) } }
            }
            td { (origin(report, &figure.origin)) }
        }
    }
}

fn origin(report: &Report, origin: &FigureOrigin) -> Markup {
    match origin {
        FigureOrigin::Source { source, grade, date, note } => html! {
            @match report.sources.get(source) {
                Some(found) => { a href={ "#src-" (slug(source)) } { (found.title) } }
                None => { (source) }
            }
            ", " b { (grade.word()) } " (" (grade.meaning()) ")"
            @if !date.is_empty() { ", " (date) }
            "."
            @if !note.is_empty() { " " (note) }
        },
        FigureOrigin::Given { file, line } => html! { "Your input: " (words::given(file, *line)) "." },
        FigureOrigin::Defined { reason } => html! { "By definition: " (reason) "." },
        FigureOrigin::Calculated { formula, from } => {
            let pieces = words::pieces(formula, from);
            let named = pieces.iter().any(|piece| matches!(piece, Piece::Figure(_)));
            let beside = words::beside(formula, from);
            html! {
                p {
                    @for piece in &pieces {
                        @match piece {
                            Piece::Words(words) => { (words) }
                            Piece::Figure(id) => { a href={ "#fig-" (slug(id)) } { code { (id) } } }
                        }
                    }
                }
                @if words::is_arithmetic(&pieces) {
                    p.quiet {
                        "= "
                        @for piece in &pieces {
                            @match piece {
                                Piece::Words(words) => { (words) }
                                Piece::Figure(id) => { (operand(report, id)) }
                            }
                        }
                    }
                }
                @if !beside.is_empty() {
                    p.quiet {
                        @if named { "With " } @else { "From " }
                        @for (at, id) in beside.iter().enumerate() {
                            @if at > 0 { ", " }
                            a href={ "#fig-" (slug(id)) } { code { (id) } }
                            " (" (words::value(report, id)) ")"
                        }
                        "."
                    }
                }
            }
        }
    }
}
