//! `touchmark decide evidence` and `posture` over a registry that enrolment filled, read beside the running server.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use serde_json::Value;
use touchmark_testkit::server::{Server, Site};

fn site() -> Site {
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    let folder = site.path("endorsers");
    std::fs::create_dir_all(folder).unwrap();
    site.configure(
        "[attestation]\nendorsers_dir = \"endorsers\"\ndangerously_accept_test_endorsers = true\n",
    );
    site
}

fn enrol(site: &Site, server: &Server, name: &str, store: &str) {
    let token = site.register(name);
    site.agent(server, name, store, "https://127.0.0.1:1", &token, &format!("flash = \"{name}.img\"\n"));
    let _enrolled = site.touchmark(&["agent", "enrol", "--config", &format!("{name}.toml")]).must_end_with(0);
}

fn decide(site: &Site, verb: &str, more: &[&str]) -> Value {
    let data = site.data().display().to_string();
    let arguments = [&["decide", verb, "--data-dir", &data], more].concat();
    site.touchmark(&arguments).must_end_with(0).json()
}

#[test]
fn the_pack_shows_what_enrolment_recorded() {
    let site = site();
    let server = site.start();
    site.write("anchors.pem", std::fs::read(&server.root).unwrap());
    let (_element, address) = site.element("chip");
    enrol(&site, &server, "lock-1", &format!("element:tcp:{address}"));
    enrol(&site, &server, "meter-1", "software:meter-1.keys");
    let _token = site.register("meter-2");

    let pack = decide(&site, "evidence", &["--framework", "nist8425"]);
    assert_eq!(pack["schema"], "touchmark.decide.evidence/1");
    assert_eq!(pack["data"]["example"], false);
    let figure = |id: &str| pack["figures"][id]["value"].as_f64().unwrap_or_else(|| panic!("no figure {id}"));
    for (id, wanted) in [
        ("registry.devices", 3.0),
        ("registry.complete", 2.0),
        ("registry.keys", 2.0),
        ("registry.storage.secure-element", 1.0),
        ("registry.storage.software", 1.0),
        ("registry.incomplete", 1.0),
        ("registry.issued", 2.0),
    ] {
        assert_eq!(figure(id).to_string(), f64::to_string(&wanted), "{id}");
    }
    let origin = pack["figures"]["registry.devices"]["origin"]["file"].as_str().unwrap();
    assert!(origin.starts_with(&site.data().display().to_string()), "{origin}");

    // The part that the element's evidence named, and nobody else's.
    let device = site.device("lock-1");
    let part = &device["keys"][0]["assurance"]["part"];
    let part = format!("{}/{}", part["vendor"].as_str().unwrap(), part["model"].as_str().unwrap());
    let answer =
        decide(&site, "evidence", &["--affected-part", &part.to_uppercase(), "--list", "list.ndjson"]);
    assert_eq!(answer["schema"], "touchmark.decide.affected/1");
    let all = &answer["data"]["cohort"]["all"];
    // meter-2 has no key yet: nothing says that it is not affected.
    assert_eq!(
        (&all["affected"], &all["possibly"], &all["devices"]),
        (&1.into(), &1.into(), &3.into()),
        "{answer}"
    );
    let list = site.read("list.ndjson");
    let first: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!((&first["device"], &first["matched"]), (&"lock-1".into(), &"affected".into()));
    assert_eq!(first["storage"], "secure-element");
    assert_eq!(first["certificate"]["status"], "good");
    assert_eq!(list.lines().count(), 2);

    // What the registry knows it answers; the rest is not answered.
    let posture = decide(&site, "posture", &[]);
    let answers = posture["data"]["answers"].as_object().unwrap();
    assert_eq!(answers["certificates.inventory"]["level"], 2);
    assert_eq!(answers["keys.shared"]["place"]["kind"], "facts");
    assert!(!answers.contains_key("strategy.owner"));
}

#[test]
fn wrong_calls_say_what_to_do() {
    let site = site();
    site.write("answers.toml", "[answers]\n\n\"keys.storage\" = 9\n");
    site.write("artefacts.toml", "[artefacts]\n\"magic\" = \"x\"\n");
    let empty = site.path("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let empty = empty.display().to_string();
    for (arguments, wanted) in [
        (vec!["decide", "posture", "--answers", "answers.toml"], "line 3: `keys.storage` has the level 9"),
        (
            vec!["decide", "evidence", "--artefacts", "artefacts.toml"],
            "line 2: there is no kind of evidence `magic`",
        ),
        (vec!["decide", "evidence", "--data-dir", &empty], "there is no registry in"),
        (vec!["decide", "evidence", "--affected-part", "a/b"], "--data-dir"),
        (vec!["decide", "evidence", "--affected-part", "b", "--data-dir", &empty], "VENDOR/MODEL"),
        (vec!["decide", "evidence", "--list", "x"], "--affected-part"),
    ] {
        let finished = site.touchmark(&arguments).must_end_with(2);
        assert!(finished.all().contains(wanted), "{arguments:?}: {}", finished.all());
    }
    assert!(!std::path::Path::new(&empty).join("registry.db").exists());
}
