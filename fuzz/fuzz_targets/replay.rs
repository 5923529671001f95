//! Registry and events in one input, apart by an empty line, or batches alone: as the replay sees them.
#![no_main]

use std::io::Read;
use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::services::small_settings;
use touchmark_fuzz::tell;
use touchmark_identity::finding::Finding;
use touchmark_monitor::batch::MAGIC;
use touchmark_monitor::{Monitor, replay};

/// What was read, unless it broke off, and the findings.
fn run(registry: &[u8], events: &[u8], workers: NonZeroUsize) -> (Option<replay::Summary>, Vec<Finding>) {
    let mut monitor = Monitor::new(&small_settings(), workers);
    let (mut registry, mut findings) = (registry, Vec::new());
    let registry: Option<&mut dyn Read> = Some(&mut registry);
    let summary = replay::replay(&mut monitor, registry, &mut &*events, &mut |finding| {
        findings.push(finding.clone());
        Ok(())
    });
    if let Err(error) = &summary {
        assert!(
            matches!(error, replay::ReplayError::Batch { .. }),
            "memory is read without failure: {error:?}"
        );
        tell(error);
    }
    (summary.ok(), findings)
}

fuzz_target!(|data: &[u8]| {
    let apart = data.windows(2).position(|two| two == b"\n\n").map_or(0, |at| at + 1);
    let (registry, events) = if data.starts_with(&MAGIC) { data.split_at(0) } else { data.split_at(apart) };
    let (summary, findings) = run(registry, events, NonZeroUsize::MIN);
    let again = run(registry, events, NonZeroUsize::MIN.saturating_add(1));
    assert_eq!(again, (summary.clone(), findings.clone()), "equal input, other output");
    for finding in &findings {
        let line = finding.to_line();
        assert_eq!(Finding::from_line(line.as_bytes()).as_ref(), Ok(finding), "{line}");
    }
    let Some(summary) = summary else { return };
    assert_eq!(summary.findings, findings.len() as u64);
    for skipped in summary.skipped.values() {
        assert!(skipped.example.chars().chain(skipped.says.chars()).all(|c| !c.is_control()), "{skipped:?}");
    }
});
