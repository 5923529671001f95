//! A policy file: settings of the engine, rules and groups of the response.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::services::FINDINGS;
use touchmark_fuzz::told;
use touchmark_identity::finding::Finding;
use touchmark_monitor::Settings;
use touchmark_monitor::respond::{Group, Policy, Rule};

/// As the command line reads it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    monitor: Settings,
    response: Vec<Rule>,
    groups: BTreeMap<String, Group>,
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(file) = toml::from_str::<File>(text) else { return };
    let settings = toml::to_string(&file.monitor).expect("settings are TOML");
    assert_eq!(toml::from_str::<Settings>(&settings).as_ref(), Ok(&file.monitor));
    let Some(policy) = told(Policy::new(file.response, file.groups)) else { return };
    for line in FINDINGS.lines() {
        let finding = Finding::from_line(line.as_bytes()).expect("a sample");
        for device_type in [None, Some("meter")] {
            let rule = policy.rule_for(&finding, device_type);
            assert_eq!(policy.rule_for(&finding, device_type), rule);
            std::hint::black_box(policy.duplicates_for(&finding, device_type));
        }
    }
});
