//! The server's configuration for the demonstration: the embedded defaults, and what trials need.

use std::path::Path;

use anyhow::Context;

use super::peers::Tpm;

/// Security version below which no device of the fleet may be.
pub(crate) const FLOOR: u64 = 3;
/// The firmware that the devices run.
pub(crate) const FIRMWARE: &str = "2.4.1";
/// An older one, properly signed.
pub(crate) const OLD_FIRMWARE: &str = "2.3.0";
/// Its security version.
pub(crate) const OLD_SECURITY_VERSION: u64 = 2;
/// Between two heartbeats, in milliseconds.
pub(crate) const HEARTBEAT_MS: u64 = 1_000;

/// Writes `server.toml`, and the endorser roots of the TPM emulators.
pub(crate) fn write(dir: &Path, tpms: &[Tpm], dashboard: &str) -> anyhow::Result<()> {
    let endorsers = dir.join("endorsers");
    std::fs::create_dir_all(&endorsers)?;
    for (number, tpm) in tpms.iter().enumerate() {
        for (part, pem) in tpm.roots.iter().enumerate() {
            std::fs::write(endorsers.join(format!("swtpm-{number}-{part}.pem")), pem)?;
        }
    }
    let gate = dir.join("gate");
    std::fs::create_dir_all(&gate)?;
    // Before nginx runs there is nobody to tell.
    let reload = format!("test ! -s {0}/nginx.pid || kill -HUP $(cat {0}/nginx.pid)", gate.display());
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let text = format!(
        r#"# Written by `touchmark lab demo`.
[listen]
enrol = "127.0.0.1:0"
public = "127.0.0.1:0"
dashboard = "{dashboard}"

[attestation]
endorsers_dir = {endorsers}
# The virtual elements' root is a TEST root: its private key is public.
dangerously_accept_test_endorsers = true

[response]
quarantine_on_confirmed = ["clone"]

[anti_rollback]
meter = {FLOOR}
gateway = {FLOOR}
lock = {FLOOR}

# A heartbeat a second stands for one every quarter of an hour: the tolerances shrink with it.
[monitor]
boot_tolerance_s = 4
clock_tolerance_s = 2
handover_grace_s = 1
retry_window_s = 2

[[source]]
name = "gate"
format = "nginx"
path = {log}

[gate]
ca_file = {ca}
crl_file = {crl}
on_change = ["sh", "-c", {reload:?}]
"#,
        endorsers = quoted(&endorsers),
        log = quoted(&gate.join("access.json")),
        ca = quoted(&gate.join("devices-ca.pem")),
        crl = quoted(&gate.join("devices.crl.pem")),
    );
    std::fs::write(dir.join("server.toml"), text).context("cannot write server.toml")
}
