//! The server is killed at random moments, as often as it takes: what it acknowledged is there afterwards. And a disk
//! that is full refuses, and loses nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "test helpers: a surprise is a panic, and seeds and skips have to be seen"
)]

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use touchmark_authority::x509::HeldCertificate;
use touchmark_testkit::disk::SmallDisk;
use touchmark_testkit::est::{Client, base64, certificates};
use touchmark_testkit::openssl::{must, request};
use touchmark_testkit::peer;
use touchmark_testkit::server::{Server, Site};
use touchmark_testkit::telemetry::{Beat, send, token};

const ROUNDS: usize = 30;
/// A round's kill comes within this many milliseconds.
const KILL_WITHIN_MS: u64 = 260;

/// A generator of pseudo-random numbers (xorshift64*), so that a seed repeats a run's choices.
struct Dice(u64);

impl Dice {
    /// With the seed in `TOUCHMARK_SEED`, or one that nobody knows.
    fn new() -> Self {
        let unknown = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        let seed =
            std::env::var("TOUCHMARK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(unknown);
        eprintln!("seed: TOUCHMARK_SEED={seed}");
        Self(seed.max(1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// What is known of a device from answers alone.
struct Device {
    name: String,
    token: Option<String>,
    certificate: Option<String>,
    serial: String,
    /// What its certificate must be, and what it may be as well, because no answer came.
    status: &'static str,
    or: Option<&'static str>,
    beat: Beat,
    /// The heartbeat that was acknowledged last, with its token.
    last: Option<(String, String)>,
    /// A heartbeat that was sent and not acknowledged: it is sent again as it was.
    pending: Option<String>,
}

struct Fleet {
    site: Site,
    devices: Vec<Device>,
    since: Instant,
    acknowledged: usize,
}

/// No answer came: the server is gone.
struct Gone;

impl Fleet {
    fn client<'a>(&'a self, server: &'a Server) -> Client<'a> {
        Client { folder: self.site.folder(), server }
    }

    /// Has the operator do something to a device.
    fn operate(&mut self, verb: &str, at: usize, becomes: &'static str) -> Result<(), Gone> {
        let name = self.devices[at].name.clone();
        self.devices[at].or = Some(becomes);
        let confirm = ["--confirm", name.as_str()];
        let arguments =
            [&[verb, "--device", &name][..], if verb == "revoke" { &confirm[..] } else { &[] }].concat();
        let finished = self.site.authority(&arguments);
        match finished.code {
            Some(0) => {
                (self.devices[at].status, self.devices[at].or) = (becomes, None);
                self.acknowledged += 1;
                Ok(())
            }
            Some(3) => Err(Gone),
            _ => panic!("{}: {}", finished.command, finished.all()),
        }
    }

    fn register(&mut self, name: &str) -> Result<(), Gone> {
        request(self.site.folder(), name, name);
        self.devices.push(Device {
            name: name.to_owned(),
            token: None,
            certificate: None,
            serial: String::new(),
            status: "good",
            or: None,
            beat: Beat { counter: 1, uptime_ms: 0, boot_count: 1, token: None },
            last: None,
            pending: None,
        });
        self.token(self.devices.len() - 1)
    }

    /// Gets a device its token, also where an earlier answer was lost.
    fn token(&mut self, at: usize) -> Result<(), Gone> {
        let name = self.devices[at].name.clone();
        let mut finished = self.site.authority(&["enrol", "--device", &name]);
        if finished.code == Some(2) {
            finished = self.site.authority(&["enrol", "--device", &name, "--again"]);
        }
        match finished.code {
            Some(0) => {
                self.devices[at].token = Some(finished.json()["token"].as_str().unwrap().to_owned());
                self.acknowledged += 1;
                Ok(())
            }
            Some(3) => Err(Gone),
            _ => panic!("{}: {}", finished.command, finished.all()),
        }
    }

    fn enrol(&mut self, server: &Server, at: usize) -> Result<(), Gone> {
        let (name, token) = (self.devices[at].name.clone(), self.devices[at].token.clone().unwrap());
        let request = base64(self.site.folder(), &name);
        let answer = self.client(server).try_enrol(&name, &token, &request).map_err(|_| Gone)?;
        let certificate = certificates(self.site.folder(), &answer.must_be(200).body);
        self.devices[at].serial = serial(&certificate);
        self.site.write(&format!("{name}.pem"), &certificate);
        self.devices[at].certificate = Some(certificate);
        self.acknowledged += 1;
        Ok(())
    }

    fn heartbeat(&mut self, server: &Server, at: usize) -> Result<(), Gone> {
        let uptime_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap();
        let device = &mut self.devices[at];
        device.beat.uptime_ms = uptime_ms;
        let body = device.pending.take().unwrap_or_else(|| device.beat.body());
        device.pending = Some(body.clone());
        let certificate = device.certificate.clone().unwrap();
        let answer = send(self.site.folder(), server, &certificate, "127.0.0.1", &body)
            .map_err(|_| Gone)?
            .must_be(200);
        let given = token(&answer).unwrap();
        let device = &mut self.devices[at];
        device.beat.counter += 1;
        device.beat.token = Some(given.clone());
        (device.last, device.pending) = (Some((body, given)), None);
        self.acknowledged += 1;
        Ok(())
    }

    /// One step of the fleet's life, as the dice say.
    fn step(&mut self, server: &Server, dice: &mut Dice) -> Result<(), Gone> {
        let number = u64::try_from(self.devices.len()).unwrap();
        // Revocation is for good, so there are always some devices left to act on.
        let serving = self.devices.iter().filter(|device| device.status != "revoked").count();
        if serving < 3 || (number < 24 && dice.below(5) == 0) {
            return self.register(&format!("meter-{number:03}"));
        }
        let at = usize::try_from(dice.below(number)).unwrap();
        let device = &self.devices[at];
        match (&device.token, &device.certificate, device.status, dice.below(10)) {
            (None, ..) => self.token(at),
            (_, None, ..) => self.enrol(server, at),
            (_, _, "good", 0) => self.operate("quarantine", at, "hold"),
            (_, _, "good", 1) => self.operate("revoke", at, "revoked"),
            (_, _, "good", _) => self.heartbeat(server, at),
            (_, _, "hold", 0..5) => self.operate("release", at, "good"),
            (_, _, "hold", _) => self.operate("revoke", at, "revoked"),
            _ => Ok(()),
        }
    }

    /// Everything that was acknowledged is there.
    fn check(&mut self, server: &Server) {
        let journal = self.site.authority(&["journal", "--newest", "1"]).must_end_with(0).json();
        assert!(journal["entries"].as_u64().unwrap() > 0);
        let inventory = self.site.inventory();
        for device in &mut self.devices {
            let known = inventory.iter().find(|entry| entry["device"] == device.name.as_str());
            let Some(known) = known else {
                assert!(device.token.is_none(), "{} was registered and is gone", device.name);
                continue;
            };
            let listed = known["certificates"].as_array().unwrap();
            for certificate in listed {
                assert_ne!(certificate["status"], "intended", "{known}");
            }
            if device.certificate.is_none() {
                continue;
            }
            let listed = listed.iter().find(|certificate| certificate["serial"] == device.serial.as_str());
            let listed =
                listed.unwrap_or_else(|| panic!("a certificate without a row: {} {known}", device.serial));
            let found = listed["status"].as_str().unwrap();
            let found = ["good", "hold", "revoked"].into_iter().find(|status| *status == found).unwrap();
            assert!(
                found == device.status || Some(found) == device.or,
                "{}: {found}, not {}",
                device.name,
                device.status
            );
            (device.status, device.or) = (found, None);
        }
        for at in 0..self.devices.len() {
            let device = &self.devices[at];
            if device.status != "good" {
                continue;
            }
            // A device repeats what was not acknowledged; what was, is known as the newest.
            match (&device.pending, &device.last) {
                (Some(_), _) => assert!(self.heartbeat(server, at).is_ok(), "the server is gone"),
                (None, Some((body, given))) => {
                    let certificate = device.certificate.as_deref().unwrap();
                    let answer = send(self.site.folder(), server, certificate, "127.0.0.1", body).unwrap();
                    assert_eq!(
                        token(&answer.must_be(200)).as_ref(),
                        Some(given),
                        "{} is not the newest",
                        device.name
                    );
                }
                (None, None) => {}
            }
        }
    }

    /// CRL and OCSP say what was done.
    fn check_revocations(&self, server: &Server) {
        let client = self.client(server);
        client.fetch_public_files();
        let crl = must(self.site.folder(), &["crl", "-in", "issuing.crl.pem", "-noout", "-text"]);
        let serials: BTreeSet<String> = crl
            .lines()
            .filter_map(|l| Some(l.trim().strip_prefix("Serial Number: ")?.to_lowercase()))
            .collect();
        for device in self.devices.iter().filter(|device| device.certificate.is_some()) {
            assert_eq!(
                serials.contains(&device.serial),
                device.status != "good",
                "{} in the CRL",
                device.name
            );
            let said = client.ocsp(&device.name, "-sha256");
            let expected = if device.status == "good" { "good" } else { "revoked" };
            assert!(said.starts_with(&format!("{}.pem: {expected}", device.name)), "{said}");
        }
    }
}

/// A certificate's serial number as the inventory writes it.
fn serial(pem: &str) -> String {
    let begin = pem.find("-----BEGIN").unwrap();
    let end = pem.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    let (_, der) = der::pem::decode_vec(&pem.as_bytes()[begin..end]).unwrap();
    hex::encode(HeldCertificate::from_der(&der).unwrap().serial())
}

/// Kills a process after a while. It cannot hit another one: a child that ended keeps its number until it is reaped.
fn kill_after(process: u32, delay: Duration) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        std::thread::sleep(delay);
        let _ended = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    })
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let mut dice = Dice::new();
    // Keys that lie open are opened at once: more kills in the same time.
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "[keys]\nstore = \"software:ca-keys.toml\"\n");
    let mut fleet = Fleet { site, devices: Vec::new(), since: Instant::now(), acknowledged: 0 };
    for round in 0..ROUNDS {
        let mut server = fleet.site.start();
        fleet.check(&server);
        let killer = kill_after(server.process_id(), Duration::from_millis(dice.below(KILL_WITHIN_MS)));
        while server.runs() && fleet.step(&server, &mut dice).is_ok() {}
        killer.join().unwrap();
        server.kill();
        eprintln!("round {round}: {} devices, {} acts acknowledged", fleet.devices.len(), fleet.acknowledged);
    }
    let server = fleet.site.start();
    fleet.check(&server);
    fleet.check_revocations(&server);
    // Every step still works, also for a newcomer.
    assert!(fleet.register("meter-last").is_ok());
    for at in 0..fleet.devices.len() {
        if fleet.devices[at].token.is_none() {
            assert!(fleet.token(at).is_ok());
        }
        if fleet.devices[at].certificate.is_none() {
            assert!(fleet.enrol(&server, at).is_ok());
        }
        if fleet.devices[at].status == "good" {
            assert!(fleet.heartbeat(&server, at).is_ok());
        }
    }
    let good = fleet.devices.len() - 1;
    for (verb, becomes) in
        [("quarantine", "hold"), ("release", "good"), ("quarantine", "hold"), ("revoke", "revoked")]
    {
        assert!(fleet.operate(verb, good, becomes).is_ok());
    }
    fleet.check(&server);
    fleet.check_revocations(&server);
    // A token that was acknowledged and forgotten would have looked like a copy.
    assert_eq!(server.findings(), Vec::<Value>::new());
    assert!(fleet.acknowledged >= ROUNDS, "too little happened: {} acts", fleet.acknowledged);
    server.stop();
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    if !peer::all_present(&["curl", "openssl", "mount"]) {
        return;
    }
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    let Some(disk) = SmallDisk::mount(&site.path("disk")) else { return };
    let data = site.path("disk");
    let mut fleet =
        Fleet { site: site.with_data(&data), devices: Vec::new(), since: Instant::now(), acknowledged: 0 };
    // Dropped before the site's directory, which cannot be removed around a mounted file system.
    let disk = disk;
    let server = fleet.site.start();
    for name in ["meter-1", "meter-2"] {
        assert!(fleet.register(name).is_ok());
    }
    assert!(fleet.enrol(&server, 0).is_ok());
    assert!(fleet.heartbeat(&server, 0).is_ok());

    disk.fill();
    let first = fleet.devices[0].certificate.clone().unwrap();
    let next = fleet.devices[0].beat.body();
    let refused = send(fleet.site.folder(), &server, &first, "127.0.0.1", &next).unwrap().must_be(503);
    assert_eq!(refused.json()["code"], "SV-0009");
    assert!(refused.json()["message"].as_str().unwrap().contains("disk"));
    let token = fleet.devices[1].token.clone().unwrap();
    let csr = base64(fleet.site.folder(), "meter-2");
    let refused = fleet.client(&server).enrol("meter-2", &token, &csr).must_be(503);
    assert_eq!(refused.json()["code"], "AU-0016");
    let _refused = fleet.site.authority(&["enrol", "--device", "meter-3"]).must_end_with(3);
    let _refused = fleet.site.authority(&["quarantine", "--device", "meter-1"]).must_end_with(3);
    // What needs no room works on.
    fleet.check(&server);
    assert_eq!(fleet.site.inventory().len(), 2);

    disk.free();
    fleet.devices[0].pending = Some(next);
    assert!(fleet.heartbeat(&server, 0).is_ok());
    assert!(fleet.enrol(&server, 1).is_ok());
    assert!(fleet.operate("quarantine", 1, "hold").is_ok());
    fleet.check(&server);
    fleet.check_revocations(&server);
    server.kill();
    let server = fleet.site.start();
    fleet.check(&server);
    assert_eq!(server.findings(), Vec::<Value>::new());
    server.stop();
}
