//! The processes of the demonstration: this program's own server, TPM emulators, nginx; all on loopback, all stopped at
//! the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use touchmark_identity::finding::Finding;
use touchmark_server::control::{InventoryEntry, Outcome};

use super::show::Show;
use crate::failure::Interrupted;

/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
const GATE_TEMPLATE: &str = include_str!("../../../../contrib/nginx/touchmark-gate.conf.in");
const LOG_FORMAT: &str = include_str!("../../../../contrib/nginx/touchmark-log-format.conf");

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is noticed instead of ending the program at once, so that everything started is stopped.
pub(crate) fn watch_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminate = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _interrupted = tokio::signal::ctrl_c() => {}
                _terminated = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// Whether the user has pressed Ctrl-C.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Waits until something holds; looks 20 times a second.
pub(crate) fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if interrupted() {
            return Err(Interrupted.into());
        }
        if let Some(value) = look()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("{what} did not happen within {} s", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Refuses to begin without the programs that the demonstration needs.
pub(crate) fn must_be_installed(programs: &[&str]) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = programs.iter().filter(|p| !there(p)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{} not found; `make demo` installs what is needed", missing.join(", "))
}

/// Runs a program to its end and returns what it said on both streams, whatever its exit code.
pub(crate) fn output_of(program: &str, arguments: &[&OsStr]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let both = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&both).into_owned())
}

/// Runs a program that must succeed, and returns what it said on stdout.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Either call fails only when the process has ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A command that runs this very program.
pub(crate) fn ourselves() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("cannot find this program")?))
}

fn log_file(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Starts a part of this program that says on its stdout, in one line of JSON, that it is ready.
pub(crate) fn start_ready<T: serde::de::DeserializeOwned>(
    command: &mut Command,
    log: &Path,
) -> anyhow::Result<(Running, T)> {
    let mut running = Running(
        command
            .args(["--ready-fd", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(log)?)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?,
    );
    let mut line = String::new();
    if let Some(out) = running.0.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    let ready = serde_json::from_str(&line).with_context(|| {
        let said = fs::read_to_string(log).unwrap_or_default();
        format!("{command:?} did not become ready: {}", said.trim())
    })?;
    Ok((running, ready))
}

/// The server's ready line.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) enrol: String,
    pub(crate) public: String,
    pub(crate) dashboard: String,
    pub(crate) telemetry: PathBuf,
    pub(crate) root: PathBuf,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) ready: Ready,
    dir: PathBuf,
    _process: Running,
}

/// What relying parties fetch.
#[derive(Debug)]
pub(crate) struct PublicFiles {
    pub(crate) root: PathBuf,
    pub(crate) issuing: PathBuf,
    pub(crate) crls: PathBuf,
}

impl Server {
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        command
            .args(["server", "run"])
            .arg("--config")
            .arg(dir.join("server.toml"))
            .arg("--data")
            .arg(dir.join("data"));
        let (process, ready) = start_ready(&mut command, &dir.join("server.log"))?;
        Ok(Self { ready, dir: dir.to_owned(), _process: process })
    }

    /// How the authority's keys are kept, in the server's own words.
    pub(crate) fn custody(&self) -> String {
        let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let said = log
            .lines()
            .find_map(|l| l.split_once("the authority's keys are ").map(|(_, kept)| kept.to_owned()));
        said.unwrap_or_else(|| "kept where server.log says".to_owned())
    }

    /// Runs a command of this program against the server's data directory, and returns its JSON.
    pub(crate) fn touchmark(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = ourselves()?;
        command.args(["--json", "--quiet"]).args(arguments).arg("--data").arg(self.dir.join("data"));
        succeed(&mut command)
    }

    pub(crate) fn inventory(&self) -> anyhow::Result<Vec<InventoryEntry>> {
        match serde_json::from_str(&self.touchmark(&["authority", "inventory"])?)? {
            Outcome::Inventory { devices } => Ok(devices),
            other => Err(anyhow!("the inventory is {other:?}")),
        }
    }

    pub(crate) fn status_of(&self, device: &str) -> anyhow::Result<String> {
        let found = self.inventory()?.into_iter().find(|e| e.device == device);
        found.map(|e| e.status).ok_or_else(|| anyhow!("{device} is not in the inventory"))
    }

    /// What the monitor has found so far, newest first.
    pub(crate) fn findings(&self) -> anyhow::Result<Vec<Finding>> {
        let lines = fetch(&format!("{}/api/findings", self.ready.dashboard))?;
        lines.lines().map(|line| Finding::from_line(line.as_bytes()).map_err(Into::into)).collect()
    }

    /// Fetches root, issuing CA and both CRLs, as a relying party does.
    pub(crate) fn public_files(&self, dir: &Path) -> anyhow::Result<PublicFiles> {
        let folder = dir.join("relying-party");
        fs::create_dir_all(&folder)?;
        let files = PublicFiles {
            root: folder.join("root.pem"),
            issuing: folder.join("issuing.pem"),
            crls: folder.join("crls.pem"),
        };
        for (name, file) in [("root.pem", &files.root), ("issuing.pem", &files.issuing)] {
            fs::write(file, fetch(&format!("{}/ca/{name}", self.ready.public))?)?;
        }
        let mut crls = String::new();
        for name in ["issuing.crl", "root.crl"] {
            let der = folder.join(name);
            succeed(
                Command::new("curl")
                    .args(["-sSf", "--max-time", "10", "-o"])
                    .arg(&der)
                    .arg(format!("{}/crl/{name}", self.ready.public)),
            )?;
            crls.push_str(&succeed(
                Command::new("openssl").args(["crl", "-inform", "DER", "-in"]).arg(&der),
            )?);
        }
        fs::write(&files.crls, crls)?;
        Ok(files)
    }
}

fn fetch(url: &str) -> anyhow::Result<String> {
    succeed(Command::new("curl").args(["-sSf", "--max-time", "10", url]))
}

/// A TPM emulator with a manufacturer's CA of its own.
#[derive(Debug)]
pub(crate) struct Tpm {
    pub(crate) address: String,
    /// The manufacturer's certificates, PEM.
    pub(crate) roots: Vec<String>,
    _process: Running,
}

/// Manufactures and starts TPMs, several at a time.
pub(crate) fn start_tpms(dir: &Path, number: usize, show: &mut Show) -> anyhow::Result<Vec<Tpm>> {
    show.progress("manufacturing TPMs ...");
    let tpms = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..number)
            .map(|n| {
                let folder = dir.join(format!("tpm-{n}"));
                scope.spawn(move || start_tpm(&folder))
            })
            .collect();
        workers
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|_| Err(anyhow!("the thread that manufactures a TPM panicked"))))
            .collect::<anyhow::Result<Vec<_>>>()
    });
    show.progress("");
    tpms
}

fn start_tpm(folder: &Path) -> anyhow::Result<Tpm> {
    let (state, authority) = (folder.join("state"), folder.join("manufacturer"));
    fs::create_dir_all(&state)?;
    fs::create_dir_all(&authority)?;
    let (shown, ca) = (folder.display(), authority.display());
    fs::write(
        folder.join("ca.conf"),
        format!(
            "statedir = {ca}\nsigningkey = {ca}/key.pem\nissuercert = {ca}/issuer.pem\ncertserial = {ca}/serial\n"
        ),
    )?;
    fs::write(
        folder.join("ca.options"),
        "--platform-manufacturer Demonstration\n--platform-version 1\n--platform-model Demonstration\n",
    )?;
    let tool = output_of("sh", &["-c".as_ref(), "command -v swtpm_localca".as_ref()])?;
    let tool = if tool.trim().is_empty() {
        "/usr/share/swtpm/swtpm-localca".to_owned()
    } else {
        tool.trim().to_owned()
    };
    fs::write(
        folder.join("setup.conf"),
        format!(
            "create_certs_tool = {tool}\ncreate_certs_tool_config = {shown}/ca.conf\n\
             create_certs_tool_options = {shown}/ca.options\nactive_pcr_banks = sha256\n"
        ),
    )?;
    succeed(
        Command::new("swtpm_setup")
            .args(["--tpm2", "--ecc", "--create-ek-cert", "--overwrite", "--tpmstate"])
            .arg(&state)
            .arg("--config")
            .arg(folder.join("setup.conf")),
    )?;
    let roots = ["swtpm-localca-rootca-cert.pem", "issuer.pem"]
        .iter()
        .map(|name| {
            fs::read_to_string(authority.join(name)).with_context(|| format!("swtpm_setup made no {name}"))
        })
        .collect::<anyhow::Result<_>>()?;
    let port = free_port()?;
    let process = Running(
        Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file(&folder.join("swtpm.log"))?)
            .spawn()
            .context("cannot start swtpm")?,
    );
    wait_until("the start of swtpm", PATIENCE, || Ok(tpm_answers(port).then_some(())))?;
    Ok(Tpm { address: format!("127.0.0.1:{port}"), roots, _process: process })
}

/// Whether the TPM answers `TPM2_GetRandom`: swtpm listens before it is started up.
fn tpm_answers(port: u16) -> bool {
    let get_random = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];
    let ask = || -> std::io::Result<[u8; 10]> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&get_random)?;
        let mut head = [0; 10];
        stream.read_exact(&mut head)?;
        Ok(head)
    };
    ask().is_ok_and(|head| head.ends_with(&[0; 4]))
}

/// A port that is free at the moment.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// nginx as the operator's terminator.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Its base address.
    pub(crate) address: String,
    /// Its own certificate, self-signed.
    pub(crate) certificate: PathBuf,
    process: Running,
}

/// The port that the gate will have; agents are told before it runs.
pub(crate) fn gate_address(dir: &Path) -> anyhow::Result<String> {
    let file = dir.join("gate").join("port");
    if !file.exists() {
        fs::write(&file, free_port()?.to_string())?;
    }
    Ok(format!("127.0.0.1:{}", fs::read_to_string(file)?))
}

/// Makes the gate's own certificate; agents trust it beside the authority's root.
pub(crate) fn gate_certificate(dir: &Path) -> anyhow::Result<PathBuf> {
    let (certificate, key) = (dir.join("gate/gate.pem"), dir.join("gate/gate.key"));
    if !certificate.exists() {
        succeed(
            Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-days",
                    "30",
                ])
                .args(["-subj", "/CN=demonstration gate", "-addext", "subjectAltName=IP:127.0.0.1"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
        )?;
    }
    Ok(certificate)
}

impl Gate {
    pub(crate) fn start(dir: &Path, server: &Server) -> anyhow::Result<Self> {
        let folder = dir.join("gate");
        let listen = gate_address(dir)?;
        let certificate = gate_certificate(dir)?;
        let format = folder.join("touchmark-log-format.conf");
        fs::write(&format, LOG_FORMAT)?;
        // As root, nginx's workers would run as another user, who may not read the directory.
        let root = succeed(Command::new("id").arg("-u"))?.trim() == "0";
        let text = [
            ("@DIR@", folder.display().to_string()),
            ("@FORMAT@", format.display().to_string()),
            ("@LISTEN@", listen.clone()),
            ("@CERTIFICATE@", certificate.display().to_string()),
            ("@KEY@", folder.join("gate.key").display().to_string()),
            ("@CA@", folder.join("devices-ca.pem").display().to_string()),
            ("@CRL@", folder.join("devices.crl.pem").display().to_string()),
            ("@TELEMETRY@", server.ready.telemetry.display().to_string()),
            ("@USER@", if root { "user root;".to_owned() } else { String::new() }),
        ]
        .into_iter()
        .fold(GATE_TEMPLATE.to_owned(), |text, (word, value)| text.replace(word, &value));
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, text)?;
        let process = Running(
            Command::new("nginx")
                .arg("-p")
                .arg(&folder)
                .arg("-e")
                .arg(folder.join("error.log"))
                .arg("-c")
                .arg(&configuration)
                .args(["-g", "daemon off;"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log_file(&folder.join("nginx.log"))?)
                .spawn()
                .context("cannot start nginx")?,
        );
        let mut gate = Self { address: format!("https://{listen}"), certificate, process };
        wait_until("the start of nginx", PATIENCE, || {
            if let Some(status) = gate.process.0.try_wait()? {
                let said = fs::read_to_string(folder.join("nginx.log")).unwrap_or_default();
                bail!("nginx ended with {status}: {}", said.trim());
            }
            Ok(TcpStream::connect(&listen).is_ok().then_some(()))
        })?;
        Ok(gate)
    }

    /// Stops and wakes nginx with its workers: a jammed uplink.
    pub(crate) fn jam(&self, jammed: bool) -> anyhow::Result<()> {
        let signal = if jammed { "-STOP" } else { "-CONT" };
        let master = self.process.0.id().to_string();
        let workers = output_of("pgrep", &["-P".as_ref(), master.as_ref()])?;
        let processes: Vec<&str> =
            std::iter::once(master.as_str()).chain(workers.split_whitespace()).collect();
        succeed(Command::new("kill").arg(signal).args(processes)).map(|_| ())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // The master takes its workers along when it is asked; `Running` makes sure that it is gone.
        let _asked = Command::new("kill").arg(self.process.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline && matches!(self.process.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
