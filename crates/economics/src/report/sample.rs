//! A report with everything in it, for the tests of its forms.

use super::chart::{Axis, Drawing, Level, Series, Shares};
use super::{Chart, Draft, Report, Span, Tone};
use crate::error::Text;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::plan::Plan;
use crate::source::Grade;
use crate::unit::{Devices, One, Usd, UsdPerDevice, UsdPerDeviceYear, Years};

/// The inputs of the sample: of sources, of a file and of an argument.
const INPUTS: &str = r#"
[[source]]
id = "paper-1"
title = "A Paper, Which Opened a Chip in 2 Days"
address = "example.org/paper-1.pdf"
date = "2024-09"

[[source]]
id = "touchmark"
title = "Assumptions of this project"
address = "data/economics"
date = "2026-11"

[[input]]
key = "fleet.devices"
text = "Devices of the fleet"
low = 250000
likely = 250000
high = 250000
unit = "device"
source = "touchmark"
grade = "assumed"
at_least = 0

[[input]]
key = "fleet.life"
text = "Life of a device"
low = 5
likely = 7
high = 10
unit = "year"
source = "touchmark"
grade = "assumed"

[[input]]
key = "part.secure-element.price"
text = "Secure element ATECC608B, each"
low = 0.55
likely = 0.75
high = 1.2
unit = "USD/device"
source = "paper-1"
grade = "secondary"
date = "2026"
note = "at 10,000 pieces"

[[input]]
key = "watch.software"
text = "Watching a device whose key can be copied"
low = 0.2
likely = 0.55
high = 1.4
unit = "USD/device/year"
source = "touchmark"
grade = "assumed"

[[input]]
key = "watch.element"
text = "Watching a device whose key stays in its chip"
low = 0.05
likely = 0.2
high = 0.5
unit = "USD/device/year"
source = "touchmark"
grade = "assumed"

[[input]]
key = "attack.equipment"
text = "Equipment and method"
low = 10000
likely = 25000
high = 200000
unit = "USD"
source = "paper-1"
grade = "whole"

[[input]]
key = "attack.device"
text = "Laboratory time and a sample, for one device"
low = 200
likely = 900
high = 4000
unit = "USD/device"
source = "paper-1"
grade = "quoted"

[[input]]
key = "attack.budget"
text = "Budget of the attacker"
low = 1000000
likely = 1000000
high = 1000000
unit = "USD"
source = "touchmark"
grade = "assumed"
"#;

const OWN: &str = "[inputs]\n\"watch.element\" = \"0.1..0.15..0.3 USD/device/year\"\n";

/// The inputs of the sample.
pub(crate) fn inputs() -> Inputs {
    Inputs::default()
        .overridden(Text { file: "sample.toml", text: INPUTS })
        .and_then(|inputs| inputs.overridden(Text { file: "fleet.toml", text: OWN }))
        .and_then(|inputs| inputs.given("--set", "fleet.devices", "250000 device"))
        .expect("the sample's inputs are good")
}

fn axis(title: &str, unit: &str, logarithmic: bool) -> Axis {
    Axis { title: title.to_owned(), unit: unit.to_owned(), logarithmic }
}

fn chart(id: &str, title: &str, says: Vec<Span>, drawing: Drawing, from: &[&str]) -> Chart {
    let from = from.iter().map(|id| (*id).to_owned()).collect();
    Chart { id: id.to_owned(), title: title.to_owned(), says, drawing, from }
}

/// The report.
pub(crate) fn report() -> Report {
    let inputs = inputs();
    let mut draft = Draft::new(&inputs);
    let devices: Expr<Devices> = inputs.quantity("fleet.devices").unwrap();
    let life: Expr<Years> = inputs.quantity("fleet.life").unwrap();
    let price: Expr<UsdPerDevice> = inputs.quantity("part.secure-element.price").unwrap();
    let watch = |key: &str, id: &str, text: &str| -> Expr<Usd> {
        let rate: Expr<UsdPerDeviceYear> = inputs.quantity(key).unwrap();
        (rate * (devices.clone() * life.clone()).named("fleet.years", "Years of all devices")).named(id, text)
    };
    let parts = (price * devices.clone()).named("cost.parts", "Secure elements");
    let software = watch("watch.software", "cost.software", "Watching, with keys in software");
    let element = watch("watch.element", "cost.element", "Watching, with keys in an element");
    let total = (parts.clone() + element.clone()).named("cost.total", "Cost with secure elements");
    let saved = (software.clone() - total.clone()).named("cost.saved", "What the element saves");
    let equipment: Expr<Usd> = inputs.quantity("attack.equipment").unwrap();
    let each: Expr<UsdPerDevice> = inputs.quantity("attack.device").unwrap();
    let all = (equipment.clone() + each * devices).named("attack.all", "Attack on the whole fleet");
    let share = total.ratio(&software).times(&Expr::<One>::defined(100.0, "per cent of a whole"));
    let plan = Plan::new(&[total.clone(), software.clone(), saved.clone()], &inputs).unwrap();
    let spread = plan.sample(2_000, 7);

    draft.heading("What it costs");
    let swing = draft.show_value(
        "cost.saved.low",
        "What the element saves at least in nineteen of twenty lives",
        (spread[2].quantile(0.05), "USD"),
        "the lowest twentieth of sampled lives of cost.saved",
        &["cost.saved", "fleet.life"],
    );
    let (a, b) = (draft.show(&total), draft.show(&software));
    draft.paragraph([
        "Over the life of the fleet, secure elements cost ".into(),
        a.clone(),
        ", and watching keys in software costs ".into(),
        b.clone(),
        ". The part is ".into(),
        Span::name("ATECC608B"),
        "; it was opened in a laboratory ".into(),
        Span::sourced("in 2 days, with a laser of 1064 nm", "paper-1", Grade::Whole),
        ". You wrote ".into(),
        Span::given("\"10 % of our sites can be reached\""),
        ".".into(),
    ]);
    let (saving, share) = (draft.show(&saved), draft.show(&share));
    draft.list(vec![
        vec!["The saving is ".into(), saving, ", at least ".into(), swing, ".".into()],
        vec!["The share, unnamed, is ".into(), share, ".".into()],
        vec![Span::verdict("worth it", Tone::Good), " where the fleet lives on".into()],
        vec![Span::verdict("look again", Tone::Warning), " where the price of the part doubles".into()],
        vec![Span::verdict("refused", Tone::Bad), " where one secret opens others".into()],
        vec![Span::verdict("open", Tone::Neutral), " for prototypes".into()],
    ]);
    let row = |name: &str, cells: Vec<Span>| -> Vec<Vec<Span>> {
        std::iter::once(vec![Span::text(name)]).chain(cells.into_iter().map(|cell| vec![cell])).collect()
    };
    let rows = vec![
        row("Secure elements", vec![draft.show(&parts), Span::verdict("once", Tone::Neutral)]),
        row(
            "Watching, with keys in an element",
            vec![draft.show(&element), Span::text("each year of the life")],
        ),
        row("Together", vec![a.clone(), Span::text("")]),
    ];
    draft.table("What the fleet costs with secure elements", &["Item", "Cost", "When"], rows);
    let rows = ["part.secure-element.price", "watch.software", "watch.element", "fleet.devices"]
        .map(|key| {
            vec![
                vec![Span::name(key)],
                vec![draft.show_input(key).unwrap()],
                vec![draft.show_range(key).unwrap()],
            ]
        })
        .to_vec();
    draft.table("What was put in", &["Input", "Likely", "Range"], rows);
    draft.chart(stacks(&plan));
    draft.chart(tornado(&plan));
    draft.chart(histogram(&spread));
    draft.heading("What an attack costs");
    let all = draft.show(&all);
    draft.paragraph(["The whole fleet costs the attacker ".into(), all.clone(), ".".into()]);
    draft.chart(lines(&all));
    draft.heading("How ready the organisation is");
    draft.chart(radar());
    let data = serde_json::json!({ "total": spread[0].mean() });
    let summary = vec!["Secure elements cost ".into(), a, ", software ".into(), b, ".".into()];
    let summary = summary.into_iter().chain([" The answer holds for the likely values.".into()]).collect();
    draft.finish("touchmark.decide.sample/1", "A sample of everything", summary, data).unwrap()
}

fn stacks(plan: &Plan) -> Chart {
    let likely = plan.likely();
    let (total, software) = (likely[0], likely[1]);
    let names = [
        "Components",
        "Provisioning on the line",
        "Certification authority",
        "HSM and custody",
        "Certificates",
        "Revocation",
        "Monitoring",
        "Investigations",
        "Site visits",
        "Incidents (your input)",
    ];
    let part = |(at, name): (usize, &&str)| {
        let share = 1.0 / (at as f64 + 1.6).powf(1.3) / 1.9;
        let other = if at == 0 { 0.0 } else { 1.0 / (10.6 - at as f64).powf(1.3) / 1.6 };
        ((*name).to_owned(), vec![total * share, total * share * 1.6, software * other * 1.5])
    };
    let bars = ["Secure element, from the distributor", "TPM", "Keys in software, one for each device"];
    let drawing = Drawing::Stacks {
        y: axis("Cost over the life of the fleet", "USD", false),
        bars: bars.map(str::to_owned).to_vec(),
        parts: names.iter().enumerate().map(part).collect(),
    };
    let says = vec![
        "Secure elements cost most on the day they are bought; software costs most every day after.".into(),
    ];
    chart(
        "cost-parts",
        "What the life of the fleet costs, by what it is spent on",
        says,
        drawing,
        &["cost.total", "cost.software"],
    )
}

fn tornado(plan: &Plan) -> Chart {
    let inputs = inputs();
    let bar = |swing: crate::plan::Swing| {
        let name = inputs.get(&swing.key).map_or(swing.key.clone(), |input| input.text.clone());
        (name, swing.at_low, swing.at_high)
    };
    let drawing = Drawing::Tornado {
        x: axis("What the element saves", "USD", false),
        middle: plan.likely()[2],
        bars: plan.tornado(2).into_iter().map(bar).collect(),
    };
    let says =
        vec!["The answer hangs most on what it costs to watch a device whose key can be copied.".into()];
    chart("moves", "What moves the answer", says, drawing, &["cost.saved"])
}

fn histogram(spread: &[crate::plan::Spread]) -> Chart {
    let bins = |spread: &crate::plan::Spread| {
        let (low, width, count) = (0.0, 100_000.0, 30);
        (0..count)
            .map(|at| {
                let (from, to) = (low + width * f64::from(at), low + width * f64::from(at + 1));
                (from, to, spread.share_above(from) - spread.share_above(to))
            })
            .collect()
    };
    let drawing = Drawing::Histogram {
        x: axis("Cost over the life of the fleet", "USD", false),
        series: vec![
            Shares { name: "Secure element".to_owned(), bins: bins(&spread[0]) },
            Shares { name: "Keys in software".to_owned(), bins: bins(&spread[1]) },
        ],
    };
    let says = vec!["The cost of software is spread wider.".into()];
    chart("spread", "How the costs of many lives are spread", says, drawing, &["cost.total", "cost.software"])
}

fn lines(all: &Span) -> Chart {
    let names = [
        ("Keys in software, one secret for the whole fleet", 600.0, 0.0),
        ("Keys in software, one for each device", 400.0, 60.0),
        ("MCU with read-out protection (STM32F0), one secret for the whole fleet", 2_500.0, 0.0),
        ("MCU with read-out protection (STM32F0), one for each device", 2_000.0, 150.0),
        ("TPM, one for each device", 12_000.0, 700.0),
        ("Secure element, one secret for the whole fleet", 26_000.0, 0.0),
        ("Secure element, one for each device", 25_000.0, 900.0),
    ];
    let points = |fixed: f64, each: f64| {
        (0..=54).map(|at| 10_f64.powf(f64::from(at) / 10.0)).map(|n| (n, fixed + each * n)).collect()
    };
    let series =
        names.map(|(name, fixed, each)| Series { name: name.to_owned(), points: points(fixed, each) });
    let drawing = Drawing::Lines {
        x: axis("Devices compromised", "devices", true),
        y: axis("Cost of the attack", "USD", true),
        series: series.to_vec(),
        levels: vec![Level { name: "Budget of the attacker".to_owned(), value: 1e6 }],
    };
    let says = vec![
        "Where one secret opens others the cost stays flat; where each device has to be opened it rises to "
            .into(),
        all.clone(),
        ".".into(),
    ];
    chart(
        "attack",
        "What it costs to compromise many devices",
        says,
        drawing,
        &["attack.all", "attack.budget"],
    )
}

fn radar() -> Chart {
    let spokes = [
        "Governance",
        "Certificate policy and practice statement",
        "Key management",
        "Life cycle of certificates",
        "Automation",
        "Monitoring and audit",
        "People and training",
        "Resilience",
        "Change and agility",
    ];
    let drawing = Drawing::Radar {
        most: 5.0,
        spokes: spokes.map(str::to_owned).to_vec(),
        series: vec![
            ("As answered".to_owned(), vec![4.0, 3.0, 4.0, 5.0, 2.0, 3.0, 2.0, 1.0, 3.0]),
            ("With an artefact shown".to_owned(), vec![2.0, 2.0, 4.0, 2.0, 2.0, 3.0, 2.0, 1.0, 2.0]),
        ],
    };
    let says = vec!["Scores without an artefact fall back.".into()];
    chart("radar", "Readiness by category", says, drawing, &["fleet.life"])
}

/// Gives everything in a drawing this name.
pub(crate) fn rename(chart: &mut Chart, name: &str) {
    let all = |names: &mut Vec<String>| names.iter_mut().for_each(|one| name.clone_into(one));
    match &mut chart.drawing {
        Drawing::Lines { x, y, series, levels } => {
            name.clone_into(&mut x.title);
            name.clone_into(&mut y.unit);
            series.iter_mut().for_each(|one| name.clone_into(&mut one.name));
            levels.iter_mut().for_each(|one| name.clone_into(&mut one.name));
        }
        Drawing::Stacks { y, bars, parts } => {
            name.clone_into(&mut y.title);
            all(bars);
            parts.iter_mut().for_each(|(one, _)| name.clone_into(one));
        }
        Drawing::Tornado { x, bars, .. } => {
            name.clone_into(&mut x.title);
            bars.iter_mut().for_each(|(one, ..)| name.clone_into(one));
        }
        Drawing::Histogram { x, series } => {
            name.clone_into(&mut x.title);
            series.iter_mut().for_each(|one| name.clone_into(&mut one.name));
        }
        Drawing::Radar { spokes, series, .. } => {
            all(spokes);
            series.iter_mut().for_each(|(one, _)| name.clone_into(one));
        }
    }
}
