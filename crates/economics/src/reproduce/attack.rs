//! The article that compares the cost of attacks.

use super::{Checked, Claims};
use crate::EconomicsError;
use crate::expr::Expr;
use crate::report::{Draft, Span};
use crate::source::Grade;
use crate::unit::{Devices, Usd, UsdPerDevice};

pub(super) fn section(draft: &mut Draft<'_>) -> Result<Vec<Checked>, EconomicsError> {
    draft.heading("What an attack on a fleet costs");
    draft.paragraph([
        Span::text("From "),
        Span::sourced("Why Software-Only Device Trust Fails", "ambisecure-software-only", Grade::Whole),
        Span::text(". "),
        Span::sourced(
            "The vendor withdrew its figures of attack costs on 17 July 2026, as about three times the world's product, without noticing that \
             they are wrong by a thousand.",
            "ambisecure-withdrawal",
            Grade::Whole,
        ),
    ]);
    let inputs = draft.inputs();
    let device = |key: &str| inputs.quantity::<UsdPerDevice>(&format!("article.attack.{key}"));
    let fleet = inputs.quantity::<Devices>("article.attack.fleet")?;
    let stated = inputs.quantity::<Usd>("article.attack.millionth")?;
    let mut claims = Claims::default();
    let all = (device("device")? * fleet.clone())
        .named("implied.attack.fleet", "Attacks on all devices of the fleet, one by one");
    let factor =
        stated.ratio(&all).named("implied.attack.factor", "How many times too high the stated figure is");
    let why = vec![
        Span::text("too high by a factor of "),
        draft.show(&factor),
        Span::text(": billions, not trillions"),
    ];
    claims.check(draft, "Attacks on the whole fleet, as the article reckons", (&stated, &all), why)?;
    let ends = [
        (device("device-low")? * fleet.clone()).named(
            "implied.attack.fleet.low",
            "Attacks on all devices, at the lower end of the stated range",
        ),
        (device("device-high")? * fleet.clone()).named(
            "implied.attack.fleet.high",
            "Attacks on all devices, at the upper end of the stated range",
        ),
    ];
    claims.implied(draft, "The same over the stated range", ends.iter().collect(), Vec::new());
    let last = device("device")? * Expr::<Devices>::defined(1.0, "one device");
    let last = last.named("implied.attack.last", "Attack on one more device, as the article reckons");
    let why = vec![Span::text(
        "the stated figure is called the cost of the millionth device; it is the sum over all of them. And by published attacks \
         equipment and method are paid once, so one more chip costs hours of a laboratory and a sample, not the same again",
    )];
    claims.check(draft, "Attack on the millionth device", (&stated, &last), why)?;
    let software = inputs.quantity::<Usd>("article.attack.software")?;
    for (end, text) in [("low", "cheapest published tool"), ("high", "published equipment, upper end")] {
        let published = inputs.quantity::<Usd>(&format!("article.attack.published-{end}"))?;
        let times = software
            .ratio(&published)
            .named(format!("implied.attack.times.{end}"), format!("How many times the {text} is stated"));
        let why = vec![
            Span::text("stated "),
            draft.show(&times),
            Span::text(" times as high; and it holds for a whole fleet only where a secret is shared"),
        ];
        claims.check(draft, &format!("Attack on keys in software: {text}"), (&software, &published), why)?;
    }
    let checked = claims.table(draft, "The article's figures, and what follows from them");
    draft.paragraph([
        Span::text("What attacks cost by our own model, with their sources: "),
        Span::name("touchmark decide attack"),
        Span::text("."),
    ]);
    Ok(checked)
}
