//! The firmware's event log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::tpm::AlgorithmId;
use touchmark_identity::tpm::event_log::EventLog;

fuzz_target!(|data: &[u8]| {
    let Some(log) = told(EventLog::from_bytes(data)) else { return };
    for bank in [AlgorithmId::SHA256, AlgorithmId::SHA384] {
        if let Some(registers) = told(log.replay(bank)) {
            assert_eq!(registers.len(), 24);
            std::hint::black_box(log.events.iter().filter(|event| event.data_is_measured(bank)).count());
        }
    }
    // What is written again reads as the same, unless a bank without an event has a size that nobody knows here.
    if let Some(bytes) = told(log.to_bytes()) {
        assert_eq!(EventLog::from_bytes(&bytes).as_ref(), Ok(&log));
    }
});
