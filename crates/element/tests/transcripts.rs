//! Plays the dialogues in `tests/transcripts`, and holds the documentation against the command table.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers: a surprise is a panic")]

use std::fs;
use std::path::Path;

use touchmark_element::Element;
use touchmark_identity::apdu::se05x::{self, AID, Instruction};
use touchmark_identity::apdu::{Command, Response, StatusWord};

fn fresh() -> (tempfile::TempDir, Element) {
    let dir = tempfile::tempdir().unwrap();
    let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    (dir, element)
}

fn play(name: &str, text: &str) -> usize {
    let (_dir, mut element) = fresh();
    let mut answer = String::new();
    let mut played = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap().replace(' ', "");
        let place = format!("{name}:{}", number + 1);
        if let Some(command) = line.strip_prefix('>') {
            let apdu = hex::decode(command).unwrap_or_else(|error| panic!("{place}: {error}"));
            answer = hex::encode_upper(element.transmit(&apdu));
        } else if let Some(expected) = line.strip_prefix('<') {
            let good = match expected.split_once('*') {
                Some((start, end)) => {
                    answer.len() >= start.len() + end.len()
                        && answer.starts_with(start)
                        && answer.ends_with(end)
                }
                None => answer == expected,
            };
            assert!(good, "{place}: expected {expected}, got {answer}");
            played += 1;
        } else {
            assert!(line.is_empty(), "{place}: neither command nor response");
        }
    }
    played
}

#[test]
fn all_transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut played = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            played += play(&path.file_name().unwrap().to_string_lossy(), &fs::read_to_string(&path).unwrap());
        }
    }
    assert!(played > 100, "only {played} exchanges were found");
}

/// A transcript that expects something else fails: the player can tell the difference.
#[test]
#[should_panic(expected = "expected 9000, got 6D00")]
fn the_player_notices_a_difference() {
    play("wrong", "> 80 04 00 20 00\n< 9000\n");
}

#[test]
fn every_command_of_the_table_is_known_to_the_applet() {
    let (_dir, mut element) = fresh();
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    element.transmit(&select.encode().unwrap());
    for instruction in Instruction::ALL {
        let response = element.transmit(&instruction.command(vec![]).encode().unwrap());
        let sw = Response::parse(&response).unwrap().sw;
        let unknown = [StatusWord::INSTRUCTION_NOT_SUPPORTED, StatusWord::INCORRECT_P1_P2];
        assert!(!unknown.contains(&sw), "{}: {sw}", instruction.spec().name);
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/element.md");
    let text = fs::read_to_string(path).unwrap();
    let table = se05x::markdown_table();
    assert!(
        text.contains(&table),
        "docs/element.md does not hold the table as it is; put this there:\n{table}"
    );
}
