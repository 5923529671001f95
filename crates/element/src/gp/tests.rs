//! Plays the dialogues in `tests/gp`, behind an authentication where a line says so.

use std::fs;
use std::path::Path;

use super::{Aid, Level};
use crate::Element;

fn fresh() -> (tempfile::TempDir, Element) {
    let dir = tempfile::tempdir().unwrap();
    let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    (dir, element)
}

/// `> command` and `< response` as in `tests/transcripts`; `@ AID` authenticates for the domain on the basic channel,
/// `@ reset` resets the session, `@ restart` opens the element anew.
fn play(name: &str, text: &str, wrong: &mut Vec<String>) -> usize {
    let (dir, mut element) = fresh();
    let mut answer = String::new();
    let mut played = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap().replace(' ', "");
        let place = format!("{name}:{}", number + 1);
        match line.split_at_checked(1) {
            Some((">", command)) => {
                answer = hex::encode_upper(element.transmit(&hex::decode(command).unwrap()))
            }
            Some(("<", expected)) => {
                let good = match expected.split_once('*') {
                    Some((start, end)) => answer.starts_with(start) && answer.ends_with(end),
                    None => answer == expected,
                };
                if !good {
                    wrong.push(format!("{place}: expected {expected}, got {answer}"));
                }
                played += 1;
            }
            Some(("@", "reset")) => element.session.reset(),
            Some(("@", "restart")) => {
                drop(element);
                element = Element::open(dir.path()).unwrap();
            }
            Some(("@", aid)) => {
                let domain = Aid::new(&hex::decode(aid).unwrap()).unwrap();
                element.session.authenticate(Level { domain, dek: None });
            }
            _ => assert!(line.is_empty(), "{place}: neither command nor response"),
        }
    }
    played
}

#[test]
fn all_dialogues() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gp");
    let (mut played, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        played += play(&path.file_name().unwrap().to_string_lossy(), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(played > 100, "only {played} exchanges were found");
}

/// Every command of content management, on a card whose host has not authenticated.
#[test]
fn nothing_changes_without_authentication() {
    let (_dir, mut element) = fresh();
    for command in [
        "80F24002024F0000",
        "80F0800700",
        "80F04080083B",
        "80E400000A4F08F0544D4E4F544501",
        "80E60C0000",
        "80E6200000",
        "80E280000545034142430000",
    ] {
        let mut apdu = hex::decode(command).unwrap();
        // Lc says what follows, whatever the list above says.
        let length = apdu.len() - 5;
        apdu[4] = u8::try_from(length).unwrap();
        if length == 0 {
            apdu.truncate(4);
        }
        assert_eq!(element.transmit(&apdu), [0x69, 0x82], "{command}");
    }
    // Neither does an authentication with another domain's keys help.
    let platform = Aid::new(super::registry::PLATFORM_DOMAIN).unwrap();
    element.session.authenticate(Level { domain: platform, dek: None });
    assert_eq!(element.transmit(&hex::decode("80F08007").unwrap()), [0x69, 0x82]);
}

#[test]
fn the_registry_is_whole_or_refused() {
    let gp = super::Gp::new().unwrap();
    let json = serde_json::to_string(&gp).unwrap();
    assert_eq!(serde_json::to_string(&super::Gp::decode(json.as_bytes()).unwrap()).unwrap(), json);
    for (from, to) in [
        ("\"instances\":[", "\"instances\":[],\"rest\":["),
        ("\"aid\":\"a0000003965453000000010300000000\"", "\"aid\":\"a000000151000000\""),
        ("\"domain\":\"d276000085304a434f9003\"", "\"domain\":\"d276000085304a434f9004\""),
        ("\"OP_READY\"", "\"READY\""),
        ("\"aid\":\"a0000003965453000000010300000000\"", "\"aid\":\"a0000003\""),
    ] {
        let bad = json.replacen(from, to, 1);
        assert_ne!(bad, json, "{from}");
        assert!(super::Gp::decode(bad.as_bytes()).is_err(), "{to}");
    }
    for end in (0..json.len()).step_by(7) {
        assert!(super::Gp::decode(&json.as_bytes()[..end]).is_err());
    }
}
