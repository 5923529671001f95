//! `touchmark element`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;
use touchmark_element::{Applet, Class, Effect, Element, Fault, Flaw, Inspection, Served, Trigger, tcp};
use touchmark_keystore::element::FramedTcp;

use crate::input::{Hex, line_to_fd};
use crate::output::Printer;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new element: a chip id, an attestation key, a certificate under the TEST root.
    New {
        /// The directory that will hold its state.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Which applet it has: `3.1`, or `7.2` for attested reads that are bound to their command.
        #[arg(long, value_name = "VERSION", default_value_t)]
        applet: Applet,
        /// Make it of a class that has a flaw, to rehearse a recall: `readable-keys`. Version and certificate say so.
        #[arg(long, value_name = "FLAW")]
        flaw: Option<Flaw>,
    },
    /// Show what an element holds: registry, key versions, objects, armed faults; no keys. It may be running.
    Inspect {
        /// The directory that holds its state.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// Run an element until Ctrl-C. Frames are a 2-byte big-endian length and an APDU, both ways.
    Run {
        /// The directory that holds its state.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
        tcp: String,
        /// Be the card of the vpcd (virtual reader of pcscd) that listens there, too; it listens on port 35963.
        #[arg(long, value_name = "HOST:PORT")]
        vpcd: Option<String>,
        /// Listen there, too, for hosts that write and read frames of T=1 over I2C.
        #[arg(long, value_name = "HOST:PORT")]
        t1: Option<String>,
        /// All connections are one reader: what one selected is selected for the next.
        #[arg(long)]
        one_reader: bool,
        /// Write one line of JSON with the address to this file descriptor once it listens.
        #[arg(long, value_name = "N")]
        ready_fd: Option<u32>,
    },
    /// Send APDUs to a running element and print the answers.
    Apdu {
        /// Where it listens.
        #[arg(long, value_name = "HOST:PORT")]
        tcp: String,
        /// APDUs in hex.
        #[arg(required = true, value_name = "HEX")]
        apdus: Vec<Hex>,
    },
    /// Arm a fault, also of an element that runs.
    ///
    /// Power cuts and a lost response strike once; the others are in force until they are cleared. Faults:
    /// power-cut-before-apdu, power-cut-in-write, power-cut-between-writes, power-cut-after-write,
    /// power-cut-before-answer, lost-response, exhausted-counter[=ID], full-memory, slow-key-generation=MS,
    /// class-break=readable-keys; and the older names power-cut-before-commit (in the next write) and
    /// power-cut-after-commit (after it).
    Fault {
        /// The directory that holds the element's state.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// When: `next`, `apdu=N`, `write=N` (counted from now on), or `instruction=HH`.
        #[arg(long, value_name = "WHEN", default_value = "next", conflicts_with = "clear")]
        at: Trigger,
        /// Disarm all faults instead.
        #[arg(long)]
        clear: bool,
        /// Which fault.
        #[arg(value_name = "FAULT", required_unless_present = "clear", conflicts_with = "clear")]
        fault: Option<Effect>,
    },
}

#[derive(Debug, Serialize)]
struct Made {
    schema: &'static str,
    state: PathBuf,
    chip_id: String,
}

#[derive(Debug, Serialize)]
struct Inspected {
    schema: &'static str,
    #[serde(flatten)]
    inspection: Inspection,
}

#[derive(Debug, Serialize)]
struct Ready {
    schema: &'static str,
    tcp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    t1: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answers {
    schema: &'static str,
    answers: Vec<String>,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::New { state, applet, flaw } => {
            let element = Element::create_of_class(&state, crate::now(), Class { applet, flaw })?;
            let chip_id = hex::encode(element.chip_id());
            printer.say("this is a TEST element: its attestation root's private key is public");
            printer.data(&Made { schema: "touchmark.element/1", state, chip_id: chip_id.clone() }, &chip_id)
        }
        Verb::Run { state, tcp: address, vpcd, t1, one_reader, ready_fd } => {
            let element = Element::open(&state)?;
            let served = if one_reader { Served::one_reader(element) } else { Served::new(element) };
            let listener = listen(&address)?;
            let bus = t1.as_deref().map(listen).transpose()?;
            let ready = Ready {
                schema: "touchmark.element-ready/1",
                tcp: listener.local_addr()?.to_string(),
                t1: bus.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.to_string()),
            };
            printer.say(&format!("a TEST element listens on {}", ready.tcp));
            if let Some(fd) = ready_fd {
                line_to_fd(fd, &serde_json::to_string(&ready)?)?;
            }
            let stop = Arc::new(AtomicBool::new(false));
            stop_on_signals(&stop)?;
            std::thread::scope(|scope| {
                let (served, stop) = (&served, &*stop);
                // What ends one of the servers ends all of them, and the one below says why.
                if let Some(address) = vpcd {
                    scope.spawn(move || touchmark_element::vpcd::serve(&address, served, stop));
                }
                if let Some(bus) = bus {
                    scope.spawn(move || touchmark_element::t1::serve(&bus, served, stop));
                }
                tcp::serve_shared(&listener, served, stop)
            })?;
            Ok(())
        }
        Verb::Apdu { tcp, apdus } => {
            let mut element = FramedTcp::new(&tcp, ANSWER_TIMEOUT);
            element.connect().with_context(|| format!("cannot reach an element at {tcp}"))?;
            let answers = apdus
                .iter()
                .map(|apdu| Ok(hex::encode(element.exchange(&apdu.0)?)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let text = answers.join("\n");
            printer.data(&Answers { schema: "touchmark.apdu/1", answers }, &text)
        }
        Verb::Fault { state, clear: true, .. } => Ok(Fault::clear(&state)?),
        Verb::Fault { state, at, fault, .. } => match fault {
            Some(what) => Ok(Fault { when: at, what }.arm(&state)?),
            None => Ok(()),
        },
        Verb::Inspect { state } => {
            let inspection = Element::inspect(&state)?;
            let text = table(&inspection);
            printer.data(&Inspected { schema: "touchmark.element-inspect/1", inspection }, &text)
        }
    }
}

fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

/// What an inspection says, for a reader.
fn table(seen: &Inspection) -> String {
    let flaw = seen.flaw.map_or_else(|| "none".to_owned(), |flaw| flaw.to_string());
    let mut lines = vec![
        format!("chip {}, applet {}, flaw: {flaw}", seen.chip_id, seen.applet_version),
        format!("{}, {} starts, {} bytes free", seen.life_cycle, seen.starts, seen.free_bytes),
    ];
    for row in &seen.instances {
        lines.push(format!(
            "instance {}: life cycle {}, privileges {}, domain {}",
            row.aid, row.life_cycle, row.privileges, row.domain
        ));
    }
    for set in &seen.key_sets {
        lines.push(format!(
            "keys {} of {}: AES-{}, i {}, sequence {}, failures {}",
            set.version, set.domain, set.bits, set.parameter, set.sequence, set.failures
        ));
    }
    for object in &seen.objects {
        let value = object.value.map_or_else(String::new, |value| format!(", value {value}"));
        let policies: Vec<String> = object
            .policies
            .iter()
            .map(|policy| format!("{}:{}", policy.authentication, policy.rules))
            .collect();
        let policies = if policies.is_empty() { "none".to_owned() } else { policies.join(" ") };
        lines.push(format!(
            "object {}: {}{value}, {} bytes, origin {}, policies {policies}",
            object.id, object.object_type, object.bytes, object.origin
        ));
    }
    lines.extend(seen.faults.iter().map(|fault| format!("fault {fault}")));
    lines.join("\n")
}

/// Sets the flag at Ctrl-C or SIGTERM.
fn stop_on_signals(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::clone(stop);
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
        stop.store(true, Ordering::SeqCst);
    });
    Ok(())
}
