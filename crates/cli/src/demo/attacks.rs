//! The attacks of the demonstration, each tried on all three storage classes.
//!
//! The attacker has what an hour with the device gives: its flash, its uplink, its power switch. Not in reach: the
//! inside of a chip.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, anyhow};
use touchmark_agent::firmware::Release;
use touchmark_identity::event::{AssuranceSummary, Event, EventBody, IdentityRef, RawDigest, Registry};
use touchmark_identity::finding::{Certainty, Finding, Kind};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::KeyStore;
use touchmark_keystore::software::flash::{FlashImage, FlashMedium};
use touchmark_keystore::software::{Protection, SoftwareStore};
use touchmark_lab::clone::copy_image;
use touchmark_lab::extract::{Search, search_parallel};
use touchmark_lab::report::{Attack, Outcome};
use touchmark_lab::rewind::{Target, rewind};
use touchmark_monitor::Engine;
use touchmark_monitor::adapters::nginx::{Line, Nginx};

use super::fleet::{Agent, Device, Fleet, Holder};
use super::peers::{Gate, Server, succeed, wait_until};
use super::settings::{HEARTBEAT_MS, OLD_FIRMWARE, OLD_SECURITY_VERSION};
use super::show::{Show, Table};

const PATIENCE: Duration = Duration::from_secs(20);
/// Where the attacker connects from.
const ATTACKER: &str = "127.66.6.6";
const DOCUMENT: &str = "identity.toml";
const STATE: &str = "state.json";
const CERTIFICATE: &str = "certificate.pem";

/// A stolen identity, as files for curl.
#[derive(Debug)]
pub(crate) struct Stolen {
    certificate: PathBuf,
    key: PathBuf,
}

/// What was done to whom.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) table: Table,
    pub(crate) cloned: String,
    pub(crate) replayed: String,
    pub(crate) downgraded: String,
    /// A device of the same class that was left alone.
    pub(crate) untouched: String,
    /// Every device that was attacked.
    pub(crate) touched: Vec<String>,
    pub(crate) stolen: Stolen,
}

/// What the attacker read out of a device.
struct Dump {
    image: Vec<u8>,
    certificate: String,
    public: PublicKey,
}

pub(crate) fn carry_out(
    dir: &Path,
    server: &Server,
    gate: &Gate,
    fleet: &mut Fleet,
    show: &mut Show,
) -> anyhow::Result<Report> {
    let pick = |holder, at: usize| {
        let found = fleet.of(holder).nth(at).map(|d| d.id.clone());
        found.ok_or_else(|| anyhow!("the fleet is too small: device {at} with {holder:?} is missing"))
    };
    let (cloned, replayed, downgraded, untouched) = (
        pick(Holder::Software, 0)?,
        pick(Holder::Software, 1)?,
        pick(Holder::Software, 2)?,
        pick(Holder::Software, 3)?,
    );
    let (tpm, element) = (pick(Holder::Tpm, 0)?, pick(Holder::Element, 0)?);
    let touched = [&cloned, &replayed, &downgraded, &tpm, &element].map(String::clone).to_vec();
    let loot = dir.join("attacker");
    fs::create_dir_all(&loot)?;
    let mut table = Table::default();

    // Reading the flash, and looking for the key in every byte of it.
    show.say(&format!(
        "the attacker reads the flash of {cloned}, {tpm} and {element}, and tries every byte as their key"
    ));
    let dumps = [&cloned, &tpm, &element].map(|id| read_flash(fleet, id, &loot));
    let [software_dump, tpm_dump, element_dump] = dumps;
    let (software_dump, tpm_dump, element_dump) = (software_dump?, tpm_dump?, element_dump?);
    let searches = [&software_dump, &tpm_dump, &element_dump].map(search);
    let [found, tpm_search, element_search] = &searches;
    let key = found.found.first();
    show.check(
        key.is_some(),
        &format!(
            "{cloned}: the private key is in the flash{}",
            key.map_or(String::new(), |k| format!(" at offset {:#x}, as {}", k.offset, k.encoding))
        ),
        &format!("{cloned}: the private key was not found in its own flash"),
    );
    for (id, search) in [(&tpm, tpm_search), (&element, element_search)] {
        show.check(
            search.found.is_empty() && search.candidates_tried > 0,
            &format!(
                "{id}: {} candidates from {} bytes tried against its public key, none fits",
                search.candidates_tried, search.bytes_searched
            ),
            &format!("{id}: the private key was found outside the chip, or nothing was tried"),
        );
    }
    let verdicts = [
        (touchmark_identity::assurance::Storage::Software, found),
        (touchmark_identity::assurance::Storage::Tpm, tpm_search),
        (touchmark_identity::assurance::Storage::SecureElement, element_search),
    ]
    .map(|(storage, search)| Attack::extraction(storage, search).map(|a| verdict(&a.outcome)));
    let [a, b, c] = verdicts;
    table.add("search the flash for the key", &a?, &b?, &c?);
    let key = key.ok_or_else(|| anyhow!("there is no key to build a clone from"))?;
    let stolen = Stolen::from_loot(&loot, "clone", &software_dump.certificate, &key.pkcs8)?;

    // Connecting with what was found: nginx's log is all that the monitor sees of it.
    show.say(&format!("with that key, curl connects twice as {cloned} from {ATTACKER}"));
    let first = knock(gate, &stolen)?;
    std::thread::sleep(Duration::from_millis(HEARTBEAT_MS * 3 / 2));
    let second = knock(gate, &stolen)?;
    let from_log = from_the_log_alone(dir, server)?;
    let named: Vec<_> = from_log.iter().filter_map(|f| f.device.as_deref()).collect();
    show.check(
        (first, second) == (204, 204) && named == [cloned.as_str()],
        "nginx lets it in, twice; a monitor that has nothing but nginx's log names it at the second connection",
        &format!("nginx answered {first} and {second}; from its log alone: {named:?}"),
    );
    let without = [(&tpm, &tpm_dump), (&element, &element_dump)].map(|(id, dump)| {
        let stranger = Stolen::without_key(&loot, id, &dump.certificate)?;
        knock(gate, &stranger)
    });
    let [tpm_knock, element_knock] = without;
    let (tpm_knock, element_knock) = (tpm_knock?, element_knock?);
    show.check(
        tpm_knock == 0 && element_knock == 0,
        &format!("with the certificates of {tpm} and {element}, and no key, there is no TLS session"),
        &format!("a session without the key: HTTP {tpm_knock} and {element_knock}"),
    );
    let no_session = "no session: the certificate without the key opens nothing";
    table.add(
        "connect as the device",
        "let in; seen in nginx's log at the 2nd connection",
        no_session,
        no_session,
    );

    // The copied image, on other hardware.
    show.say("the attacker writes each flash to a second board and switches it on");
    let clone_dir = loot.join("board-software");
    let clone = board(&clone_dir, fleet, &cloned, &software_dump.image)?;
    let confirmed = wait_for_finding(server, "the confirmed clone", |f| {
        f.device.as_deref() == Some(&cloned) && f.kind == Kind::Clone && f.grade == Certainty::Confirmed
    });
    let beats = clone.acknowledged();
    show.check(
        confirmed.is_ok() && beats <= 2,
        &format!(
            "the clone of {cloned} runs; confirmed by the heartbeat chain after {beats} of its heartbeats"
        ),
        &format!("after {beats} heartbeats of the clone: {:?}", confirmed.as_ref().err()),
    );
    let shut_out = wait_until("nginx's refusal of the clone", PATIENCE, || {
        Ok(clone.refusals().iter().any(|s| (400..=403).contains(s)).then_some(()))
    });
    show.check(
        shut_out.is_ok(),
        "quarantine takes effect: nginx, told by the CRL, refuses the clone's next heartbeat",
        &format!("the clone was not refused: {:?}", clone.last_failure()),
    );
    drop(clone);
    for (id, dump, name) in [(&tpm, &tpm_dump, "board-tpm"), (&element, &element_dump, "board-element")] {
        let mut copy = board(&loot.join(name), fleet, id, &dump.image)?;
        let ended = wait_until("the end of the copy", PATIENCE, || Ok(copy.has_ended().then_some(())));
        let log = fs::read_to_string(loot.join(name).join("agent.log")).unwrap_or_default();
        show.check(
            ended.is_ok() && copy.acknowledged() == 0,
            &format!(
                "the copy of {id} has no key and does not start: {}",
                log.lines().last().unwrap_or_default().trim()
            ),
            &format!("the copy of {id} sent {} heartbeats", copy.acknowledged()),
        );
    }
    table.add(
        "run the copied image",
        &format!("runs; confirmed as a clone after {beats} of its heartbeats, quarantined"),
        "does not start: the key is not in the copy",
        "does not start: the key is not in the copy",
    );

    // A heartbeat that waits in flash while the uplink is jammed.
    show.say(&format!(
        "the attacker jams the uplink and reads the waiting heartbeats of {replayed}, {tpm} and {element}"
    ));
    gate.jam(true)?;
    std::thread::sleep(Duration::from_millis(HEARTBEAT_MS * 2));
    let jammed = [&replayed, &tpm, &element].map(|id| read_flash(fleet, id, &loot));
    gate.jam(false)?;
    let [replay_dump, tpm_jam, element_jam] = jammed;
    let (replay_dump, tpm_jam, element_jam) = (replay_dump?, tpm_jam?, element_jam?);
    let captured = [&replay_dump, &tpm_jam, &element_jam].map(|dump| waiting_heartbeat(dump, &loot));
    let [body, tpm_body, element_body] = captured;
    let (body, tpm_body, element_body) = (body?, tpm_body?, element_body?);
    for (id, dump) in [(&tpm, &tpm_jam), (&element, &element_jam)] {
        let again = search(dump);
        show.check(
            again.found.is_empty() && again.candidates_tried > 0,
            &format!("{id}: nor is its key in this second reading, taken in the middle of its work"),
            &format!("{id}: the private key was found outside the chip"),
        );
    }
    let replay_search = search(&replay_dump);
    let key = replay_search.found.first().ok_or_else(|| anyhow!("no key in the flash of {replayed}"))?;
    let replay_identity = Stolen::from_loot(&loot, "replay", &replay_dump.certificate, &key.pkcs8)?;
    // The device goes on; the captured heartbeat is an old one soon.
    let before = fleet.device(&replayed)?.acknowledged();
    wait_until("the device's next heartbeats", PATIENCE, || {
        Ok((fleet.device(&replayed)?.acknowledged() >= before + 4).then_some(()))
    })?;
    let answered = post(gate, Some(&replay_identity), &body, &loot)?;
    let replay = wait_for_finding(server, "the replay", |f| {
        f.device.as_deref() == Some(&replayed) && f.kind == Kind::Replay && f.grade == Certainty::Confirmed
    });
    show.check(
        answered == 200 && replay.is_ok(),
        &format!("the old heartbeat of {replayed} is sent again with its stolen key; the monitor knows it"),
        &format!("replay: HTTP {answered}, {:?}", replay.as_ref().err()),
    );
    let (tpm_post, element_post) =
        (post(gate, None, &tpm_body, &loot)?, post(gate, None, &element_body, &loot)?);
    show.check(
        tpm_post == 400 && element_post == 400,
        &format!("those of {tpm} and {element} find no way in: nginx wants a certificate and its key"),
        &format!("a heartbeat without a key: HTTP {tpm_post} and {element_post}"),
    );
    let no_way = "refused: no key, no session to send it in";
    table.add("replay a heartbeat", "taken in; confirmed as a replay", no_way, no_way);

    downgrade(fleet, [&downgraded, &tpm, &element], &mut table, show)?;
    wait_for_finding(server, "the downgrade", |f| {
        f.device.as_deref() == Some(&downgraded)
            && f.kind == Kind::Downgrade
            && f.grade == Certainty::Confirmed
    })
    .map_or_else(|e| show.check(false, "", &e.to_string()), |_| ());

    Ok(Report { table, cloned, replayed, downgraded, untouched, touched, stolen })
}

/// What a monitor finds that gets the registry and nginx's log, and no heartbeat.
fn from_the_log_alone(dir: &Path, server: &Server) -> anyhow::Result<Vec<Finding>> {
    let policy = touchmark_server::Config::read(&dir.join("server.toml"))?.monitor;
    let mut engine = Engine::new(policy);
    for entry in server.inventory()? {
        let Some(key) = entry.keys.last() else { continue };
        let aliases = entry.certificates.iter().map(|c| IdentityRef {
            cert_sha1: c.cert_sha1.as_deref().and_then(|h| h.parse().ok()),
            ..IdentityRef::default()
        });
        let event = Event {
            time: Timestamp::from_micros(0),
            received: None,
            source: "inventory".to_owned(),
            event_id: None,
            identity: IdentityRef { spki_sha256: key.spki_sha256.parse().ok(), ..IdentityRef::default() },
            body: EventBody::Registry(Box::new(Registry {
                device: entry.device.clone(),
                assurance: Some(AssuranceSummary::from(&key.assurance)),
                aliases: aliases.filter(IdentityRef::has_name).collect(),
                ..Registry::default()
            })),
        };
        engine.observe(&event, RawDigest::of(event.to_line().as_bytes()));
    }
    let mut reader = Nginx::new("gate");
    let mut found: Vec<Finding> = Vec::new();
    for line in fs::read_to_string(dir.join("gate/access.json"))?.lines() {
        if let Ok(Line::Event(event)) = reader.line(line.as_bytes()) {
            for finding in engine.observe(&event, RawDigest::of(line.as_bytes())) {
                found.retain(|f| f.id != finding.id);
                found.push(finding);
            }
        }
    }
    found.retain(|f| f.grade >= Certainty::Suspect);
    Ok(found)
}

/// Offers an older, properly signed firmware, after trying to rewind the floor.
fn downgrade(
    fleet: &mut Fleet,
    victims: [&String; 3],
    table: &mut Table,
    show: &mut Show,
) -> anyhow::Result<()> {
    let [software, tpm, element] = victims;
    show.say(&format!("the attacker rewinds what flash holds of the anti-rollback floor, and offers firmware {OLD_FIRMWARE}, an older one, properly signed"));
    let release = Release {
        version: OLD_FIRMWARE.parse().map_err(|e| anyhow!("{e}"))?,
        security_version: OLD_SECURITY_VERSION,
        sha256: sha256(b"the image of an older firmware"),
    };
    let name = fleet.release.name.clone();
    let offer = release.sign(&mut fleet.release.store, &name)?;
    let honest = {
        let device = fleet.device(software)?;
        deliver(device, "honest", &offer)?;
        wait_for_offer(device)?
    };
    show.check(
        !honest.0,
        &format!("{software} refuses as long as its flash is untouched: {}", honest.1),
        &format!("{software} took an older firmware without an attack"),
    );
    let mut outcomes = Vec::new();
    for id in [software, tpm, element] {
        let device = fleet.device(id)?;
        device.stop();
        let floor_name = CounterName::new("firmware")?;
        let target = Target { document: DOCUMENT, floor_name: &floor_name, floor: 1, state: None };
        let rewound = rewind(&device.flash(), &target)?;
        device.start()?;
        deliver(device, "rewound", &offer)?;
        let (accepted, reason) = wait_for_offer(device)?;
        let (holder, found) = (device.holder, rewound.lowered.is_some());
        let expected = holder == Holder::Software;
        show.check(
            accepted == expected && found == expected,
            &match accepted {
                true => format!("{id}: the floor lay in flash and was lowered; {OLD_FIRMWARE} is installed"),
                false => format!("{id}: no floor in flash; {reason}"),
            },
            &format!("{id}: accepted {accepted}, floor rewound {found}: {reason}"),
        );
        outcomes.push(match accepted {
            true => "installed; confirmed as a downgrade".to_owned(),
            false => "refused: the floor is in the chip".to_owned(),
        });
    }
    let [a, b, c] = outcomes.as_slice() else { return Err(anyhow!("three devices were to be tried")) };
    table.add("install older firmware", a, b, c);
    Ok(())
}

fn deliver(device: &Device, name: &str, offer: &str) -> anyhow::Result<()> {
    let inbox = device.dir.join("inbox");
    fs::write(inbox.join("incoming"), offer)?;
    fs::rename(inbox.join("incoming"), inbox.join(format!("{name}.tmfw"))).context("cannot deliver the offer")
}

fn wait_for_offer(device: &Device) -> anyhow::Result<(bool, String)> {
    wait_until(&format!("the decision of {} about the offer", device.id), PATIENCE, || {
        Ok(device.offer_result())
    })
}

fn wait_for_finding(
    server: &Server,
    what: &str,
    wanted: impl Fn(&Finding) -> bool,
) -> anyhow::Result<Finding> {
    wait_until(what, PATIENCE, || Ok(server.findings()?.into_iter().find(|f| wanted(f))))
}

fn verdict(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Fell { how } => how.clone(),
        Outcome::Held { why } => why.clone(),
    }
}

fn read_flash(fleet: &mut Fleet, id: &str, loot: &Path) -> anyhow::Result<Dump> {
    let image = fs::read(fleet.device(id)?.flash())?;
    let certificate = certificate_in(&image, loot)?;
    let (_, der) = der::pem::decode_vec(first_block(&certificate).as_bytes()).map_err(|e| anyhow!("{e}"))?;
    let public = touchmark_authority::x509::HeldCertificate::from_der(&der)?.public_key()?;
    Ok(Dump { image, certificate, public })
}

fn first_block(pem: &str) -> String {
    let end = "-----END CERTIFICATE-----\n";
    pem.find(end).and_then(|at| pem.get(..at + end.len())).unwrap_or(pem).to_owned()
}

fn search(dump: &Dump) -> Search {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    search_parallel(&dump.image, &dump.public, threads, &mut |_, _| {})
}

/// A record of the agent in a flash image: a file of its own, or an object in the key file.
fn record_in(image: &[u8], name: &str, scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let copy = scratch.join(format!("reading-{}.img", hex::encode(sha256(image).split_at(4).0)));
    fs::write(&copy, image)?;
    let read = (|| {
        let mut flash = FlashImage::open(&copy)?;
        if let Some(bytes) = flash.read(name)? {
            return Ok(bytes);
        }
        let mut store =
            SoftwareStore::open(Box::new(FlashMedium::new(flash, DOCUMENT)), &Protection::PlainFlash)?;
        let objects = store.objects().ok_or_else(|| anyhow!("the key file holds no objects"))?;
        Ok(objects.read_object(&KeyName::new(name)?)?)
    })();
    fs::remove_file(&copy)?;
    read
}

/// The certificate chain in a flash image, PEM.
pub(crate) fn certificate_in(image: &[u8], scratch: &Path) -> anyhow::Result<String> {
    Ok(String::from_utf8(record_in(image, CERTIFICATE, scratch)?)?)
}

/// The heartbeat that waits in a flash image to be sent.
fn waiting_heartbeat(dump: &Dump, scratch: &Path) -> anyhow::Result<String> {
    let state: serde_json::Value = serde_json::from_slice(&record_in(&dump.image, STATE, scratch)?)?;
    let pending = state.get("pending").and_then(|p| p.as_str());
    pending
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("no heartbeat waited in the flash while the uplink was jammed"))
}

/// Writes an image to a second board and switches it on: the same configuration, at the attacker's address, without the
/// victim's chip.
fn board(dir: &Path, fleet: &mut Fleet, id: &str, image: &[u8]) -> anyhow::Result<Agent> {
    fs::create_dir_all(dir)?;
    let flash = dir.join("flash.img");
    copy_image(image, &flash)?;
    let victim = fleet.device(id)?;
    let text = fs::read_to_string(victim.config())?;
    let mut config: toml::Table = toml::from_str(&text)?;
    let mut set = |key: &str, value: String| config.insert(key.to_owned(), toml::Value::String(value));
    // A key file travels with the flash. Where the key sits in a chip, the second board has none, and its own empty
    // key file takes the chip's place.
    let store = match victim.holder {
        Holder::Software | Holder::Bluff => format!("software:{}#{DOCUMENT}", flash.display()),
        Holder::Tpm | Holder::Element => format!("software:{}", dir.join("empty.toml").display()),
    };
    set("store", store);
    set("flash", flash.display().to_string());
    set("bind_address", ATTACKER.to_owned());
    config.remove("update_inbox");
    let path = dir.join("agent.toml");
    fs::write(&path, toml::to_string(&config)?)?;
    Agent::start(&path, &dir.join("agent.log"))
}

impl Stolen {
    fn from_loot(loot: &Path, name: &str, certificate: &str, pkcs8: &[u8]) -> anyhow::Result<Self> {
        let stolen =
            Self { certificate: loot.join(format!("{name}.pem")), key: loot.join(format!("{name}.key")) };
        fs::write(&stolen.certificate, certificate)?;
        fs::write(&stolen.key, touchmark_authority::x509::pem("PRIVATE KEY", pkcs8)?)?;
        Ok(stolen)
    }

    /// The certificate, and a key that does not belong to it: all that can be had without the chip.
    fn without_key(loot: &Path, name: &str, certificate: &str) -> anyhow::Result<Self> {
        let stolen =
            Self { certificate: loot.join(format!("{name}.pem")), key: loot.join(format!("{name}.key")) };
        fs::write(&stolen.certificate, certificate)?;
        succeed(
            Command::new("openssl")
                .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
                .arg(&stolen.key),
        )?;
        Ok(stolen)
    }
}

/// Connects as a stolen identity; returns nginx's HTTP status, or 0 when there was no session.
pub(crate) fn knock(gate: &Gate, stolen: &Stolen) -> anyhow::Result<u16> {
    curl(gate, Some(stolen), &["/ping"], &[])
}

/// Sends a heartbeat's body.
fn post(gate: &Gate, stolen: Option<&Stolen>, body: &str, loot: &Path) -> anyhow::Result<u16> {
    let file = loot.join("captured.json");
    fs::write(&file, body)?;
    let data = format!("@{}", file.display());
    curl(gate, stolen, &["/v1/heartbeat"], &["-H", "content-type: application/json", "--data-binary", &data])
}

fn curl(gate: &Gate, stolen: Option<&Stolen>, path: &[&str], extra: &[&str]) -> anyhow::Result<u16> {
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "--max-time",
        "10",
        "--interface",
        ATTACKER,
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--cacert",
    ]);
    command.arg(&gate.certificate).args(extra);
    if let Some(stolen) = stolen {
        command.arg("--cert").arg(&stolen.certificate).arg("--key").arg(&stolen.key);
    }
    command.arg(format!("{}{}", gate.address, path.concat()));
    let output = command.output().context("cannot run curl")?;
    // Without a session curl prints 000.
    String::from_utf8_lossy(&output.stdout).trim().parse().context("curl printed no HTTP status")
}
