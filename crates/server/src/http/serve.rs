//! Accept loops: TCP, TLS and Unix sockets, each connection in a task of its own, bounded in number and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::serve::Listener;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::app::App;
use crate::tls;

/// No listener serves more connections than this at a time.
const MAX_CONNECTIONS: usize = 2_048;
/// A client has this long for its TLS handshake, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection lives at most this long.
const MAX_LIFE: Duration = Duration::from_secs(3_600);

/// The certificate that the client authenticated with, as a request extension. It chains to the root; whether it is
/// still good is not known here.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Where the client is.
    pub from: Option<SocketAddr>,
}

/// Turns true when the server is to stop.
pub type Stop = watch::Receiver<bool>;

async fn stopped(stop: &mut Stop) {
    // An error means that the sender is gone, which is a stop as well.
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// Accepts connections until the server stops, and gives each to `handle` in a task of its own.
async fn accept<L, F>(mut listener: L, mut stop: Stop, handle: impl Fn(L::Io, Stop) -> F)
where
    L: Listener,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let handled = handle(stream, stop.clone());
        tokio::spawn(async move {
            handled.await;
            drop(place);
        });
    }
}

/// Serves HTTP as it comes, over TCP or a Unix socket.
pub async fn plain<L: Listener>(listener: L, router: Router, stop: Stop) {
    accept(listener, stop, |stream, stop| connection(stream, router.clone(), None, stop)).await;
}

/// Serves HTTP over TLS; a client certificate travels with each request.
pub async fn tls(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    app: Arc<App>,
    router: Router,
    stop: Stop,
) {
    let acceptor = TlsAcceptor::from(config);
    accept(listener, stop, |stream, stop| {
        let (acceptor, router, app) = (acceptor.clone(), router.clone(), Arc::clone(&app));
        async move {
            let from = stream.peer_addr().ok();
            match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let certificates = stream.get_ref().1.peer_certificates();
                    let leaf = certificates.and_then(<[CertificateDer<'_>]>::first);
                    let leaf = leaf.map(|der| ClientCertificate { der: der.as_ref().to_vec(), from });
                    connection(stream, router, leaf, stop).await;
                }
                Ok(Err(error)) => {
                    let cause = tls::cause(&error);
                    app.metrics.tls_failed(cause);
                    tracing::info!(cause, "TLS handshake failed: {error}");
                }
                Err(_) => app.metrics.tls_failed("timeout"),
            }
        }
    })
    .await;
}

async fn connection<S>(stream: S, router: Router, certificate: Option<ClientCertificate>, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: Request<hyper::body::Incoming>| {
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        request.map(Body::new)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(served);
    let mut ending = false;
    let limit = tokio::time::sleep(MAX_LIFE);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            // What goes wrong on one connection is the client's to notice.
            _ended = served.as_mut() => return,
            () = stopped(&mut stop), if !ending => {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = limit.as_mut() => return,
        }
    }
}
