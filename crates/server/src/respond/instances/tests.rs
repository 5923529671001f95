use proptest::prelude::*;

use super::*;

fn branch(id: u32, network: &str) -> Branch {
    Branch { id, boot_count: Some(2), networks: vec![network.to_owned()], ..Branch::default() }
}

fn two() -> Instances {
    Instances::new(&[branch(0, "192.0.2.0/24"), branch(1, "198.51.100.0/24")])
}

fn sight(token: Option<&str>, network: &str) -> Sight {
    Sight {
        token: token.map(str::to_owned),
        boot_count: Some(2),
        network: Some(network.to_owned()),
        ..Sight::default()
    }
}

const HOME: &str = "192.0.2.0/24";
const AWAY: &str = "198.51.100.0/24";

#[test]
fn before_the_case_features_come_first_because_a_copy_begins_with_its_originals_token() {
    let mut instances = two();
    instances.follow(&sight(Some("t4"), HOME), "t5", First::Features);
    // The copy presents what the original was issued last.
    instances.follow(&sight(Some("t5"), AWAY), "t6", First::Features);
    instances.follow(&sight(Some("t5"), HOME), "t7", First::Features);
    assert!(!instances.refuses(&sight(Some("t7"), HOME), &[1]));
    assert!(instances.refuses(&sight(Some("t6"), AWAY), &[1]));
}

#[test]
fn a_device_that_moves_and_reboots_goes_on_with_its_chain() {
    let mut instances = two();
    instances.follow(&sight(Some("a1"), HOME), "a2", First::Features);
    instances.follow(&sight(Some("b1"), AWAY), "b2", First::Features);
    let moved = Sight { boot_count: Some(9), ..sight(Some("a2"), AWAY) };
    assert_eq!(instances.place(&moved, First::Chain), Some(0));
    assert!(!instances.refuses(&moved, &[1]));
    // A lost answer: the token before is presented again.
    assert!(!instances.refuses(&sight(Some("a1"), AWAY), &[1]));
    instances.follow(&moved, "a3", First::Chain);
    assert!(!instances.refuses(&sight(Some("a3"), AWAY), &[1]));
    assert!(instances.refuses(&sight(Some("a1"), HOME), &[1]), "two tokens back is no lost answer");
}

#[test]
fn leaving_the_token_out_does_not_help() {
    let mut instances = two();
    instances.follow(&sight(Some("a1"), HOME), "a2", First::Features);
    for imitation in [sight(None, HOME), sight(Some("guess"), HOME), sight(None, "203.0.113.0/24")] {
        assert!(instances.refuses(&imitation, &[1]), "{imitation:?}");
    }
}

#[test]
fn without_chains_what_cannot_be_told_is_served() {
    let mut instances = two();
    instances.follow(&sight(None, HOME), "a1", First::Features);
    assert!(!instances.refuses(&sight(None, HOME), &[1]));
    assert!(instances.refuses(&sight(None, AWAY), &[1]));
    assert!(!instances.refuses(&sight(None, "203.0.113.0/24"), &[1]));
    let same = Instances::new(&[branch(0, HOME), branch(1, HOME)]);
    assert!(!same.refuses(&sight(None, HOME), &[1]));
}

#[test]
fn a_token_that_ends_two_chains_ties_to_neither() {
    let mut instances = two();
    instances.follow(&sight(Some("t"), HOME), "a", First::Features);
    instances.follow(&sight(Some("t"), AWAY), "b", First::Features);
    assert_eq!(instances.by_chain(&sight(Some("t"), HOME)), None);
}

proptest! {
    /// Whatever was followed: an instance that keeps its rights and goes on with its own chain is never refused, and
    /// with nobody refused and no chain nobody is.
    #[test]
    fn who_goes_on_with_a_kept_chain_is_served(
        steps in proptest::collection::vec((0u32..2, any::<bool>()), 1..40)
    ) {
        let mut instances = two();
        let mut held: [Option<String>; 2] = [None, None];
        for (at, (id, lost)) in steps.into_iter().enumerate() {
            let network = if id == 0 { HOME } else { AWAY };
            let token = held[id as usize].clone().unwrap_or_else(|| format!("first-{id}"));
            let seen = sight(Some(&token), network);
            let issued = format!("{id}-{at}");
            instances.follow(&seen, &issued, First::Features);
            held[id as usize] = Some(if lost { token } else { issued });
            let next = sight(held[id as usize].as_deref(), "203.0.113.0/24");
            prop_assert!(!instances.refuses(&next, &[1 - id]));
            prop_assert!(instances.refuses(&next, &[id]));
        }
    }
}
