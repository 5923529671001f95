//! The virtual element under the crate `se05x`, a driver for secure elements that is not ours, through T=1 over I2C.

use touchmark_testkit::clients;
use touchmark_testkit::served::Served;

/// What the client checks; a check more or fewer is a change that somebody has to look at.
const CHECKS: [&str; 18] = [
    "enable",
    "random",
    "version and memory",
    "curves",
    "P-256 key: made on the chip",
    "P-256 key: signs",
    "P-256 key: verifies",
    "P-256 key: is read with attestation",
    "P-256 key: attributes and type",
    "P-256 key: key agreement",
    "binary of 800 bytes",
    "counter goes up, not down",
    "list of objects",
    "digest and HMAC",
    "AES, ECB and CBC",
    "session of a user id",
    "session of an AES key",
    "delete",
];

#[test]
fn se05x_drives_the_part() {
    let Some(client) = clients::built("peer-se05x") else { return };
    let mut element = Served::start(env!("CARGO_BIN_EXE_touchmark"), &["--t1", "127.0.0.1:0"]);
    let checks = clients::checks(&client, &["--t1", element.address("t1")]);
    assert_eq!(checks, CHECKS);
    assert!(element.runs());
}
