//! The article that compares a secure element with keys in software.

use super::{Checked, Claims};
use crate::EconomicsError;
use crate::cost::{Choices, Model, Storage};
use crate::expr::Expr;
use crate::report::{Draft, Span};
use crate::unit::{
    Alerts, AlertsPerDeviceYear, AlertsPerYear, Devices, One, Usd, UsdPerDevice, UsdPerDeviceYear, Years,
};

/// What the article states, and what follows from it.
pub(super) struct Stated {
    pub(super) devices: Expr<Devices>,
    pub(super) lifetime: Expr<Years>,
    pub(super) hardware: Expr<Usd>,
    pub(super) software: [Expr<Usd>; 2],
    saved: Expr<Usd>,
    extra: [Expr<Usd>; 2],
    prices: [Expr<UsdPerDevice>; 2],
    /// The price of the chip behind what is said to be saved.
    pub(super) price: Expr<UsdPerDevice>,
}

impl Stated {
    pub(super) fn new(draft: &Draft<'_>) -> Result<Self, EconomicsError> {
        let inputs = draft.inputs();
        let usd = |key: &str| inputs.quantity::<Usd>(&format!("article.storage.{key}"));
        let devices = inputs.quantity::<Devices>("article.storage.devices")?;
        let saved = usd("saved")?;
        let price = (saved.clone() / devices.clone())
            .named("implied.price", "Price of a chip behind what is said to be saved");
        Ok(Self {
            lifetime: inputs.quantity("article.storage.lifetime")?,
            hardware: usd("hardware")?,
            software: [usd("software-low")?, usd("software-high")?],
            extra: [usd("extra-low")?, usd("extra-high")?],
            prices: [
                inputs.quantity("article.storage.price-low")?,
                inputs.quantity("article.storage.price-high")?,
            ],
            devices,
            saved,
            price,
        })
    }
}

pub(super) fn section(draft: &mut Draft<'_>) -> Result<Vec<Checked>, EconomicsError> {
    let stated = Stated::new(draft)?;
    draft.heading("A secure element against keys in software");
    let source = "axelspire-key-storage";
    draft.paragraph([
        Span::text("From "),
        Span::sourced("IoT Secure Element vs Software Key Storage", source, crate::source::Grade::Whole),
        Span::text(
            ". The text that was read gives totals and no itemised table. So its arithmetic can be checked, and its totals can be \
             asked what they imply; they cannot be confirmed.",
        ),
    ]);
    let mut claims = Claims::default();
    arithmetic(draft, &mut claims, &stated)?;
    implications(draft, &mut claims, &stated)?;
    alerts(draft, &mut claims, &stated)?;
    ours(draft, &mut claims, &stated)?;
    let checked = claims.table(draft, "The article's figures, and what follows from them");
    draft.paragraph([Span::text(
        "Counted twice: the difference is said to arise before any incident, but the totals that it is taken from already hold the \
         risk of breaches and recalls. And it is set beside what is saved on hardware as if it came on top, though it is net of \
         it. A model whose chip pays at almost any price is one that cannot lose; that deserves suspicion, not trust.",
    )]);
    Ok(checked)
}

fn arithmetic(draft: &mut Draft<'_>, claims: &mut Claims, stated: &Stated) -> Result<(), EconomicsError> {
    let ends = ["lower end", "upper end"];
    for ((software, extra), end) in stated.software.iter().zip(&stated.extra).zip(ends) {
        let id = end.split(' ').next().unwrap_or_default();
        let ours = (software.clone() - stated.hardware.clone())
            .named(format!("implied.net.{id}"), format!("Difference of the stated totals, {end}"));
        let why = vec![Span::text("the subtraction is right; what it is called is not, see below")];
        claims.check(draft, &format!("What software costs more, {end}"), (extra, &ours), why)?;
    }
    let inputs = draft.inputs();
    for (fleet, name) in [("small", "small"), ("large", "large")] {
        let devices = inputs.quantity::<Devices>(&format!("article.storage.{fleet}"))?;
        for ((price, end), id) in stated.prices.iter().zip(ends).zip(["low", "high"]) {
            let said = inputs.quantity::<Usd>(&format!("article.storage.{fleet}-{id}"))?;
            let ours = (price.clone() * devices.clone())
                .named(format!("implied.parts.{fleet}.{id}"), format!("Parts of the {name} fleet, {end}"));
            claims.check(draft, &format!("Parts of the {name} fleet, {end}"), (&said, &ours), Vec::new())?;
        }
    }
    let two = Expr::<One>::defined(2.0, "two ends of a range");
    let middle =
        (stated.prices[0].clone() + stated.prices[1].clone()).shared_by(&two) * stated.devices.clone();
    let middle = middle.named("implied.saved.middle", "Saved, at the middle of the stated prices");
    let why = vec![
        Span::text("never explained; it takes a price of "),
        draft.show(&stated.price),
        Span::text(", and whether that is the chip alone or with its provisioning is not said"),
    ];
    claims.check(
        draft,
        "Saved on hardware, at the middle of the stated prices",
        (&stated.saved, &middle),
        why,
    )?;
    let ends: Vec<_> = stated
        .prices
        .iter()
        .zip(["low", "high"])
        .map(|(price, id)| {
            (price.clone() * stated.devices.clone())
                .named(format!("implied.saved.{id}"), format!("Saved, at the {id} end of the stated prices"))
        })
        .collect();
    claims.implied(draft, "Saved on hardware, at the stated prices", ends.iter().collect(), Vec::new());
    Ok(())
}

fn implications(draft: &mut Draft<'_>, claims: &mut Claims, stated: &Stated) -> Result<(), EconomicsError> {
    let why = vec![Span::text("what is said to be saved, divided by the devices")];
    claims.implied(draft, "Price of a chip", vec![&stated.price], why);
    let [low, high] = &stated.software;
    let gross = |software: &Expr<Usd>, id: &str| {
        (software.clone() - stated.hardware.clone() + stated.saved.clone())
            .named(format!("implied.gross.{id}"), format!("What software costs more beside the chip, {id}"))
    };
    let gross = [gross(low, "low"), gross(high, "high")];
    let why = vec![Span::text(
        "if the chip is part of the total with a secure element, the difference is net of it",
    )];
    claims.implied(draft, "What software costs more beside the chip", gross.iter().collect(), why);
    let each = |total: &Expr<Usd>, id: &str, text: &str| -> Expr<UsdPerDeviceYear> {
        (total.clone() / (stated.devices.clone() * stated.lifetime.clone()))
            .named(format!("implied.device-year.{id}"), text.to_owned())
    };
    let hardware = each(&stated.hardware, "hardware", "Stated total for a device and year, secure element");
    claims.implied(draft, "For one device and year, secure element", vec![&hardware], Vec::new());
    let software = [
        each(low, "software-low", "Stated total for a device and year, software, lower end"),
        each(high, "software-high", "Stated total for a device and year, software, upper end"),
    ];
    claims.implied(draft, "For one device and year, software", software.iter().collect(), Vec::new());
    let even = |software: &Expr<Usd>, id: &str| -> Expr<UsdPerDevice> {
        ((software.clone() - stated.hardware.clone()) / stated.devices.clone() + stated.price.clone()).named(
            format!("implied.break-even.{id}"),
            format!("Price of a chip at which the stated totals are equal, {id}"),
        )
    };
    let even = [even(low, "low"), even(high, "high")];
    let why = vec![Span::text("a secure element would pay at several times its dearest published price")];
    claims.implied(draft, "Price of a chip at which both cost the same", even.iter().collect(), why);
    let limit = draft.inputs().quantity::<Years>("article.storage.payback")?;
    let payback = |gross: &Expr<Usd>, id: &str| {
        (stated.saved.clone() / (gross.clone() / stated.lifetime.clone())).named(
            format!("implied.payback.{id}"),
            format!("Years after which the stated totals have paid for the chip, {id}"),
        )
    };
    let payback = [payback(&gross[1], "shortest"), payback(&gross[0], "longest")];
    let why = vec![
        Span::text("within the "),
        draft.show(&limit),
        Span::text(" that the article gives; so it is as good as the totals, and no evidence for them"),
    ];
    claims.implied(draft, "Years until the chip has paid for itself", payback.iter().collect(), why);
    Ok(())
}

/// How many alerts the difference would be, if watching explained all of it.
fn alerts(draft: &mut Draft<'_>, claims: &mut Claims, stated: &Stated) -> Result<(), EconomicsError> {
    let inputs = draft.inputs();
    let range = |key: &str| inputs.get(key).map_or((0.0, 0.0), |input| (input.low, input.high));
    let (minutes, analyst) = (range("investigation.minutes"), range("people.analyst"));
    let sixty = 60.0;
    let (cheap, dear) = (minutes.0 / sixty * analyst.0, minutes.1 / sixty * analyst.1);
    let from = ["investigation.minutes", "people.analyst"];
    for (id, text, value, how) in [
        ("implied.alert.cheap", "Work on one alert, at the least", cheap, "both inputs at their lowest"),
        ("implied.alert.dear", "Work on one alert, at the most", dear, "both inputs at their highest"),
    ] {
        let how = format!("investigation.minutes ÷ 60 × people.analyst, {how}");
        draft.show_value(id, text, (value, "USD/alert"), &how, &from);
    }
    let work = crate::cost::alert(inputs, crate::cost::Regime::Behaviour)?;
    let [low, high] = &stated.software;
    let many = |software: &Expr<Usd>, id: &str| -> Expr<AlertsPerYear> {
        let alerts: Expr<Alerts> = (software.clone() - stated.hardware.clone()) / work.clone();
        let text = format!("Alerts a year that would explain the difference, {id} end");
        (alerts / stated.lifetime.clone()).named(format!("implied.alerts.{id}"), text)
    };
    let (few, lots) = (many(low, "lower"), many(high, "upper"));
    let share = |alerts: &Expr<AlertsPerYear>, id: &str| -> Expr<AlertsPerDeviceYear> {
        (alerts.clone() / stated.devices.clone())
            .named(format!("implied.alerts.rate.{id}"), format!("The same for one device, {id} end"))
    };
    let why = vec![
        Span::text("at "),
        draft.show(&work),
        Span::text(", the likely work on one alert; the range of published minutes and wages goes from "),
        Span::Figure { id: "implied.alert.cheap".to_owned() },
        Span::text(" to "),
        Span::Figure { id: "implied.alert.dear".to_owned() },
    ];
    claims.implied(draft, "More alerts a year, if watching explained all of it", vec![&few, &lots], why);
    let rates = [share(&few, "lower"), share(&lots, "upper")];
    claims.implied(draft, "The same for each device", rates.iter().collect(), Vec::new());
    let value = |total: &str| inputs.get(total).map_or(0.0, |input| input.likely);
    let years = value("article.storage.lifetime").max(f64::MIN_POSITIVE);
    let gap =
        |end: &str| value(&format!("article.storage.software-{end}")) - value("article.storage.hardware");
    let mut cells = Vec::new();
    for (id, text, value, how, end) in [
        (
            "implied.alerts.fewest",
            "Fewest alerts a year that would explain it",
            gap("low") / dear,
            "the smaller difference at the dearest alert",
            "low",
        ),
        (
            "implied.alerts.most",
            "Most alerts a year that would explain it",
            gap("high") / cheap,
            "the larger difference at the cheapest alert",
            "high",
        ),
    ] {
        let total = format!("article.storage.software-{end}");
        let from = [
            "article.storage.hardware",
            &total,
            "article.storage.lifetime",
            "implied.alert.cheap",
            "implied.alert.dear",
        ];
        let how = format!(
            "({total} − article.storage.hardware) ÷ work on one alert ÷ article.storage.lifetime: {how}"
        );
        if !cells.is_empty() {
            cells.push(Span::text(" to "));
        }
        cells.push(draft.show_value(id, text, (value / years, "alert/year"), &how, &from));
    }
    let verdict = Span::verdict("implied", crate::report::Tone::Neutral);
    let why = vec![Span::text("over all published minutes and wages")];
    let name = vec![Span::text("The widest that this can be")];
    claims.rows.push(vec![name, vec![Span::text("not stated")], cells, vec![verdict], why]);
    Ok(())
}

/// What our own model gives for the same fleet at likely values.
fn ours(draft: &mut Draft<'_>, claims: &mut Claims, stated: &Stated) -> Result<(), EconomicsError> {
    let model = Model::new(draft.inputs(), Choices::default())?;
    for (storage, said, what) in [
        (Storage::SecureElement, &stated.hardware, "Total with a secure element"),
        (Storage::Software, &stated.software[0], "Total with keys in software, lower end"),
        (Storage::Software, &stated.software[1], "Total with keys in software, upper end"),
    ] {
        if let Some(cost) = model.cost(storage) {
            let why = vec![Span::text(
                "our model, for the fleet of its inputs, with likely values and no incidents",
            )];
            claims.check(draft, what, (said, &cost.total), why)?;
        }
    }
    Ok(())
}
