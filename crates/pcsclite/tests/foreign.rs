//! Programs that know nothing of us, with this library in the place of pcsc-lite's.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use touchmark_element::{ATR, Element};
use touchmark_testkit::pcsc::{LibraryFolder, compile, opensc_module};
use touchmark_testkit::peer;
use touchmark_testkit::process::{Finished, run};

/// The shared library, which Cargo builds beside the tests.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libpcsclite.so")
}

fn element() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap());
    dir
}

fn command(program: &Path, folder: &LibraryFolder, state: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", folder.path()).env("TOUCHMARK_ELEMENT_STATE", state);
    command.env_remove("TOUCHMARK_ELEMENT_TCP");
    command
}

fn opensc(folder: &LibraryFolder, state: &Path, arguments: &[&str]) -> Finished {
    run(command(Path::new("opensc-tool"), folder, state).args(arguments), &[])
}

fn client_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client.c")
}

#[test]
fn opensc_sees_the_reader_the_card_and_its_answers() {
    if !peer::all_present(&["opensc-tool"]) {
        return;
    }
    let (folder, dir) = (LibraryFolder::of(&library()), element());
    let listed = opensc(&folder, dir.path(), &["-l"]).must_end_with(0).text();
    assert!(
        listed.lines().any(|line| line.starts_with("0    Yes") && line.ends_with("Touchmark TEST element")),
        "{listed}"
    );
    let atr = opensc(&folder, dir.path(), &["-c", "default", "-a"]).must_end_with(0).text();
    assert_eq!(atr.trim().replace(':', ""), hex::encode(ATR));
    let select = "00A4040010A000000396545300000001030000000000";
    let answers = opensc(&folder, dir.path(), &["-c", "default", "-s", select, "-s", "8004002000"]);
    let answers = answers.must_end_with(0).text();
    assert_eq!(answers.matches("Received (SW1=0x90, SW2=0x00)").count(), 2, "{answers}");
}

#[test]
fn pkcs11_tool_lists_the_reader_with_a_card_that_is_no_token() {
    let Some(module) = opensc_module() else { return };
    let (folder, dir) = (LibraryFolder::of(&library()), element());
    let mut tool = command(Path::new("pkcs11-tool"), &folder, dir.path());
    let slots = run(tool.arg("--module").arg(module).arg("-L"), &[]).must_end_with(0).text();
    assert!(slots.contains("Touchmark TEST element") && slots.contains("token not recognized"), "{slots}");
}

#[test]
fn a_client_in_c_finds_every_function_as_the_header_has_it() {
    let (folder, dir) = (LibraryFolder::of(&library()), element());
    let Some(client) = compile(&client_source(), &folder) else { return };
    let checked = run(command(&client, &folder, dir.path()).arg("checks"), &[]).must_end_with(0).text();
    assert_eq!(checked.lines().filter(|line| line.starts_with("ok ")).count(), 52, "{checked}");
}

#[test]
fn the_second_process_is_told_that_the_card_is_in_use() {
    let (folder, dir) = (LibraryFolder::of(&library()), element());
    let Some(client) = compile(&client_source(), &folder) else { return };
    let mut holder = command(&client, &folder, dir.path())
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "connected\n");
    let connect = || run(command(&client, &folder, dir.path()).arg("connect"), &[]).must_end_with(0).text();
    assert_eq!(connect().trim(), "8010000B Sharing violation.");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(connect().trim(), "00000000 Command successful.");
}

#[test]
fn an_empty_reader_and_no_element_at_all_are_told_apart() {
    let folder = LibraryFolder::of(&library());
    let Some(client) = compile(&client_source(), &folder) else { return };
    let nothing = tempfile::tempdir().unwrap();
    let empty = run(command(&client, &folder, nothing.path()).arg("connect"), &[]).must_end_with(0).text();
    assert_eq!(empty.trim(), "8010000C No smart card inserted.");
    let unset = run(command(&client, &folder, Path::new("")).arg("connect"), &[]).must_end_with(0).text();
    assert_eq!(unset.trim(), "8010001D Service not available.");
}
