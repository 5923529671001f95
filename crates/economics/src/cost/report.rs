//! The report.

mod watching;

use serde_json::json;

use super::{Likely, Line, Lives, Model, Only, Options, Storage, charts};
use crate::EconomicsError;

use crate::input::{Inputs, Origin};
use crate::planner;
use crate::report::{Draft, Report, Span, Tone};

/// Swings that the table shows.
const SWINGS: usize = 8;

/// What a fleet costs over its life, as a report with charts. `data` holds `likely` ([`Likely`]), `lives` (quantiles, and the
/// share of lives in which each hardware is cheaper than software), `swings`, and `planner` ([`planner::RowValues`]), all
/// in US dollars whatever currency the report shows.
///
/// # Errors
/// EC-0002 where an input is missing, EC-0003 for options that cannot be.
pub fn report(inputs: &Inputs, options: &Options) -> Result<Report, EconomicsError> {
    options.check(inputs)?;
    let mut draft = Draft::new(inputs);
    if let Some(code) = &options.currency {
        draft.in_currency(code, "currency.rate");
    }
    let mut data = serde_json::Map::new();
    let mut summary = Vec::new();
    if options.only != Only::Planner {
        let model = Model::new(inputs, options.choices)?;
        let likely = model.likely()?;
        let lives = model.lives(options.lives, options.seed)?;
        let swings = model.tornado(options.storage)?;
        let told = Told { model: &model, likely: &likely, lives: &lives, options };
        told.figures_of_lives(&mut draft);
        summary = told.summary(&mut draft)?;
        told.totals(&mut draft)?;
        draft.chart(charts::stacks(&likely));
        told.against_software(&mut draft);
        let payback = told.payback(&mut draft, options.storage);
        draft.chart(charts::cumulative(&likely, options.storage, payback));
        if let Some(chart) = charts::histogram(&lives, options.storage) {
            draft.chart(chart);
        }
        told.swings(&mut draft, &swings)?;
        draft.chart(charts::tornado(&likely, options.storage, &swings, inputs));
        told.alerts(&mut draft)?;
        told.incidents(&mut draft)?;
        let moved: Vec<_> = swings
            .iter()
            .map(|one| json!({"input": one.key, "at_low_usd": one.at_low, "at_high_usd": one.at_high}))
            .collect();
        data.insert("likely".to_owned(), json!(likely));
        data.insert("lives".to_owned(), told.lives_data());
        data.insert("swings".to_owned(), json!(moved));
    }
    if options.only != Only::Cost {
        let table = planner::section(&mut draft, inputs)?;
        data.insert("planner".to_owned(), json!(table.likely(inputs)?));
        if summary.is_empty() {
            summary = vec![
                Span::text("What certificates cost for "),
                draft.show_input("fleet.devices")?,
                Span::text(" over "),
                draft.show_input("fleet.lifetime")?,
                Span::text(", by lifetime, method of revocation and authority."),
            ];
        }
    }
    watching::limits(&mut draft);
    draft.finish("touchmark.decide.cost/1", "What the life of a fleet costs", summary, data.into())
}

/// What the report tells about.
struct Told<'a> {
    model: &'a Model<'a>,
    likely: &'a Likely,
    lives: &'a Lives,
    options: &'a Options,
}

impl Told<'_> {
    /// Figures that are drawn from many lives rather than computed once.
    fn figures_of_lives(&self, draft: &mut Draft<'_>) {
        let count = f64::from(u32::try_from(self.options.lives).unwrap_or(u32::MAX));
        draft.show_given("run.lives", "Lives that were sampled", (count, "1"), "--lives", 0);
        #[expect(clippy::cast_precision_loss, reason = "shown, not used")]
        let seed = self.options.seed as f64;
        draft.show_given("run.seed", "Seed that they were sampled from", (seed, "1"), "--seed", 0);
        for (storage, net) in &self.lives.nets {
            draft.show_value(
                &format!("lives.{storage}.cheaper"),
                &format!("{}: share of lives in which it is cheaper than software", storage.title()),
                (net.share_above(0.0), "1"),
                "the share of sampled lives in which software costs more",
                &[&format!("versus.{storage}.net"), "run.lives", "run.seed"],
            );
        }
    }

    fn summary(&self, draft: &mut Draft<'_>) -> Result<Vec<Span>, EconomicsError> {
        let storage = self.options.storage;
        let mut spans = vec![
            draft.show_input("fleet.devices")?,
            Span::text(" over "),
            draft.show_input("fleet.lifetime")?,
            Span::text(": "),
        ];
        for cost in self.model.costs.iter().filter(|one| [storage, Storage::Software].contains(&one.storage))
        {
            spans.push(draft.show(&cost.total));
            spans.push(Span::text(format!(" with keys in {}, ", charts::with_article(cost.storage))));
        }
        if let Some(one) = self.model.against(storage) {
            let cheaper = self.likely.versus(storage).is_some_and(|one| one.net_usd > 0.0);
            let verdict = if cheaper { "The hardware is cheaper" } else { "Software is cheaper" };
            spans.push(Span::text("likely values. "));
            spans.push(Span::verdict(verdict, Tone::Neutral));
            spans.push(Span::text(" at these, and the hardware in a share of "));
            spans.push(Span::Figure { id: format!("lives.{storage}.cheaper") });
            spans.push(Span::text(" of sampled lives; both cost the same at a price of "));
            spans.push(draft.show(&one.break_even_price));
            spans.push(Span::text(". Incidents are not in it unless you gave a rate."));
        }
        Ok(spans)
    }

    fn totals(&self, draft: &mut Draft<'_>) -> Result<(), EconomicsError> {
        draft.heading("Cost by storage");
        let choices = self.model.choices;
        let spans = [
            Span::text(format!(
                "Certificates by {}, with {}; each is valid for ",
                choices.authority.title(),
                choices.revocation.title(),
            )),
            draft.show_input("certificate.lifetime")?,
            Span::text(if choices.discounted {
                ". What is paid later counts less, at a rate a year of "
            } else {
                ". Lines are not discounted; the row of discounted totals takes a rate a year of "
            }),
            draft.show_input("finance.discount-rate")?,
            Span::text("."),
        ];
        draft.paragraph(spans);
        let mut rows = Vec::new();
        for line in Line::ALL {
            let mut row = vec![vec![Span::text(line.title())]];
            for cost in &self.model.costs {
                let cell = match cost.item(*line) {
                    Some(_) if *line == Line::Incidents && !self.rate_given(cost.storage) => {
                        vec![Span::verdict("not given", Tone::Neutral)]
                    }
                    Some(item) => vec![draft.show(&item.total)],
                    None => Vec::new(),
                };
                row.push(cell);
            }
            rows.push(row);
        }
        let costs = &self.model.costs;
        let mut add = |name: &str, cells: Vec<Span>| {
            let cells = cells.into_iter().map(|cell| vec![cell]);
            rows.push(std::iter::once(vec![Span::text(name)]).chain(cells).collect());
        };
        add("Total", costs.iter().map(|cost| draft.show(&cost.total)).collect());
        add("For one device", costs.iter().map(|cost| draft.show(&cost.per_device)).collect());
        add("For one device and year", costs.iter().map(|cost| draft.show(&cost.per_device_year)).collect());
        add("Paid once", costs.iter().map(|cost| draft.show(&cost.once)).collect());
        add("Paid each year", costs.iter().map(|cost| draft.show(&cost.yearly)).collect());
        add("Total, not discounted", costs.iter().map(|cost| draft.show(&cost.plain)).collect());
        add("Total, discounted", costs.iter().map(|cost| draft.show(&cost.present)).collect());
        for (share, name, row) in QUANTILES {
            let cells = self.lives.totals.iter().map(|(storage, spread)| {
                draft.show_value(
                    &format!("lives.{storage}.{name}"),
                    &format!("{}: total that {row}", storage.title()),
                    (spread.quantile(*share), "USD"),
                    &format!("the total that {row}"),
                    &[&format!("cost.{storage}.total"), "run.lives", "run.seed"],
                )
            });
            let cells: Vec<_> = cells.collect();
            add(&format!("Total that {row}"), cells);
        }
        let columns: Vec<_> =
            std::iter::once("Line").chain(costs.iter().map(|cost| cost.storage.title())).collect();
        draft.table("Cost over the life of the fleet, by storage of the keys", &columns, rows);
        draft.paragraph([
            Span::text("The last rows come from "),
            Span::Figure { id: "run.lives".to_owned() },
            Span::text(" lives of the seed "),
            Span::Figure { id: "run.seed".to_owned() },
            Span::text(
                ", in which each input is drawn from its range by itself. Most \
                 ranges reach further up than down, so most lives cost more than the likely values say.",
            ),
        ]);
        Ok(())
    }

    fn rate_given(&self, storage: Storage) -> bool {
        let rate = self.model.inputs.get(&format!("incidents.{storage}.rate"));
        rate.is_some_and(|rate| matches!(rate.origin, Origin::Given { .. }) || rate.high > 0.0)
    }

    fn against_software(&self, draft: &mut Draft<'_>) {
        draft.heading("Hardware against software");
        draft.paragraph([Span::text(
            "Gross is what software costs more in everything but parts and board; net is what is left of it after what software \
             saves there. Below zero, software is cheaper. The price at which both cost the same is that of the part alone.",
        )]);
        let versus = &self.model.versus;
        let mut rows: Vec<Vec<Vec<Span>>> = Vec::new();
        let mut add = |name: &str, cells: Vec<Vec<Span>>| {
            rows.push(std::iter::once(vec![Span::text(name)]).chain(cells).collect());
        };
        add("Software costs more, gross", versus.iter().map(|one| vec![draft.show(&one.gross)]).collect());
        add("Parts and board that it saves", versus.iter().map(|one| vec![draft.show(&one.saved)]).collect());
        add("Software costs more, net", versus.iter().map(|one| vec![draft.show(&one.net)]).collect());
        add(
            "Price at which both cost the same",
            versus
                .iter()
                .map(|one| {
                    let mut cell = vec![draft.show(&one.break_even_price)];
                    if self.likely.versus(one.storage).is_some_and(|value| value.break_even_price < 0.0) {
                        cell.extend([Span::text(" "), Span::verdict("dearer at any price", Tone::Warning)]);
                    }
                    cell
                })
                .collect(),
        );
        add(
            "Hardware costs more at the beginning",
            versus.iter().map(|one| vec![draft.show(&one.ahead)]).collect(),
        );
        add("Hardware saves each year", versus.iter().map(|one| vec![draft.show(&one.saving)]).collect());
        add(
            "Paid for itself after",
            versus.iter().map(|one| self.payback_cell(draft, one.storage)).collect(),
        );
        add(
            "Share of lives in which hardware is cheaper",
            versus
                .iter()
                .map(|one| vec![Span::Figure { id: format!("lives.{}.cheaper", one.storage) }])
                .collect(),
        );
        for (share, name, row) in QUANTILES {
            let cells = self.lives.nets.iter().map(|(storage, spread)| {
                vec![draft.show_value(
                    &format!("lives.{storage}.net.{name}"),
                    &format!("{}: net that {row}", storage.title()),
                    (spread.quantile(*share), "USD"),
                    &format!("the difference that {row}"),
                    &[&format!("versus.{storage}.net"), "run.lives", "run.seed"],
                )]
            });
            let cells: Vec<_> = cells.collect();
            add(&format!("Net that {row}"), cells);
        }
        let columns: Vec<_> =
            std::iter::once("").chain(versus.iter().map(|one| one.storage.title())).collect();
        draft.table("Software less hardware, over the life of the fleet", &columns, rows);
    }

    fn payback_cell(&self, draft: &mut Draft<'_>, storage: Storage) -> Vec<Span> {
        let years = self.likely.versus(storage).and_then(|one| one.payback_years);
        match (years, self.model.against(storage)) {
            (Some(0.0), _) => vec![Span::verdict("from the beginning", Tone::Good)],
            (Some(years), Some(one)) if years > self.likely.lifetime_years => {
                let late = Span::verdict("after the end of the life", Tone::Warning);
                vec![draft.show(&one.payback), Span::text(" "), late]
            }
            (Some(_), Some(one)) => vec![draft.show(&one.payback)],
            _ => vec![Span::verdict("never", Tone::Warning)],
        }
    }

    fn payback(&self, draft: &mut Draft<'_>, storage: Storage) -> Vec<Span> {
        let mut spans = vec![Span::text("Where the lines cross the hardware has paid for itself: ")];
        spans.extend(self.payback_cell(draft, storage));
        spans.push(Span::text(" (not discounted)."));
        spans
    }

    fn swings(&self, draft: &mut Draft<'_>, swings: &[crate::plan::Swing]) -> Result<(), EconomicsError> {
        let storage = self.options.storage;
        draft.heading("What moves the answer");
        let net = format!("versus.{storage}.net");
        let mut rows = Vec::new();
        for swing in swings.iter().take(SWINGS) {
            let name = self.model.inputs.get(&swing.key).map_or("", |input| input.text.as_str());
            let mut at = |end: &str, value: f64| {
                draft.show_value(
                    &format!("swing.{storage}.{}.{end}", swing.key),
                    &format!("Software less hardware, with the {end} value of: {name}"),
                    (value, "USD"),
                    &format!("{net} with the {end} value of {}, all others likely", swing.key),
                    &[&net, &swing.key],
                )
            };
            let (low, high) = (at("lowest", swing.at_low), at("highest", swing.at_high));
            let input = draft.show_with_range(&swing.key)?;
            let decides = if (swing.at_low > 0.0) == (swing.at_high > 0.0) {
                Vec::new()
            } else {
                vec![Span::verdict("decides by itself", Tone::Warning)]
            };
            rows.push(vec![vec![Span::name(name)], input, vec![low], vec![high], decides]);
        }
        let columns = ["Input", "Likely value and range", "Net at the lowest", "Net at the highest", ""];
        let caption =
            format!("What moves the difference between software and {}", charts::with_article(storage));
        draft.table(&caption, &columns, rows);
        Ok(())
    }

    fn lives_data(&self) -> serde_json::Value {
        let quantiles = |spread: &crate::plan::Spread| json!({"q05_usd": spread.quantile(0.05), "q50_usd": spread.quantile(0.5), "q95_usd": spread.quantile(0.95)});
        let totals: serde_json::Map<_, _> = self
            .lives
            .totals
            .iter()
            .map(|(storage, spread)| (storage.to_string(), quantiles(spread)))
            .collect();
        let nets: serde_json::Map<_, _> = self
            .lives
            .nets
            .iter()
            .map(|(storage, spread)| (storage.to_string(), quantiles(spread)))
            .collect();
        let cheaper: serde_json::Map<_, _> = self
            .lives
            .nets
            .iter()
            .map(|(storage, _)| (storage.to_string(), json!(self.lives.cheaper(*storage))))
            .collect();
        json!({"lives": self.options.lives, "seed": self.options.seed, "totals": totals, "nets": nets, "cheaper": cheaper})
    }
}

/// Shares of lives, what their figures' ids end with, and how reports call them.
const QUANTILES: &[(f64, &str, &str)] = &[
    (0.05, "low", "only one life in twenty is below"),
    (0.5, "middle", "half of the lives are below"),
    (0.95, "high", "only one life in twenty is above"),
];
