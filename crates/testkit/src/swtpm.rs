//! A TPM 2.0 in software (swtpm), made and run for one test.
//!
//! Everything that it writes lies in one temporary directory: its state, the certificate authority of its endorsement
//! key, its log. It listens on loopback alone and is killed when the value is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peer;

/// How long making a TPM or starting it may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often ports are tried that somebody else took in between.
const START_TRIES: usize = 10;
/// The NV index of the P-384 EK certificate (TCG EK Credential Profile 2.4, §2.2.1.5).
const NV_EK_CERTIFICATE_P384: u32 = 0x01c0_0016;

/// Which endorsement key has a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EkKind {
    /// P-384 at NV index 0x01c00016, template H-3. The RSA key has a certificate as well.
    P384,
    /// RSA-2048 at NV index 0x01c00002, template L-1, and no other.
    Rsa2048,
}

/// A running swtpm.
#[derive(Debug)]
pub struct Swtpm {
    /// `127.0.0.1:PORT`, where it takes raw TPM commands over TCP. A restart may change it.
    pub address: String,
    /// The local authority's root and intermediate certificate, PEM.
    pub endorser_root_pem: Vec<String>,
    port: u16,
    process: Child,
    folder: TempDir,
}

impl Swtpm {
    /// Makes a TPM with an EK certificate and starts it; takes about three seconds. None, with a line on stderr, where
    /// swtpm is not installed.
    ///
    /// # Panics
    /// When swtpm is installed and fails; and when it is not installed while `CI` is set or `TOUCHMARK_REQUIRE_PEERS`
    /// is 1, because a test that silently does nothing proves nothing.
    #[must_use]
    pub fn start(kind: EkKind) -> Option<Self> {
        if !peer::all_present(&["swtpm", "swtpm_setup"]) {
            return None;
        }
        match Self::manufacture(kind) {
            Ok(tpm) => Some(tpm),
            Err(reason) => refuse(&format!("swtpm is installed and does not work: {reason}")),
        }
    }

    /// The setting of `TPM2TOOLS_TCTI` with which tpm2-tools talk to this TPM.
    #[must_use]
    pub fn tpm2_tools_tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Kills the TPM as a power loss would, without a chance to save anything, and starts it again on its state.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Starts a TPM that was killed again on its state.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        match launch(self.folder.path()) {
            Ok((process, port)) => {
                self.process = process;
                self.port = port;
                self.address = format!("127.0.0.1:{port}");
            }
            Err(reason) => refuse(&format!("swtpm does not start again: {reason}")),
        }
    }

    /// Sends one raw command and returns the response, without any session of ours around it.
    ///
    /// # Errors
    /// A text with the cause when the TPM cannot be reached or answers badly.
    pub fn raw_command(&self, command: &[u8]) -> Result<Vec<u8>, String> {
        raw_command(self.port, command)
    }

    fn manufacture(kind: EkKind) -> Result<Self, String> {
        let folder =
            tempfile::Builder::new().prefix("touchmark-swtpm-").tempdir().map_err(|e| e.to_string())?;
        let root = folder.path();
        let authority = root.join("authority");
        for directory in [root.join("state"), root.join("tmp"), authority.clone()] {
            fs::create_dir(&directory).map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
        }
        let write = |name: &str, text: String| {
            fs::write(root.join(name), text).map_err(|e| format!("cannot write {name}: {e}"))
        };
        write(
            "localca.conf",
            format!(
                "statedir = {0}\nsigningkey = {0}/signkey.pem\nissuercert = {0}/issuercert.pem\ncertserial = {0}/certserial\n",
                authority.display()
            ),
        )?;
        write(
            "localca.options",
            "--platform-manufacturer Touchmark\n--platform-version 1\n--platform-model Trial\n".to_owned(),
        )?;
        write(
            "setup.conf",
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {1}/localca.conf\n\
                 create_certs_tool_options = {1}/localca.options\nactive_pcr_banks = sha256\n",
                peer::find("swtpm_localca").unwrap_or_else(|| PathBuf::from("swtpm_localca")).display(),
                root.display()
            ),
        )?;
        let setup = Command::new("swtpm_setup")
            .args(["--tpm2", "--ecc", "--create-ek-cert", "--overwrite", "--tpmstate"])
            .arg(root.join("state"))
            .arg("--config")
            .arg(root.join("setup.conf"))
            .env("TMPDIR", root.join("tmp"))
            .stdin(Stdio::null())
            .stdout(log_file(root, "setup.log")?)
            .stderr(log_file(root, "setup.err")?)
            .spawn()
            .map_err(|e| format!("cannot start swtpm_setup: {e}"))?;
        let status = wait(setup)?;
        if !status.success() {
            return Err(format!(
                "swtpm_setup ended with {status}: {}",
                tail(root, &["setup.log", "setup.err"])
            ));
        }
        let endorser_root_pem = ["swtpm-localca-rootca-cert.pem", "issuercert.pem"]
            .iter()
            .map(|name| {
                fs::read_to_string(authority.join(name)).map_err(|e| format!("cannot read {name}: {e}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (process, port) = launch(root)?;
        let tpm = Self { address: format!("127.0.0.1:{port}"), endorser_root_pem, port, process, folder };
        if kind == EkKind::Rsa2048 {
            tpm.undefine_as_platform(NV_EK_CERTIFICATE_P384)?;
        }
        Ok(tpm)
    }

    /// `TPM2_NV_UndefineSpace` under the platform hierarchy, whose password is empty after a start.
    fn undefine_as_platform(&self, index: u32) -> Result<(), String> {
        let mut command = vec![0x80, 0x02, 0, 0, 0, 31, 0, 0, 0x01, 0x22, 0x40, 0, 0, 0x0c];
        command.extend_from_slice(&index.to_be_bytes());
        command.extend_from_slice(&[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
        let response = self.raw_command(&command)?;
        match response.get(6..10) {
            Some([0, 0, 0, 0]) => Ok(()),
            code => Err(format!("TPM2_NV_UndefineSpace of {index:#x} answered {code:02x?}")),
        }
    }

    /// Kills the TPM as a power loss would, without a chance to save anything.
    pub fn kill(&mut self) {
        // Either call fails only when the process has ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one of tpm2-tools against a TPM and returns its standard output; None where the tool is not installed.
///
/// # Panics
/// When the tool fails, and as for [`Swtpm::start`] when it is missing.
#[must_use]
pub fn tpm2_tool(tpm: &Swtpm, tool: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    if !peer::all_present(&[tool]) {
        return None;
    }
    let root = tpm.folder.path();
    let run = || -> Result<Vec<u8>, String> {
        let child = Command::new(tool)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", tpm.tpm2_tools_tcti())
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(log_file(root, "tool.out")?)
            .stderr(log_file(root, "tool.err")?)
            .spawn()
            .map_err(|e| format!("cannot start it: {e}"))?;
        let status = wait(child)?;
        if !status.success() {
            return Err(format!("it ended with {status}: {}", tail(root, &["tool.out", "tool.err"])));
        }
        fs::read(root.join("tool.out")).map_err(|e| e.to_string())
    };
    match run() {
        Ok(output) => Some(output),
        Err(reason) => refuse(&format!("{tool} {}: {reason}", arguments.join(" "))),
    }
}

impl Swtpm {
    /// The folder in which [`tpm2_tool`] runs, for files that go to and from the tools.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

#[expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]
fn refuse(message: &str) -> ! {
    panic!("{message}")
}

fn log_file(root: &Path, name: &str) -> Result<fs::File, String> {
    fs::File::create(root.join(name)).map_err(|e| format!("cannot make {name}: {e}"))
}

fn tail(root: &Path, names: &[&str]) -> String {
    let text: String = names.iter().filter_map(|name| fs::read_to_string(root.join(name)).ok()).collect();
    let skip = text.chars().count().saturating_sub(2_000);
    text.chars().skip(skip).collect()
}

/// Waits for a process that ends by itself, and kills it when it does not.
fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => return Ok(status),
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            None => {
                let _ended = child.kill();
                let _reaped = child.wait();
                return Err(format!("it did not end within {} s", PATIENCE.as_secs()));
            }
        }
    }
}

/// Two neighbouring free ports: the command channel and, one above it, the control channel (as the TCTI of tpm2-tools
/// expects).
fn free_ports() -> Result<u16, String> {
    for _ in 0..100 {
        let low = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        let port = low.local_addr().map_err(|e| e.to_string())?.port();
        let Some(above) = port.checked_add(1) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, above)).is_ok() {
            return Ok(port);
        }
    }
    Err("no two neighbouring ports are free".to_owned())
}

/// Starts swtpm on the state in `root` and waits until it answers a command.
fn launch(root: &Path) -> Result<(Child, u16), String> {
    let mut last = String::new();
    for _ in 0..START_TRIES {
        let port = free_ports()?;
        let control = port + 1;
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", root.join("state").display()))
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args(["--ctrl", &format!("type=tcp,port={control},bindaddr=127.0.0.1")])
            .stdin(Stdio::null())
            .stdout(log_file(root, "swtpm.log")?)
            .stderr(log_file(root, "swtpm.err")?)
            .spawn()
            .map_err(|e| format!("cannot start swtpm: {e}"))?;
        match wait_until_it_answers(&mut process, port) {
            Ok(()) => return Ok((process, port)),
            Err(reason) => {
                let _ended = process.kill();
                let _reaped = process.wait();
                last = format!("{reason}: {}", tail(root, &["swtpm.log", "swtpm.err"]));
            }
        }
    }
    Err(last)
}

fn wait_until_it_answers(process: &mut Child, port: u16) -> Result<(), String> {
    // TPM2_GetRandom of 8 bytes: the shortest command that shows that the TPM was started up.
    let get_random = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("swtpm ended with {status}"));
        }
        match raw_command(port, &get_random) {
            Ok(response) if response.get(6..10) == Some(&[0; 4]) => return Ok(()),
            Ok(response) => return Err(format!("swtpm answered {response:02x?}")),
            Err(reason) if Instant::now() > deadline => return Err(reason),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn raw_command(port: u16, command: &[u8]) -> Result<Vec<u8>, String> {
    let talk = || -> std::io::Result<Vec<u8>> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(command)?;
        let mut header = [0; 10];
        stream.read_exact(&mut header)?;
        let [_, _, a, b, c, d, ..] = header;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        let mut response = header.to_vec();
        Read::by_ref(&mut stream).take(size.saturating_sub(10).min(4_096)).read_to_end(&mut response)?;
        Ok(response)
    };
    talk().map_err(|e| format!("swtpm at port {port}: {e}"))
}
