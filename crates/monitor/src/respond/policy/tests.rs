use proptest::prelude::*;

use super::*;

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    response: Vec<Rule>,
    #[serde(default)]
    groups: BTreeMap<String, Group>,
}

fn read(text: &str) -> Result<Policy, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    Policy::new(file.response, file.groups).map_err(|e| e.to_string())
}

#[test]
fn what_contradicts_itself_is_refused_and_named() {
    let rule = |rest: &str| format!("[[response]]\nname = \"r\"\n{rest}");
    for (text, says) in [
        (rule("ladder = [{step = \"revoke\"}, {step = \"quarantine\"}]"), "last step"),
        (rule("ladder = [{step = \"challenge\"}, {step = \"challenge\"}]"), "challenge stands twice"),
        (rule("ladder = []"), "ladder is empty"),
        (rule("grade = \"note\"\nladder = [{step = \"quarantine\"}]"), "a note never"),
        (rule("suspects = \"challenge\"\nladder = []"), "needs grade"),
        (rule("group = \"g\"\nladder = [{step = \"quarantine\"}]"), "no group \"g\""),
        (rule("original_percent = 49\nladder = [{step = \"quarantine\"}]"), "is 49"),
        (rule("ladder = [{step = \"quarantine\", wait_s = 31622401}]"), "31622401"),
        (rule("ladder = [{step = \"retire\"}]"), "unknown variant"),
        (rule("suspects = \"quarantine\"\nladder = []"), "unknown variant"),
        (rule("ladder = [{step = \"quarantine\"}]\nwhen = 1"), "unknown field"),
        ("[groups.g]\n".to_owned(), "no device is in it"),
        ("[groups.g]\nnames = [\"\"]\n".to_owned(), "1 to 128 bytes"),
        (
            "[[response]]\nname = \"r\"\nladder = [{step = \"quarantine\"}]\n\
             [[response]]\nname = \"r\"\nladder = [{step = \"quarantine\"}]\n"
                .to_owned(),
            "two rules",
        ),
    ] {
        let error = read(&text).expect_err(&text);
        assert!(error.contains(says), "{text}\n{error}");
    }
    assert_eq!(read(""), Ok(Policy::default()));
}

#[test]
fn the_documented_policy_is_one() {
    let text = include_str!("../../../../../docs/response.md");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = read(example).unwrap();
    assert_eq!(policy.rules.len(), 2);
    let found = crate::respond::case::tests::finding(Certainty::Suspect, 1);
    assert_eq!(policy.rule_for(&found, None).unwrap().original_percent, 95);
    let elsewhere = Finding { device: Some("gate-1".to_owned()), ..found };
    assert_eq!(policy.rule_for(&elsewhere, None), None);
    assert!(policy.rule_for(&elsewhere, Some("smart-meter")).is_some());
    // Every key stands in the tables.
    let code = include_str!("../policy.rs");
    let fields = code.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    for (name, _) in fields.filter(|(name, _)| !name.contains([' ', '('])) {
        assert!(text.contains(name), "docs/response.md does not name {name}");
    }
}

#[test]
fn every_step_is_read_by_the_word_that_is_written() {
    for step in [
        Step::Challenge,
        Step::ReduceRights,
        Step::RekeyWinner,
        Step::Quarantine,
        Step::WorkOrder,
        Step::Revoke,
    ] {
        assert_eq!(serde_json::to_value(step).unwrap(), step.as_str());
    }
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("meter-*", "meter-000017", true),
        ("meter-*", "meter-", true),
        ("meter-*", "gate-1", false),
        ("*-1", "a-1-1", true),
        ("?", "", false),
        ("*", "", true),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
}

/// The definition, without thought for speed.
fn plainly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if plainly(rest, text) => true,
        (Some((b'*', _)), Some((_, tail))) => plainly(pattern, tail),
        (Some((p, rest)), Some((t, tail))) => (*p == b'?' || p == t) && plainly(rest, tail),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_pattern_matches_as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
        prop_assert_eq!(
            matches(pattern.as_bytes(), text.as_bytes()),
            plainly(pattern.as_bytes(), text.as_bytes())
        );
    }
}
