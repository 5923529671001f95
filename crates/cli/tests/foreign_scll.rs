//! The virtual element under the crate `scll`, a client for GlobalPlatform and SCP03 that is not ours.

use touchmark_testkit::clients;
use touchmark_testkit::served::Served;

/// What the client checks; a check more or fewer is a change that somebody has to look at.
const CHECKS: [&str; 35] = [
    "discover",
    "nothing without a channel",
    "a wrong key is noticed",
    "an unknown key version is refused",
    "open 30 at level 01",
    "open 30 at level 03",
    "open 30 at level 13",
    "open 30 at level 33",
    "open 31 at level 01",
    "open 31 at level 03",
    "open 31 at level 13",
    "open 31 at level 33",
    "open 32 at level 01",
    "open 32 at level 03",
    "open 32 at level 13",
    "open 32 at level 33",
    "open 33 with i 10",
    "open 34 with i 60",
    "card status",
    "inventory",
    "issuer's keys: put, use, delete",
    "domain: create",
    "domain: create again is refused",
    "domain: first keys over its parent's",
    "domain: open with its own keys",
    "domain: rotate and delete key sets",
    "domain: delete",
    "applet: install from a resident file",
    "applet: select through the inventory",
    "applet: delete",
    "applet: unknown module is refused",
    "load is refused",
    "life cycle: initialized, secured",
    "life cycle: lock and unlock",
    "life cycle: no step back",
];

#[test]
fn scll_manages_the_card() {
    let Some(client) = clients::built("peer-scll") else { return };
    let mut element = Served::start(env!("CARGO_BIN_EXE_touchmark"), &[]);
    let checks = clients::checks(&client, &["--tcp", element.address("tcp")]);
    assert_eq!(checks, CHECKS);
    assert!(element.runs());
}
