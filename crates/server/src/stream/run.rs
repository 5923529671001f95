//! `touchmark monitor run`: inputs, checkpoints, time, and findings to stdout, until it is told to stop.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use touchmark_identity::finding::Finding;
use touchmark_monitor::Enrich;

use super::config::{InputKind, RunConfig};
use super::desk::Desk;
use super::input::intake::Intake;
use super::input::{file, http, kafka, mqtt};
use super::station::Station;
use crate::app::Clock;
use crate::error::ServerError;
use crate::http::serve::{self, Stop};
use crate::tls;

/// Findings are given to stdout in pieces of about so many bytes.
const PIECE: usize = 256 * 1024;
/// Pauses after the disk refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How long connections have to end when the monitor stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// The place under which it is written how far findings were given to stdout.
const GIVEN: &str = "stdout";

/// Where the monitor is reached: the ready line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `touchmark.ready/1`.
    pub schema: &'static str,
    /// `http://HOST:PORT/v1/events`, when it listens.
    pub events: Option<String>,
}

/// Takes findings in their order; what it has taken, it is not given again, except after a crash in between.
pub type Sink = Box<dyn FnMut(&[Finding]) -> std::io::Result<()> + Send>;

/// A monitor that runs.
#[derive(Debug)]
pub struct Runner {
    desk: Arc<Desk>,
    ready: Ready,
    config: RunConfig,
    /// By the names of their inputs.
    topics: BTreeMap<String, kafka::Topic>,
    listener: Option<TcpListener>,
}

impl Runner {
    /// Opens the data directory, brings the monitor to where it stood, and listens.
    ///
    /// # Errors
    /// [`ServerError`] when something cannot be opened or the address is taken.
    pub async fn start(config: RunConfig, enrich: Option<Enrich>, clock: Clock) -> Result<Self, ServerError> {
        let topics = topics(&config)?;
        let opening = config.clone();
        let station = tokio::task::spawn_blocking(move || Station::open(&opening, enrich)).await;
        let station = station.unwrap_or(Err(ServerError::TaskEnded { task: "station" }))?;
        let desk = Desk::new(station, clock);
        if let Some(path) = &config.registry {
            let lines = std::fs::read(path).map_err(|source| ServerError::File {
                action: "read",
                path: path.display().to_string(),
                source,
            })?;
            let taken = desk.blocking(move |desk| desk.station().register(lines, desk.now())).await?;
            desk.count("registry", &taken);
        }
        let listener = match config.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let events = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
            .map(|at| format!("http://{at}/v1/events"));
        Ok(Self { desk, ready: Ready { schema: "touchmark.ready/1", events }, config, topics, listener })
    }

    /// Where it is reached.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// What the parts share.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Runs until `until` resolves, and gives findings to `sink`. With `once`, files, stdin and
    /// topics of Kafka are read to their end,
    /// everything is observed, and that is all.
    ///
    /// # Errors
    /// [`ServerError::TaskEnded`] when a part ends by itself; with `once`, what an input said; the error of the last
    /// checkpoint, or of giving the last findings.
    pub async fn run(
        self,
        until: impl Future<Output = ()>,
        sink: Sink,
        once: bool,
    ) -> Result<(), ServerError> {
        let Self { desk, config, mut topics, listener, .. } = self;
        let (sender, stop) = watch::channel(false);
        let mut finite = JoinSet::new();
        let mut tasks = JoinSet::new();
        for input in &config.input {
            let stop = stop.clone();
            let intake = Intake::new(Arc::clone(&desk), &input.name, input.format);
            // Nothing is idle before every input was asked.
            desk.report(&input.name, input.kind != InputKind::Stdin, None);
            match (input.kind, &input.path) {
                (InputKind::File, Some(path)) => {
                    let follow = file::follow(intake, path.clone(), once, stop);
                    if once {
                        finite.spawn(follow);
                    } else {
                        tasks.spawn(async { drop(follow.await) });
                    }
                }
                (InputKind::Stdin, _) => {
                    finite.spawn(async {
                        file::stdin(intake, stop).await;
                        Ok(())
                    });
                }
                (InputKind::Mqtt, _) => {
                    if let (Some((host, port)), Some(topic)) = (input.host_and_port(), &input.topic) {
                        let client = format!("touchmark-{}", input.name);
                        let broker =
                            mqtt::Broker { host: host.to_owned(), port, topic: topic.clone(), client };
                        tasks.spawn(mqtt::follow(intake, broker, stop));
                    }
                }
                (InputKind::Kafka, _) => {
                    if let Some(topic) = topics.remove(&input.name) {
                        let follow = kafka::follow(intake, topic, once, stop);
                        if once {
                            finite.spawn(follow);
                        } else {
                            tasks.spawn(async { drop(follow.await) });
                        }
                    }
                }
                (InputKind::File, None) => {}
            }
        }
        if let Some(listener) = listener {
            tasks.spawn(serve::plain(listener, http::router(Arc::clone(&desk)), stop.clone()));
        }
        tasks.spawn(checkpoints(Arc::clone(&desk), config.checkpoint_s, stop.clone()));
        tasks.spawn(ticks(Arc::clone(&desk), config.tick_s, stop.clone()));
        let giver = tokio::spawn(give(Arc::clone(&desk), sink, stop.clone()));
        let read_to_the_end = async {
            while let Some(ended) = finite.join_next().await {
                ended.unwrap_or(Err(ServerError::TaskEnded { task: "input" }))?;
            }
            if !once {
                std::future::pending::<()>().await;
            }
            desk.blocking(|desk| desk.station().finish(desk.now())).await
        };
        let ended = tokio::select! {
            () = until => Ok(()),
            ended = read_to_the_end => ended,
            _ended = tasks.join_next() => Err(ServerError::TaskEnded { task: "monitor" }),
        };
        // Nobody listening means that every task has ended already.
        let _nobody = sender.send(true);
        let farewell = async {
            while tasks.join_next().await.is_some() {}
            while finite.join_next().await.is_some() {}
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tasks.abort_all();
        }
        // It gives what is there before it ends.
        let given = giver.await.map_err(|_| ServerError::TaskEnded { task: "findings" });
        let saved = desk.blocking(|desk| desk.station().checkpoint(desk.now())).await;
        ended.and(given?).and(saved)
    }
}

/// What the inputs from Kafka need to know, with their files read.
fn topics(config: &RunConfig) -> Result<BTreeMap<String, kafka::Topic>, ServerError> {
    let mut topics = BTreeMap::new();
    for input in config.input.iter().filter(|input| input.kind == InputKind::Kafka) {
        let (Some(brokers), Some(topic)) = (input.brokers(), &input.topic) else { continue };
        let tls = input.ca_file.as_deref().map(tls::connector);
        let tls = tls
            .transpose()
            .map_err(|detail| ServerError::Config { path: format!("input {:?}", input.name), detail })?;
        let login = input.user.clone().zip(input.password_file.clone());
        let access = kafka::broker::Access { client: format!("touchmark-{}", input.name), tls, login };
        let topic = kafka::Topic { brokers, name: topic.clone(), access };
        topics.insert(input.name.clone(), topic);
    }
    Ok(topics)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let failed = |source| ServerError::Listen { address: address.to_string(), source };
    TcpListener::bind(address).await.map_err(failed)
}

async fn checkpoints(desk: Arc<Desk>, seconds: u32, mut stop: Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds.into())) => {}
            _gone = stop.wait_for(|stop| *stop) => return,
        }
        if let Err(error) = desk.blocking(|desk| desk.station().checkpoint(desk.now())).await {
            tracing::error!(code = error.code(), "no checkpoint: {}", error.chain());
        }
    }
}

/// Moves time on while nothing comes. An input that has more to give, or cannot be asked, is waited for.
async fn ticks(desk: Arc<Desk>, seconds: u32, mut stop: Stop) {
    loop {
        // Zero never comes to an end.
        let quiet = async {
            match seconds {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
            }
        };
        tokio::select! {
            () = quiet => {}
            () = desk.taken.notified() => continue,
            _gone = stop.wait_for(|stop| *stop) => return,
        }
        if desk.is_behind() {
            continue;
        }
        if let Err(error) = desk.blocking(|desk| desk.station().tick(desk.now())).await {
            tracing::error!(code = error.code(), "{}", error.chain());
        }
        desk.taken.notify_waiters();
    }
}

/// Gives findings to the sink in the order of the file, and writes down how far it came.
async fn give(desk: Arc<Desk>, sink: Sink, mut stop: Stop) -> Result<(), ServerError> {
    let sink = Arc::new(std::sync::Mutex::new(sink));
    loop {
        let stopping = *stop.borrow();
        let taken = desk.taken.notified();
        let sink = Arc::clone(&sink);
        match desk.blocking(move |desk| give_next(desk, &sink)).await {
            Ok(true) => continue,
            Ok(false) if stopping => return Ok(()),
            Ok(false) => tokio::select! {
                () = taken => {}
                () = tokio::time::sleep(PAUSE) => {}
                _gone = stop.wait_for(|stop| *stop) => {}
            },
            Err(error) if stopping => return Err(error),
            Err(error) => {
                tracing::error!(code = error.code(), "findings cannot be given: {}", error.chain());
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    _gone = stop.wait_for(|stop| *stop) => {}
                }
            }
        }
    }
}

/// True when there may be more.
fn give_next(desk: &Desk, sink: &std::sync::Mutex<Sink>) -> Result<bool, ServerError> {
    let (findings, next) = {
        let station = desk.station();
        let place = station.place(GIVEN)?.and_then(|place| place.parse().ok()).unwrap_or(0);
        if place >= station.findings().length() {
            return Ok(false);
        }
        station.findings().from(place, PIECE)?
    };
    // A reader that is slow holds nobody else up.
    let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sink(&findings).map_err(|source| ServerError::File {
        action: "write findings to",
        path: "stdout".to_owned(),
        source,
    })?;
    desk.station().set_place(GIVEN, &next.to_string())?;
    Ok(true)
}

/// A sink that writes findings in a form, one a line.
pub fn lines(
    mut out: impl Write + Send + 'static,
    form: impl Fn(&Finding) -> String + Send + 'static,
) -> Sink {
    Box::new(move |findings| {
        for finding in findings {
            writeln!(out, "{}", form(finding))?;
        }
        out.flush()
    })
}
