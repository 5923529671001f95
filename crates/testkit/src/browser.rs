//! A real browser for tests of the dashboard: a small client of the W3C WebDriver protocol for ChromeDriver.
//!
//! [`Browser::start`] launches ChromeDriver on a free port of the loopback interface and one headless Chromium with
//! an empty profile and without its background traffic; both end when the value is dropped. Beyond clicking and
//! reading, the kit answers the two questions that a page with a strict content policy has to be asked: did the
//! console complain ([`Browser::console_errors`]), and was anything loaded from elsewhere
//! ([`Browser::requests_outside`]).
//!
//! Requires `chromium` and `chromedriver` on the path. Without them a test is skipped visibly, and fails where the
//! environment has `CI` or `TOUCHMARK_REQUIRE_PEERS=1`.
//!
//! ```no_run
//! # fn main() -> Result<(), touchmark_testkit::browser::BrowserError> {
//! let Some(browser) = touchmark_testkit::browser::Browser::start() else { return Ok(()) };
//! browser.open("http://127.0.0.1:8080/")?;
//! assert_eq!(browser.find("h1")?.text()?, "Overview");
//! assert_eq!(browser.console_errors()?, Vec::<String>::new());
//! assert_eq!(browser.requests_outside("http://127.0.0.1:8080")?, Vec::<String>::new());
//! # Ok(())
//! # }
//! ```

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// How long the driver and the browser may take to start; generous, because test machines are busy.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long one command may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long the browser may take to close before it is ended by force.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Largest answer that is read; a screenshot of a long page has a few megabytes.
const ANSWER_BYTES: u64 = 64 << 20;
/// The key under which WebDriver names an element (W3C WebDriver §11, "web element identifier").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Why the browser did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// BK-0001, environment: a program could not be started or a file not be written.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// BK-0002, environment: ChromeDriver did not say in time on which port it listens.
    #[error("chromedriver named no port within {} s; its last words were {last:?}", START_WITHIN.as_secs())]
    NoPort {
        /// The last line that it printed.
        last: String,
    },
    /// BK-0003, environment: the driver did not answer.
    #[error("chromedriver did not answer {command}")]
    Unreachable {
        /// Method and path of the command.
        command: String,
        /// What the HTTP client said; boxed, because it is large.
        #[source]
        cause: Box<ureq::Error>,
    },
    /// BK-0004, caller: the driver refused, with the error code of W3C WebDriver §6.6.
    #[error("{command} failed with {code:?}: {message}")]
    Refused {
        /// Method and path of the command.
        command: String,
        /// The code, such as `no such element`.
        code: String,
        /// The first line of its explanation.
        message: String,
    },
    /// BK-0005, peer: the answer does not have the form that the standard gives it.
    #[error("{command} answered in a form that WebDriver does not allow, expected {expected}")]
    Malformed {
        /// Method and path of the command.
        command: String,
        /// What was expected.
        expected: &'static str,
    },
    /// BK-0006, caller: what was waited for did not come.
    #[error("{what} did not come within {} ms", within.as_millis())]
    TooLate {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
    },
}

/// A headless browser with one page, which ends when the value is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    session: String,
    /// The browser's own process, should the driver fail to end it.
    process: Option<u64>,
    _profile: TempDir,
}

/// The running ChromeDriver.
#[derive(Debug)]
struct Driver {
    child: Child,
    agent: Agent,
    base: String,
}

/// An element of the page that was found; stale as soon as the page replaces it.
#[derive(Debug)]
pub struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

/// One line of the browser's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine {
    /// `SEVERE`, `WARNING`, `INFO` or `DEBUG`.
    pub level: String,
    /// Address, place and text.
    pub message: String,
}

impl Browser {
    /// Starts a browser; `None`, with a line on stderr, where the machine has none.
    ///
    /// # Panics
    /// When the programs are absent and the environment has `CI` or `TOUCHMARK_REQUIRE_PEERS=1`; and when they are
    /// present and do not start.
    #[must_use]
    #[expect(clippy::panic, reason = "a missing or broken peer fails the test that asked for it")]
    #[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
    pub fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (driver, chromium) = (find_program(&path, "chromedriver"), find_program(&path, "chromium"));
        let (Some(driver), Some(chromium)) = (driver, chromium) else {
            let required = std::env::var_os("CI").is_some()
                || std::env::var("TOUCHMARK_REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "chromium and chromedriver are required here; install both");
            eprintln!("SKIPPED: needs chromium and chromedriver on the path");
            return None;
        };
        match Self::launch(&driver, &chromium) {
            Ok(browser) => Some(browser),
            Err(error) => {
                let cause =
                    std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                panic!("the browser does not start: {error}{cause}");
            }
        }
    }

    fn launch(driver: &Path, chromium: &Path) -> Result<Self, BrowserError> {
        let profile = tempfile::Builder::new().prefix("touchmark-browser-").tempdir().map_err(|cause| {
            BrowserError::Io { what: "make a directory for the profile".to_owned(), cause }
        })?;
        let driver = Driver::start(driver)?;
        let data = format!("--user-data-dir={}", profile.path().display());
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": chromium, "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1400,1000", data,
            ] },
        } } });
        let made = driver.command("POST", "/session", &wanted)?;
        let session = made.get("sessionId").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
            BrowserError::Malformed { command: "POST /session".to_owned(), expected: "a session id" }
        })?;
        let process = made.pointer("/capabilities/goog:processID").and_then(Value::as_u64);
        let browser = Self { driver, session, process, _profile: profile };
        // A new window shows the browser's own start page, whose requests are no page's.
        browser.open("about:blank")?;
        browser.requested_urls()?;
        Ok(browser)
    }

    /// Opens an address and waits until the page is loaded.
    ///
    /// # Errors
    /// [`BrowserError`] when the address cannot be loaded.
    pub fn open(&self, address: &str) -> Result<(), BrowserError> {
        self.post("url", &json!({ "url": address })).map(drop)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// [`BrowserError`] when that fails.
    pub fn reload(&self) -> Result<(), BrowserError> {
        self.post("refresh", &json!({})).map(drop)
    }

    /// The page's title.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn title(&self) -> Result<String, BrowserError> {
        self.get_text("title")
    }

    /// The page's address.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn current_url(&self) -> Result<String, BrowserError> {
        self.get_text("url")
    }

    /// The page's document as it stands, as HTML.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn source(&self) -> Result<String, BrowserError> {
        self.get_text("source")
    }

    /// The first element that a CSS selector finds.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] with `no such element` when there is none.
    pub fn find(&self, css: &str) -> Result<Element<'_>, BrowserError> {
        let found = self.post("element", &json!({ "using": "css selector", "value": css }))?;
        self.element(&found)
    }

    /// All elements that a CSS selector finds, in the order of the document.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] when the selector is invalid.
    pub fn find_all(&self, css: &str) -> Result<Vec<Element<'_>>, BrowserError> {
        let found = self.post("elements", &json!({ "using": "css selector", "value": css }))?;
        let all = found.as_array().ok_or_else(|| self.malformed("elements", "a list of elements"))?;
        all.iter().map(|one| self.element(one)).collect()
    }

    /// The element that has the focus.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] when none has.
    pub fn focused(&self) -> Result<Element<'_>, BrowserError> {
        let found = self.call("GET", "element/active", &Value::Null)?;
        self.element(&found)
    }

    /// Waits until a CSS selector finds an element that can be seen.
    ///
    /// # Errors
    /// [`BrowserError::TooLate`] when none appears.
    pub fn wait_for(&self, css: &str, within: Duration) -> Result<Element<'_>, BrowserError> {
        self.wait_until(&format!("a visible {css}"), within, || {
            for element in self.find_all(css)? {
                if element.is_displayed()? {
                    return Ok(Some(element));
                }
            }
            Ok(None)
        })
    }

    /// Waits until the first element that a CSS selector finds holds a text.
    ///
    /// # Errors
    /// [`BrowserError::TooLate`] when it never does.
    pub fn wait_for_text(&self, css: &str, text: &str, within: Duration) -> Result<(), BrowserError> {
        self.wait_until(&format!("{text:?} in {css}"), within, || {
            Ok(self.find(css)?.text()?.contains(text).then_some(()))
        })
    }

    /// Asks again until there is an answer. An element that went stale or is not there yet counts as no answer.
    ///
    /// # Errors
    /// [`BrowserError::TooLate`] when there is none in time; any other error of `ask` at once.
    pub fn wait_until<T>(
        &self,
        what: &str,
        within: Duration,
        mut ask: impl FnMut() -> Result<Option<T>, BrowserError>,
    ) -> Result<T, BrowserError> {
        let started = Instant::now();
        loop {
            match ask() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(BrowserError::Refused { code, .. })
                    if code == "no such element" || code == "stale element reference" => {}
                Err(error) => return Err(error),
            }
            if started.elapsed() >= within {
                return Err(BrowserError::TooLate { what: what.to_owned(), within });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Runs a function body inside the page and returns what it returns, as JSON.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] with `javascript error` when it throws.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Result<Value, BrowserError> {
        self.post("execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Gives the page exactly this many CSS pixels; unlike a window, a viewport can be as narrow as a telephone.
    ///
    /// # Errors
    /// [`BrowserError`] when the browser refuses the size.
    pub fn viewport(&self, width: u32, height: u32) -> Result<(), BrowserError> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size)
    }

    /// Makes the page believe that its reader prefers a dark or a light colour scheme.
    ///
    /// # Errors
    /// [`BrowserError`] when the browser refuses.
    pub fn prefer_dark(&self, dark: bool) -> Result<(), BrowserError> {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features)
    }

    /// The visible part of the page as a PNG image.
    ///
    /// # Errors
    /// [`BrowserError`] when the browser cannot draw it.
    pub fn screenshot(&self) -> Result<Vec<u8>, BrowserError> {
        Base64::decode_vec(&self.get_text("screenshot")?)
            .map_err(|_| self.malformed("screenshot", "a PNG image in base64"))
    }

    /// Writes the visible part of the page into a PNG file.
    ///
    /// # Errors
    /// [`BrowserError`] when the page cannot be drawn or the file not be written.
    pub fn save_screenshot(&self, file: &Path) -> Result<(), BrowserError> {
        std::fs::write(file, self.screenshot()?)
            .map_err(|cause| BrowserError::Io { what: format!("write {}", file.display()), cause })
    }

    /// What the console said since the last call.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn console(&self) -> Result<Vec<ConsoleLine>, BrowserError> {
        let text =
            |entry: &Value, field| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let lines = self.log("browser")?;
        Ok(lines
            .iter()
            .map(|e| ConsoleLine { level: text(e, "level"), message: text(e, "message") })
            .collect())
    }

    /// The errors among what the console said since the last call, refusals by a content policy among them.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn console_errors(&self) -> Result<Vec<String>, BrowserError> {
        let lines = self.console()?;
        Ok(lines.into_iter().filter(|line| line.level == "SEVERE").map(|line| line.message).collect())
    }

    /// Every address that the page asked for since the last call, in order, the refused ones among them.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn requested_urls(&self) -> Result<Vec<String>, BrowserError> {
        let mut urls = Vec::new();
        for entry in self.log("performance")? {
            let Some(text) = entry.get("message").and_then(Value::as_str) else { continue };
            let message: Value = serde_json::from_str(text)
                .map_err(|_| self.malformed("se/log", "performance entries in JSON"))?;
            let url = match message.pointer("/message/method").and_then(Value::as_str) {
                Some("Network.requestWillBeSent") => message.pointer("/message/params/request/url"),
                Some("Network.webSocketCreated" | "Network.webTransportCreated") => {
                    message.pointer("/message/params/url")
                }
                _ => None,
            };
            urls.extend(url.and_then(Value::as_str).map(str::to_owned));
        }
        Ok(urls)
    }

    /// The addresses among [`Browser::requested_urls`] that are not of this origin (`http://127.0.0.1:8080`, without
    /// a slash at the end). Addresses that carry their own content (`data:`, `about:`, `blob:`) and the browser's own
    /// (`chrome:`) do not count.
    ///
    /// # Errors
    /// [`BrowserError`] when the driver does not answer.
    pub fn requests_outside(&self, origin: &str) -> Result<Vec<String>, BrowserError> {
        let mut urls = self.requested_urls()?;
        urls.retain(|url| is_outside(url, origin));
        Ok(urls)
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<(), BrowserError> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).map(drop)
    }

    fn log(&self, kind: &str) -> Result<Vec<Value>, BrowserError> {
        match self.post("se/log", &json!({ "type": kind }))? {
            Value::Array(entries) => Ok(entries),
            _ => Err(self.malformed("se/log", "a list of entries")),
        }
    }

    fn element(&self, found: &Value) -> Result<Element<'_>, BrowserError> {
        let id = found.get(ELEMENT).and_then(Value::as_str);
        let id = id.ok_or_else(|| self.malformed("element", "an element reference"))?.to_owned();
        Ok(Element { browser: self, id })
    }

    fn get_text(&self, path: &str) -> Result<String, BrowserError> {
        match self.call("GET", path, &Value::Null)? {
            Value::String(text) => Ok(text),
            _ => Err(self.malformed(path, "a string")),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, BrowserError> {
        self.call("POST", path, body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, BrowserError> {
        self.driver.command(method, &format!("/session/{}/{path}", self.session), body)
    }

    fn malformed(&self, path: &str, expected: &'static str) -> BrowserError {
        BrowserError::Malformed { command: format!("/session/{}/{path}", self.session), expected }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let address = format!("{}/session/{}", self.driver.base, self.session);
        let closing =
            self.driver.agent.delete(&address).config().timeout_global(Some(CLOSE_WITHIN)).build().call();
        if let (Err(_), Some(process)) = (closing, self.process) {
            // The driver is lost and the browser would outlive the test; nothing more can be done if this fails too.
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

impl Element<'_> {
    /// The text as a reader sees it.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] with `stale element reference` when the page replaced the element.
    pub fn text(&self) -> Result<String, BrowserError> {
        self.browser.get_text(&self.path("text"))
    }

    /// The value of an attribute; `None` when the element does not have it.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] with `stale element reference` when the page replaced the element.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, BrowserError> {
        let value = self.browser.call("GET", &self.path(&format!("attribute/{name}")), &Value::Null)?;
        Ok(value.as_str().map(str::to_owned))
    }

    /// Whether a reader can see the element.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] with `stale element reference` when the page replaced the element.
    pub fn is_displayed(&self) -> Result<bool, BrowserError> {
        let shown = self.browser.call("GET", &self.path("displayed"), &Value::Null)?;
        shown.as_bool().ok_or_else(|| self.browser.malformed("displayed", "a boolean"))
    }

    /// Clicks into the middle of the element.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] when the element cannot be clicked.
    pub fn click(&self) -> Result<(), BrowserError> {
        self.browser.post(&self.path("click"), &json!({})).map(drop)
    }

    /// Types a text, key by key. Special keys have the code points of W3C WebDriver §17.4.2, such as `\u{E004}` for
    /// the tabulator and `\u{E007}` for enter.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] when the element takes no keys.
    pub fn type_text(&self, text: &str) -> Result<(), BrowserError> {
        self.browser.post(&self.path("value"), &json!({ "text": text })).map(drop)
    }

    /// Empties an input. The page sees a `change` event, not the `input` event of a reader's keys.
    ///
    /// # Errors
    /// [`BrowserError::Refused`] when the element is no input.
    pub fn clear(&self) -> Result<(), BrowserError> {
        self.browser.post(&self.path("clear"), &json!({})).map(drop)
    }

    fn path(&self, command: &str) -> String {
        format!("element/{}/{command}", self.id)
    }
}

impl Driver {
    fn start(program: &Path) -> Result<Self, BrowserError> {
        let failed = |cause| BrowserError::Io { what: format!("start {}", program.display()), cause };
        let mut command = Command::new(program);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let port = child.stdout.take().map_or_else(|| Err(String::new()), named_port);
        match port {
            Ok(port) => {
                let config = Agent::config_builder()
                    .proxy(None)
                    .http_status_as_error(false)
                    .timeout_global(Some(ANSWER_WITHIN))
                    .build();
                Ok(Self { child, agent: config.new_agent(), base: format!("http://127.0.0.1:{port}") })
            }
            Err(last) => {
                // The start failed already; that the driver is gone too would be no news.
                let _ = child.kill().and_then(|()| child.wait());
                Err(BrowserError::NoPort { last })
            }
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, BrowserError> {
        let command = format!("{method} {path}");
        let address = format!("{}{path}", self.base);
        let answer = match method {
            "GET" => self.agent.get(&address).call(),
            _ => self.agent.post(&address).send_json(body),
        };
        let mut answer = answer
            .and_then(|mut answer| answer.body_mut().with_config().limit(ANSWER_BYTES).read_json::<Value>())
            .map_err(|cause| BrowserError::Unreachable {
                command: command.clone(),
                cause: Box::new(cause),
            })?;
        let value = answer.get_mut("value").map(Value::take);
        let value = value.ok_or(BrowserError::Malformed { command: command.clone(), expected: "a value" })?;
        match value.get("error").and_then(Value::as_str) {
            Some(code) if value.get("stacktrace").is_some() => {
                let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
                let message = message.lines().next().unwrap_or_default().to_owned();
                Err(BrowserError::Refused { command, code: code.to_owned(), message })
            }
            _ => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A driver that ended by itself cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what the driver prints until it names its port; the last line on failure. Goes on reading after that, so
/// that the driver never waits for a reader.
fn named_port(stdout: ChildStdout) -> Result<u16, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            // Nobody listens any more once the port is known.
            let _ = sender.send(line);
        }
    });
    let started = Instant::now();
    let mut last = String::new();
    while let Some(left) = START_WITHIN.checked_sub(started.elapsed()) {
        let Ok(line) = receiver.recv_timeout(left) else { break };
        if let Some(port) = port_in(&line) {
            return Ok(port);
        }
        last = line;
    }
    Err(last)
}

/// The port in ChromeDriver's line "ChromeDriver was started successfully on port N."
fn port_in(line: &str) -> Option<u16> {
    line.strip_prefix("ChromeDriver was started successfully on port ")?
        .trim_end()
        .trim_end_matches('.')
        .parse()
        .ok()
}

fn find_program(path: &std::ffi::OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn is_outside(url: &str, origin: &str) -> bool {
    let local = ["data:", "about:", "blob:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
    let inside = url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !local && !inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    const PAGE: &str = "<!doctype html><title>Kit</title><link rel=icon href='data:,'><h1>Before</h1>\
        <input id=name><button id=go>Go</button><a href=/second>second</a><p id=wide></p><script src=/page.js></script>";
    const SCRIPT: &str = "document.getElementById('go').onclick = () => setTimeout(() => {\
        document.querySelector('h1').textContent = 'Hello ' + document.getElementById('name').value; }, 120);";
    const SECOND: &str = "<!doctype html><title>Second</title><link rel=icon href='data:,'>";
    const BAD: &str = "<!doctype html><title>Bad</title><link rel=icon href='data:,'><h1>Bad</h1>\
        <img src='http://127.0.0.2:9/elsewhere.png'><script>console.error('spoiled');</script>";

    /// Serves three small pages on a free port until the process ends; returns the origin.
    fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(100) {
                let mut stream = stream.unwrap();
                // Browsers open connections in advance and leave them silent, so each has its own thread; one that
                // hangs up early is not this server's concern.
                std::thread::spawn(move || drop(answer(&mut stream)));
            }
        });
        origin
    }

    fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
        let mut head = [0; 4096];
        let length = stream.read(&mut head)?;
        let head = String::from_utf8_lossy(&head[..length]);
        let (kind, body) = match head.split(' ').nth(1) {
            Some("/page.js") => ("text/javascript", SCRIPT),
            Some("/bad") => ("text/html", BAD),
            Some("/second") => ("text/html", SECOND),
            _ => ("text/html", PAGE),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    #[test]
    fn drives_a_page_and_sees_what_it_loads() {
        let origin = serve();
        let Some(browser) = Browser::start() else { return };
        let within = Duration::from_secs(20);

        browser.open(&origin).unwrap();
        assert_eq!(browser.title().unwrap(), "Kit");
        browser.find("#name").unwrap().type_text("reader").unwrap();
        browser.find("#go").unwrap().click().unwrap();
        browser.wait_for_text("h1", "Hello reader", within).unwrap();
        assert_eq!(browser.focused().unwrap().attribute("id").unwrap().as_deref(), Some("go"));
        assert_eq!(browser.find_all("h1").unwrap().len(), 1);
        assert!(browser.source().unwrap().contains("Hello reader"));

        let missing = browser.find("#absent").unwrap_err();
        assert!(
            matches!(&missing, BrowserError::Refused { code, .. } if code == "no such element"),
            "{missing}"
        );
        let late = browser.wait_for("#absent", Duration::from_millis(1)).unwrap_err();
        assert!(matches!(late, BrowserError::TooLate { .. }), "{late}");

        browser.viewport(390, 800).unwrap();
        assert_eq!(browser.run("return innerWidth + arguments[0]", &[json!(1)]).unwrap(), json!(391));
        browser.prefer_dark(true).unwrap();
        let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches", &[]).unwrap();
        assert_eq!(dark, json!(true));
        let picture = browser.screenshot().unwrap();
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
        // Width and height stand in the IHDR chunk at bytes 16 to 24 (PNG §11.2.1).
        assert_eq!(picture[16..24], [0, 0, 1, 0x86, 0, 0, 3, 0x20]);

        browser.find("a").unwrap().click().unwrap();
        browser
            .wait_until("the second page", within, || Ok((browser.title()? == "Second").then_some(())))
            .unwrap();
        assert_eq!(browser.current_url().unwrap(), format!("{origin}/second"));
        assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
        let urls = browser.requested_urls().unwrap();
        for path in ["/", "/page.js", "/second"] {
            assert!(urls.contains(&format!("{origin}{path}")), "{path} in {urls:?}");
        }

        browser.open(&format!("{origin}/bad")).unwrap();
        let errors = browser.console_errors().unwrap();
        assert!(errors.iter().any(|error| error.contains("spoiled")), "{errors:?}");
        assert_eq!(browser.requests_outside(&origin).unwrap(), ["http://127.0.0.2:9/elsewhere.png"]);
    }

    #[test]
    fn browser_and_driver_end_with_the_value() {
        let Some(browser) = Browser::start() else { return };
        let (driver, process) = (u64::from(browser.driver.child.id()), browser.process.unwrap());
        let runs = |id: u64| {
            // A process that ended and was not collected by its parent is a zombie, which does nothing any more.
            std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        assert!(runs(driver) && runs(process));
        drop(browser);
        assert!(!runs(driver));
        let started = Instant::now();
        while runs(process) && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(LOOK_EVERY);
        }
        assert!(!runs(process));
    }

    #[test]
    fn an_origin_is_not_a_prefix() {
        let origin = "http://127.0.0.1:80";
        assert!(!is_outside("http://127.0.0.1:80/x", origin));
        assert!(!is_outside("data:,", origin));
        for other in
            ["http://127.0.0.1:8080/", "http://127.0.0.1:80@elsewhere.example/", "https://127.0.0.1:80/"]
        {
            assert!(is_outside(other, origin), "{other}");
        }
    }

    #[test]
    fn a_port_is_read_from_the_right_line_alone() {
        assert_eq!(port_in("ChromeDriver was started successfully on port 40693."), Some(40693));
        assert_eq!(port_in("Starting ChromeDriver 156.0 on port 0"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 99999."), None);
    }

    #[test]
    fn a_missing_program_is_not_found() {
        assert_eq!(find_program("/nonexistent".as_ref(), "chromedriver"), None);
    }
}
