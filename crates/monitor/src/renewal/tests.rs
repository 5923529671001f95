use touchmark_identity::event::{Event, RawDigest};

use super::*;
use crate::observation::{Observation, Texts};

fn seen(second: i64) -> Observation {
    let time = Timestamp::from_micros(second * 1_000_000);
    let line = format!(
        "{{\"schema\":\"touchmark.event/1\",\"type\":\"authentication\",\"time\":\"{time}\",\"source\":\"est\",\
         \"identity\":{{\"common_name\":\"m\"}},\"session\":\"s\"}}"
    );
    let event = Event::from_line(line.as_bytes()).unwrap();
    Observation::of(&event, RawDigest::of(line.as_bytes()), &mut Texts::default().cache()).unwrap()
}

fn note_at(known: Option<Forked>, second: i64, renewed: Renewed) -> (Option<Forked>, Option<Sign>) {
    note(known, renewed, &Seen::new(&seen(second), &[]))
}

fn renewed(outcome: RenewalOutcome, presented: u32, newest: u32) -> Renewed {
    Renewed { outcome, presented, newest: Some(newest) }
}

#[test]
fn nothing_is_kept_before_a_refusal() {
    for outcome in [RenewalOutcome::Renewed, RenewalOutcome::Repeated] {
        assert_eq!(note_at(None, 1, renewed(outcome, 1, 2)), (None, None));
    }
}

#[test]
fn what_happened_before_the_refusal_confirms_nothing_whenever_it_arrives() {
    use RenewalOutcome::{Renewed as Granted, Superseded};
    let (known, sign) = note_at(None, 100, renewed(Superseded, 1, 2));
    assert!(matches!(sign, Some(Sign::Superseded(_))));
    for second in [50, 100] {
        assert_eq!(note_at(known.clone(), second, renewed(Granted, 2, 3)), (known.clone(), None));
    }
    let (known, sign) = note_at(known, 101, renewed(Granted, 2, 3));
    assert!(matches!(sign, Some(Sign::BothAlive(_))));
    // It goes on with what it got, and a late refusal changes nothing of that.
    let (known, _) = note_at(known, 60, renewed(Superseded, 1, 2));
    let (_, sign) = note_at(known, 200, renewed(Granted, 3, 4));
    assert!(matches!(sign, Some(Sign::BothAlive(_))));
}
