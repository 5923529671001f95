//! A small fleet's whole life, in front of the user: authority, three ways to hold a key, enrolment, operation, attack,
//! watch, revocation.
//!
//! Everything is real and runs on loopback: this program's own server, elements and agents as processes, `swtpm` as TPM,
//! nginx as the operator's terminator, OpenSSL and curl as the ones who check. Days are pressed into seconds, so the
//! monitor's tolerances are lowered with them. Every step that does not come out as it should is listed at the end, and
//! the program then ends with 1.

mod attacks;
mod fleet;
mod peers;
mod settings;
mod show;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use touchmark_identity::finding::{Certainty, Finding, Kind};

use crate::failure::NotSo;
use crate::output::Printer;
use fleet::{Fleet, Holder};
use peers::{Gate, Server, output_of};
use show::Show;

/// How the demonstration runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End by itself instead of leaving the server running until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// The directory it works in; one that an earlier run made is replaced.
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    dir: PathBuf,
    /// How many devices; a third of each storage class.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(12..=120))]
    devices: u16,
    /// Where the dashboard listens. Default: 127.0.0.1:8081, or a free port when that one is taken.
    #[arg(long, value_name = "HOST:PORT")]
    dashboard: Option<String>,
}

/// The file that marks a directory as ours to replace.
const MARK: &str = ".touchmark-demo";

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let mut show = Show::new(*printer);
    peers::must_be_installed(&["swtpm", "swtpm_setup", "nginx", "openssl", "curl"])?;
    let dir = prepare(&options.dir)?;
    peers::watch_interrupts()?;

    show.step(1, "Authority up");
    let tpms = peers::start_tpms(&dir, usize::from(options.devices).div_ceil(3).div_ceil(3), &mut show)?;
    settings::write(&dir, &tpms, &dashboard_address(options.dashboard.as_deref()))?;
    let server = Server::start(&dir)?;
    show.say(&format!(
        "the server listens: enrolment {}, revocation {}",
        server.ready.enrol, server.ready.public
    ));
    show.say(&format!("the authority's keys are {}", server.custody()));
    show.say(&format!("dashboard: {}", server.ready.dashboard));

    show.step(2, "Three ways to hold a key");
    let mut fleet = Fleet::prepare(&dir, &server, &tpms, usize::from(options.devices))?;
    show.say(&format!(
        "{} devices: {} with a virtual secure element each, {} on {} TPMs, {} with a key file in a flash image; and one \
         that will claim a TPM it does not have",
        fleet.devices.len(),
        fleet.count(Holder::Element),
        fleet.count(Holder::Tpm),
        tpms.len(),
        fleet.count(Holder::Software),
    ));

    show.step(3, "Enrol");
    fleet.enrol(&server, &mut show)?;
    enrolled(&server, &fleet, &mut show)?;

    show.step(4, "Operate");
    let gate = Gate::start(&dir, &server)?;
    show.say(&format!(
        "nginx checks client certificates at {} and writes the log that the monitor reads",
        gate.address
    ));
    fleet.start()?;
    fleet.wait_for_heartbeats(3, Duration::from_secs(40))?;
    let quiet = server.findings()?;
    show.check(
        quiet.iter().all(|f| f.grade == Certainty::Note),
        "every device has sent three heartbeats, and nobody is accused",
        &format!("findings before any attack: {}", names(&quiet)),
    );

    show.step(5, "Attack");
    let report = attacks::carry_out(&dir, &server, &gate, &mut fleet, &mut show)?;

    show.step(6, "Watch");
    watch(&server, &fleet, &report, &mut show)?;

    show.step(7, "Revoke");
    revoke(&dir, &server, &gate, &fleet, &report, &mut show)?;

    show.summary(&report.table)?;
    if !options.exit && show.failures().is_empty() {
        show.say(&format!(
            "\nThe server goes on; look at {} and press Ctrl-C to end.",
            server.ready.dashboard
        ));
        while !peers::interrupted() {
            fleet.keep_going();
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    drop((fleet, gate, server));
    match show.failures() {
        [] => Ok(()),
        failures => {
            Err(NotSo(format!("{} expectations were not met:\n  {}", failures.len(), failures.join("\n  ")))
                .into())
        }
    }
}

/// The address that was asked for, else the usual one, else any.
fn dashboard_address(asked: Option<&str>) -> String {
    let usual = "127.0.0.1:8081";
    match asked {
        Some(asked) => asked.to_owned(),
        None if TcpListener::bind(usual).is_ok() => usual.to_owned(),
        None => "127.0.0.1:0".to_owned(),
    }
}

/// Makes the working directory anew.
fn prepare(dir: &std::path::Path) -> anyhow::Result<PathBuf> {
    if dir.exists() {
        if !dir.join(MARK).exists() && std::fs::read_dir(dir)?.next().is_some() {
            bail!(crate::failure::Usage(format!(
                "{} holds files that no demonstration made; choose another --dir",
                dir.display()
            )));
        }
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot replace {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(dir.join(MARK), "made by `touchmark lab demo`, which may replace this directory\n")?;
    Ok(std::fs::canonicalize(dir)?)
}

fn names(findings: &[Finding]) -> String {
    let named: Vec<String> = findings
        .iter()
        .map(|f| format!("{} {} ({})", f.device.as_deref().unwrap_or("?"), f.kind, f.grade))
        .collect();
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

/// What the registry says after enrolment.
fn enrolled(server: &Server, fleet: &Fleet, show: &mut Show) -> anyhow::Result<()> {
    let inventory = server.inventory()?;
    for (holder, expected) in [
        (Holder::Element, "secure-element/attested"),
        (Holder::Tpm, "tpm/attested"),
        (Holder::Software, "software/declared"),
        (Holder::Bluff, "software/declared"),
    ] {
        let ids: Vec<&str> = fleet.of(holder).map(|d| d.id.as_str()).collect();
        let got: Vec<_> = inventory.iter().filter(|e| ids.contains(&e.device.as_str())).collect();
        let right =
            got.iter().filter(|e| e.keys.last().is_some_and(|k| k.assurance.summary() == expected)).count();
        let grade = got.first().and_then(|e| e.keys.last()).map_or("-".to_owned(), |k| k.grade.to_string());
        show.check(
            right == ids.len() && right > 0,
            &format!("{right:>2} x {:<18} recorded as {expected:<24} grade {grade}", holder.words()),
            &format!("{right} of {} devices with {} are recorded as {expected}", ids.len(), holder.words()),
        );
        if holder == Holder::Bluff {
            for reason in got.iter().flat_map(|e| &e.keys).flat_map(|k| &k.reasons) {
                show.say(&format!("     the claim was not believed: {reason}"));
            }
        }
    }
    Ok(())
}

/// What the monitor found, held against what was done.
fn watch(server: &Server, fleet: &Fleet, report: &attacks::Report, show: &mut Show) -> anyhow::Result<()> {
    let findings = server.findings()?;
    for finding in findings.iter().filter(|f| f.grade != Certainty::Note) {
        show.finding(finding);
    }
    let about = |device: &str, kind: Kind| {
        findings
            .iter()
            .any(|f| f.device.as_deref() == Some(device) && f.kind == kind && f.grade == Certainty::Confirmed)
    };
    show.check(
        about(&report.cloned, Kind::Clone),
        &format!("the clone of {} is confirmed", report.cloned),
        &format!("no confirmed clone finding about {}: {}", report.cloned, names(&findings)),
    );
    show.check(
        about(&report.replayed, Kind::Replay),
        &format!("the replayed heartbeat of {} is confirmed", report.replayed),
        &format!("no confirmed replay finding about {}: {}", report.replayed, names(&findings)),
    );
    show.check(
        about(&report.downgraded, Kind::Downgrade),
        &format!("the downgrade of {} is confirmed", report.downgraded),
        &format!("no confirmed downgrade finding about {}: {}", report.downgraded, names(&findings)),
    );
    let innocent: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.grade != Certainty::Note)
        .filter(|f| f.device.as_deref().is_none_or(|d| !report.touched.iter().any(|t| t == d)))
        .collect();
    show.check(
        innocent.is_empty(),
        &format!(
            "none of the {} devices that were left alone is named",
            fleet.devices.len() - report.touched.len()
        ),
        &format!(
            "devices that were left alone are named: {}",
            innocent.iter().map(|f| f.says.as_str()).collect::<Vec<_>>().join("; ")
        ),
    );
    Ok(())
}

/// Quarantine came by policy; revocation is the operator's, and everybody says so at once.
fn revoke(
    dir: &std::path::Path,
    server: &Server,
    gate: &Gate,
    fleet: &Fleet,
    report: &attacks::Report,
    show: &mut Show,
) -> anyhow::Result<()> {
    let status = server.status_of(&report.cloned)?;
    show.check(
        status == "quarantined",
        &format!("{} was quarantined on the confirmed finding: its certificate is on hold", report.cloned),
        &format!("{} is {status}, it should be quarantined", report.cloned),
    );
    server.touchmark(&[
        "authority",
        "revoke",
        "--device",
        &report.cloned,
        "--confirm",
        &report.cloned,
        "--reason",
        "cloned, confirmed by the demonstration",
    ])?;
    let paths = server.public_files(dir)?;
    let certificate = fleet.certificate_file(&report.cloned)?;
    let chain = |leaf: &std::path::Path| {
        output_of(
            "openssl",
            &[
                "verify".as_ref(),
                "-CAfile".as_ref(),
                paths.root.as_os_str(),
                "-untrusted".as_ref(),
                paths.issuing.as_os_str(),
                "-CRLfile".as_ref(),
                paths.crls.as_os_str(),
                "-crl_check_all".as_ref(),
                leaf.as_os_str(),
            ],
        )
    };
    let refused = chain(&certificate)?;
    show.check(
        refused.contains("certificate revoked"),
        "openssl verify -crl_check_all: certificate revoked",
        &format!("openssl verify did not see the revocation: {refused}"),
    );
    let neighbour = fleet.certificate_file(&report.untouched)?;
    let accepted = chain(&neighbour)?;
    show.check(
        accepted.trim_end().ends_with(": OK"),
        &format!("openssl verify -crl_check_all of {}, which was left alone: OK", report.untouched),
        &format!("openssl verify of {}: {accepted}", report.untouched),
    );
    let ocsp = output_of(
        "openssl",
        &[
            "ocsp".as_ref(),
            "-issuer".as_ref(),
            paths.issuing.as_os_str(),
            "-cert".as_ref(),
            certificate.as_os_str(),
            "-CAfile".as_ref(),
            paths.root.as_os_str(),
            "-url".as_ref(),
            format!("{}/ocsp", server.ready.public).as_ref(),
        ],
    )?;
    show.check(
        ocsp.contains("revoked") && ocsp.contains("keyCompromise"),
        "openssl ocsp: revoked, keyCompromise",
        &format!("openssl ocsp did not see the revocation: {ocsp}"),
    );
    // nginx exchanges its workers after it was told; the old ones may take a connection until then.
    let refused = peers::wait_until("nginx's refusal", Duration::from_secs(5), || {
        Ok((attacks::knock(gate, &report.stolen)? == 400).then_some(()))
    });
    show.check(
        refused.is_ok(),
        "nginx refuses the stolen key: HTTP 400, the SSL certificate error",
        "nginx goes on to let the stolen key in",
    );
    Ok(())
}
