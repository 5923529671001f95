//! The pages in a real browser, served under the content policy that the product sends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use touchmark_testkit::browser::Browser;

use super::*;

/// Several rounds of `live.js`, on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

/// What the test server shows and what it was asked for.
struct Site {
    overview: view::Overview,
    /// Path and status of every answer.
    answers: Vec<(String, u16)>,
    /// False while the server answers every fragment with 500.
    healthy: bool,
}

/// Serves the sample on a free port until the process ends; returns the origin.
fn serve() -> (String, Arc<Mutex<Site>>) {
    let site =
        Arc::new(Mutex::new(Site { overview: sample::overview(), answers: Vec::new(), healthy: true }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::clone(&site);
    std::thread::spawn(move || {
        for stream in listener.incoming().take(5_000) {
            // Browsers open connections in advance and leave them silent, so each has its own thread.
            let (mut stream, shared) = (stream.unwrap(), Arc::clone(&shared));
            // A browser that hangs up early is not this server's concern.
            std::thread::spawn(move || drop(answer(&mut stream, &shared)));
        }
    });
    (origin, site)
}

fn answer(stream: &mut TcpStream, site: &Mutex<Site>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(WITHIN))?;
    let mut head = [0; 8192];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let Some(target) = head.split(' ').nth(1) else { return Ok(()) };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut site = site.lock().unwrap();
    let (status, kind, body) = content(&path, &site);
    let tag = etag(&body);
    let known = head.lines().any(|line| line.to_ascii_lowercase() == format!("if-none-match: {tag}"));
    let (status, body) = if known && status == 200 { (304, String::new()) } else { (status, body) };
    site.answers.push((path, status));
    drop(site);
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nETag: {tag}\r\nContent-Security-Policy: \
         {CONTENT_SECURITY_POLICY}\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn content(path: &str, site: &Site) -> (u16, &'static str, String) {
    const HTML: &str = "text/html; charset=utf-8";
    let mut segments = path.trim_start_matches('/').split('/');
    let fragment = path.starts_with("/fragment/");
    if fragment && !site.healthy {
        return (500, HTML, String::new());
    }
    let part = path.rsplit('/').next().unwrap_or_default();
    let found = match (segments.next(), segments.next()) {
        (Some(""), None) => Some((HTML, overview(&site.overview))),
        (Some("findings"), None) => Some((HTML, findings(&sample::findings_page()))),
        (Some("sources"), None) => Some((HTML, sources(&sample::sources_page()))),
        (Some("event"), Some(_)) => Some((HTML, event(&sample::event_page()))),
        (Some("device"), Some(_)) if part == "timeline" => Some((HTML, history(&sample::history_page()))),
        (Some("device"), Some(_)) => Some((HTML, device(&sample::device()))),
        (Some("finding"), Some(_)) => Some((HTML, finding(&sample::finding()))),
        (Some("fragment"), Some("overview")) => {
            overview_fragment(part, &site.overview).map(|text| (HTML, text))
        }
        (Some("fragment"), Some("device")) => {
            device_fragment(part, &sample::device()).map(|text| (HTML, text))
        }
        (Some("fragment"), Some("findings")) => {
            findings_fragment(part, &sample::findings_page()).map(|text| (HTML, text))
        }
        (Some("fragment"), Some("sources")) => {
            sources_fragment(part, &sample::sources_page()).map(|text| (HTML, text))
        }
        (Some("fragment"), Some("finding")) => {
            finding_fragment(part, &sample::finding()).map(|text| (HTML, text))
        }
        (Some("assets"), Some(name)) => {
            asset(name).map(|(kind, bytes)| (kind, String::from_utf8(bytes.to_vec()).unwrap()))
        }
        _ => None,
    };
    match found {
        Some((kind, body)) => (200, kind, body),
        None => (404, HTML, trouble(&sample::trouble())),
    }
}

#[test]
fn every_page_obeys_the_policy_and_fits_a_telephone() {
    let (origin, _site) = serve();
    let Some(browser) = Browser::start() else { return };
    for (path, heading) in [
        ("/", "Overview"),
        ("/device/meter-000017", "meter-000017"),
        ("/finding/5f0c2a9e41d7b863", "Copied key"),
        ("/findings", "Findings"),
        ("/sources", "Sources"),
        ("/event/951201", "Event 951\u{202f}201"),
        ("/device/meter-000017/timeline", "Timeline of meter-000017"),
        ("/nothing/here", "Not found"),
    ] {
        for width in [390, 1400] {
            browser.viewport(width, 900).unwrap();
            browser.open(&format!("{origin}{path}")).unwrap();
            assert_eq!(browser.find("h1").unwrap().text().unwrap(), heading);
            let sideways =
                "const page = document.scrollingElement; return page.scrollWidth - page.clientWidth";
            assert_eq!(browser.run(sideways, &[]).unwrap(), json!(0), "{path} at {width} pixels");
            let drawn =
                browser.run("return document.querySelector('.brand img').naturalWidth > 0", &[]).unwrap();
            assert_eq!(drawn, json!(true), "the emblem is drawn");
        }
        let styled = browser.run("return getComputedStyle(document.querySelector('.unseen')).position", &[]);
        assert_eq!(styled.unwrap(), json!("absolute"), "the style sheet is in force");
        let mut errors = browser.console_errors().unwrap();
        errors.retain(|error| !(path == "/nothing/here" && error.contains("404")));
        assert_eq!(errors, Vec::<String>::new(), "{path}");
        assert_eq!(browser.requests_outside(&origin).unwrap(), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_page_lives_and_leaves_its_reader_alone() {
    let (origin, site) = serve();
    let Some(browser) = Browser::start() else { return };
    browser.open(&origin).unwrap();
    browser.wait_for_text("#live-state", "Live", WITHIN).unwrap();
    let ago = browser.find("#finding-5f0c2a9e41d7b863 time").unwrap();
    assert!(ago.text().unwrap().ends_with(" ago"));
    assert_eq!(ago.attribute("title").unwrap().as_deref(), Some("2026-11-20T22:28:25Z"));

    // The skip link is the first stop of the tabulator.
    browser.find("body").unwrap().type_text("\u{E004}").unwrap();
    assert_eq!(browser.focused().unwrap().text().unwrap(), "Skip to content");

    // The filter hides rows; what arrives afterwards obeys it too.
    let filter = browser.find("#fleet-filter").unwrap();
    filter.type_text("charger hardware-bound").unwrap();
    let shown = || -> Vec<String> {
        let rows = browser.find_all("#fleet [data-row]:not([hidden])").unwrap();
        rows.iter().map(|row| row.attribute("id").unwrap().unwrap()).collect()
    };
    assert_eq!(shown(), ["device-charger-000204"]);
    browser.wait_for_text(".filter output", "1 of 12", WITHIN).unwrap();

    // Focus stays where it is while a finding arrives above it, and the finding is announced.
    browser.run("document.querySelector('#finding-5f0c2a9e41d7b863 a').focus()", &[]).unwrap();
    {
        let mut site = site.lock().unwrap();
        let now = site.overview.frame.now;
        let news = view::FindingRow {
            id: "0000000000000001".to_owned(),
            kind: "replay".to_owned(),
            device: Some("charger-000900".to_owned()),
            detected: now,
            ..sample::clone_finding()
        };
        site.overview.findings.insert(0, news);
        let mut row = site.overview.fleet[2].clone();
        row.id = "charger-000900".to_owned();
        site.overview.fleet.insert(0, row);
        site.overview.counts.live = 7;
    }
    browser.wait_for_text(".findings > li:first-child h3", "Replayed message", WITHIN).unwrap();
    let announced = browser.find("#announcer").unwrap();
    let announced = browser
        .wait_until("the announcement", WITHIN, || {
            let text = browser.run("return document.getElementById('announcer').textContent", &[])?;
            Ok(text.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
        })
        .map(|text| (text, announced.attribute("aria-live").unwrap()))
        .unwrap();
    assert_eq!(
        announced,
        ("New: Confirmed: Replayed message, charger-000900.".to_owned(), Some("polite".to_owned()))
    );
    let href = browser.focused().unwrap().attribute("href").unwrap().unwrap();
    assert!(href.ends_with("/finding/5f0c2a9e41d7b863"), "{href}");
    browser.wait_for_text(".figure:nth-child(2) dd", "7", WITHIN).unwrap();
    browser.wait_for("#device-charger-000900", WITHIN).unwrap();
    assert_eq!(shown(), ["device-charger-000900", "device-charger-000204"]);
    // The element's own "clear" sends no input event; control-A and delete are what a reader does.
    filter.type_text("\u{E009}a\u{E009}\u{E017}").unwrap();
    assert_eq!(shown().len(), 13);

    // What did not change costs no body.
    let unchanged = || {
        Ok(site.lock().unwrap().answers.contains(&("/fragment/overview/keys".to_owned(), 304)).then_some(()))
    };
    browser.wait_until("an answer 304", WITHIN, unchanged).unwrap();

    // A server that fails is said to fail, and the page recovers by itself.
    assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
    site.lock().unwrap().healthy = false;
    browser.wait_for_text("#live-state", "No answer since", WITHIN).unwrap();
    site.lock().unwrap().healthy = true;
    browser.wait_for_text("#live-state", "Live", WITHIN).unwrap();

    // Paused means that nothing is asked for any more.
    browser.find("#live-toggle").unwrap().click().unwrap();
    browser.wait_for_text("#live-state", "Paused", WITHIN).unwrap();
    let toggle = browser.find("#live-toggle").unwrap();
    assert_eq!(toggle.attribute("aria-pressed").unwrap().as_deref(), Some("true"));
    assert_eq!(browser.requests_outside(&origin).unwrap(), Vec::<String>::new());
}

#[test]
fn a_finding_is_drawn_with_both_instances() {
    let (origin, _site) = serve();
    let Some(browser) = Browser::start() else { return };
    for (width, dark) in [(1400, false), (1400, true), (390, false)] {
        browser.viewport(width, 900).unwrap();
        browser.prefer_dark(dark).unwrap();
        browser.open(&format!("{origin}/finding/5f0c2a9e41d7b863")).unwrap();
        let names = "return [...document.querySelectorAll('svg.tracks .holder .track-name')]\
            .filter((name) => name.getBoundingClientRect().width > 0).map((name) => name.textContent)";
        assert_eq!(browser.run(names, &[]).unwrap(), json!(["Branch 0", "Branch 1"]), "{width}");
        assert_eq!(browser.find_all("svg.tracks .holder.original").unwrap().len(), 1);
        // The beginning is drawn left of the moment at which it could be known, and both inside the picture.
        let places = "const box = (css) => document.querySelector(css).getBoundingClientRect(); \
            const all = box('svg.tracks'), fork = box('.moment.fork line'), known = box('.moment.detected line'); \
            return [all.left < fork.left, fork.left < known.left, known.right < all.right, \
            [...document.querySelectorAll('svg.tracks .beat')].every((mark) => mark.getBoundingClientRect().height > 0)]";
        assert_eq!(browser.run(places, &[]).unwrap(), json!([true, true, true, true]), "{width}");
        // Words can be read against their ground: the drawing has its colours from the style sheet.
        let colours = "const ink = (css) => getComputedStyle(document.querySelector(css)); \
            return [ink('svg.tracks .track-name').fill, ink('.panel').backgroundColor]";
        let colours = browser.run(colours, &[]).unwrap();
        assert_ne!(colours[0], colours[1], "{colours}");
        assert_eq!(browser.find_all("svg.map .point").unwrap().len(), 2);
        // A mark leads to its line.
        let link = browser.find("svg.tracks .holder a").unwrap().attribute("href").unwrap();
        assert!(link.is_some_and(|link| link.contains("/event/")));
    }
}

#[test]
fn what_only_a_suppression_needs_is_folded_away() {
    let (origin, _site) = serve();
    let Some(browser) = Browser::start() else { return };
    browser.open(&format!("{origin}/finding/5f0c2a9e41d7b863")).unwrap();
    let term = browser.find("#triage-hours").unwrap();
    assert!(!term.is_displayed().unwrap());
    browser.find("input[value=\"suppress\"]").unwrap().click().unwrap();
    assert!(term.is_displayed().unwrap());
    browser.find("input[value=\"acknowledge\"]").unwrap().click().unwrap();
    assert!(!term.is_displayed().unwrap());
}
