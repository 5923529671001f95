//! The planner's part of a report.

use super::{Authority, Revocation, Table};
use crate::EconomicsError;
use crate::input::Inputs;
use crate::report::{Draft, Span, Tone};

/// Writes the comparison of lifetimes, methods and authorities.
pub(crate) fn section(draft: &mut Draft<'_>, inputs: &Inputs) -> Result<Table, EconomicsError> {
    let table = Table::new(inputs)?;
    let likely = table.likely(inputs)?;
    draft.heading("Certificates: lifetime, revocation, authority");
    draft.paragraph([Span::text(
        "What certificates cost over the life of the fleet, not discounted, at likely values. A managed authority is paid by its \
         price list: issuing is nearly free above the first thousands of a month, asking for the status of each certificate is \
         not, nor are certificates of a few days. One's own costs the same however many it issues: people, set-up and HSMs. The \
         cheapest of each row is marked.",
    )]);
    let mut rows = Vec::new();
    for (row, values) in table.rows.iter().zip(&likely) {
        let cheapest = values.costs.iter().map(|cost| cost.usd).fold(f64::INFINITY, f64::min);
        let mut cells = vec![
            vec![Span::text(row.name)],
            vec![draft.show(&row.lifetime)],
            vec![draft.show(&row.certificates)],
        ];
        for ((_, _, cost), value) in row.costs.iter().zip(&values.costs) {
            let mut cell = vec![draft.show(cost)];
            if value.usd <= cheapest {
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
    if let Some(yours) = likely.first() {
        draft.paragraph(advice(draft_choices(yours)));
    }
    draft.paragraph([Span::text(
        "Not in these figures: what it costs when a renewal fails and a device has to be visited, data volume of the devices, \
         and what relying parties spend on checking. OCSP of a managed authority is an upper bound.",
    )]);
    Ok(table)
}

/// The cheapest choice for each authority.
fn draft_choices(row: &super::RowValues) -> Vec<(Authority, Revocation)> {
    let cheapest = |authority: Authority| {
        let of = row.costs.iter().filter(|cost| cost.authority == authority);
        of.min_by(|a, b| a.usd.total_cmp(&b.usd)).map(|cost| (authority, cost.revocation))
    };
    Authority::ALL.iter().filter_map(|authority| cheapest(*authority)).collect()
}

fn advice(choices: Vec<(Authority, Revocation)>) -> Vec<Span> {
    let mut spans = vec![Span::text("For the lifetime of the inputs the least costs, ")];
    for (at, (authority, revocation)) in choices.into_iter().enumerate() {
        let joint = if at == 0 { "with a" } else { "; with one's" };
        let words = match authority {
            Authority::Managed => format!("{joint} {}: {}", authority.title(), revocation.title()),
            Authority::Own => format!("{joint} {}: {}", authority.title(), revocation.title()),
        };
        spans.push(Span::text(words));
    }
    spans.push(Span::text(". What a method costs is not what it is worth: the table below the costs says how long each leaves a revoked certificate believed."));
    spans
}
