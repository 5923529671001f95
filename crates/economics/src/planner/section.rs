//! The planner's part of a report.

use super::{Authority, CostValue, Revocation, Row, RowValues, Table};
use crate::EconomicsError;
use crate::input::Inputs;
use crate::report::{Draft, Span, Tone};

/// Writes the comparison of lifetimes, methods and authorities.
pub(crate) fn section(draft: &mut Draft<'_>, inputs: &Inputs) -> Result<Table, EconomicsError> {
    let table = Table::new(inputs)?;
    let likely = table.likely(inputs)?;
    draft.heading("Certificates: lifetime, revocation, authority");
    let spans = [
        Span::text(
            "What certificates cost over the life of the fleet, not discounted, at likely values. A managed authority is paid by \
             its price list: issuing is nearly free above the first thousands of a month, asking for the status of each \
             certificate is not, nor are certificates of a few days. One's own costs the same however many it issues: people, \
             set-up and HSMs. In each row the cheapest is marked that leaves a revoked certificate believed for no longer than ",
        ),
        draft.show_input("revocation.limit")?,
        Span::text("."),
    ];
    draft.paragraph(spans);
    let limit = inputs.get("revocation.limit").map_or(f64::INFINITY, |limit| limit.likely);
    let mut rows = Vec::new();
    for (row, values) in table.rows.iter().zip(&likely) {
        let best = best(values, limit, None);
        let mut cells = vec![
            vec![Span::text(row.name)],
            vec![draft.show(&row.lifetime)],
            vec![draft.show(&row.certificates)],
        ];
        for ((authority, revocation, cost), _) in row.costs.iter().zip(&values.costs) {
            let mut cell = vec![draft.show(cost)];
            if best.is_some_and(|best| (best.authority, best.revocation) == (*authority, *revocation)) {
                cell.push(Span::text(" "));
                cell.push(Span::verdict("cheapest", Tone::Good));
            }
            cells.push(cell);
        }
        rows.push(cells);
    }
    let columns = [
        "Lifetime",
        "Days",
        "Certificates",
        "Managed, lists",
        "Managed, OCSP",
        "Managed, no revocation",
        "Own, lists",
        "Own, OCSP",
        "Own, no revocation",
    ];
    draft.table("Cost of certificates over the life of the fleet", &columns, rows);
    let mut rows = Vec::new();
    for row in &table.rows {
        let mut cells = vec![vec![Span::text(row.name)]];
        cells.extend(row.exposures.iter().map(|(_, days)| vec![draft.show(days)]));
        rows.push(cells);
    }
    let columns = ["Lifetime", "Lists", "OCSP", "No revocation"];
    draft.table("How long a revoked certificate is still believed, at most", &columns, rows);
    if let (Some(row), Some(values)) = (table.rows.first(), likely.first()) {
        let advice = advice(draft, row, values, limit);
        draft.paragraph(advice);
    }
    draft.paragraph([Span::text(
        "Not in these figures: what it costs when a renewal fails and a device has to be visited, data volume of the devices, \
         and what relying parties spend on checking. OCSP of a managed authority is an upper bound.",
    )]);
    Ok(table)
}

/// The cheapest choice of a row that keeps to the limit, of one authority or of both.
fn best(values: &RowValues, limit: f64, of: Option<Authority>) -> Option<CostValue> {
    let exposed = |revocation: Revocation| {
        values.exposures.iter().find(|one| one.revocation == revocation).map_or(f64::INFINITY, |one| one.days)
    };
    let kept = values.costs.iter().filter(|cost| of.is_none_or(|of| cost.authority == of));
    kept.filter(|cost| exposed(cost.revocation) <= limit).min_by(|a, b| a.usd.total_cmp(&b.usd)).copied()
}

/// The cheapest choice for each authority, for the lifetime of the inputs.
fn advice(draft: &mut Draft<'_>, row: &Row, values: &RowValues, limit: f64) -> Vec<Span> {
    let mut spans =
        vec![Span::text("For the lifetime of the inputs the cheapest that keeps to that limit is: ")];
    for (at, authority) in Authority::ALL.iter().enumerate() {
        let words = if at == 0 { "" } else { "; " };
        spans.push(Span::text(format!("{words}with {}, ", authority.title())));
        let best = best(values, limit, Some(*authority));
        let cost = best.and_then(|best| {
            row.costs.iter().find(|(of, how, _)| (*of, *how) == (best.authority, best.revocation))
        });
        match cost {
            Some((_, revocation, cost)) => {
                spans.push(Span::text(format!("{}, at ", revocation.title())));
                spans.push(draft.show(cost));
            }
            None => spans.push(Span::verdict("none", Tone::Warning)),
        }
    }
    spans.push(Span::text("."));
    spans
}
