//! A topic of an MQTT 3.1.1 broker, QoS 1.
//!
//! A message is acknowledged after its lines are durable, and the session outlives the connection (`clean_session` is
//! off), so the broker keeps what comes while the monitor is away. What it sends again is dropped as a duplicate by the
//! engine. Messages that have come by the time are made durable together. Without TLS: for a broker on the same machine or
//! network, as a bridge has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, Publish, QoS, SubscribeReasonCode};
use tokio::sync::mpsc;

use super::intake::Intake;
use super::lines::PIECE;
use crate::error::ServerError;
use crate::http::serve::Stop;

/// Pauses after the broker or the log failed.
const PAUSE: Duration = Duration::from_secs(1);
/// No message is larger than this, in bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Messages that wait to be made durable; then the connection is not read any further.
const AHEAD: usize = 256;
/// Acknowledgements that wait to be sent. More cannot be owed: there are not more packet identifiers.
const ACKNOWLEDGEMENTS: usize = u16::MAX as usize + 1;

/// What an input needs to know of its broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Topic or topic filter.
    pub topic: String,
    /// The client id, which is the session's name: two monitors need two.
    pub client: String,
}

/// A message, and the number of the connection on which it came.
type Arrived = (u64, Publish);

/// Reads a topic until the monitor stops.
pub async fn follow(intake: Intake, broker: Broker, mut stop: Stop) {
    let (desk, name) = (Arc::clone(intake.desk()), intake.name().to_owned());
    let mut options = MqttOptions::new(&broker.client, &broker.host, broker.port);
    options
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_keep_alive(Duration::from_secs(30))
        .set_max_packet_size(MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES);
    let (client, mut events) = AsyncClient::new(options, ACKNOWLEDGEMENTS);
    let connection = Arc::new(AtomicU64::new(0));
    let (arrived, arriving) = mpsc::channel(AHEAD);
    let taking = take(intake, client.clone(), Arc::clone(&connection), arriving, stop.clone());
    let taking = tokio::spawn(taking);
    loop {
        let event = tokio::select! {
            event = events.poll() => event,
            _gone = stop.wait_for(|stop| *stop) => break,
        };
        let done = match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                client.try_subscribe(&broker.topic, QoS::AtLeastOnce).map_err(|error| error.to_string())
            }
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                let granted =
                    |code: &SubscribeReasonCode| *code == SubscribeReasonCode::Success(QoS::AtLeastOnce);
                if answer.return_codes.iter().all(granted) {
                    desk.report(&name, false, None);
                    Ok(())
                } else {
                    Err(format!("the broker does not give {:?} with QoS 1", broker.topic))
                }
            }
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                let message = (connection.load(Ordering::Acquire), message);
                tokio::select! {
                    sent = arrived.send(message) => if sent.is_err() { break },
                    _gone = stop.wait_for(|stop| *stop) => break,
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                connection.fetch_add(1, Ordering::Release);
                Err(format!("the broker {}:{} cannot be used: {error}", broker.host, broker.port))
            }
        };
        if let Err(trouble) = done {
            desk.report(&name, false, Some(trouble));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _gone = stop.wait_for(|stop| *stop) => break,
            }
        }
    }
    drop(arrived);
    if taking.await.is_err() {
        tracing::error!(input = name, "taking messages ended before its time");
    }
}

/// Makes messages durable, as many as there are at once, and acknowledges them.
async fn take(
    intake: Intake,
    client: AsyncClient,
    connection: Arc<AtomicU64>,
    mut arriving: mpsc::Receiver<Arrived>,
    mut stop: Stop,
) {
    while let Some(first) = arriving.recv().await {
        let mut batch = vec![first];
        let mut lines = Vec::new();
        for place in 0..AHEAD {
            let Some((_, message)) = batch.get(place) else { break };
            lines.extend_from_slice(&message.payload);
            lines.push(b'\n');
            if lines.len() < PIECE {
                batch.extend(arriving.try_recv().ok());
            }
        }
        let mut failed = false;
        while let Err(error) = intake.take_async(lines.clone()).await {
            failed = true;
            intake.desk().report(intake.name(), false, Some(ServerError::chain(&error)));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                // The broker sends again what was not acknowledged.
                _gone = stop.wait_for(|stop| *stop) => return,
            }
        }
        if failed {
            intake.desk().report(intake.name(), false, None);
        }
        for (came_on, message) in batch {
            // On another connection the same packet identifier may stand for another message.
            if came_on == connection.load(Ordering::Acquire)
                && let Err(error) = client.try_ack(&message)
            {
                tracing::debug!(input = intake.name(), "a message is not acknowledged: {error}");
            }
        }
    }
}
