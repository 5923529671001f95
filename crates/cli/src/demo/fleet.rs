//! The devices: each a process of its own, with a flash image of its own, at an address of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_keystore::KeyStore;
use touchmark_keystore::software::flash::FlashImage;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};

use super::peers::{
    Running, Server, Tpm, gate_address, gate_certificate, ourselves, start_ready, succeed, wait_until,
};
use super::settings::{FIRMWARE, FLOOR, HEARTBEAT_MS};
use super::show::Show;

/// What holds a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A virtual secure element.
    Element,
    /// A TPM.
    Tpm,
    /// A key file in a flash image.
    Software,
    /// A key file, and the claim that it is a TPM.
    Bluff,
}

impl Holder {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Element => "a secure element",
            Self::Tpm => "a TPM",
            Self::Software => "a key file",
            Self::Bluff => "a false claim",
        }
    }

    fn device_type(self) -> &'static str {
        match self {
            Self::Element => "lock",
            Self::Tpm => "gateway",
            Self::Software | Self::Bluff => "meter",
        }
    }
}

/// How an agent is doing, as its own events say.
#[derive(Debug, Default)]
struct Progress {
    acknowledged: u64,
    counter: u64,
    last_failure: Option<String>,
    statuses: Vec<u16>,
    offers: Vec<(bool, String)>,
}

/// An agent that runs.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Running,
    progress: Arc<Mutex<Progress>>,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) holder: Holder,
    pub(crate) dir: PathBuf,
    agent: Option<Agent>,
    _element: Option<Running>,
}

/// The fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) devices: Vec<Device>,
    pub(crate) release: ReleaseKey,
}

/// The key that signs firmware releases.
pub(crate) struct ReleaseKey {
    pub(crate) store: SoftwareStore,
    pub(crate) name: KeyName,
    public: PublicKey,
}

impl std::fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReleaseKey({:?})", self.public)
    }
}

#[derive(serde::Deserialize)]
struct ElementReady {
    tcp: String,
}

impl Fleet {
    pub(crate) fn prepare(dir: &Path, server: &Server, tpms: &[Tpm], number: usize) -> anyhow::Result<Self> {
        let medium = FileMedium::hold(&dir.join("release-key.toml"))?;
        let mut store = SoftwareStore::open(Box::new(medium), &Protection::PlainFlash)?;
        let name = KeyName::new("release")?;
        let public = store.generate(&name)?;
        let anchors = dir.join("trust-anchors.pem");
        let gate = fs::read_to_string(gate_certificate(dir)?)?;
        fs::write(&anchors, [fs::read_to_string(&server.ready.root)?, gate].concat())?;
        let mut fleet = Self { devices: Vec::new(), release: ReleaseKey { store, name, public } };
        for at in 0..=number {
            let holder = match at {
                at if at == number => Holder::Bluff,
                at if at % 3 == 0 => Holder::Software,
                at if at % 3 == 1 => Holder::Tpm,
                _ => Holder::Element,
            };
            let device = fleet.make(dir, server, tpms, &anchors, at, holder)?;
            fleet.devices.push(device);
        }
        Ok(fleet)
    }

    fn make(
        &self,
        root: &Path,
        server: &Server,
        tpms: &[Tpm],
        anchors: &Path,
        at: usize,
        holder: Holder,
    ) -> anyhow::Result<Device> {
        let id = format!("{}-{:03}", holder.device_type(), at + 1);
        let dir = root.join("devices").join(&id);
        fs::create_dir_all(dir.join("inbox"))?;
        let flash = dir.join("flash.img");
        drop(FlashImage::create(&flash, 256 * 1024)?);
        let (store, element) = match holder {
            Holder::Software | Holder::Bluff => (format!("software:{}#identity.toml", flash.display()), None),
            Holder::Tpm => {
                let tpm = tpms.get(at / 3 % tpms.len().max(1)).ok_or_else(|| anyhow!("there is no TPM"))?;
                (format!("tpm:{}", tpm.address), None)
            }
            Holder::Element => {
                let state = dir.join("element");
                succeed(ourselves()?.args(["--quiet", "element", "new", "--state"]).arg(&state))?;
                let (process, ready): (_, ElementReady) = start_ready(
                    ourselves()?.args(["element", "run", "--state"]).arg(&state),
                    &dir.join("element.log"),
                )?;
                (format!("element:tcp:{}", ready.tcp), Some(process))
            }
        };
        let device = Device { id, holder, dir, agent: None, _element: element };
        // Several devices share one TPM emulator, so the key bears the device's name.
        let claims = if holder == Holder::Bluff { "claims = \"tpm\"\n" } else { "" };
        let text = format!(
            "device = \"{id}\"\ndevice_type = \"{kind}\"\nstore = {store:?}\nkey = \"{id}\"\nflash = {flash:?}\n\
             server = \"{enrol}\"\ntelemetry = \"https://{gate}\"\ntrust_anchors = {anchors:?}\n\
             enrol_token_file = {token:?}\nbind_address = \"{address}\"\nheartbeat_ms = {HEARTBEAT_MS}\n{claims}\
             firmware = \"{FIRMWARE}\"\nsecurity_version = {FLOOR}\nrelease_key = \"{release}\"\n\
             update_inbox = {inbox:?}\n",
            id = device.id,
            kind = holder.device_type(),
            flash = flash.display().to_string(),
            enrol = server.ready.enrol,
            gate = gate_address(root)?,
            anchors = anchors.display().to_string(),
            token = device.dir.join("token").display().to_string(),
            address = format_args!("127.20.{}.10", at + 1),
            release = hex::encode(self.release.public.spki_der()),
            inbox = device.dir.join("inbox").display().to_string(),
        );
        fs::write(device.config(), text)?;
        Ok(device)
    }

    pub(crate) fn of(&self, holder: Holder) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |d| d.holder == holder)
    }

    pub(crate) fn count(&self, holder: Holder) -> usize {
        self.of(holder).count()
    }

    pub(crate) fn device(&mut self, id: &str) -> anyhow::Result<&mut Device> {
        self.devices.iter_mut().find(|d| d.id == id).ok_or_else(|| anyhow!("there is no device {id}"))
    }

    /// Registers all devices and has them enrol, several at a time.
    pub(crate) fn enrol(&mut self, server: &Server, show: &mut Show) -> anyhow::Result<()> {
        for device in &self.devices {
            let json = server.touchmark(&[
                "authority",
                "enrol",
                "--device",
                &device.id,
                "--type",
                device.holder.device_type(),
            ])?;
            let registered: serde_json::Value = serde_json::from_str(&json)?;
            let token = registered.get("token").and_then(|t| t.as_str()).context("no token was given")?;
            fs::write(device.dir.join("token"), token)?;
        }
        let total = self.devices.len();
        let queue = Mutex::new(self.devices.iter());
        let done = Mutex::new((0, Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let Some(device) = queue.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                            return;
                        };
                        let enrolled = device.enrol();
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.0 += 1;
                        show.progress(&format!("   {} of {total} devices have enrolled", done.0));
                        if let Err(error) = enrolled {
                            done.1.push(format!("{}: {error:#}", device.id));
                        }
                    }
                });
            }
        });
        show.progress("");
        let (_, errors) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() { Ok(()) } else { bail!("devices did not enrol:\n{}", errors.join("\n")) }
    }

    /// Starts every agent.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.devices.iter_mut().try_for_each(Device::start)
    }

    /// Waits until every agent had this many heartbeats acknowledged.
    pub(crate) fn wait_for_heartbeats(&mut self, number: u64, patience: Duration) -> anyhow::Result<()> {
        let devices = &mut self.devices;
        wait_until(&format!("{number} heartbeats of every device"), patience, || {
            devices.iter_mut().try_for_each(Device::must_run)?;
            Ok(devices.iter().all(|d| d.acknowledged() >= number).then_some(()))
        })
    }

    /// Lets devices go on that ended for a reason of the demonstration, such as a refused certificate; nothing to do
    /// as long as agents run by themselves.
    pub(crate) fn keep_going(&mut self) {
        for device in &mut self.devices {
            if let Some(agent) = &mut device.agent
                && !matches!(agent.process.0.try_wait(), Ok(None))
            {
                device.agent = None;
            }
        }
    }

    /// A device's certificate as a PEM file, read from its flash.
    pub(crate) fn certificate_file(&self, id: &str) -> anyhow::Result<PathBuf> {
        let device =
            self.devices.iter().find(|d| d.id == id).ok_or_else(|| anyhow!("there is no device {id}"))?;
        let path = device.dir.join("certificate.pem");
        if !path.exists() {
            fs::write(&path, device.certificate()?)?;
        }
        Ok(path)
    }
}

impl Device {
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    pub(crate) fn flash(&self) -> PathBuf {
        self.dir.join("flash.img")
    }

    fn enrol(&self) -> anyhow::Result<()> {
        succeed(ourselves()?.args(["--json", "--quiet", "agent", "enrol", "--config"]).arg(self.config()))
            .map(|_| ())
    }

    /// The certificate, leaf first, as the enrolment left it.
    pub(crate) fn certificate(&self) -> anyhow::Result<String> {
        let image = fs::read(self.flash())?;
        super::attacks::certificate_in(&image, &self.dir)
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.agent = Some(Agent::start(&self.config(), &self.dir.join("agent.log"))?);
        Ok(())
    }

    /// Takes the device's power.
    pub(crate) fn stop(&mut self) {
        self.agent = None;
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        let Some(agent) = &mut self.agent else { return Ok(()) };
        if let Some(status) = agent.process.0.try_wait()? {
            let log = fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default();
            bail!("the agent of {} ended with {status}: {}", self.id, log.trim());
        }
        Ok(())
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.agent.as_ref().map_or(0, Agent::acknowledged)
    }

    /// What came of the newest firmware offer: accepted, and why.
    pub(crate) fn offer_result(&self) -> Option<(bool, String)> {
        self.agent.as_ref().and_then(|a| a.lock().offers.last().cloned())
    }
}

impl Agent {
    /// Starts an agent and follows its events.
    pub(crate) fn start(config: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut process = Running(
            ourselves()?
                .args(["--quiet", "agent", "run", "--config"])
                .arg(config)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(log)?)
                .spawn()
                .context("cannot start an agent")?,
        );
        let progress = Arc::new(Mutex::new(Progress::default()));
        if let Some(out) = process.0.stdout.take() {
            let progress = Arc::clone(&progress);
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(event) = serde_json::from_str(&line) {
                        progress.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
                    }
                }
            });
        }
        Ok(Self { process, progress })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    /// HTTP statuses with which heartbeats were refused.
    pub(crate) fn refusals(&self) -> Vec<u16> {
        self.lock().statuses.clone()
    }

    pub(crate) fn last_failure(&self) -> Option<String> {
        self.lock().last_failure.clone()
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.process.0.try_wait(), Ok(None))
    }
}

impl Progress {
    fn take(&mut self, event: &serde_json::Value) {
        let text = |name: &str| event.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        match event.get("event").and_then(|e| e.as_str()) {
            Some("acknowledged") => {
                self.acknowledged += 1;
                self.counter =
                    event.get("counter").and_then(serde_json::Value::as_u64).unwrap_or(self.counter);
            }
            Some("failed") => {
                self.last_failure = Some(text("error"));
                let status = event.get("status").and_then(serde_json::Value::as_u64);
                self.statuses.extend(status.and_then(|s| u16::try_from(s).ok()));
            }
            Some("offer") => {
                let result = event.get("result");
                let accepted = result.and_then(|r| r.get("accepted")).and_then(serde_json::Value::as_bool);
                let reason =
                    result.and_then(|r| r.get("reason")).and_then(|r| r.as_str()).unwrap_or_default();
                self.offers.push((accepted.unwrap_or(false), reason.to_owned()));
            }
            _ => {}
        }
    }
}
