//! The dashboard of a running server in a real browser: what it shows is what the inventory says.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::time::Duration;

use serde_json::{Value, json};
use touchmark_testkit::browser::Browser;
use touchmark_testkit::curl::curl;
use touchmark_testkit::est::Client;
use touchmark_testkit::peer;
use touchmark_testkit::process::wait_for;
use touchmark_testkit::server::{Server, Site};
use touchmark_testkit::telemetry::{Beat, send, token};

const WITHIN: Duration = Duration::from_secs(30);

/// Three enrolled devices, one of which has a copy, and one that waits.
fn fleet(site: &Site, server: &Server) -> Value {
    let client = Client { folder: site.folder(), server };
    let mut certificates = Vec::new();
    for device in ["meter-1", "meter-2", "meter-3"] {
        certificates.push(client.enrol_new(device, &site.register(device)));
    }
    let _waits = site.register("meter-4");
    let beat = |certificate: &str, address: &str, beat: Beat| {
        let answer = send(site.folder(), server, certificate, address, &beat.body()).unwrap().must_be(200);
        token(&answer)
    };
    let at = |counter, boot_count, token| Beat { counter, uptime_ms: 1_000 * counter, boot_count, token };
    for certificate in &certificates {
        let mut given = None;
        for counter in 1..=2 {
            given = beat(certificate, "127.0.1.1", at(counter, 1, given));
        }
    }
    // A copy boots with what the flash held, and the original goes on.
    let (victim, original) = (&certificates[0], "127.0.1.1");
    let third = beat(victim, original, at(3, 1, None));
    let fourth = beat(victim, original, at(4, 1, third.clone()));
    let _copy = beat(victim, "127.0.66.6", at(4, 2, third));
    let _fifth = beat(victim, original, at(5, 1, fourth));
    wait_for("the finding", || {
        server
            .findings()
            .into_iter()
            .find(|finding| finding["kind"] == "clone" && finding["device"] == "meter-1")
    })
}

#[test]
fn the_browser_sees_what_the_inventory_says() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let Some(browser) = Browser::start() else { return };
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    let server = site.start();
    let finding = fleet(&site, &server);

    let page = curl(site.folder(), &[&server.dashboard], &[]).must_be(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));

    for width in [1400, 390] {
        browser.viewport(width, 900).unwrap();
        browser.open(&server.dashboard).unwrap();
        assert_eq!(browser.find("h1").unwrap().text().unwrap(), "Overview");
        let narrow = |what: &str| {
            let script = "const page = document.scrollingElement; return page.scrollWidth - page.clientWidth";
            assert_eq!(
                browser.run(script, &[]).unwrap(),
                json!(0),
                "{what} scrolls sideways at {width} pixels"
            );
        };
        narrow("the overview");
        for device in site.inventory() {
            let name = device["device"].as_str().unwrap();
            let row = browser.find(&format!("#device-{name}")).unwrap().text().unwrap().to_lowercase();
            assert!(row.contains(name), "{row}");
            for key in device["keys"].as_array().unwrap() {
                let grade = key["grade"].as_str().unwrap().replace('-', " ");
                assert!(row.replace('-', " ").contains(&grade), "{grade} is not in {row:?}");
            }
        }
        // To a device, by its link.
        browser.find("#device-meter-2 a").unwrap().click().unwrap();
        browser.wait_for_text("h1", "meter-2", WITHIN).unwrap();
        assert_eq!(browser.current_url().unwrap(), format!("{}/device/meter-2", server.dashboard));
        let text = browser.find("main").unwrap().text().unwrap();
        let device = site.device("meter-2");
        let serial = device["certificates"][0]["serial"].as_str().unwrap().to_owned();
        let bare = |text: &str| text.to_lowercase().replace([':', ' ', '\n', '\u{2009}'], "");
        assert!(bare(&text).contains(&serial), "{serial} is not in\n{text}");
        narrow("the device");
        // To the finding, by its link.
        browser.open(&server.dashboard).unwrap();
        let id = finding["id"].as_str().unwrap();
        browser.find(&format!("#finding-{id} h3 a")).unwrap().click().unwrap();
        browser.wait_for_text("h1", "Copied key", WITHIN).unwrap();
        let text = browser.find("main").unwrap().text().unwrap();
        let says = finding["says"].as_str().unwrap();
        assert!(text.contains("meter-1") && text.contains(says), "{says}\nis not in\n{text}");
        narrow("the finding");
        assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
        assert_eq!(browser.requests_outside(&server.dashboard).unwrap(), Vec::<String>::new());
    }

    // The page lives: a revocation shows without a reload.
    browser.open(&server.dashboard).unwrap();
    browser.wait_for_text("#live-state", "Live", WITHIN).unwrap();
    let _revoked =
        site.authority(&["revoke", "--device", "meter-1", "--confirm", "meter-1"]).must_end_with(0);
    browser
        .wait_until("the revocation on the page", WITHIN, || {
            let row = browser.find("#device-meter-1")?.text()?;
            Ok(row.to_lowercase().contains("revoked").then_some(()))
        })
        .unwrap();

    // What is not there is a page as well, under the same policy.
    let missing = curl(site.folder(), &[&format!("{}/device/nobody", server.dashboard)], &[]).must_be(404);
    assert_eq!(missing.header("content-security-policy"), Some(policy));
    assert!(missing.text().contains("AU-0009") || missing.text().contains("SV-0010"), "{}", missing.text());
    assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
    server.stop();
}
