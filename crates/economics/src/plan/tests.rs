use proptest::prelude::*;

use super::*;
use crate::error::Text;
use crate::unit::{Devices, Usd, UsdPerDevice};

type Bounds = (f64, f64, f64);

/// Inputs `m.<number>` in USD/device and `n.<number>` in devices, with these ranges.
fn inputs(ranges: &[(Bounds, Bounds)]) -> Inputs {
    use std::fmt::Write;
    let mut text = "[[source]]\nid = \"s\"\ntitle = \"t\"\naddress = \"a\"\ndate = \"d\"\n".to_owned();
    for (at, (m, n)) in ranges.iter().enumerate() {
        for ((low, likely, high), key, unit) in [(m, "m", "USD/device"), (n, "n", "device")] {
            write!(
                text,
                "[[input]]\nkey = \"{key}.{at}\"\ntext = \"t\"\nlow = {low:?}\nlikely = {likely:?}\nhigh = {high:?}\n\
                 unit = \"{unit}\"\nsource = \"s\"\ngrade = \"assumed\"\n"
            )
            .unwrap();
        }
    }
    Inputs::default().overridden(Text { file: "ranges.toml", text: &text }).unwrap()
}

/// The sum over all pairs of money for a device times devices.
fn sum(inputs: &Inputs, pairs: usize) -> Expr<Usd> {
    let product = |at: usize| {
        let m: Expr<UsdPerDevice> = inputs.quantity(&format!("m.{at}")).unwrap();
        let n: Expr<Devices> = inputs.quantity(&format!("n.{at}")).unwrap();
        m * n
    };
    Expr::sum(&(0..pairs).map(product).collect::<Vec<_>>())
}

fn bounds() -> impl Strategy<Value = Bounds> {
    proptest::array::uniform3(0.01..1e6_f64).prop_map(|mut values| {
        values.sort_by(f64::total_cmp);
        (values[0], values[1], values[2])
    })
}

fn pairs() -> impl Strategy<Value = Vec<(Bounds, Bounds)>> {
    proptest::collection::vec((bounds(), bounds()), 1..5)
}

proptest! {
    #[test]
    fn a_sum_of_products_rises_with_each_input(ranges in pairs(), by in 1.0..3.0_f64) {
        let inputs = inputs(&ranges);
        let plan = Plan::new(&[sum(&inputs, ranges.len())], &inputs).unwrap();
        let likely = plan.likely()[0];
        let keys: Vec<String> = plan.keys().map(str::to_owned).collect();
        prop_assert_eq!(keys.len(), 2 * ranges.len());
        for key in keys {
            let value = inputs.get(&key).unwrap().likely;
            prop_assert!(plan.with(&key, value * by)[0] >= likely);
            prop_assert!(plan.with(&key, value / by)[0] <= likely);
            prop_assert_eq!(plan.with(&key, value)[0], likely);
        }
        prop_assert_eq!(plan.with("no.input", 7.0)[0], likely);
    }

    #[test]
    fn a_tornado_is_sorted_and_its_ends_are_what_the_model_gives(ranges in pairs()) {
        let inputs = inputs(&ranges);
        let plan = Plan::new(&[sum(&inputs, ranges.len())], &inputs).unwrap();
        let tornado = plan.tornado(0);
        prop_assert!(tornado.windows(2).all(|pair| pair[0].width() >= pair[1].width()));
        for swing in tornado {
            let input = inputs.get(&swing.key).unwrap();
            prop_assert_eq!(swing.at_low, plan.with(&swing.key, input.low)[0]);
            prop_assert_eq!(swing.at_high, plan.with(&swing.key, input.high)[0]);
            prop_assert!(swing.at_low <= swing.at_high);
        }
    }

    #[test]
    fn the_break_even_is_where_the_outcome_is_zero(range in bounds(), price in bounds(), budget in bounds()) {
        let inputs = inputs(&[(price, range), (budget, (1.0, 1.0, 1.0))]);
        let product = |at: usize| {
            let m: Expr<UsdPerDevice> = inputs.quantity(&format!("m.{at}")).unwrap();
            m * inputs.quantity::<Devices>(&format!("n.{at}")).unwrap()
        };
        let root = budget.1 / range.1;
        // One that rises with the price and one that falls.
        for left in [product(0) - product(1), product(1) - product(0)] {
            let plan = Plan::new(&[left], &inputs).unwrap();
            let found = plan.break_even(0, "m.0", (0.0, 1e9)).unwrap();
            prop_assert!((found - root).abs() <= root * 1e-9, "{found} is not {root}");
            prop_assert_eq!(plan.break_even(0, "m.0", (root * 2.0, root * 3.0)), None);
        }
    }

    #[test]
    fn lives_depend_on_the_seed_alone_and_lie_between_the_ends(
        ranges in pairs(),
        seed in any::<u64>(),
        lives in 1..700_usize,
    ) {
        let inputs = inputs(&ranges);
        let plan = Plan::new(&[sum(&inputs, ranges.len())], &inputs).unwrap();
        let spread = plan.sample(lives, seed);
        prop_assert_eq!(&spread, &plan.sample(lives, seed));
        let spread = &spread[0];
        prop_assert_eq!(spread.lives(), lives);
        let end = |pick: fn(&Bounds) -> f64| ranges.iter().map(|(m, n)| pick(m) * pick(n)).sum::<f64>();
        let (low, high) = (end(|range| range.0) * (1.0 - 1e-12), end(|range| range.2) * (1.0 + 1e-12));
        let mut last = f64::NEG_INFINITY;
        for share in [0.0, 0.05, 0.5, 0.95, 1.0] {
            let quantile = spread.quantile(share);
            prop_assert!(quantile >= low && quantile <= high && quantile >= last);
            last = quantile;
        }
        prop_assert!(spread.mean() >= spread.quantile(0.0) && spread.mean() <= spread.quantile(1.0) * (1.0 + 1e-12));
        prop_assert_eq!(spread.share_above(high), 0.0);
        prop_assert_eq!(spread.share_above(low * 0.5), 1.0);
    }

    #[test]
    fn the_draws_of_an_input_do_not_depend_on_other_inputs(a in pairs(), other in (bounds(), bounds()), seed in any::<u64>()) {
        let first = inputs(&a);
        let mut more = a.clone();
        more.push(other);
        let second = inputs(&more);
        let alone = Plan::new(&[sum(&first, 1)], &first).unwrap().sample(300, seed);
        // In company, and computed after the others.
        let roots = [sum(&second, more.len()), sum(&second, 1)];
        let together = Plan::new(&roots, &second).unwrap().sample(300, seed);
        prop_assert_eq!(&alone[0], &together[1]);
    }
}

#[test]
fn another_seed_gives_other_lives() {
    let inputs = inputs(&[((1.0, 2.0, 4.0), (10.0, 10.0, 10.0))]);
    let plan = Plan::new(&[sum(&inputs, 1)], &inputs).unwrap();
    assert_ne!(plan.sample(300, 1), plan.sample(300, 2));
}

#[test]
fn draws_follow_the_triangle() {
    let (low, likely, high) = (1.0, 2.0, 6.0);
    let inputs = inputs(&[((low, likely, high), (1.0, 1.0, 1.0))]);
    let spread = Plan::new(&[sum(&inputs, 1)], &inputs).unwrap().sample(50_000, 7);
    assert!((spread[0].mean() - (low + likely + high) / 3.0).abs() < 0.02);
    // Below the likely value lies its share of the width.
    assert!((1.0 - spread[0].share_above(likely) - 0.2).abs() < 0.01);
}

#[test]
fn a_range_without_width_is_no_swing() {
    let inputs = inputs(&[((2.0, 2.0, 2.0), (1.0, 5.0, 9.0))]);
    let plan = Plan::new(&[sum(&inputs, 1)], &inputs).unwrap();
    assert_eq!(plan.tornado(0), [Swing { key: "n.0".to_owned(), at_low: 2.0, at_high: 18.0 }]);
    assert_eq!(plan.sample(10, 1)[0].lives(), 10);
}
