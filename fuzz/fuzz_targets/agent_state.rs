//! What an agent finds on its flash after somebody had it in hands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_agent::heartbeat::{Reading, State};
use touchmark_fuzz::told;
use touchmark_identity::ids::DeviceType;

fuzz_target!(|data: &[u8]| {
    let Some(state) = told(State::from_json(data, "state.json")) else { return };
    let json = state.to_json().expect("a state can be written");
    let again = State::from_json(&json, "state.json").expect("a state that was just written");
    assert_eq!(again.to_json().ok(), Some(json));
    let Some(state) = told(again.booted()) else { return };
    let device_type = DeviceType::new("meter").expect("a name");
    let reading = Reading { device_type: &device_type, uptime_ms: 1, device_time: touchmark_fuzz::now() };
    let Some(state) = told(state.prepare(&reading)) else { return };
    assert!(state.pending().is_some());
});
