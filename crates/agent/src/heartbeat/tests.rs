use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn device_type() -> DeviceType {
    DeviceType::new("meter").unwrap()
}

fn prepared(state: State, at: u64) -> State {
    let reading = Reading {
        device_type: &device_type(),
        uptime_ms: at,
        device_time: Timestamp::from_micros(at.cast_signed()),
    };
    state.prepare(&reading).unwrap()
}

fn first() -> State {
    State::first("2.1.0".parse().unwrap(), 1)
}

fn ack(token: &str) -> CheckedAck {
    let json = format!(
        r#"{{"schema":"touchmark.heartbeat-ack/1","token":"{token}","received":"2026-11-20T00:00:00Z","later":1}}"#
    );
    serde_json::from_str::<Ack>(&json).unwrap().checked().unwrap()
}

#[test]
fn the_body_is_that_of_the_protocol() {
    let state = prepared(prepared(first().booted().unwrap(), 5).acknowledged(ack("aa01")), 1_000_000);
    assert_eq!(
        state.pending().unwrap(),
        r#"{"counter":2,"uptime_ms":1000000,"boot_count":1,"firmware":"2.1.0","security_version":1,"device_type":"meter","token":"aa01","device_time":"1970-01-01T00:00:01Z"}"#
    );
}

#[test]
fn a_waiting_body_outlives_a_restart_and_an_update() {
    let state = prepared(first().booted().unwrap(), 1);
    let body = state.pending().unwrap().to_owned();
    let state = State::from_json(&state.to_json().unwrap(), "test").unwrap().booted().unwrap();
    let state = prepared(state.installed("2.3.0".parse().unwrap(), 2, 2), 99);
    assert_eq!(state.pending(), Some(body.as_str()));
    assert_eq!((state.boot_count, state.counter), (2, 1));
}

#[test]
fn acknowledgements_of_another_form_are_refused() {
    for (schema, token) in [
        ("touchmark.heartbeat-ack/2", "aa"),
        ("touchmark.heartbeat-ack/1", ""),
        ("touchmark.heartbeat-ack/1", "zz"),
    ] {
        let json = format!(r#"{{"schema":"{schema}","token":"{token}","received":"2026-11-20T00:00:00Z"}}"#);
        assert!(serde_json::from_str::<Ack>(&json).unwrap().checked().is_err(), "{json}");
    }
}

#[test]
fn a_challenge_comes_with_an_acknowledgement() {
    let read = |challenge: &str| {
        let json = format!(
            r#"{{"schema":"touchmark.heartbeat-ack/1","token":"aa","received":"2026-11-20T00:00:00Z"{challenge}}}"#
        );
        serde_json::from_str::<Ack>(&json).map(|ack| ack.checked().unwrap())
    };
    assert_eq!(read("").unwrap().challenge(), None);
    let asked = format!(r#","challenge":{{"nonce":"{}","evidence":true}}"#, "5a".repeat(NONCE_BYTES));
    let ack = read(&asked).unwrap();
    assert_eq!(ack.challenge(), Some(&Challenge { nonce: [0x5a; NONCE_BYTES], evidence: true }));
    assert!(read(r#","challenge":{"nonce":"5a","evidence":true}"#).is_err());
}

#[test]
fn numbers_that_end_are_an_error() {
    let state = State { boot_count: u64::MAX, ..first() };
    assert_eq!(state.booted().unwrap_err().code(), "AG-0015");
    let reading =
        Reading { device_type: &device_type(), uptime_ms: 0, device_time: Timestamp::from_micros(0) };
    let state = State { counter: u64::MAX, ..first() };
    assert_eq!(state.prepare(&reading).unwrap_err().code(), "AG-0015");
}

#[test]
fn a_damaged_state_is_refused_and_never_replaced() {
    let json = prepared(first(), 1).to_json().unwrap();
    assert!(State::from_json(&json, "test").is_ok());
    for end in 0..json.len() {
        assert_eq!(State::from_json(&json[..end], "test").unwrap_err().code(), "AG-0012");
    }
}

/// The state as release 0.1.0 writes it is read by every later one.
#[test]
fn the_state_of_release_0_1_0_is_read() {
    let json = br#"{"schema":"touchmark.agent-state/1","boot_count":3,"counter":7,"token":"aa","firmware":"2.1.0","security_version":1,"floor":1,"pending":null}"#;
    let state = State::from_json(json, "test").unwrap();
    assert_eq!(state.to_json().unwrap(), json);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The heartbeat arrives, and so does its answer.
    Answered,
    /// The heartbeat does not arrive.
    Lost,
    /// The heartbeat arrives, the answer does not.
    AnswerLost,
    /// Power fails before the prepared state is durable.
    CrashBeforeSave,
    /// Power fails after the state is durable, before anything is sent.
    CrashBeforeSend,
    /// Power fails after the heartbeat has arrived, before its answer is durable.
    CrashBeforeAck,
    /// Power fails after the answer is durable.
    CrashAfterAck,
}

/// The server's side of the continuity chain.
#[derive(Default)]
struct Server {
    /// Each counter value with the one body that came with it.
    bodies: BTreeMap<u64, String>,
    token: Option<String>,
}

impl Server {
    fn take(&mut self, body: &str) -> String {
        let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
        let counter = parsed["counter"].as_u64().unwrap();
        match self.bodies.get(&counter) {
            Some(known) => {
                assert_eq!(known, body, "a counter was used for two bodies");
                assert_eq!(self.bodies.keys().last(), Some(&counter), "an old heartbeat came again");
            }
            None => {
                assert_eq!(
                    self.bodies.keys().last().copied().unwrap_or(0) + 1,
                    counter,
                    "a counter was left out"
                );
                assert_eq!(
                    parsed["token"].as_str(),
                    self.token.as_deref(),
                    "the continuity token is not the last one"
                );
                self.bodies.insert(counter, body.to_owned());
                self.token = Some(format!("{counter:08x}"));
            }
        }
        self.token.clone().unwrap()
    }
}

proptest! {
    /// Whatever is lost, and whenever power fails: a counter goes with one body, and the chain of tokens holds.
    #[test]
    fn no_sequence_of_failures_breaks_the_chain(
        steps in proptest::collection::vec(prop_oneof![
            3 => Just(Step::Answered), 1 => Just(Step::Lost), 1 => Just(Step::AnswerLost),
            1 => Just(Step::CrashBeforeSave), 1 => Just(Step::CrashBeforeSend),
            1 => Just(Step::CrashBeforeAck), 1 => Just(Step::CrashAfterAck),
        ], 0..60)
    ) {
        let mut server = Server::default();
        let mut flash = first().to_json().unwrap();
        let read = |flash: &[u8]| State::from_json(flash, "test").unwrap();
        let mut state = read(&flash).booted().unwrap();
        flash = state.to_json().unwrap();
        let mut boots = 1;
        for (at, step) in (1u64..).zip(steps) {
            // Each attempt has another time in it, so that a body made anew would show.
            state = prepared(state, at);
            if !matches!(step, Step::CrashBeforeSave) {
                flash = state.to_json().unwrap();
            }
            let body = state.pending().unwrap().to_owned();
            match step {
                Step::Answered | Step::CrashAfterAck => {
                    state = state.acknowledged(ack(&server.take(&body)));
                    flash = state.to_json().unwrap();
                }
                Step::AnswerLost | Step::CrashBeforeAck => {
                    server.take(&body);
                }
                Step::Lost | Step::CrashBeforeSave | Step::CrashBeforeSend => {}
            }
            if matches!(step, Step::CrashBeforeSave | Step::CrashBeforeSend | Step::CrashBeforeAck | Step::CrashAfterAck) {
                state = read(&flash).booted().unwrap();
                flash = state.to_json().unwrap();
                boots += 1;
            }
        }
        prop_assert_eq!(state.boot_count, boots);
        // In the end a heartbeat still gets through.
        let state = prepared(state, 1_000);
        server.take(state.pending().unwrap());
    }

    #[test]
    fn the_back_off_is_bounded(failures: u32, base in 10u64..=86_400_000, random: u64) {
        let wait = back_off_ms(failures, base, random);
        prop_assert!((50..=base.max(60_000)).contains(&wait), "{wait}");
    }

    #[test]
    fn the_back_off_does_not_shrink(failures in 0u32..1000, base in 10u64..=86_400_000) {
        prop_assert!(back_off_ms(failures + 1, base, 0) >= back_off_ms(failures, base, 0));
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(State::from_json(&bytes, "test").is_err());
    }
}
