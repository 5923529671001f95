//! The repository against its own documents: crates and their layers, error codes, configuration keys, links, the
//! ASN.1 module, and what must never be committed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers: a surprise is a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use touchmark_identity::assurance::{Basis, Grade, HostBinding, KEY_ASSURANCE_OID, Provenance, Storage};

/// The layers, from below. A crate depends on crates of lower layers alone.
const LAYERS: [&str; 4] = ["language", "ability", "stage", "run"];
/// The layer of crates that are dev-dependencies only.
const TEST: &str = "test";
/// Directories that are not part of the repository.
const NOT_OURS: [&str; 6] = ["target", ".git", "demo-data", "tour", "corpus", "artifacts"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository, by its path in it.
fn files() -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(&root).unwrap().to_owned();
            let name = inside.file_name().unwrap().to_string_lossy().into_owned();
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(inside);
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

fn text_files(extension: &str) -> Vec<(PathBuf, String)> {
    let matching = files().into_iter().filter(|path| path.extension().is_some_and(|e| e == extension));
    matching.map(|path| (path.clone(), read(&path.to_string_lossy()))).collect()
}

/// The cells of a Markdown table's rows, without the two head rows' special meaning.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn members(metadata: &Value) -> BTreeMap<String, &Value> {
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), package)).collect()
}

/// Crate and layer, as the table of ARCHITECTURE.md has them.
fn documented_layers() -> BTreeMap<String, String> {
    let text = read("ARCHITECTURE.md");
    let mut layers = BTreeMap::new();
    for row in rows(&text) {
        if let [name, layer, ..] = row.as_slice()
            && let Some(name) = name.strip_prefix('`').and_then(|n| n.strip_suffix('`'))
            && (LAYERS.contains(layer) || *layer == TEST)
        {
            let before = layers.insert(format!("touchmark-{name}"), (*layer).to_owned());
            assert_eq!(before, None, "{name} is in the table twice");
        }
    }
    layers
}

/// Why an edge is not allowed, if so.
fn objection(layers: &BTreeMap<String, String>, from: &str, to: &str, dev: bool) -> Option<String> {
    let layer = |name: &str| layers.get(name).map_or("none", String::as_str);
    let height = |name: &str| LAYERS.iter().position(|l| *l == layer(name));
    let allowed = match (layer(from), layer(to)) {
        (_, TEST) => dev,
        (TEST, "language") => true,
        // Tests may hold abilities against each other: a driver and the virtual part, evidence and its Verifier.
        ("ability", "ability") => dev,
        // The one binary starts the device side and the server.
        ("run", "run") => from == "touchmark-cli",
        _ => height(from).zip(height(to)).is_some_and(|(from, to)| from > to),
    };
    let kind = if dev { "dev-dependency" } else { "dependency" };
    (!allowed).then(|| format!("{kind} {from} ({}) -> {to} ({})", layer(from), layer(to)))
}

#[test]
fn the_architecture_names_every_crate_and_no_other() {
    let metadata = metadata();
    let members: Vec<_> = members(&metadata).into_keys().collect();
    let documented: Vec<_> = documented_layers().into_keys().collect();
    assert_eq!(members, documented, "workspace members, and the table of ARCHITECTURE.md");
}

#[test]
fn dependencies_point_down() {
    let metadata = metadata();
    let members = members(&metadata);
    let layers = documented_layers();
    let mut edges = 0;
    let mut wrong = Vec::new();
    for (from, package) in &members {
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if members.contains_key(to) {
                edges += 1;
                wrong.extend(objection(&layers, from, to, dependency["kind"] == "dev"));
            }
        }
    }
    assert!(edges > 20, "only {edges} edges found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_edge_that_points_up_is_noticed() {
    let layers = documented_layers();
    for (from, to, dev) in [
        ("identity", "keystore", false),
        ("attest", "authority", false),
        ("keystore", "element", false),
        ("monitor", "authority", false),
        ("agent", "server", false),
        ("server", "testkit", false),
        ("identity", "keystore", true),
    ] {
        let (from, to) = (format!("touchmark-{from}"), format!("touchmark-{to}"));
        assert!(objection(&layers, &from, &to, dev).is_some(), "{from} -> {to}");
    }
}

/// The text of a doc comment that begins with an error code: code, fault, and where it stands.
fn code_of(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start().strip_prefix("/// ")?;
    let (code, rest) = text.split_once(", ")?;
    let (fault, _) = rest.split_once(':')?;
    is_code(code).then_some((code, fault))
}

fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 7
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            0 | 1 => byte.is_ascii_uppercase(),
            2 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Words of a heading or fault that say whose fault it is.
fn faults(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
    words.filter(|word| !matches!(word.as_str(), "" | "or" | "and")).collect()
}

#[test]
fn error_codes_are_unique_and_documented() {
    let mut coded = BTreeMap::new();
    let mut twice = Vec::new();
    for (path, text) in text_files("rs") {
        for (code, fault) in text.lines().filter_map(code_of) {
            if let Some(before) = coded.insert(code.to_owned(), faults(fault)) {
                twice.push(format!("{code} in {} and elsewhere ({before:?})", path.display()));
            }
        }
    }
    assert!(coded.len() > 100, "only {} codes found", coded.len());
    assert!(twice.is_empty(), "{twice:#?}");

    let text = read("docs/errors.md");
    let mut documented = BTreeMap::new();
    let mut section = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = faults(heading.split(':').next().unwrap());
        }
        if let Some(code) =
            rows(line).next().and_then(|row| row.first().copied()).filter(|cell| is_code(cell))
        {
            let before = documented.insert(code.to_owned(), section.clone());
            assert_eq!(before, None, "{code} is in docs/errors.md twice");
        }
    }
    let in_code: BTreeSet<_> = coded.keys().collect();
    let in_document: BTreeSet<_> = documented.keys().collect();
    let missing: Vec<_> = in_code.difference(&in_document).collect();
    let unknown: Vec<_> = in_document.difference(&in_code).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in docs/errors.md: {missing:?}; not in the code: {unknown:?}"
    );
    for (code, fault) in &coded {
        let section = &documented[code];
        assert!(
            !fault.is_disjoint(section),
            "{code} is a fault of {fault:?}, docs/errors.md has it under {section:?}"
        );
    }
}

#[test]
fn a_code_is_read_from_a_comment_and_from_nothing_else() {
    assert_eq!(code_of("    /// KS-0001, caller: there is no key."), Some(("KS-0001", "caller")));
    assert_eq!(code_of("    /// See KS-0001, caller: there is no key."), None);
    assert_eq!(code_of("    // KS-0001, caller: there is no key."), None);
    assert_eq!(code_of("    /// KS-001, caller: there is no key."), None);
}

#[test]
fn every_configuration_key_is_documented() {
    let text = read("docs/configuration.md");
    let mut keys = 0;
    for source in [
        "crates/server/src/config.rs",
        "crates/authority/src/settings.rs",
        "crates/monitor/src/settings.rs",
        "crates/agent/src/config.rs",
    ] {
        let code = read(source);
        let fields = code.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(':'));
        for (name, _) in fields.filter(|(name, _)| !name.contains([' ', '('])) {
            keys += 1;
            assert!(
                text.contains(&format!("`{name}`")) || text.contains(&format!("[{name}")),
                "docs/configuration.md does not name `{name}` of {source}"
            );
        }
    }
    assert!(keys > 40, "only {keys} keys found");
}

#[test]
fn the_tests_that_the_threats_name_exist() {
    let code: String = text_files("rs").into_iter().map(|(_, text)| text).collect();
    let text = read("THREATS.md");
    let mut named = 0;
    for row in rows(&text) {
        let cell = row.last().copied().unwrap_or_default();
        for name in cell.split('`').skip(1).step_by(2) {
            named += 1;
            assert!(
                code.contains(&format!("fn {name}(")),
                "THREATS.md names the test {name}, which is not there"
            );
        }
    }
    assert!(named > 20, "only {named} tests named");
}

/// The numbers of the RFCs that a text cites.
fn rfcs(text: &str) -> BTreeSet<u64> {
    let numbers = text.split("RFC ").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    numbers.flatten().filter_map(|digits| digits.parse().ok()).collect()
}

#[test]
fn every_rfc_that_is_cited_is_listed() {
    let sources: toml::Table = toml::from_str(&read("docs/sources.toml")).unwrap();
    let listed = sources["rfc"]["cited"].as_array().unwrap().iter();
    let listed: BTreeSet<u64> = listed.map(|number| number.as_integer().unwrap().unsigned_abs()).collect();
    let mut cited = BTreeSet::new();
    for (_, text) in text_files("rs").into_iter().chain(text_files("md")).chain(text_files("asn1")) {
        cited.extend(rfcs(&text));
    }
    let missing: Vec<_> = cited.difference(&listed).collect();
    let unused: Vec<_> = listed.difference(&cited).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "not in docs/sources.toml: {missing:?}; not cited: {unused:?}"
    );
}

/// The targets of a document's relative links.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

#[test]
fn relative_links_lead_somewhere() {
    let mut followed = 0;
    for (path, text) in text_files("md") {
        for target in links(&text) {
            followed += 1;
            let place = root().join(path.parent().unwrap()).join(target);
            assert!(place.exists(), "{} links to {target}, which is not there", path.display());
        }
    }
    assert!(followed > 20, "only {followed} links found");
}

#[test]
fn links_are_found() {
    let text = "see [a](b.md#c), [d](https://e.example/f) and [g](#h), ![i](../j.svg)";
    assert_eq!(links(text), ["b.md", "../j.svg"]);
}

/// Whether a text holds a private key in PEM: the line that opens one, and key material under it.
fn holds_private_key(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("-----BEGIN") && line.ends_with("PRIVATE KEY-----") {
            let next = lines.next().unwrap_or_default();
            if next.len() >= 32 && next.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) {
                return true;
            }
        }
    }
    false
}

#[test]
fn no_private_key_is_committed_unless_its_name_says_test() {
    let mut found = Vec::new();
    for path in files() {
        let text = String::from_utf8_lossy(&fs::read(root().join(&path)).unwrap()).into_owned();
        if holds_private_key(&text) {
            found.push(path);
        }
    }
    let (test, other): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|path| path.file_name().unwrap().to_string_lossy().contains("test"));
    assert!(other.is_empty(), "private keys in {other:?}");
    assert!(!test.is_empty(), "the test element's key was not noticed");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // Written in two parts, so that this file does not find itself.
    let places = [["/wo", "rk/"], ["/ro", "ot/"], ["/home/", "runner"]].map(|parts| parts.concat());
    for path in files() {
        let text = String::from_utf8_lossy(&fs::read(root().join(&path)).unwrap()).into_owned();
        for place in &places {
            let line = text.lines().position(|line| line.contains(place));
            assert_eq!(line, None, "{} names {place}", path.display());
        }
    }
}

#[test]
fn the_asn1_module_has_every_word_and_number() {
    let text: String = read("docs/key-assurance.asn1").chars().filter(|c| !c.is_whitespace()).collect();
    let mut expected = Vec::new();
    expected.extend(Storage::ALL.iter().map(|value| ("Storage", value.as_str(), *value as u8)));
    expected.extend(Basis::ALL.iter().map(|value| ("Basis", value.as_str(), *value as u8)));
    expected.extend(Provenance::ALL.iter().map(|value| ("Provenance", value.as_str(), *value as u8)));
    expected.extend(HostBinding::ALL.iter().map(|value| ("HostBinding", value.as_str(), *value as u8)));
    expected.extend(Grade::ALL.iter().map(|value| ("Grade", value.as_str(), *value as u8)));
    let mut types: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, word, number) in expected {
        types.entry(name).or_default().push(format!("{word}({number})"));
    }
    for (name, words) in types {
        let definition = format!("{name}::=ENUMERATED{{{}}}", words.join(","));
        assert!(text.contains(&definition), "docs/key-assurance.asn1 lacks {definition}");
    }
    let arc = KEY_ASSURANCE_OID.to_string();
    assert_eq!(arc, "1.3.6.1.4.1.32473.80.1");
    assert!(
        text.contains("enterprise(1)3247380}")
            && text.contains("id-tm-keyAssuranceOBJECTIDENTIFIER::={id-tm1}")
    );
}
