//! A topic of an MQTT 3.1.1 broker, QoS 1.
//!
//! A message is acknowledged after its lines are durable, and the session outlives the connection (`clean_session` is
//! off), so the broker keeps what comes while the monitor is away. What it sends again is dropped as a duplicate by the
//! engine. Without TLS: for a broker on the same machine or network, as a bridge has it.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS, SubscribeReasonCode};

use super::intake::Intake;
use crate::error::ServerError;
use crate::http::serve::Stop;

/// Pauses after the broker or the log failed.
const PAUSE: Duration = Duration::from_secs(1);
/// No message is larger than this, in bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Acknowledgements that may wait for the connection: a broker that has queued messages sends many at once.
const ACKNOWLEDGEMENTS: usize = 1 << 16;

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
    loop {
        let event = tokio::select! {
            event = events.poll() => event,
            _gone = stop.wait_for(|stop| *stop) => return,
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
                let taken = intake.take_async([&message.payload[..], b"\n"].concat()).await;
                let done = taken.map_err(|error| ServerError::chain(&error)).and_then(|()| {
                    client
                        .try_ack(&message)
                        .map_err(|error| format!("a message cannot be acknowledged: {error}"))
                });
                if done.is_err() {
                    // Without an acknowledgement, the broker sends it again on the next connection.
                    events.clean();
                }
                done
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the broker {}:{} cannot be used: {error}", broker.host, broker.port)),
        };
        if let Err(trouble) = done {
            desk.report(&name, false, Some(trouble));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _gone = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
