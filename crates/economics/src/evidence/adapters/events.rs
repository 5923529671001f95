//! What the log of events, findings and responses can show.

use super::super::facts::{Counts, EventFacts, RegistryFacts, count, total};
use super::super::kind::Kind;
use super::{Builder, Standing};

/// Kinds of findings about a key that is used by somebody else.
const COPIES: [&str; 8] = [
    "clone",
    "concurrent-session",
    "takeover",
    "replay",
    "transplant",
    "oracle-use",
    "read-only-clone",
    "installer-duplicate",
];

pub(super) fn statement(kind: Kind, events: &EventFacts, registry: Option<&RegistryFacts>) -> Builder {
    if events.events == 0 {
        return Builder::missing("the log has no events");
    }
    match kind {
        Kind::EventLog => log(events),
        Kind::CloneAlerts => findings(events, &COPIES, "; no finding about a copied key or a misused chip"),
        Kind::DowngradeAlerts => downgrades(events),
        Kind::FirmwareVersions => firmware(events, registry),
        Kind::ResponseRecords => responses(events),
        _ => Builder::missing("the log has nothing about it"),
    }
}

fn watched(builder: &mut Builder, events: &EventFacts) {
    builder.says.count("events.total", "Events in the log", events.events);
    builder.says.words(" events were watched");
}

fn log(events: &EventFacts) -> Builder {
    let mut builder = Builder::new(Standing::Partly);
    watched(&mut builder, events);
    builder.says.words("; by type ");
    builder.says.counts("events.type", "Events of the type", &events.by_type);
    builder
        .lacks
        .words("whether every place that takes device keys sends its log here, nothing in the log says");
    builder
}

fn findings(events: &EventFacts, kinds: &[&str], none: &str) -> Builder {
    let mut builder = Builder::new(Standing::Shown);
    watched(&mut builder, events);
    let found: Counts = kinds
        .iter()
        .map(|kind| ((*kind).to_owned(), count(&events.findings, kind)))
        .filter(|(_, found)| *found > 0)
        .collect();
    if found.is_empty() {
        builder.says.words(none);
    } else {
        builder.says.words("; findings ");
        builder.says.counts("events.finding", "Findings of the kind", &found);
    }
    builder
}

fn downgrades(events: &EventFacts) -> Builder {
    let mut builder = findings(events, &["downgrade"], "; no finding about older firmware");
    if events.firmware_devices == 0 {
        builder.standing = Standing::Partly;
        builder.lacks.words("no device reports its firmware, so an older one would not be noticed");
    }
    builder
}

fn firmware(events: &EventFacts, registry: Option<&RegistryFacts>) -> Builder {
    if events.firmware_devices == 0 {
        return Builder::missing("no device reported its firmware");
    }
    let devices = registry.map_or(events.firmware_devices, |registry| registry.devices);
    let mut builder = Builder::of(events.firmware_devices, devices);
    builder.says.count(
        "events.firmware-devices",
        "Devices that reported their firmware",
        events.firmware_devices,
    );
    builder.says.words(" devices reported their firmware; versions ");
    builder.says.counts("events.firmware", "Devices whose firmware is", &events.firmware);
    let silent = devices.saturating_sub(events.firmware_devices);
    builder.lacking(
        "events.firmware-silent",
        "Devices that reported no firmware",
        silent,
        " devices reported none",
    );
    builder
}

fn responses(events: &EventFacts) -> Builder {
    if events.cases == 0 && events.decisions == 0 {
        let mut builder = Builder::missing("");
        builder.lacks.0.clear();
        if total(&events.findings) == 0 {
            builder.lacks.words("there were no findings, and so no responses");
        } else {
            builder.lacks.count("events.findings", "Findings", total(&events.findings));
            builder.lacks.words(" findings, and nothing that was done about them");
        }
        return builder;
    }
    let mut builder = Builder::new(Standing::Shown);
    builder.says.count("events.cases", "Cases of findings", events.cases);
    builder.says.words(" cases with ");
    builder.says.count("events.acts", "Acts in cases of findings", events.acts);
    builder.says.words(" acts, ");
    builder.says.count("events.decisions", "Decisions of people about findings", events.decisions);
    builder.says.words(" decisions of people");
    builder
}
