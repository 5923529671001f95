//! A connection to one broker: one request, then its answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::batch::BatchError;
use super::message::{self, Amount, Api, Edge, Metadata, Offer, best, error_name};
use super::wire::{Body, Fields, Malformed};

/// How long a broker has to be connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a broker has for an answer, beside the time for which it was allowed to wait.
const ANSWER: Duration = Duration::from_secs(15);
/// No answer is larger than this, in bytes.
const LARGEST: usize = 96 << 20;

/// Why a broker cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The connection failed.
    #[error("the broker {address} cannot be used: {source}")]
    Connection {
        /// The broker.
        address: String,
        /// What the operating system or TLS said.
        source: io::Error,
    },
    /// It did not answer.
    #[error("the broker {address} did not answer within {seconds} s")]
    NoAnswer {
        /// The broker.
        address: String,
        /// How long it had.
        seconds: u64,
    },
    /// What it answered breaks the protocol; it may be no broker, or ask for TLS.
    #[error(
        "the broker {address} answered {api} with something else: {source}; check that it speaks Kafka, and \
         whether it asks for TLS"
    )]
    Malformed {
        /// The broker.
        address: String,
        /// What it was asked.
        api: &'static str,
        /// Where the answer breaks.
        source: Malformed,
    },
    /// It speaks other versions.
    #[error(
        "the broker {address} has no version of {api} that is spoken here; Kafka 0.11 or newer is needed"
    )]
    Versions {
        /// The broker.
        address: String,
        /// The request.
        api: &'static str,
    },
    /// It refused.
    #[error("the broker {address} refused {what}: {} ({code})", error_name(*code))]
    Refused {
        /// The broker.
        address: String,
        /// What it was asked for.
        what: String,
        /// Its error number.
        code: i16,
    },
    /// It does not take this login.
    #[error("the broker {address} does not take user and password (SASL PLAIN); it takes {known}")]
    Mechanism {
        /// The broker.
        address: String,
        /// What it takes.
        known: String,
    },
    /// The file with the password cannot be read.
    #[error("the password in {path} cannot be read: {source}")]
    Password {
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The topic is not there.
    #[error("there is no topic {topic}, or this user may not see it")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// A partition that no broker answers for.
    #[error("partition {partition} has no leader at the moment")]
    NoLeader {
        /// The partition.
        partition: i32,
    },
    /// A partition's answer lacks.
    #[error("the broker {address} said nothing about partition {partition}")]
    NothingSaid {
        /// The broker.
        address: String,
        /// The partition.
        partition: i32,
    },
    /// A partition cannot be read any further.
    #[error("partition {partition} cannot be read: {source}")]
    Batch {
        /// The partition.
        partition: i32,
        /// Why.
        source: BatchError,
    },
}

/// How brokers are reached.
#[derive(Clone)]
pub struct Access {
    /// What this reader calls itself.
    pub client: String,
    /// TLS; without it everything is in the clear.
    pub tls: Option<TlsConnector>,
    /// User, and the file with the password.
    pub login: Option<(String, PathBuf)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("client", &self.client).field("tls", &self.tls.is_some()).finish()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a partition answered.
#[derive(Debug)]
pub struct Answer {
    /// The partition.
    pub partition: i32,
    /// 0 where there is no error.
    pub error: i16,
    /// The offset behind the last record.
    pub end: i64,
    /// Batches.
    pub records: Bytes,
}

/// A connection. After an error it is of no use any more.
pub struct Broker {
    address: String,
    client: String,
    stream: Box<dyn Stream>,
    number: i32,
    versions: Vec<Offer>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Broker {
    /// Connects, logs in where that is asked for, and learns which versions the broker speaks.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub async fn connect(access: &Access, host: &str, port: u16) -> Result<Self, KafkaError> {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let connecting = async {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match &access.tls {
                Some(connector) => {
                    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                    Box::new(connector.connect(name, stream).await?)
                }
                None => Box::new(stream),
            };
            Ok(stream)
        };
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(stream) => {
                stream.map_err(|source| KafkaError::Connection { address: address.clone(), source })?
            }
            Err(_) => return Err(KafkaError::NoAnswer { address, seconds: CONNECT.as_secs() }),
        };
        let client = access.client.clone();
        let mut broker = Self { address, client, stream, number: 0, versions: Vec::new() };
        let bytes = broker.ask(Api::ApiVersions, 0, &Body::new(false), Duration::ZERO).await?;
        let (error, versions) = broker.read(Api::ApiVersions, &bytes, false, message::api_versions)?;
        broker.demand(error, || "to tell its versions".to_owned())?;
        broker.versions = versions;
        if let Some((user, file)) = &access.login {
            let password = tokio::fs::read(file)
                .await
                .map(Zeroizing::new)
                .map_err(|source| KafkaError::Password { path: file.display().to_string(), source })?;
            broker.log_in(user, password.trim_ascii()).await?;
        }
        Ok(broker)
    }

    /// Where a topic is.
    ///
    /// # Errors
    /// [`KafkaError`], here and below; [`KafkaError::NoTopic`] and [`KafkaError::Refused`] are about the topic, others about
    /// the broker.
    pub async fn metadata(&mut self, topic: &str) -> Result<Metadata, KafkaError> {
        let version = self.version(Api::Metadata)?;
        let body = message::ask_metadata(version, topic);
        let bytes = self.ask(Api::Metadata, version, &body, Duration::ZERO).await?;
        let flexible = body.is_flexible();
        let found =
            self.read(Api::Metadata, &bytes, flexible, |fields| message::metadata(fields, version))?;
        match found.error {
            0 if !found.partitions.is_empty() => Ok(found),
            0 | 3 => Err(KafkaError::NoTopic { topic: topic.to_owned() }),
            code => Err(self.refused(format!("the topic {topic}"), code)),
        }
    }

    /// An offset of each of these partitions, which this broker leads.
    ///
    /// # Errors
    /// [`KafkaError::Refused`] also where one partition is refused.
    pub async fn offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        edge: Edge,
    ) -> Result<Vec<i64>, KafkaError> {
        let version = self.version(Api::ListOffsets)?;
        let body = message::ask_offsets(topic, partitions, edge);
        let bytes = self.ask(Api::ListOffsets, version, &body, Duration::ZERO).await?;
        let found = self.read(Api::ListOffsets, &bytes, false, message::offsets)?;
        let of = |partition: &i32| {
            let found = found.iter().find(|(number, ..)| number == partition);
            let Some((_, error, offset)) = found else {
                return Err(self.said_nothing(*partition));
            };
            self.demand(*error, || format!("the offsets of partition {partition}"))?;
            Ok(*offset)
        };
        partitions.iter().map(of).collect()
    }

    /// Records from these offsets on. Errors of single partitions are in their answers.
    ///
    /// # Errors
    /// As for [`Self::metadata`].
    pub async fn records(
        &mut self,
        topic: &str,
        wanted: &[(i32, i64)],
        amount: Amount,
    ) -> Result<Vec<Answer>, KafkaError> {
        let version = self.version(Api::Fetch)?;
        let body = message::ask_records(version, topic, wanted, amount);
        let wait = Duration::from_millis(amount.wait_ms.unsigned_abs().into());
        let bytes = self.ask(Api::Fetch, version, &body, wait).await?;
        let read = |fields: &mut Fields<'_>| {
            let (error, found) = message::records(fields, version)?;
            let answers = found.into_iter().map(|part| Answer {
                partition: part.partition,
                error: part.error,
                end: part.end,
                // A copy, so that a partition that is read slowly does not hold on to the whole answer.
                records: Bytes::copy_from_slice(part.records),
            });
            Ok((error, answers.collect()))
        };
        let (error, answers) = self.read(Api::Fetch, &bytes, false, read)?;
        self.demand(error, || "records".to_owned())?;
        Ok(answers)
    }

    /// The error of a partition as one of this broker.
    #[must_use]
    pub fn refused(&self, what: String, code: i16) -> KafkaError {
        KafkaError::Refused { address: self.address.clone(), what, code }
    }

    /// That a partition's answer lacks.
    #[must_use]
    pub fn said_nothing(&self, partition: i32) -> KafkaError {
        KafkaError::NothingSaid { address: self.address.clone(), partition }
    }

    async fn log_in(&mut self, user: &str, password: &[u8]) -> Result<(), KafkaError> {
        let version = self.version(Api::SaslHandshake)?;
        let body = Body::new(false).text("PLAIN");
        let bytes = self.ask(Api::SaslHandshake, version, &body, Duration::ZERO).await?;
        let (error, known) = self.read(Api::SaslHandshake, &bytes, false, message::handshake)?;
        if error != 0 {
            return Err(KafkaError::Mechanism { address: self.address.clone(), known });
        }
        let version = self.version(Api::SaslAuthenticate)?;
        // RFC 4616 §2: no identity to act as, user, password.
        let plain = Zeroizing::new([&[0], user.as_bytes(), &[0], password].concat());
        let body = Body::new(false).blob(&plain);
        let bytes = self.ask(Api::SaslAuthenticate, version, &body, Duration::ZERO).await?;
        let error = self.read(Api::SaslAuthenticate, &bytes, false, Fields::int16)?;
        self.demand(error, || format!("the login of {user}"))
    }

    fn version(&self, api: Api) -> Result<i16, KafkaError> {
        let none = || KafkaError::Versions { address: self.address.clone(), api: api.name() };
        best(api, &self.versions).ok_or_else(none)
    }

    fn demand(&self, code: i16, what: impl FnOnce() -> String) -> Result<(), KafkaError> {
        if code == 0 { Ok(()) } else { Err(self.refused(what(), code)) }
    }

    fn read<'a, T>(
        &self,
        api: Api,
        bytes: &'a [u8],
        flexible: bool,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, Malformed>,
    ) -> Result<T, KafkaError> {
        let read = message::answer(bytes, self.number, flexible).and_then(|mut fields| read(&mut fields));
        read.map_err(|source| self.malformed(api, source))
    }

    fn malformed(&self, api: Api, source: Malformed) -> KafkaError {
        KafkaError::Malformed { address: self.address.clone(), api: api.name(), source }
    }

    /// Sends a request and gives the answer, without its length.
    async fn ask(
        &mut self,
        api: Api,
        version: i16,
        body: &Body,
        wait: Duration,
    ) -> Result<Vec<u8>, KafkaError> {
        self.number = self.number.wrapping_add(1);
        let request = Zeroizing::new(message::request(api, version, self.number, &self.client, body));
        let limit = wait + ANSWER;
        let stream = &mut self.stream;
        let exchange = async {
            stream.write_all(&request).await?;
            stream.flush().await?;
            let length = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
            if length > LARGEST {
                return Ok(None);
            }
            let mut answer = Vec::new();
            // Memory is taken as bytes come, not on the word of the length.
            let mut part = stream.take(length as u64);
            part.read_to_end(&mut answer).await?;
            if answer.len() < length {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            Ok(Some(answer))
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(self.malformed(api, Malformed("a length"))),
            Ok(Err(source)) => Err(KafkaError::Connection { address: self.address.clone(), source }),
            Err(_) => Err(KafkaError::NoAnswer { address: self.address.clone(), seconds: limit.as_secs() }),
        }
    }
}

#[cfg(test)]
mod tests;
