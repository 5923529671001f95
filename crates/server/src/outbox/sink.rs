//! Where findings and errands go: a webhook, a syslog receiver, a file.
//!
//! Bounds: a webhook is sent one finding at a time, the others up to 100; connecting and delivering take 10 s together; of
//! a webhook's answer the status alone is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use axum::http::Uri;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use touchmark_identity::finding::Finding;
use touchmark_monitor::outputs::{Context, Form, syslog};
use zeroize::Zeroizing;

use super::error::DeliveryError;
use crate::config::{Output, OutputKind};
use crate::tls;

/// How long one batch may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How many findings go to a syslog receiver or a file at once.
const BATCH: u32 = 100;
/// Roots of public authorities, as Debian and its kin keep them.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One finding or errand on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Names it: who gets the same id twice has the same thing twice.
    pub id: String,
    /// What is sent, in the output's form, one line.
    pub text: String,
    /// The finding; none for an errand.
    pub finding: Option<Finding>,
}

/// A receiver of findings.
#[derive(Debug)]
pub enum Sink {
    /// `webhook`: each finding is the body of one POST.
    Webhook(Webhook),
    /// `syslog`, over TCP or UDP.
    Syslog(Syslog),
    /// `file`: one line each.
    File(PathBuf),
}

/// A receiver over HTTP.
pub struct Webhook {
    host: String,
    port: u16,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    token_file: Option<PathBuf>,
    form: Form,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", self.address())
    }
}

/// A receiver of syslog messages.
#[derive(Debug)]
pub struct Syslog {
    datagrams: bool,
    address: String,
}

impl Sink {
    /// The receiver that a `[[output]]` table describes.
    ///
    /// # Errors
    /// What is wrong with the table, in words.
    pub fn new(output: &Output) -> Result<Self, String> {
        let wants = |key: &str, form: &str| format!("it needs `{key}`, written {form}");
        match output.kind {
            OutputKind::Webhook => {
                let url = output
                    .url
                    .as_deref()
                    .ok_or_else(|| wants("url", "http://HOST[:PORT]/PATH or https://…"))?;
                Ok(Self::Webhook(Webhook::new(url, output)?))
            }
            OutputKind::Syslog => {
                let form = "tcp://HOST:PORT or udp://HOST:PORT";
                let address = output.address.as_deref().ok_or_else(|| wants("address", form))?;
                Ok(Self::Syslog(Syslog::new(address).ok_or_else(|| wants("address", form))?))
            }
            OutputKind::File => {
                output.path.clone().map(Self::File).ok_or_else(|| wants("path", "as the name of a file"))
            }
        }
    }

    /// How many findings it is sent at once.
    #[must_use]
    pub fn batch(&self) -> u32 {
        match self {
            Self::Webhook(_) => 1,
            Self::Syslog(_) | Self::File(_) => BATCH,
        }
    }

    /// Hands findings over, in this order. When it returns without an error the receiver has all of them, as far as its
    /// protocol lets it say so.
    ///
    /// # Errors
    /// [`DeliveryError`]; some of them may have arrived then.
    pub async fn deliver(&self, deliveries: &[Delivery], context: &Context) -> Result<(), DeliveryError> {
        match self {
            Self::Webhook(webhook) => {
                for delivery in deliveries {
                    in_time(webhook.address(), webhook.post(delivery)).await?;
                }
                Ok(())
            }
            Self::Syslog(syslog) => in_time(syslog.address.clone(), syslog.send(deliveries, context)).await,
            Self::File(path) => append(path, deliveries).await,
        }
    }
}

async fn in_time<T>(
    address: String,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => Err(DeliveryError::NoAnswer { address, limit_s: LIMIT.as_secs() }),
    }
}

fn connection<'a>(action: &'static str, address: &'a str) -> impl Fn(std::io::Error) -> DeliveryError + 'a {
    move |source| DeliveryError::Connection { action, address: address.to_owned(), source }
}

impl Webhook {
    fn new(url: &str, output: &Output) -> Result<Self, String> {
        let wrong =
            || format!("url is {:?}, it must be http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH", url);
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("url holds a user name; a secret belongs into token_file".to_owned());
        }
        // RFC 3986 §3.2.2: an IPv6 address stands in brackets in a URI, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
        let is_local = match &name {
            ServerName::IpAddress(ip) => std::net::IpAddr::from(*ip).is_loopback(),
            _ => host == "localhost",
        };
        let roots = output.ca_file.as_deref().unwrap_or_else(|| Path::new(SYSTEM_ROOTS));
        let (tls, port) = match uri.scheme_str() {
            Some("https") => (Some((tls::connector(roots)?, name)), 443),
            Some("http") if output.token_file.is_some() && !is_local => {
                return Err("token_file would be sent in the clear; use https://".to_owned());
            }
            Some("http") => (None, 80),
            _ => return Err(wrong()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = uri.port_u16().unwrap_or(port);
        Ok(Self { host, port, path, tls, token_file: output.token_file.clone(), form: output.form })
    }

    fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    async fn post(&self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let address = self.address();
        let invalid = |source: axum::http::Error| DeliveryError::Connection {
            action: "make a request for",
            address: self.address(),
            source: std::io::Error::other(source),
        };
        let mut request = Request::post(&self.path)
            .header(HOST, &address)
            .header(USER_AGENT, concat!("touchmark-server/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, self.form.media_type())
            .header("idempotency-key", &delivery.id)
            .header(CONNECTION, "close");
        if let Some(value) = self.authorization().await? {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(Bytes::from(delivery.text.clone()))).map_err(invalid)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(connection("connect to", &address))?;
        let status = match &self.tls {
            Some((connector, name)) => {
                let secured = connector.connect(name.clone(), stream).await;
                self.exchange(secured.map_err(connection("agree on TLS with", &address))?, request).await?
            }
            None => self.exchange(stream, request).await?,
        };
        match status {
            200..=299 => Ok(()),
            // The document is at fault, and it will not change.
            400 | 413 | 415 | 422 => {
                Err(DeliveryError::Refused { address, status, form: self.form.as_str() })
            }
            _ => Err(DeliveryError::Status { address, status }),
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        request: Request<Full<Bytes>>,
    ) -> Result<u16, DeliveryError> {
        let broken = |source| DeliveryError::Broken { address: self.address(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let (mut answer, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            // The connection's side of the work is over: what it delivered, or why it failed, is in the answer.
            _ = &mut connection => answer.await,
        };
        Ok(answer.map_err(broken)?.status().as_u16())
    }

    /// Read anew for each delivery, so that a secret can be changed while the server runs.
    async fn authorization(&self) -> Result<Option<HeaderValue>, DeliveryError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let failed =
            |source| DeliveryError::File { action: "read", path: path.display().to_string(), source };
        let token = Zeroizing::new(tokio::fs::read(path).await.map_err(failed)?);
        let mut header = Zeroizing::new(b"Bearer ".to_vec());
        header.extend_from_slice(token.trim_ascii());
        let mut value = HeaderValue::from_bytes(&header).map_err(|_| {
            failed(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "it holds more than one line of text",
            ))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Syslog {
    fn new(address: &str) -> Option<Self> {
        let (scheme, address) = address.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        port.parse::<u16>().ok().filter(|port| *port != 0)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let datagrams = match scheme {
            "tcp" => false,
            "udp" => true,
            _ => return None,
        };
        (!host.is_empty() && host.chars().all(plain)).then(|| Self { datagrams, address: address.to_owned() })
    }

    async fn send(&self, deliveries: &[Delivery], context: &Context) -> Result<(), DeliveryError> {
        // Errands have no severity, and are not sent this way.
        let messages = deliveries.iter().filter_map(|delivery| {
            Some(syslog::message(delivery.finding.as_ref()?, &delivery.text, context))
        });
        if self.datagrams { self.datagrams(messages).await } else { self.stream(messages).await }
    }

    /// Over TCP nobody acknowledges a message. So the batch has a connection of its own, whose end the receiver has to
    /// answer with its own end: what it had not read by then would have been answered with a reset.
    async fn stream(&self, messages: impl Iterator<Item = String>) -> Result<(), DeliveryError> {
        let mut stream =
            TcpStream::connect(&self.address).await.map_err(connection("connect to", &self.address))?;
        let frames: String = messages.map(|message| syslog::octet_counted(&message)).collect();
        let sending = connection("send to", &self.address);
        stream.write_all(frames.as_bytes()).await.map_err(&sending)?;
        stream.shutdown().await.map_err(&sending)?;
        let mut ignored = [0; 512];
        while stream.read(&mut ignored).await.map_err(connection("end the connection to", &self.address))? > 0
        {
        }
        Ok(())
    }

    /// Over UDP nothing is known of what arrives (RFC 5426 §4.1).
    async fn datagrams(&self, messages: impl Iterator<Item = String>) -> Result<(), DeliveryError> {
        let failed = connection("send to", &self.address);
        let to = tokio::net::lookup_host(&self.address).await.map_err(&failed)?.next().ok_or_else(|| {
            failed(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"))
        })?;
        let any: std::net::IpAddr = if to.is_ipv4() {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).await.map_err(&failed)?;
        let mut too_large = None;
        for message in messages {
            if message.len() > syslog::MAX_DATAGRAM_BYTES {
                // Said at the end: the others of the batch are not held back by it.
                too_large = Some(message.len());
            } else {
                socket.send_to(message.as_bytes(), to).await.map_err(&failed)?;
            }
        }
        match too_large {
            Some(found) => Err(DeliveryError::TooLarge { found, max: syslog::MAX_DATAGRAM_BYTES }),
            None => Ok(()),
        }
    }
}

async fn append(path: &Path, deliveries: &[Delivery]) -> Result<(), DeliveryError> {
    let lines: String = deliveries.iter().flat_map(|delivery| [delivery.text.as_str(), "\n"]).collect();
    let to = path.to_owned();
    let failed = |source| DeliveryError::File { action: "write", path: path.display().to_string(), source };
    let written = tokio::task::spawn_blocking(move || append_durably(&to, &lines)).await;
    written.unwrap_or_else(|ended| Err(std::io::Error::other(ended))).map_err(failed)
}

/// Appends lines; durable when it returns. A line that a crash has torn is ended first: it follows whole.
fn append_durably(path: &Path, lines: &str) -> std::io::Result<()> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o640).open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
