//! The models of `touchmark decide` in the dashboard of a running server, as a reader with a browser has them.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::time::Duration;

use serde_json::{Value, json};
use touchmark_testkit::browser::Browser;
use touchmark_testkit::server::{Server, Site};

/// Several answers, on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);
/// WebDriver's names of keys (W3C WebDriver §17.4.2).
const RIGHT: &str = "\u{E014}";
const HOME: &str = "\u{E011}";

/// What the report says first.
fn lead(browser: &Browser) -> String {
    // By a script, in one step: the report is replaced while it is read.
    let said = browser.run("return document.querySelector('#report .lead')?.innerText ?? ''", &[]).unwrap();
    said.as_str().unwrap().to_owned()
}

/// Waits until the report says something else than before, and gives it.
fn changed(browser: &Browser, before: &str) -> String {
    let look = || {
        let busy = browser.find("#report")?.attribute("aria-busy")?;
        let now = lead(browser);
        Ok((busy.as_deref() == Some("false") && !now.is_empty() && now != before).then_some(now))
    };
    browser.wait_until("other figures", WITHIN, look).unwrap()
}

/// Sets a slider as a finger does: to a value, with an event.
fn slide(browser: &Browser, name: &str, value: f64) {
    let script = "const slider = document.querySelector(`[name='${arguments[0]}']`); \
        slider.value = arguments[1]; slider.dispatchEvent(new Event('input', { bubbles: true }))";
    browser.run(script, &[json!(name), json!(value)]).unwrap();
}

fn running() -> (Site, Server) {
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    let server = site.start();
    (site, server)
}

#[test]
fn sliders_move_figures_and_the_address_keeps_them() {
    let (site, server) = running();
    let Some(browser) = Browser::start() else { return };
    browser.viewport(1280, 900).unwrap();
    browser.open(&format!("{}/decide/cost", server.dashboard)).unwrap();
    browser.wait_for("html[data-sliders=ready]", WITHIN).unwrap();
    let usual = lead(&browser);
    assert!(usual.contains("250,000 devices over 7 years"), "{usual}");

    // By keyboard: the tabulator's stops are native sliders, and an arrow is one step.
    browser.find("#set-fleet-lifetime").unwrap().type_text(RIGHT).unwrap();
    let longer = changed(&browser, &usual);
    assert!(longer.contains("over 8 years"), "{longer}");
    assert!(browser.current_url().unwrap().ends_with("/decide/cost?fleet.lifetime=8"));

    // By hand, many movements at once: the last one counts.
    for devices in [300_000, 350_000, 400_000, 40_000] {
        slide(&browser, "fleet.devices", f64::from(devices));
    }
    let smaller = browser.wait_until("the last movement", WITHIN, || {
        let now = lead(&browser);
        Ok(now.contains("40,000 devices over 8 years").then_some(now))
    });
    let smaller = smaller.unwrap();
    browser.find("#set-part-secure-element-price").unwrap().type_text(HOME).unwrap();
    let free = changed(&browser, &smaller);
    assert_ne!(free, smaller);
    let address = browser.current_url().unwrap();
    for part in ["fleet.devices=40000", "fleet.lifetime=8", "part.secure-element.price=0"] {
        assert!(address.contains(part), "{address}");
    }

    // Whoever gets the address sees the same, and can take it along.
    browser.open(&address).unwrap();
    assert_eq!(lead(&browser), free);
    let export =
        browser.run("return document.querySelector(`[data-export$='report.json']`).href", &[]).unwrap();
    let export = export.as_str().unwrap().to_owned();
    let (status, body) = server.get(&export);
    assert_eq!(status, 200, "{export}");
    let report: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(report["figures"]["fleet.devices"]["value"], json!(40_000.0));
    assert_eq!(report["figures"]["fleet.devices"]["origin"]["kind"], "given");
    for form in ["html", "md", "csv"] {
        let (status, body) = server.get(&export.replace("report.json", &format!("report.{form}")));
        assert_eq!(status, 200, "{form}");
        let text = String::from_utf8(body).unwrap();
        // A table for programs groups no digits.
        assert!(text.contains(if form == "csv" { "40000" } else { "40,000" }), "{form}");
    }
    let (status, _) = server.get(&export.replace("report.json", "report.exe"));
    assert_eq!(status, 404);

    // Every figure leads to where it comes from.
    let orphans = "return [...document.querySelectorAll('#report a.figure')]\
        .filter((link) => !document.getElementById(decodeURIComponent(link.hash.slice(1)))).length";
    assert_eq!(browser.run(orphans, &[]).unwrap(), json!(0));
    assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
    assert_eq!(browser.requests_outside(&server.dashboard).unwrap(), Vec::<String>::new());
    drop(site);
}

#[test]
fn every_model_fits_a_telephone_and_a_desk() {
    let (site, server) = running();
    let Some(browser) = Browser::start() else { return };
    for (subject, heading, slider, value) in [
        ("cost", "Life-cycle cost", "alerts.duplicates", 0.05),
        ("attack", "Attack cost", "attack.gain", 5_000.0),
        ("posture", "Posture", "policies.keys", 2.0),
    ] {
        for (width, height) in [(390, 844), (1280, 900)] {
            browser.viewport(width, height).unwrap();
            browser.open(&format!("{}/decide/{subject}", server.dashboard)).unwrap();
            browser.wait_for("html[data-sliders=ready]", WITHIN).unwrap();
            assert_eq!(browser.find("h1").unwrap().text().unwrap(), heading);
            let sideways =
                "const page = document.scrollingElement; return page.scrollWidth - page.clientWidth";
            assert_eq!(browser.run(sideways, &[]).unwrap(), json!(0), "{subject} at {width} pixels");
            let figures = || browser.run("return document.getElementById('report').textContent", &[]);
            let before = figures().unwrap();
            slide(&browser, slider, value);
            let moved =
                browser.wait_until("other figures", WITHIN, || Ok((figures()? != before).then_some(())));
            moved.unwrap();
            let drawn = "return [...document.querySelectorAll('#report svg.drawing')]\
                .filter((drawing) => drawing.getBoundingClientRect().width > 200).length > 0";
            assert_eq!(browser.run(drawn, &[]).unwrap(), json!(true), "{subject} at {width} pixels");
            // The picture that whoever reviews a change may look at.
            browser.save_screenshot(&site.path(&format!("{subject}-{width}.png"))).unwrap();
            if let Some(folder) = std::env::var_os("TOUCHMARK_SCREENSHOTS") {
                let file = std::path::Path::new(&folder).join(format!("{subject}-{width}.png"));
                browser.save_screenshot(&file).unwrap();
            }
        }
        assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new(), "{subject}");
    }
}

#[test]
fn what_cannot_be_computed_is_said_and_the_sliders_stay() {
    let (_site, server) = running();
    let Some(browser) = Browser::start() else { return };
    browser.open(&format!("{}/decide/cost?fleet.devices=many", server.dashboard)).unwrap();
    let problem = browser.find("#problem").unwrap();
    assert!(problem.is_displayed().unwrap());
    assert!(problem.text().unwrap().contains("many"), "{}", problem.text().unwrap());
    browser.wait_for("html[data-sliders=ready]", WITHIN).unwrap();
    slide(&browser, "fleet.devices", 12_000.0);
    browser.wait_for_text("#report .lead", "12,000 devices", WITHIN).unwrap();
    assert!(!browser.find("#problem").unwrap().is_displayed().unwrap());
}
