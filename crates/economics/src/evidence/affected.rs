//! Which of our products and devices are affected? Answered device by device in one pass, so that a fleet of any size
//! needs no more memory than its counts.
//!
//! A device is affected where what is recorded matches, and possibly affected where nothing is recorded that says it is
//! not: silence excludes nobody.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::facts::{Counts, FleetFacts};
use super::pack::{as_number, read_count};
use crate::error::EconomicsError;
use crate::input::Inputs;
use crate::report::{Draft, Report, Span, Tone};

/// The JSON format of the answer.
pub const SCHEMA: &str = "touchmark.decide.affected/1";

/// What is asked for. What is given has to match all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Maker of the part that holds the key, in any case.
    pub vendor: Option<String>,
    /// Its model, in any case.
    pub model: Option<String>,
    /// Its silicon or firmware revision.
    pub revision: Option<String>,
    /// Version of the cryptographic library inside the part.
    pub library: Option<String>,
    /// Firmware that the device reported last.
    pub firmware: Option<String>,
    /// Batch or lot, which no registry of ours records.
    pub batch: Option<String>,
}

/// A key of a device, as far as the question goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenKey {
    /// Whether the key is in software, which no part holds.
    pub software: bool,
    /// Maker and model of its part, where recorded.
    pub part: Option<(String, String)>,
    /// The part's revision, where recorded.
    pub revision: Option<String>,
    /// The part's library version, where recorded.
    pub library: Option<String>,
}

/// A device, as far as the question goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its kind: the product.
    pub device_type: String,
    /// Where it stands.
    pub status: String,
    /// Where its newest key lives; empty without a key.
    pub storage: String,
    /// The grade of its newest key; empty without a key.
    pub grade: String,
    /// Its keys that count: the newest, and those with a certificate that is good or on hold.
    pub keys: Vec<SeenKey>,
    /// The firmware that it reported last.
    pub firmware: Option<String>,
}

/// Whether a device is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matched {
    /// What is recorded says that it is not.
    No,
    /// Nothing recorded says that it is not.
    Possibly,
    /// What is recorded says so.
    Affected,
}

/// How something recorded compares with something wanted.
fn compared(wanted: Option<&str>, known: Option<&str>, same: fn(&str, &str) -> bool) -> Matched {
    match (wanted, known) {
        (None, _) => Matched::Affected,
        (Some(_), None) => Matched::Possibly,
        (Some(wanted), Some(known)) if same(wanted, known) => Matched::Affected,
        _ => Matched::No,
    }
}

fn exactly(a: &str, b: &str) -> bool {
    a == b
}

impl Query {
    /// Reads `VENDOR/MODEL` or `VENDOR/MODEL@REVISION`.
    ///
    /// # Errors
    /// EC-0003 where it is neither.
    pub fn with_part(mut self, text: &str) -> Result<Self, EconomicsError> {
        let (part, revision) = match text.rsplit_once('@') {
            Some((part, revision)) => (part, Some(revision)),
            None => (text, None),
        };
        let Some((vendor, model)) = part.split_once('/') else { return Err(not_a_part(text)) };
        if [Some(vendor), Some(model), revision].into_iter().flatten().any(|word| word.trim().is_empty()) {
            return Err(not_a_part(text));
        }
        self.vendor = Some(vendor.trim().to_owned());
        self.model = Some(model.trim().to_owned());
        self.revision = revision.map(|revision| revision.trim().to_owned());
        Ok(self)
    }

    /// Whether anything is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the answer needs the firmware that devices report.
    #[must_use]
    pub fn asks_for_firmware(&self) -> bool {
        self.firmware.is_some()
    }

    fn asks_for_part(&self) -> bool {
        self.vendor.is_some() || self.revision.is_some()
    }

    fn key(&self, key: &SeenKey) -> Matched {
        if key.software && key.part.is_none() {
            // No part holds the key. Which library the program around it uses, nobody wrote down.
            return if self.asks_for_part() {
                Matched::No
            } else {
                compared(self.library.as_deref(), None, exactly)
            };
        }
        let (vendor, model) =
            key.part.as_ref().map_or((None, None), |(v, m)| (Some(v.as_str()), Some(m.as_str())));
        compared(self.vendor.as_deref(), vendor, str::eq_ignore_ascii_case)
            .min(compared(self.model.as_deref(), model, str::eq_ignore_ascii_case))
            .min(compared(self.revision.as_deref(), key.revision.as_deref(), exactly))
            .min(compared(self.library.as_deref(), key.library.as_deref(), exactly))
    }

    /// Whether a device is affected.
    #[must_use]
    pub fn matched(&self, seen: &Seen) -> Matched {
        let no_key = if self.asks_for_part() || self.library.is_some() {
            Matched::Possibly
        } else {
            Matched::Affected
        };
        let keys = seen.keys.iter().map(|key| self.key(key)).max().unwrap_or(no_key);
        keys.min(compared(self.firmware.as_deref(), seen.firmware.as_deref(), exactly)).min(compared(
            self.batch.as_deref(),
            None,
            exactly,
        ))
    }
}

fn not_a_part(text: &str) -> EconomicsError {
    EconomicsError::Argument {
        what: format!("`{text}` names no part"),
        remedy: "write VENDOR/MODEL or VENDOR/MODEL@REVISION, as Infineon/SLB9670@7.85".to_owned(),
    }
}

/// Devices of one product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Affected.
    pub affected: u64,
    /// Possibly affected.
    pub possibly: u64,
    /// All of them.
    pub devices: u64,
}

/// The answer: counts over a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cohort {
    /// All devices together.
    pub all: Share,
    /// By product, which is the device's type.
    pub by_type: BTreeMap<String, Share>,
    /// Affected devices by the grade of their newest key.
    pub by_grade: Counts,
    /// Affected devices by where their newest key lives.
    pub by_storage: Counts,
    /// Affected devices by where they stand.
    pub by_status: Counts,
}

impl Cohort {
    /// Counts a device.
    pub fn take(&mut self, seen: &Seen, matched: Matched) {
        let of_type = self.by_type.entry(seen.device_type.clone()).or_default();
        for share in [&mut self.all, of_type] {
            share.devices += 1;
            match matched {
                Matched::Affected => share.affected += 1,
                Matched::Possibly => share.possibly += 1,
                Matched::No => {}
            }
        }
        if matched == Matched::Affected {
            let words = [
                (&mut self.by_grade, &seen.grade),
                (&mut self.by_storage, &seen.storage),
                (&mut self.by_status, &seen.status),
            ];
            for (counts, word) in words {
                let word = if word.is_empty() { "none" } else { word };
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
}

/// The answer as a report. `facts` says what was read.
///
/// # Errors
/// EC-0002 where an input is missing.
pub fn report(
    query: &Query,
    cohort: &Cohort,
    facts: &FleetFacts,
    inputs: &Inputs,
) -> Result<Report, EconomicsError> {
    let mut draft = Draft::new(inputs);
    let affected = read_count(&mut draft, facts, "affected.devices", "Devices affected", cohort.all.affected);
    let possibly =
        read_count(&mut draft, facts, "affected.possibly", "Devices possibly affected", cohort.all.possibly);
    let devices =
        read_count(&mut draft, facts, "registry.devices", "Devices in the registry", cohort.all.devices);
    let summary = vec![
        affected,
        Span::text(" of "),
        devices,
        Span::text(" devices are affected, and "),
        possibly,
        Span::text(" more may be: nothing recorded about them says that they are not."),
    ];
    draft.heading("What was asked");
    draft.list(asked(query));
    draft.paragraph([Span::text("Read from: "), Span::given(facts.origin()), Span::text(".")]);
    draft.heading("Products");
    let rows = cohort.by_type.iter().map(|(name, share)| {
        let id = |what: &str| format!("affected.type.{}.{what}", super::adapters::slug(name));
        let mut cell = |what: &str, text: &str, value: u64| {
            vec![read_count(&mut draft, facts, &id(what), &format!("{text}, {name}"), value)]
        };
        vec![
            vec![Span::name(name.as_str())],
            cell("affected", "Devices affected", share.affected),
            cell("possibly", "Devices possibly affected", share.possibly),
            cell("devices", "Devices", share.devices),
        ]
    });
    let rows = rows.collect();
    draft.table("Devices by product", &["Product", "Affected", "Possibly", "All"], rows);
    draft.heading("Affected devices");
    let mut rows = Vec::new();
    for (what, counts) in
        [("grade", &cohort.by_grade), ("storage", &cohort.by_storage), ("status", &cohort.by_status)]
    {
        for (word, value) in counts {
            let id = format!("affected.{what}.{}", super::adapters::slug(word));
            let text = format!("Devices affected, {what} {word}");
            let count = read_count(&mut draft, facts, &id, &text, *value);
            rows.push(vec![vec![Span::text(what)], vec![Span::name(word.as_str())], vec![count]]);
        }
    }
    draft.table(
        "Affected devices by grade and storage of the newest key, and by status",
        &["By", "Word", "Devices"],
        rows,
    );
    draft.heading("What this does not say");
    draft.list(unsaid(query));
    let data = json!({
        "query": query, "read_from": facts.place, "as_of": facts.as_of, "example": facts.example, "cohort": cohort,
        "share": if cohort.all.devices == 0 { 0.0 } else { as_number(cohort.all.affected) / as_number(cohort.all.devices) },
    });
    draft.finish(SCHEMA, "Which products and devices are affected?", summary, data)
}

fn asked(query: &Query) -> Vec<Vec<Span>> {
    let fields = [
        ("maker of the part: ", &query.vendor),
        ("model of the part: ", &query.model),
        ("revision of the part: ", &query.revision),
        ("library inside the part: ", &query.library),
        ("firmware of the device: ", &query.firmware),
        ("batch: ", &query.batch),
    ];
    let given = fields.into_iter().filter_map(|(what, value)| Some((what, value.as_ref()?)));
    given.map(|(what, value)| vec![Span::text(what), Span::given(value.as_str())]).collect()
}

fn unsaid(query: &Query) -> Vec<Vec<Span>> {
    let mut items = vec![vec![Span::text(
        "The registry records the part that holds a device's key. Other chips and libraries of the product are not \
         recorded; a key in software counts as in no part.",
    )]];
    if query.library.is_some() {
        items.push(vec![Span::text(
            "The library is the one inside the part. Which library the firmware around a key in software uses is not \
             recorded, so those devices count as possibly affected.",
        )]);
    }
    if query.firmware.is_some() {
        items.push(vec![Span::text(
            "The firmware is what the device reported last, in its own words; a device that reported none counts as \
             possibly affected.",
        )]);
    }
    if query.batch.is_some() {
        items.push(vec![
            Span::verdict("not recorded", Tone::Bad),
            Span::text(
                ": no part of the product records batches yet, so by batch nobody can be excluded. Take the devices of \
                 the batch from the records of the line.",
            ),
        ]);
    }
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::walk::orphans;

    fn key(model: &str, revision: Option<&str>) -> SeenKey {
        SeenKey {
            part: Some(("Maker".to_owned(), model.to_owned())),
            revision: revision.map(str::to_owned),
            ..SeenKey::default()
        }
    }

    fn seen(keys: Vec<SeenKey>) -> Seen {
        Seen { device_type: "meter".to_owned(), grade: "hardware-bound".to_owned(), keys, ..Seen::default() }
    }

    #[test]
    fn silence_excludes_nobody() {
        let query = Query::default().with_part("maker/a1@2").unwrap();
        for (device, wanted) in [
            (seen(vec![key("A1", Some("2"))]), Matched::Affected),
            (seen(vec![key("A1", None)]), Matched::Possibly),
            (seen(vec![SeenKey::default()]), Matched::Possibly),
            (seen(Vec::new()), Matched::Possibly),
            (seen(vec![key("A1", Some("3"))]), Matched::No),
            (seen(vec![key("B1", None)]), Matched::No),
            (seen(vec![SeenKey { software: true, ..SeenKey::default() }]), Matched::No),
            // One key on the part is enough.
            (seen(vec![key("B1", None), key("a1", Some("2"))]), Matched::Affected),
        ] {
            assert_eq!(query.matched(&device), wanted, "{device:?}");
        }
    }

    #[test]
    fn firmware_and_library_are_compared_and_batches_are_not_recorded() {
        let firmware = Query { firmware: Some("4.1".to_owned()), ..Query::default() };
        let mut device = seen(vec![key("A1", None)]);
        assert_eq!(firmware.matched(&device), Matched::Possibly);
        device.firmware = Some("4.1".to_owned());
        assert_eq!(firmware.matched(&device), Matched::Affected);
        device.firmware = Some("4.2".to_owned());
        assert_eq!(firmware.matched(&device), Matched::No);
        let library = Query { library: Some("1.02".to_owned()), ..Query::default() };
        assert_eq!(
            library.matched(&seen(vec![SeenKey { software: true, ..SeenKey::default() }])),
            Matched::Possibly
        );
        let batch = Query { batch: Some("7".to_owned()), ..Query::default() };
        assert_eq!(batch.matched(&device), Matched::Possibly);
    }

    #[test]
    fn what_names_no_part_is_refused_with_the_remedy() {
        for text in ["SLB9670", "/x", "x/", "a/b@", ""] {
            let error = Query::default().with_part(text).unwrap_err();
            assert_eq!(error.code(), "EC-0003");
            assert!(error.to_string().contains("VENDOR/MODEL"), "{error}");
        }
        let query = Query::default().with_part("A/B/C@1@2").unwrap();
        assert_eq!((query.model.as_deref(), query.revision.as_deref()), (Some("B/C@1"), Some("2")));
    }

    #[test]
    fn the_answer_has_no_orphans_and_its_sums_agree() {
        let query = Query { batch: Some("7".to_owned()), ..Query::default().with_part("maker/a1").unwrap() };
        let mut cohort = Cohort::default();
        for (model, type_) in [("A1", "meter"), ("A1", "gateway 2"), ("B1", "meter")] {
            let device = Seen { device_type: type_.to_owned(), ..seen(vec![key(model, None)]) };
            cohort.take(&device, query.matched(&device));
        }
        assert_eq!((cohort.all.affected, cohort.all.possibly, cohort.all.devices), (0, 2, 3));
        let facts = FleetFacts { place: "here".to_owned(), ..FleetFacts::default() };
        let report = report(&query, &cohort, &facts, &Inputs::own().unwrap()).unwrap();
        assert_eq!(orphans(&report), Vec::<String>::new());
        assert_eq!(report.figures["affected.possibly"].value, 2.0);
        assert!(serde_json::to_string(&report).unwrap().contains("not recorded"));
    }

    proptest! {
        #[test]
        fn asking_for_more_never_finds_more(
            model in "[ab]", revision in prop::option::of("[12]"), library in prop::option::of("[12]"),
            wanted_revision in prop::option::of("[12]"), wanted_library in "[12]", software: bool,
        ) {
            let device = seen(vec![SeenKey { software, library, ..key(&model, revision.as_deref()) }]);
            let part = Query::default().with_part("maker/a").unwrap();
            let narrower = Query { revision: wanted_revision, ..part.clone() };
            let narrowest = Query { library: Some(wanted_library), ..narrower.clone() };
            prop_assert!(part.matched(&device) >= narrower.matched(&device));
            prop_assert!(narrower.matched(&device) >= narrowest.matched(&device));
        }
    }
}
