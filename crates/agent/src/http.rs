//! One HTTPS request, one answer, one connection (HTTP/1.1, RFC 9112).
//!
//! Bounds: addresses tried 4, time to connect and finish the handshake 10 s, whole exchange 30 s, answer 1 MiB.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::AgentError;
use crate::secret::Private;

/// The largest body of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_ADDRESSES: usize = 4;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// The base of a server: `https://HOST[:PORT][/PREFIX]`, no user, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
    prefix: String,
}

/// A text that is not the base of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the base of a server; it is written https://HOST[:PORT][/PREFIX]")]
pub struct EndpointError {
    /// What was read, at most 100 characters.
    pub text: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError { text: text.chars().take(100).collect() };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if uri.scheme_str() != Some("https") || !plain || uri.query().is_some() || text.contains('#') {
            return Err(wrong());
        }
        // RFC 3986 §3.2.2: an IPv6 address stands in brackets in a URI, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(host.as_str()).map_err(|_| wrong())?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(443), prefix })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl Endpoint {
    /// Host and port as a `Host` header and a message write them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.prefix)
    }
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, 100 to 599.
    pub status: u16,
    /// The body, at most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// A client of one server.
pub struct Client {
    endpoint: Endpoint,
    connector: TlsConnector,
    bind: Option<IpAddr>,
    limit: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.endpoint)
    }
}

impl Client {
    /// A client of `endpoint` that speaks TLS by `config`, from the source address `bind` where one is given.
    #[must_use]
    pub fn new(endpoint: Endpoint, config: ClientConfig, bind: Option<IpAddr>) -> Self {
        Self { endpoint, connector: TlsConnector::from(Arc::new(config)), bind, limit: EXCHANGE_LIMIT }
    }

    /// Host and port of the server, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint.authority()
    }

    /// Sends JSON to `path`, which begins with `/`, and returns the answer whatever its status is. `authorization` is
    /// the value of that header.
    ///
    /// # Errors
    /// [`AgentError::Unreachable`], [`AgentError::Tls`], [`AgentError::Broken`] and [`AgentError::NoAnswer`] when there
    /// is no whole answer; [`AgentError::Protocol`] when its body is larger than [`MAX_BODY_BYTES`].
    pub async fn post_json(
        &self,
        path: &str,
        authorization: Option<&Private>,
        body: &[u8],
    ) -> Result<Response, AgentError> {
        let internal = |detail: String| AgentError::Internal { operation: "making an HTTP request", detail };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.endpoint.prefix))
            .header(HOST, self.endpoint.authority())
            .header(USER_AGENT, concat!("touchmark-agent/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        if let Some(value) = authorization {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|e| internal(e.to_string()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request =
            request.body(Full::new(Bytes::copy_from_slice(body))).map_err(|e| internal(e.to_string()))?;
        in_time(self.limit, self.address(), self.exchange(request)).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response, AgentError> {
        let tls = in_time(CONNECT_LIMIT, self.address(), self.connect()).await?;
        let broken = |source: hyper::Error| {
            // With TLS 1.3 a server refuses the client's certificate after the client's side of the handshake is over:
            // its alert then arrives where the answer is awaited.
            match tls_alert(&source) {
                Some(alert) => {
                    AgentError::Tls { address: self.address(), source: std::io::Error::other(alert) }
                }
                None => AgentError::Broken { address: self.address(), source },
            }
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(&broken)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(&broken)?;
            let status = response.status().as_u16();
            let body = match Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(error) if error.is::<LengthLimitError>() => {
                    return Err(AgentError::Protocol {
                        address: self.address(),
                        what: "a request",
                        detail: format!("the body is larger than {MAX_BODY_BYTES} bytes"),
                    });
                }
                Err(error) => {
                    return Err(match error.downcast::<hyper::Error>() {
                        Ok(error) => broken(*error),
                        Err(error) => AgentError::Internal {
                            operation: "reading an HTTP answer",
                            detail: error.to_string(),
                        },
                    });
                }
            };
            Ok(Response { status, body })
        };
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection's side of the work is over: what it delivered, or why it failed, is in the exchange.
            _ = &mut connection => exchange.await,
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, AgentError> {
        let unreachable = |source| AgentError::Unreachable { address: self.address(), source };
        let found = tokio::net::lookup_host((self.endpoint.host.as_str(), self.endpoint.port))
            .await
            .map_err(unreachable)?;
        let usable = found.filter(|to| self.bind.is_none_or(|from| from.is_ipv4() == to.is_ipv4()));
        let mut failure = std::io::Error::new(
            std::io::ErrorKind::AddrNotAvailable,
            "the host has no address of the family of bind_address",
        );
        for to in usable.take(MAX_ADDRESSES) {
            match self.tcp(to).await {
                Ok(stream) => return self.handshake(stream).await,
                Err(error) => failure = error,
            }
        }
        Err(unreachable(failure))
    }

    async fn tcp(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.bind {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, AgentError> {
        let name = ServerName::try_from(self.endpoint.host.clone()).map_err(|error| {
            AgentError::Internal { operation: "naming the TLS server", detail: error.to_string() }
        })?;
        self.connector
            .connect(name, stream)
            .await
            .map_err(|source| AgentError::Tls { address: self.address(), source })
    }
}

async fn in_time<T>(
    limit: Duration,
    address: String,
    work: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(AgentError::NoAnswer {
            address,
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// The TLS error among the causes of an HTTP error.
fn tls_alert(error: &hyper::Error) -> Option<rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(tls) = inner.downcast_ref::<rustls::Error>()
        {
            return Some(tls.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn endpoints_are_read_and_written() {
        for (text, written) in [
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("https://pki.example", "https://pki.example:443"),
            ("https://[::1]:9443/gate/", "https://[::1]:9443/gate"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), written);
        }
        for text in ["", "http://a", "https://", "https://u:p@a", "https://a/?x", "https://a/#x", "a:1", "/p"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<Endpoint>();
            if let Ok(endpoint) = format!("https://{text}").parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
            }
        }
    }
}
