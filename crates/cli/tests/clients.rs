//! Further foreign clients, where whoever runs the tests has some: `TOUCHMARK_CLIENTS` names a list of them
//! (docs/clients.md). Each is run against a new element. `scripts/clients.sh` shows what came of each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers: a surprise is a panic")]
#![expect(clippy::print_stderr, reason = "what came of each client is told while the others run")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use touchmark_testkit::pcsc::{LibraryFolder, in_a_system_of_its_own};
use touchmark_testkit::peer;
use touchmark_testkit::process::{Daemon, Finished, Unfinished, run, run_within};
use touchmark_testkit::served::Served;

/// The variable that names the list; and, in a process of its own, the client of it.
const LIST: &str = "TOUCHMARK_CLIENTS";
const CHOSEN: &str = "TOUCHMARK_CLIENT";
/// Stands before what that process says of a step that failed.
const WHY: &str = "why: ";
/// The readers' names: of our library, and of vpcd.
const LIBRARY_READER: &str = "Touchmark TEST element";
const VPCD_READER: &str = "Virtual PCD 00 00";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    client: Vec<Client>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    name: String,
    transport: Transport,
    /// All connections are one reader, whose session outlives them.
    #[serde(default)]
    one_reader: bool,
    step: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Transport {
    Tcp,
    T1,
    Pcsc,
    Pcscd,
}

/// A program that is run to its end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    exit: i32,
    /// The exit code says nothing.
    #[serde(default)]
    any_exit: bool,
    #[serde(default)]
    expect: Vec<Expectation>,
    /// What no line may hold.
    #[serde(default)]
    never: Vec<String>,
    #[serde(default = "a_minute")]
    timeout_seconds: u64,
}

/// Lines of the output that hold a text: as many as `count` says, or one at least.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    contains: String,
    count: Option<usize>,
}

fn a_minute() -> u64 {
    60
}

fn list(path: &Path) -> Vec<Client> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
    }
    let parsed = files.iter().flat_map(|file| {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let list: List = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        list.client
    });
    parsed.collect()
}

/// Why a step's output is not what it should be.
fn fault(step: &Step, finished: &Finished) -> Option<String> {
    let output = finished.all();
    if finished.code != Some(step.exit) && !(step.any_exit && finished.code.is_some()) {
        return Some(format!("{} ended with {:?}\n{output}", finished.command, finished.code));
    }
    for expected in &step.expect {
        let found = output.lines().filter(|line| line.contains(&expected.contains)).count();
        if expected.count.map_or(found == 0, |count| count != found) {
            let wanted = expected.count.map_or("a".to_owned(), |count| count.to_string());
            return Some(format!("{found} lines with {:?}, not {wanted}\n{output}", expected.contains));
        }
    }
    let forbidden = step.never.iter().find(|text| output.contains(*text))?;
    Some(format!("the output holds {forbidden:?}\n{output}"))
}

/// Why a step did not come to its end, with what it had written.
fn unfinished(error: &Unfinished) -> String {
    match error {
        Unfinished::TimedOut { output, .. } => format!("{error}\n{output}"),
        Unfinished::NotStarted { .. } => error.to_string(),
    }
}

/// Runs the steps of a client, whose words may hold `{name}` of these values.
fn steps(client: &Client, values: &[(&str, String)], environment: &[(&str, String)]) -> Result<(), String> {
    let filled = |text: &str| {
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    };
    for (number, step) in (1..).zip(&client.step) {
        let mut words = step.command.iter().map(|word| filled(word));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).envs(environment.iter().map(|(name, value)| (name, value)));
        command.envs(step.environment.iter().map(|(name, value)| (name, filled(value))));
        let finished = run_within(&mut command, &[], Duration::from_secs(step.timeout_seconds));
        let fault = finished.map_or_else(|error| Some(unfinished(&error)), |finished| fault(step, &finished));
        if let Some(fault) = fault {
            return Err(format!("step {number} of {}: {fault}", client.step.len()));
        }
    }
    Ok(())
}

fn touchmark() -> &'static str {
    env!("CARGO_BIN_EXE_touchmark")
}

fn served(client: &Client, arguments: &[&str]) -> Served {
    let mut arguments = arguments.to_vec();
    if client.one_reader {
        arguments.push("--one-reader");
    }
    Served::start(touchmark(), &arguments)
}

fn port(address: &str) -> String {
    address.rsplit(':').next().unwrap_or_default().to_owned()
}

/// The library in the place of libpcsclite, which `scripts/clients.sh` builds beside the program.
fn library() -> Result<LibraryFolder, String> {
    let file = Path::new(touchmark()).with_file_name("libpcsclite.so");
    if file.is_file() {
        Ok(LibraryFolder::of(&file))
    } else {
        Err(format!("{} is not built", file.display()))
    }
}

fn outcome(client: &Client) -> Result<(), String> {
    match client.transport {
        Transport::Tcp => {
            let element = served(client, &[]);
            let address = element.address("tcp").to_owned();
            steps(client, &[("tcp_port", port(&address)), ("tcp", address)], &[])
        }
        Transport::T1 => {
            let element = served(client, &["--t1", "127.0.0.1:0"]);
            let address = element.address("t1").to_owned();
            steps(client, &[("t1_port", port(&address)), ("t1", address)], &[])
        }
        Transport::Pcsc => {
            let folder = library()?;
            let element = served(client, &[]);
            let values = [
                ("pcsc_library", folder.library().display().to_string()),
                ("pcsc_folder", folder.path().display().to_string()),
                ("reader", LIBRARY_READER.to_owned()),
            ];
            let environment = [
                ("LD_LIBRARY_PATH", folder.path().display().to_string()),
                ("TOUCHMARK_ELEMENT_TCP", element.address("tcp").to_owned()),
            ];
            steps(client, &values, &environment)
        }
        Transport::Pcscd => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let Some(mut command) = in_a_system_of_its_own(&own) else {
                return Err("no pcscd of its own on this machine".to_owned());
            };
            command.args(["--exact", "beside_a_pcscd_of_its_own", "--ignored", "--nocapture"]);
            let seconds: u64 = client.step.iter().map(|step| step.timeout_seconds).sum();
            let limit = Duration::from_secs(seconds + 60);
            match run_within(command.env(CHOSEN, &client.name), &[], limit) {
                Ok(finished) if finished.code == Some(0) => Ok(()),
                Ok(finished) => {
                    let output = finished.all();
                    Err(output.split_once(WHY).map_or(output.as_str(), |(_, why)| why).to_owned())
                }
                Err(error) => Err(unfinished(&error)),
            }
        }
    }
}

#[test]
#[ignore = "runs in a system of its own, for a client whose transport is pcscd"]
fn beside_a_pcscd_of_its_own() {
    let name = std::env::var(CHOSEN).unwrap();
    let clients = list(Path::new(&std::env::var(LIST).unwrap()));
    let client = clients.into_iter().find(|client| client.name == name).unwrap();
    let _daemon = Daemon::start(Command::new("pcscd").arg("-f").stdout(Stdio::null()));
    let _element = served(&client, &["--vpcd", "127.0.0.1:35963"]);
    // The element calls vpcd every second.
    let deadline = Instant::now() + Duration::from_secs(20);
    while run(Command::new("opensc-tool").args(["-r", VPCD_READER, "-a"]), &[]).code != Some(0) {
        assert!(Instant::now() < deadline, "no card in the reader {VPCD_READER}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let done = steps(&client, &[("reader", VPCD_READER.to_owned())], &[]);
    done.unwrap_or_else(|why| panic!("{WHY}{why}"));
}

/// What came of a list.
#[derive(Debug, Default)]
struct Tally {
    ran: Vec<String>,
    /// With the first line of why.
    failed: Vec<String>,
    not_run: Vec<String>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [ran, failed, not_run] = [&self.ran, &self.failed, &self.not_run].map(Vec::len);
        write!(f, "clients: {ran} ran, {failed} failed, {not_run} not run")?;
        self.failed.iter().try_for_each(|failed| write!(f, "\n  {failed}"))
    }
}

/// Runs each client, whatever came of those before, and says on stderr what came of it.
fn run_all(clients: &[Client]) -> Tally {
    let mut tally = Tally::default();
    for client in clients {
        let name = client.name.clone();
        let missing = client
            .step
            .iter()
            .filter_map(|step| step.command.first())
            .find(|program| !Path::new(program).is_file() && peer::find(program).is_none());
        if let Some(missing) = missing {
            eprintln!("not run: {name} ({missing} is not there)");
            tally.not_run.push(name);
            continue;
        }
        match outcome(client) {
            Ok(()) => {
                eprintln!("ran: {name}");
                tally.ran.push(name);
            }
            Err(why) => {
                eprintln!("FAILED: {name}: {why}");
                tally.failed.push(format!("{name}: {}", why.lines().next().unwrap_or_default()));
            }
        }
    }
    tally
}

#[test]
fn further_clients() {
    let Some(path) = std::env::var_os(LIST).map(PathBuf::from) else {
        peer::without_data("further clients: not run (docs/clients.md)");
        return;
    };
    let tally = run_all(&list(&path));
    eprintln!("{tally}");
    assert!(tally.failed.is_empty(), "{tally}");
}

#[test]
fn a_step_that_takes_too_long_fails_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.toml");
    let text = r#"
        [[client]]
        name = "slow"
        transport = "tcp"
        step = [{ command = ["true"] }, { command = ["sh", "-c", "sleep 600; true"], timeout_seconds = 0 }]

        [[client]]
        name = "wrong"
        transport = "tcp"
        step = [{ command = ["false"] }]

        [[client]]
        name = "absent"
        transport = "tcp"
        step = [{ command = ["touchmark-no-such-program"] }]

        [[client]]
        name = "right"
        transport = "tcp"
        step = [{ command = ["echo", "{tcp}"], expect = [{ contains = "127.0.0.1:", count = 1 }] }]
    "#;
    std::fs::write(&file, text).unwrap();
    let tally = run_all(&list(&file));
    let summary = "clients: 1 ran, 2 failed, 1 not run\n  \
        slow: step 2 of 2: timed out after 0 s: sh -c sleep 600; true\n  \
        wrong: step 1 of 1: false ended with Some(1)";
    assert_eq!(tally.to_string(), summary);
    assert_eq!((tally.ran, tally.not_run), (vec!["right".to_owned()], vec!["absent".to_owned()]));
}
