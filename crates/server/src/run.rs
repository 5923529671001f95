//! Starting and stopping: what listens, what runs beside it, and the line that says it is ready.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use touchmark_authority::Authority;
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_identity::key::sha256;
use touchmark_monitor::outputs::Context;
use zeroize::Zeroizing;

use crate::app::{App, Clock};
use crate::config::Config;
use crate::error::ServerError;
use crate::http::serve::{self, Stop};
use crate::http::{control, enrol, est, nothing_here, pages, public, telemetry, wrong_method};
use crate::keys::{open_key_store, verifier_policy};
use crate::outbox::{self, sink::Sink};
use crate::respond::Responses;
use crate::tls::{CurrentCertificate, server_config};
use crate::watch::Watch;
use crate::{gate, tail};

/// How often CRLs are looked at.
const CRL_PERIOD: Duration = Duration::from_secs(10);
/// How often responses are looked at.
const RESPONSE_PERIOD: Duration = Duration::from_secs(1);
/// How often is looked for decisions about findings that ran out.
const TRIAGE_PERIOD: Duration = Duration::from_secs(60);
/// How often the server's own certificate is replaced; it lives 30 days.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(10 * 24 * 3_600);
/// How long connections have to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// The name of the telemetry socket in the data directory.
pub const TELEMETRY_SOCKET: &str = "telemetry.sock";

/// Where the server is reached: the ready line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// `touchmark.ready/1`.
    pub schema: &'static str,
    /// EST and enrolment with evidence.
    pub enrol: String,
    /// CRL, OCSP and CA certificates.
    pub public: String,
    /// Dashboard.
    pub dashboard: String,
    /// Telemetry socket, for the terminator.
    pub telemetry: PathBuf,
    /// Control socket, for the operator.
    pub control: PathBuf,
    /// Root certificate, PEM: what devices trust.
    pub root: PathBuf,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

struct Listeners {
    enrol: TcpListener,
    public: TcpListener,
    dashboard: TcpListener,
    telemetry: UnixListener,
    control: UnixListener,
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Takes a Unix socket. A socket file that a killed server left is replaced; the registry's lock has made sure that no
/// other server runs on this data directory.
fn listen_unix(path: &Path, mode: u32) -> Result<UnixListener, ServerError> {
    let failed = |source| ServerError::Listen { address: path.display().to_string(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

/// Opens the authority over the data directory: what the server and the command line share.
///
/// # Errors
/// [`ServerError`] when registry, key store or endorsers cannot be opened.
pub fn open_authority(
    config: &Config,
    data: &Path,
    passphrase: Option<Zeroizing<Vec<u8>>>,
    test_root_pem: &str,
    clock: Clock,
) -> Result<(Authority, crate::keys::Custody), ServerError> {
    std::fs::create_dir_all(data)
        .and_then(|()| std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700)))
        .map_err(|source| ServerError::File { action: "make", path: data.display().to_string(), source })?;
    let registry = SqliteRegistry::open(data).map_err(touchmark_authority::AuthorityError::from)?;
    let (keys, custody) = open_key_store(&config.keys, data, passphrase)?;
    let verifier = verifier_policy(&config.attestation, test_root_pem)?;
    let mut settings = config.authority.clone();
    if settings.public_url.is_none() {
        settings.public_url = Some(format!("http://{}", config.listen.public));
    }
    let authority = Authority::open(Box::new(registry), keys, settings, verifier, clock())?;
    Ok((authority, custody))
}

impl Server {
    /// Opens everything, founds the authority at the first start, listens, and reads sources.
    ///
    /// # Errors
    /// [`ServerError`] when something cannot be opened or an address is taken.
    pub async fn start(
        mut config: Config,
        data: &Path,
        passphrase: Option<Zeroizing<Vec<u8>>>,
        test_root_pem: &str,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        // The ports have to be known first: the revocation address goes into every certificate.
        let (enrol, enrol_at) = listen(config.listen.enrol).await?;
        let (public, public_at) = listen(config.listen.public).await?;
        let (dashboard, dashboard_at) = listen(config.listen.dashboard).await?;
        (config.listen.enrol, config.listen.public, config.listen.dashboard) =
            (enrol_at, public_at, dashboard_at);
        let (authority, custody) = open_authority(&config, data, passphrase, test_root_pem, clock)?;
        let places = config.geo.open()?;
        let responses = Responses::new(&config.response)?;
        let mut watch = Watch::open(data, config.monitor.clone(), places.clone(), responses.is_on())?;
        let names: Vec<&str> = config.output.iter().map(|output| output.name.as_str()).collect();
        watch.log_mut().set_outputs(&names)?;
        let telemetry = config.listen.telemetry.clone().unwrap_or_else(|| data.join(TELEMETRY_SOCKET));
        let telemetry_mode = config
            .listen
            .telemetry_permissions()
            .map_err(|detail| ServerError::Config { path: "the configuration".to_owned(), detail })?;
        let listeners = Listeners {
            enrol,
            public,
            dashboard,
            telemetry: listen_unix(&telemetry, telemetry_mode)?,
            control: listen_unix(&crate::control::socket(data), 0o600)?,
        };
        let root = data.join("root.pem");
        let pem = authority.root().certificate().pem()?;
        std::fs::write(&root, pem).map_err(|source| ServerError::File {
            action: "write",
            path: root.display().to_string(),
            source,
        })?;
        let orphans = authority.orphans().len();
        if orphans > 0 {
            tracing::warn!(orphans, "certificates that a crash left unfinished count as revoked");
        }
        let app =
            Arc::new(App::new(config, data.to_owned(), clock, custody, places, responses, authority, watch));
        tracing::info!("the authority's keys are kept {}", app.custody.kept);
        if let Some(weakness) = &app.custody.weakness {
            tracing::warn!("{weakness}");
        }
        if app.config.attestation.dangerously_accept_test_endorsers {
            tracing::warn!("TEST endorsers are accepted: anybody can forge their evidence");
        }
        app.blocking(|app| {
            app.tell_monitor(None)?;
            app.resume_responses()?;
            gate::publish_at_start(app)
        })
        .await?;
        let addresses = Addresses {
            schema: "touchmark.ready/1",
            enrol: format!("https://{enrol_at}"),
            public: format!("http://{public_at}"),
            dashboard: format!("http://{dashboard_at}"),
            telemetry,
            control: crate::control::socket(data),
            root,
        };
        let (stop, stopped) = watch::channel(false);
        let tasks = spawn(&app, listeners, &stopped)?;
        Ok(Self { app, addresses, stop, tasks })
    }

    /// Where the server is reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the parts share.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Runs until `until` resolves, then lets connections end.
    ///
    /// # Errors
    /// [`ServerError::TaskEnded`] when a part ends by itself.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), ServerError> {
        let ended = tokio::select! {
            () = until => Ok(()),
            _ended = self.tasks.join_next() => Err(ServerError::TaskEnded { task: "server" }),
        };
        // Nobody listening means that every task has ended already.
        let _nobody = self.stop.send(true);
        let farewell = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            self.tasks.abort_all();
        }
        ended
    }
}

fn finish(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    router.fallback(nothing_here).method_not_allowed_fallback(wrong_method).with_state(Arc::clone(app))
}

fn spawn(app: &Arc<App>, listeners: Listeners, stop: &Stop) -> Result<JoinSet<()>, ServerError> {
    let current = CurrentCertificate::new(app)?;
    let config = server_config(app, Arc::clone(&current))?;
    let mut tasks = JoinSet::new();
    let enrolment = finish(est::router().merge(enrol::router()), app);
    tasks.spawn(serve::tls(listeners.enrol, config, Arc::clone(app), enrolment, stop.clone()));
    tasks.spawn(serve::plain(listeners.public, finish(public::router(), app), stop.clone()));
    tasks.spawn(serve::plain(listeners.dashboard, pages::router(app), stop.clone()));
    tasks.spawn(serve::plain(listeners.telemetry, finish(telemetry::router(), app), stop.clone()));
    tasks.spawn(serve::plain(listeners.control, finish(control::router(), app), stop.clone()));
    for source in &app.config.source {
        tasks.spawn(tail::follow(Arc::clone(app), source.clone(), stop.clone()));
    }
    let context = Arc::new(outputs_context(app));
    for output in &app.config.output {
        let sink = Sink::new(output)
            .map_err(|detail| ServerError::Config { path: format!("output {:?}", output.name), detail })?;
        tasks.spawn(outbox::run(Arc::clone(app), output.clone(), sink, Arc::clone(&context), stop.clone()));
    }
    tasks.spawn(every(CRL_PERIOD, Arc::clone(app), stop.clone(), |app| {
        app.authority().refresh_crls(app.now())?;
        gate::publish(app)
    }));
    tasks.spawn(every(RESPONSE_PERIOD, Arc::clone(app), stop.clone(), App::respond_in_time));
    tasks.spawn(every(TRIAGE_PERIOD, Arc::clone(app), stop.clone(), App::respond_to_triage));
    tasks.spawn(every(CERTIFICATE_PERIOD, Arc::clone(app), stop.clone(), move |app| current.renew(app)));
    Ok(tasks)
}

/// Who findings come from: the deployment, by its root certificate, which lasts longer than names and addresses.
fn outputs_context(app: &App) -> Context {
    let root = sha256(&app.authority().root().certificate().der);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Context::new(&format!("urn:touchmark:{}", hex::encode(root)), host.trim())
        .with_geography(app.places.geography().clone())
}

/// Does something again and again until the server stops. What fails is logged and tried again.
async fn every(
    period: Duration,
    app: Arc<App>,
    mut stop: Stop,
    work: impl Fn(&App) -> Result<(), ServerError> + Send + Sync + 'static,
) {
    let work = Arc::new(work);
    loop {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            _gone = stop.wait_for(|stop| *stop) => return,
        }
        let work = Arc::clone(&work);
        if let Err(error) = app.blocking(move |app| work(app)).await {
            tracing::error!(code = error.code(), "{}", error.chain());
        }
    }
}
