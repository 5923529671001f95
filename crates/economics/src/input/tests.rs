use proptest::prelude::*;

use super::*;

const BASE: &str = r#"
[[source]]
id = "paper"
title = "A paper"
address = "example.org"
date = "2024"

[[input]]
key = "fleet.devices"
text = "Devices"
low = 10
likely = 20
high = 30
unit = "device"
source = "paper"
grade = "whole"

[[input]]
key = "fleet.share"
text = "Share"
low = 0.1
likely = 0.2
high = 0.3
unit = "1"
source = "paper"
grade = "assumed"
at_most = 1
"#;

fn base() -> Inputs {
    Inputs::default().overridden(Text { file: "base.toml", text: BASE }).unwrap()
}

/// An entry in full with one line in place of another.
fn entry(from: &str, to: &str) -> String {
    let entry = "# A file.\n[[input]]\nkey = \"fleet.devices\"\ntext = \"Devices\"\nlow = 1\nlikely = 2\nhigh = 3\n\
                 unit = \"device\"\nsource = \"paper\"\ngrade = \"secondary\"\n";
    assert!(entry.contains(from), "{from}");
    entry.replace(from, to)
}

#[test]
fn our_own_files_are_good() {
    let own = Inputs::own().unwrap();
    assert!(own.iter().count() > 0 && own.sources().iter().count() > 0);
    for input in own.iter() {
        assert!(input.low <= input.likely && input.likely <= input.high, "{}", input.key);
        assert!(!input.text.is_empty(), "{}", input.key);
        if let Origin::Source { id, .. } = &input.origin {
            assert!(own.sources().get(id).is_some(), "{}", input.key);
        }
    }
}

#[test]
fn each_wrong_line_is_named_with_a_remedy() {
    // The file, the line that is wrong, what the message says, and the remedy.
    let cases: &[(String, usize, &str, &str)] = &[
        ("[inputs]\n\"fleet.devices\" = \"-5 device\"".into(), 2, "is -5 device", "0 device or more"),
        ("[inputs]\n\"fleet.share\" = \"1.5 1\"".into(), 2, "the most that makes sense is 1", "1 1 or less"),
        (
            "[inputs]\n\n\"fleet.device\" = \"5 device\"".into(),
            3,
            "no input `fleet.device`",
            "did you mean `fleet.devices`",
        ),
        ("[inputs]\n\"fleet.devices\" = \"5\"".into(), 2, "has no unit", "write \"5 device\""),
        ("[inputs]\n\"fleet.devices\" = 5".into(), 2, "has no unit", "write \"5 device\""),
        ("[inputs]\n\"fleet.devices\" = true".into(), 2, "is not a text", "a range"),
        (
            "[inputs]\n\"fleet.devices\" = \"5 year\"".into(),
            2,
            "is in year, the model wants device",
            "write \"5 device\"",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"9..5 device\"".into(),
            2,
            "from 9 over 7 to 5",
            "low must not be above",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"1..9..5 device\"".into(),
            2,
            "from 1 over 9 to 5",
            "nor likely above high",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"many device\"".into(),
            2,
            "`many` is neither",
            "write \"1.5 device\"",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"1..2..3..4 device\"".into(),
            2,
            "is neither a number nor a range",
            "1..2",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"inf device\"".into(),
            2,
            "is not a finite number",
            "write a number",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"NaN device\"".into(),
            2,
            "is not a finite number",
            "write a number",
        ),
        (
            "[inputs]\n\"fleet.devices\" = \"1 device\"\n\"fleet.devices\" = \"2 device\"".into(),
            3,
            "duplicate",
            "docs/decide.md",
        ),
        ("[inptus]\n\"fleet.devices\" = \"1 device\"".into(), 1, "unknown field", "docs/decide.md"),
        (entry("unit = \"device\"", "unit = \"devices\""), 8, "`devices` is no unit", "take one of: 1, USD"),
        (
            entry("unit = \"device\"", "unit = \"year\""),
            8,
            "is in year, the model wants device",
            "convert it",
        ),
        (entry("source = \"paper\"", "source = \"papers\""), 9, "no source `papers`", "[[source]]"),
        (entry("grade = \"secondary\"", "grade = \"good\""), 10, "unknown variant `good`", "docs/decide.md"),
        (entry("low = 1", "low = \"1\""), 5, "invalid type", "docs/decide.md"),
        (entry("low = 1", "low = 4"), 2, "from 4 over 2 to 3", "low must not be above"),
        (entry("low = 1", "low = -1"), 2, "is -1 device", "0 device or more"),
        (entry("low = 1\n", ""), 2, "missing field `low`", "docs/decide.md"),
        (entry("low = 1", "low = 1\nlowest = 0"), 6, "unknown field `lowest`", "docs/decide.md"),
    ];
    for (text, line, what, remedy) in cases {
        let error = base().overridden(Text { file: "mine.toml", text }).unwrap_err();
        let words = error.to_string();
        assert!(words.starts_with(&format!("mine.toml, line {line}: ")), "{words}\n{text}");
        assert!(words.contains(what) && words.contains(remedy), "{words}");
        assert_eq!(error.code(), "EC-0001");
    }
}

#[test]
fn an_argument_that_is_wrong_names_itself_and_the_remedy() {
    for (key, value, what) in [
        ("fleet.devices", "-1 device", "0 device or more"),
        ("fleet.devices", "1", "write \"1 device\""),
        ("devices", "1 device", "did you mean `fleet.devices`"),
    ] {
        let words = base().given("--set", key, value).unwrap_err().to_string();
        assert!(words.starts_with("--set") && words.contains(what), "{words}");
    }
}

#[test]
fn our_own_files_do_not_name_an_input_twice() {
    let text = format!("{}{}", entry("text", "text"), entry("text", "text"));
    let mut inputs = base();
    let words = inputs.read(Text { file: "own.toml", text: &text }, true).unwrap_err().to_string();
    assert!(words.contains("line 2") && words.contains("`fleet.devices` is there twice"), "{words}");
}

#[test]
fn the_line_of_an_override_is_kept() {
    let text = "# mine\n[inputs]\n\n\"fleet.devices\" = \"1_000..2_000 device\"\n";
    let inputs = base().overridden(Text { file: "mine.toml", text }).unwrap();
    let input = inputs.get("fleet.devices").unwrap();
    assert_eq!((input.low, input.likely, input.high), (1000.0, 1500.0, 2000.0));
    assert_eq!(input.origin, Origin::Given { file: "mine.toml".to_owned(), line: 4 });
    let inputs = inputs.given("--set", "fleet.devices", "7 device").unwrap();
    assert_eq!(
        inputs.get("fleet.devices").unwrap().origin,
        Origin::Given { file: "--set".to_owned(), line: 0 }
    );
}

#[test]
fn bounds_hold_for_those_who_override_in_full() {
    let share = "[[input]]\nkey = \"fleet.share\"\ntext = \"t\"\nlow = 0\nlikely = 1\nhigh = 2\nunit = \"1\"\n\
                 source = \"paper\"\ngrade = \"whole\"\nat_most = 9\n";
    let words = base().overridden(Text { file: "mine.toml", text: share }).unwrap_err().to_string();
    assert!(words.contains("the most that makes sense is 1"), "{words}");
}

proptest! {
    #[test]
    fn whatever_a_range_says_is_taken_or_named(words in "\\PC{0,30}") {
        match base().given("--set", "fleet.devices", &words) {
            Ok(inputs) => {
                let input = inputs.get("fleet.devices").unwrap();
                prop_assert!(input.low <= input.likely && input.likely <= input.high && input.low >= 0.0);
            }
            Err(error) => prop_assert!(error.to_string().starts_with("--set")),
        }
    }

    #[test]
    fn no_file_makes_it_panic(text in "(\\[\\[?input(s)?\\]\\]?\n)?(\"?[a-z.]{1,9}\"? = [\"0-9a-z. ]{0,12}\n){0,4}") {
        let _result = base().overridden(Text { file: "mine.toml", text: &text });
    }

    #[test]
    fn a_range_is_taken_as_it_stands(mut values in proptest::array::uniform3(0.0..1e9_f64)) {
        values.sort_by(f64::total_cmp);
        let [low, likely, high] = values;
        let inputs = base().given("--set", "fleet.devices", &format!("{low}..{likely}..{high} device")).unwrap();
        let input = inputs.get("fleet.devices").unwrap();
        prop_assert_eq!((input.low, input.likely, input.high), (low, likely, high));
    }
}
