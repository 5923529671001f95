//! What is said of alerts and incidents, and what is not in the account.

use super::Told;
use crate::EconomicsError;
use crate::cost::storage_cost::alert;
use crate::cost::{Regime, Storage};
use crate::expr::Expr;
use crate::report::{Draft, Span, Tone};
use crate::unit::{IncidentsPerYear, UsdPerIncident};

impl Told<'_> {
    pub(super) fn alerts(&self, draft: &mut Draft<'_>) -> Result<(), EconomicsError> {
        draft.heading("Alerts, and why they depend on the storage");
        draft.paragraph([
            Span::text(
                "A key that can be copied is watched for duplicates: the same identity in two places. That regime has to find out \
                 which of two is the original, and takes longer for each alert. A key in a chip is watched for odd use. That \
                 the first raises more alerts is ",
            ),
            Span::verdict("assumed", Tone::Warning),
            Span::text(
                ": no source gives rates of either. The ranges are wide and overlap; measure your own and set them. The minutes \
                 of an alert and the hour of an analyst are published figures.",
            ),
        ]);
        let mut rows = Vec::new();
        for (name, key) in [
            ("Alerts", "alerts"),
            ("Platform", "monitoring.platform"),
            ("Posts that keep it", "monitoring.posts"),
            ("Visits", "visits"),
        ] {
            let mut row = vec![vec![Span::text(name)]];
            for regime in ["behaviour", "duplicates"] {
                let key = match key.split_once('.') {
                    Some((group, rest)) => format!("{group}.{regime}.{rest}"),
                    None => format!("{key}.{regime}"),
                };
                row.push(draft.show_with_range(&key)?);
            }
            rows.push(row);
        }
        let mut row = vec![vec![Span::text("Work on one alert")]];
        for regime in [Regime::Behaviour, Regime::Duplicates] {
            row.push(vec![draft.show(&alert(self.model.inputs, regime)?)]);
        }
        rows.push(row);
        draft.table("What watching is taken to cost", &["", "Odd use", "Duplicates"], rows);
        let mut rows = Vec::new();
        for cost in &self.model.costs {
            let regime = match cost.storage.regime() {
                Regime::Behaviour => "odd use",
                Regime::Duplicates => "duplicates",
            };
            rows.push(vec![
                vec![Span::text(cost.storage.title())],
                vec![Span::text(regime)],
                vec![draft.show(&cost.alerts)],
            ]);
        }
        draft.table("Alerts of the fleet", &["Storage", "Watched for", "Alerts a year"], rows);
        Ok(())
    }

    pub(super) fn incidents(&self, draft: &mut Draft<'_>) -> Result<(), EconomicsError> {
        draft.heading("Incidents");
        let rate_given = Storage::ALL.iter().any(|storage| self.rate_given(*storage));
        let spans = [
            Span::text(
                "How often a fleet suffers an incident because of where its keys are is published nowhere, so no rate is assumed \
                 here",
            ),
            Span::text(if rate_given {
                "; the totals hold the rates that you gave. "
            } else {
                ", and the totals hold none. "
            }),
            Span::text("What a rate with software would add to its cost over the life, at "),
            draft.show_input("incidents.cost")?,
            Span::text(" (a survey's mean, not a finding about keys):"),
        ];
        draft.paragraph(spans);
        let price = self.model.inputs.quantity::<UsdPerIncident>("incidents.cost")?;
        let mut rows = Vec::new();
        for (rate, name) in RATES {
            let rate = Expr::<IncidentsPerYear>::defined(*rate, "a rate to compare");
            let years = self.model.fleet.lifetime.clone();
            let added = (price.clone() * rate.clone() * years).named(
                format!("incidents.sensitivity.{}", name.replace(' ', "-")),
                format!("Incidents: {name}"),
            );
            rows.push(vec![vec![Span::text(*name)], vec![draft.show(&rate)], vec![draft.show(&added)]]);
        }
        draft.table(
            "What a rate of incidents would add",
            &["One incident in", "Rate", "Added over the life"],
            rows,
        );
        let mut rows = Vec::new();
        for one in &self.model.versus {
            rows.push(vec![vec![Span::text(one.storage.title())], vec![draft.show(&one.incidents)]]);
        }
        let columns = ["Storage", "Incidents avoided over the life that pay for it by themselves"];
        draft.table("The same question the other way round", &columns, rows);
        Ok(())
    }
}

/// Incidents a year to compare.
const RATES: &[(f64, &str)] =
    &[(0.01, "a hundred years"), (0.05, "twenty years"), (0.2, "five years"), (1.0, "one year")];

pub(super) fn limits(draft: &mut Draft<'_>) {
    draft.heading("What is not in it");
    draft.list(
        [
            "Loss of yield at the line, stock, and what it costs to change a part later.",
            "Loss of devices: all of them are taken to be in use for the whole life.",
            "What it is worth that an attack is dearer, on an enclave as on any chip.",
            "Certification, liability and lost sales.",
            "Wages and prices that change over the years; the discount rate is all that tells years apart.",
            "Dependence between inputs: in sampled lives each is drawn by itself.",
        ]
        .into_iter()
        .map(|item| vec![Span::text(item)])
        .collect(),
    );
}
