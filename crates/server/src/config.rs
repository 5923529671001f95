//! The configuration: one TOML file, in which unknown keys are refused and every key has a default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use touchmark_authority::Settings as AuthoritySettings;
use touchmark_identity::finding::{Certainty, Kind};
use touchmark_identity::ids::DeviceType;
use touchmark_monitor::Settings as MonitorSettings;
use touchmark_monitor::adapters::Format;
use touchmark_monitor::outputs::Form;

use crate::error::ServerError;
use crate::geo::Geo;
use crate::outbox::sink::Sink;

/// Everything that an operator may choose.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What addresses are looked up in: `built-in` (countries), `none`, or the path of a database in MaxMind format, which
    /// also gives events without them an AS number and a position. Default `built-in`.
    pub geo: Geo,
    /// Where the server listens.
    pub listen: Listen,
    /// The certification authority.
    pub authority: AuthoritySettings,
    /// Where the authority's keys are.
    pub keys: Keys,
    /// What the Verifier trusts.
    pub attestation: Attestation,
    /// The monitor.
    pub monitor: MonitorSettings,
    /// What follows from a finding without a person.
    pub response: Response,
    /// Logs of terminators, read as they grow.
    pub source: Vec<Source>,
    /// Where findings are sent.
    pub output: Vec<Output>,
    /// What terminators are told about revocation.
    pub gate: Gate,
    /// For each device type, the security version below which no firmware of the fleet may be. Default: none.
    pub anti_rollback: BTreeMap<DeviceType, u64>,
}

/// The `[listen]` table. Port 0 takes a free port; the ready line says which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// EST and attested enrolment, TLS. Default `127.0.0.1:8443`.
    pub enrol: SocketAddr,
    /// CRL, OCSP and CA certificates, plain HTTP as RFC 5280 §8 advises. Default `127.0.0.1:8080`.
    pub public: SocketAddr,
    /// Dashboard and metrics, plain HTTP for loopback or a proxy that authenticates. Default `127.0.0.1:8081`.
    pub dashboard: SocketAddr,
    /// Names under which browsers reach the dashboard, for instance through a proxy. Forms are taken under these names,
    /// `localhost` and numeric addresses alone, so that no foreign page can send one. Default: none.
    pub dashboard_hosts: Vec<String>,
    /// Unix socket on which the terminator hands heartbeats on. Whoever may open it speaks for any device. Default:
    /// `telemetry.sock` in the data directory.
    pub telemetry: Option<PathBuf>,
    /// Permissions of that socket, in octal. Default `0600`: the server's own user. A terminator under another user
    /// needs `0660`, and a directory of its own whose group is the terminator's.
    pub telemetry_mode: String,
    /// Host names and addresses in the server's TLS certificate. Default `localhost` and the `enrol` address.
    pub hosts: Vec<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            enrol: ([127, 0, 0, 1], 8443).into(),
            public: ([127, 0, 0, 1], 8080).into(),
            dashboard: ([127, 0, 0, 1], 8081).into(),
            dashboard_hosts: Vec::new(),
            telemetry: None,
            telemetry_mode: "0600".to_owned(),
            hosts: Vec::new(),
        }
    }
}

impl Listen {
    /// The permissions of the telemetry socket.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn telemetry_permissions(&self) -> Result<u32, String> {
        let mode = u32::from_str_radix(&self.telemetry_mode, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or_else(|| {
            format!("listen.telemetry_mode is {:?}, it must be octal up to 0777", self.telemetry_mode)
        })
    }
}

/// The `[keys]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Address of the key store, such as `pkcs11:token=…?module-path=…&pin-source=file:…`. Default: a sealed key file
    /// `ca-keys.toml` in the data directory.
    pub store: Option<String>,
    /// File with the passphrase of a sealed key file. Default: `ca-keys.passphrase` in the data directory, made at
    /// the first start; whoever can read the data directory can then open the keys, and the server says so.
    pub passphrase_file: Option<PathBuf>,
}

/// The `[attestation]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attestation {
    /// Directory of pinned endorser roots, `*.pem`. Default: none, and no hardware claim is ever proven.
    pub endorsers_dir: Option<PathBuf>,
    /// Accepts evidence of virtual elements, whose TEST root's private key is public. Anybody can forge such evidence:
    /// for trials alone. Default false.
    pub dangerously_accept_test_endorsers: bool,
    /// The lowest firmware of some parts. A part below it counts as a claim. Default: none.
    pub minimum: Vec<PartMinimum>,
    /// Whether parts that no `[[attestation.minimum]]` names count as claims too. Default false.
    pub listed_parts_only: bool,
}

/// An `[[attestation.minimum]]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartMinimum {
    /// The maker, as records write it.
    pub vendor: String,
    /// The model. Default: all of the maker's.
    pub model: Option<String>,
    /// The lowest firmware, such as `3.1.1`.
    pub firmware: String,
}

/// The `[response]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Response {
    /// Kinds of confirmed findings, such as `clone`, on which a device is quarantined at once. Quarantine holds the
    /// original back with its copy, and can be released; revocation always needs a person. Default: none. It stands for
    /// a policy of one step, and does not go together with `policy`.
    pub quarantine_on_confirmed: Vec<Kind>,
    /// The policy file (`docs/response.md`). Default: none.
    pub policy: Option<PathBuf>,
    /// Write down what would be done, and do nothing. Default false.
    pub dry_run: bool,
}

/// A `[[source]]` table: a terminator's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name in events and on the dashboard.
    pub name: String,
    /// The format, such as `nginx`: `docs/adapters.md` lists them.
    pub format: Format,
    /// The file. It may be missing at the start, grow, be rotated and be truncated.
    pub path: PathBuf,
}

/// An `[[output]]` table: a system that is sent every finding.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name, 1 to 64 characters: the place it has reached is kept under it.
    pub name: String,
    /// What it is.
    pub kind: OutputKind,
    /// The form of the findings. Default: `ocsf`.
    #[serde(default = "primary_form")]
    pub form: Form,
    /// The lowest grade that is sent. Default: `suspect`.
    #[serde(default = "worth_sending")]
    pub min_grade: Certainty,
    /// For a webhook: `http://HOST[:PORT]/PATH` or `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For syslog: `tcp://HOST:PORT` or `udp://HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// For a file: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// For a webhook: a file with the secret that is sent as bearer token. Default: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// For a webhook over TLS: the roots that are believed, PEM. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What it is sent. Default: findings, and with `cloudevents` as form of a webhook or file errands as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<Vec<Sends>>,
}

/// What an output is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sends {
    /// What the monitor finds.
    Findings,
    /// What responses ask of people.
    Errands,
}

impl Output {
    /// Whether it is sent these.
    #[must_use]
    pub fn wants(&self, what: Sends) -> bool {
        match (&self.sends, what) {
            (Some(sends), what) => sends.contains(&what),
            (None, Sends::Findings) => true,
            (None, Sends::Errands) => self.form == Form::CloudEvents && self.kind != OutputKind::Syslog,
        }
    }

    /// What is wrong with `sends`, if so.
    fn check_sends(&self) -> Result<(), String> {
        match &self.sends {
            Some(sends) if sends.is_empty() => {
                Err("sends is empty; name findings, errands or both".to_owned())
            }
            Some(_)
                if self.wants(Sends::Errands)
                    && (self.kind == OutputKind::Syslog || !self.form.carries_errands()) =>
            {
                Err("errands are sent by webhook and file, in the form cloudevents or native".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// An HTTP server that is sent one POST for each finding.
    Webhook,
    /// A syslog receiver.
    Syslog,
    /// A file that grows by a line for each finding.
    File,
}

fn primary_form() -> Form {
    Form::Ocsf
}

fn worth_sending() -> Certainty {
    Certainty::Suspect
}

/// The `[gate]` table: files for terminators that check certificates themselves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Where the CA certificates are written, PEM, root and issuing. Default: nowhere.
    pub ca_file: Option<PathBuf>,
    /// Where the CRLs are written, PEM, at each change. Default: nowhere.
    pub crl_file: Option<PathBuf>,
    /// A command run after the CRL file was replaced, such as `["nginx", "-s", "reload"]`. Default: none.
    pub on_change: Vec<String>,
}

impl Config {
    /// Reads a file; relative paths in it stay relative to the working directory.
    ///
    /// # Errors
    /// [`ServerError::Config`], naming file, place and what is wrong.
    pub fn read(path: &Path) -> Result<Self, ServerError> {
        let wrong = |detail: String| ServerError::Config { path: path.display().to_string(), detail };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Holds the values against their documented ranges.
    fn check(&self) -> Result<(), String> {
        self.listen.telemetry_permissions()?;
        for (key, value, range) in [
            ("authority.crl_lifetime_s", self.authority.crl_lifetime_s, 60..=2_592_000),
            ("authority.ocsp_lifetime_s", self.authority.ocsp_lifetime_s, 1..=604_800),
        ] {
            if !range.contains(&value) {
                return Err(format!("{key} is {value}, it must be {} to {}", range.start(), range.end()));
            }
        }
        if self.response.policy.is_some() && !self.response.quarantine_on_confirmed.is_empty() {
            return Err("response.policy and response.quarantine_on_confirmed exclude each other: write the latter as \
                        a rule of the policy"
                .to_owned());
        }
        let organisation = self.authority.organisation.chars().count();
        if !(1..=64).contains(&organisation) {
            return Err(format!(
                "authority.organisation has {organisation} characters, it must have 1 to 64"
            ));
        }
        self.check_outputs()
    }

    fn check_outputs(&self) -> Result<(), String> {
        for (at, output) in self.output.iter().enumerate() {
            let name = &output.name;
            if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                return Err(format!("output.name is {name:?}, it must have 1 to 64 characters"));
            }
            if self.output.iter().take(at).any(|other| other.name == *name) {
                return Err(format!("there are two outputs named {name:?}"));
            }
            let wrong = |wrong: String| format!("output {name:?}: {wrong}");
            output.check_sends().map_err(wrong)?;
            Sink::new(output).map_err(wrong)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_file_is_the_default() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config.listen.enrol.port(), 8443);
        assert!(!config.attestation.dangerously_accept_test_endorsers);
        assert!(config.response.quarantine_on_confirmed.is_empty());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in [
            "[authority]\ncrl_lifetime_s = 59",
            "[authority]\nocsp_lifetime_s = 0",
            "[authority]\norganisation = \"\"",
            "[listen]\ntelemetry_mode = \"rw\"",
            "[response]\npolicy = \"p.toml\"\nquarantine_on_confirmed = [\"clone\"]",
            "[[output]]\nname = \"\"\nkind = \"file\"\npath = \"x\"",
            "[[output]]\nname = \"a\"\nkind = \"file\"",
            "[[output]]\nname = \"a\"\nkind = \"syslog\"\naddress = \"127.0.0.1\"",
            "[[output]]\nname = \"a\"\nkind = \"syslog\"\naddress = \"tls://h:6514\"",
            "[[output]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"ftp://h/\"",
            "[[output]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://u:p@h/\"",
            "[[output]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://h.example/\"\ntoken_file = \"t\"",
            "[[output]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://h/\"\nca_file = \"/nowhere\"",
            "[[output]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\nsends = []",
            "[[output]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\nsends = [\"errands\"]",
            "[[output]]\nname = \"a\"\nkind = \"syslog\"\naddress = \"udp://h:5\"\nform = \"native\"\nsends = [\"errands\"]",
            "[[output]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\n[[output]]\nname = \"a\"\nkind = \"file\"\npath = \"y\"",
        ] {
            let config: Config = toml::from_str(text).unwrap();
            assert!(config.check().is_err(), "{text}");
        }
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn outputs_are_read_with_their_defaults() {
        let text = "[[output]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/x?y\"\ntoken_file = \"t\"\n\
                    [[output]]\nname = \"b\"\nkind = \"syslog\"\naddress = \"udp://[::1]:514\"\nform = \"cef\"\nmin_grade = \"note\"";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!((config.output[0].form, config.output[0].min_grade), (Form::Ocsf, Certainty::Suspect));
        assert_eq!((config.output[1].form, config.output[1].min_grade), (Form::Cef, Certainty::Note));
        assert!(config.output.iter().all(|o| o.wants(Sends::Findings) && !o.wants(Sends::Errands)));
        let text = "[[output]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\nform = \"cloudevents\"\n\
                    [[output]]\nname = \"b\"\nkind = \"file\"\npath = \"y\"\nform = \"native\"\nsends = [\"errands\"]";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.check(), Ok(()));
        let wants = |n: usize| [Sends::Findings, Sends::Errands].map(|what| config.output[n].wants(what));
        assert_eq!((wants(0), wants(1)), ([true, true], [false, true]));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name() {
        let error = toml::from_str::<Config>("[gate]\ncrl_flie = \"x\"").unwrap_err().to_string();
        assert!(error.contains("crl_flie"), "{error}");
    }
}
