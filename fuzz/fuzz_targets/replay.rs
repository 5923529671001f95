//! Registry and events in one input, apart by an empty line, as the replay and the running server see them.
#![no_main]

use std::io::BufRead;

use libfuzzer_sys::fuzz_target;
use touchmark_identity::finding::Finding;
use touchmark_monitor::{Engine, Settings, replay};

fn run(registry: &[u8], events: &[u8]) -> (replay::Summary, Vec<u8>) {
    // Small bounds, so that an input can reach them.
    let settings = Settings { max_identities: 4, remembered_events: 8, ..Settings::default() };
    let (mut engine, mut registry, mut findings) = (Engine::new(settings), registry, Vec::new());
    let registry: Option<&mut dyn BufRead> = Some(&mut registry);
    let summary = replay::replay(&mut engine, registry, &mut &*events, &mut findings, &mut |_| {});
    (summary.expect("memory is read and written without failure"), findings)
}

fuzz_target!(|data: &[u8]| {
    let at = data.windows(2).position(|two| two == b"\n\n").map_or(0, |at| at + 1);
    let (registry, events) = data.split_at(at);
    let (summary, findings) = run(registry, events);
    assert_eq!(run(registry, events), (summary.clone(), findings.clone()), "equal input, other output");
    let text = String::from_utf8(findings).expect("findings are text");
    assert_eq!(text.lines().count() as u64, summary.findings);
    for line in text.lines() {
        let finding = Finding::from_line(line.as_bytes()).expect("a finding that was just written");
        assert_eq!(finding.to_line(), line);
    }
    for skipped in summary.skipped.values() {
        assert!(skipped.example.chars().chain(skipped.says.chars()).all(|c| !c.is_control()), "{skipped:?}");
    }
});
