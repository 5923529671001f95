//! The requests of a reader and their answers: which versions a broker speaks, where a topic's partitions are, which
//! offsets they have, what stands there.
//!
//! Of each request the versions are spoken that brokers from Kafka 0.11 to 4.x have between them; a broker tells its own.
//!
//! # Source
//! Apache Kafka 4.0, "Protocol Guide", The Protocol Messages.

use super::place::TopicId;
use super::wire::{Body, Fields, Malformed};

/// A request: its number in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Records of partitions.
    Fetch = 1,
    /// Offsets of partitions by time.
    ListOffsets = 2,
    /// Brokers and partitions.
    Metadata = 3,
    /// Which mechanism a client logs in with.
    SaslHandshake = 17,
    /// The versions that a broker speaks.
    ApiVersions = 18,
    /// The login.
    SaslAuthenticate = 36,
}

impl Api {
    /// Its name, as documents and access lists have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "Fetch",
            Self::ListOffsets => "ListOffsets",
            Self::Metadata => "Metadata",
            Self::SaslHandshake => "SaslHandshake",
            Self::ApiVersions => "ApiVersions",
            Self::SaslAuthenticate => "SaslAuthenticate",
        }
    }

    /// The versions that are spoken here, best first.
    fn spoken(self) -> &'static [i16] {
        match self {
            // 10 is the first that carries Zstandard.
            Self::Fetch => &[10, 4],
            Self::ListOffsets => &[1],
            // 12 tells the id of a topic, 4 does not make a topic by asking for it.
            Self::Metadata => &[12, 4, 1],
            Self::SaslHandshake => &[1],
            Self::ApiVersions | Self::SaslAuthenticate => &[0],
        }
    }

    /// The number, as it is sent.
    #[must_use]
    pub fn key(self) -> i16 {
        self as i16
    }
}

/// A request, ready to be sent: `length | api | version | number | client | body`.
#[must_use]
pub fn request(api: Api, version: i16, number: i32, client: &str, body: &Body) -> Vec<u8> {
    // The client's name is in the short form in every version.
    let head = Body::new(false).int16(api.key()).int16(version).int32(number).text(client);
    let tags: &[u8] = if body.is_flexible() { &[0] } else { &[] };
    let content = [head.bytes(), tags, body.bytes()].concat();
    Body::new(false).blob(&content).bytes().to_vec()
}

/// The fields of an answer behind its number.
///
/// # Errors
/// [`Malformed`] when it is not the answer to the request of this number.
pub fn answer(bytes: &[u8], number: i32, flexible: bool) -> Result<Fields<'_>, Malformed> {
    let mut fields = Fields::new(bytes, flexible);
    if fields.int32()? != number {
        return Err(Malformed("the number of an answer"));
    }
    fields.end()?;
    Ok(fields)
}

/// What a broker says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The request's number.
    pub api: i16,
    /// The lowest version that it speaks.
    pub lowest: i16,
    /// The highest one.
    pub highest: i16,
}

/// The version of a request in which this broker and this reader can speak.
#[must_use]
pub fn best(api: Api, offers: &[Offer]) -> Option<i16> {
    let offer = offers.iter().find(|offer| offer.api == api.key())?;
    api.spoken().iter().copied().find(|version| (offer.lowest..=offer.highest).contains(version))
}

/// Reads an answer to `ApiVersions` 0: error, and the requests.
///
/// # Errors
/// [`Malformed`], here and below.
pub fn api_versions(fields: &mut Fields<'_>) -> Result<(i16, Vec<Offer>), Malformed> {
    let error = fields.int16()?;
    let mut offers = Vec::new();
    for _ in 0..fields.count()? {
        offers.push(Offer { api: fields.int16()?, lowest: fields.int16()?, highest: fields.int16()? });
    }
    Ok((error, offers))
}

/// A broker, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: i32,
    /// Where it is reached.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Where a topic is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The brokers.
    pub nodes: Vec<Node>,
    /// The topic's error, 0 where there is none.
    pub error: i16,
    /// Its id, where brokers tell it.
    pub id: Option<TopicId>,
    /// Its partitions: number and leader, which is negative where there is none.
    pub partitions: Vec<(i32, i32)>,
}

/// Asks for one topic.
#[must_use]
pub fn ask_metadata(version: i16, topic: &str) -> Body {
    let mut body = Body::new(version >= 9).count(1);
    if version >= 10 {
        body = body.raw(&TopicId::default());
    }
    body = body.text(topic).end();
    if version >= 4 {
        // The topic is not made by being asked for.
        body = body.int8(0);
    }
    if version >= 8 {
        // Who may do what with it is not asked.
        body = body.int8(0);
    }
    body.end()
}

/// Reads an answer to `Metadata` 1, 4 or 12 about one topic.
///
/// # Errors
/// As for [`api_versions`].
pub fn metadata(fields: &mut Fields<'_>, version: i16) -> Result<Metadata, Malformed> {
    let mut found = Metadata::default();
    if version >= 3 {
        let _throttled_ms = fields.int32()?;
    }
    for _ in 0..fields.count()? {
        let id = fields.int32()?;
        let host = fields.text()?.ok_or(Malformed("a broker's host"))?.to_owned();
        let port = u16::try_from(fields.int32()?).map_err(|_| Malformed("a broker's port"))?;
        let _rack = fields.text()?;
        fields.end()?;
        found.nodes.push(Node { id, host, port });
    }
    if version >= 2 {
        let _cluster = fields.text()?;
    }
    let _controller = fields.int32()?;
    for _ in 0..fields.count()? {
        found.error = fields.int16()?;
        let _name = fields.text()?;
        if version >= 10 {
            found.id = Some(fields.uuid()?).filter(|id| *id != TopicId::default());
        }
        let _internal = fields.int8()?;
        for _ in 0..fields.count()? {
            let _error = fields.int16()?;
            let (partition, leader) = (fields.int32()?, fields.int32()?);
            if version >= 7 {
                let _epoch = fields.int32()?;
            }
            // Replicas, those in step, and from version 5 on those that are away.
            for _ in 0..if version >= 5 { 3 } else { 2 } {
                fields.skip_int32s()?;
            }
            fields.end()?;
            found.partitions.push((partition, leader));
        }
        if version >= 8 {
            let _allowed = fields.int32()?;
        }
        fields.end()?;
    }
    Ok(found)
}

/// A moment to list the offset of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The first record that is there.
    Earliest,
    /// Behind the last one.
    End,
}

/// Asks for an offset of each of these partitions.
#[must_use]
pub fn ask_offsets(topic: &str, partitions: &[i32], edge: Edge) -> Body {
    let moment = match edge {
        Edge::Earliest => -2,
        Edge::End => -1,
    };
    let body = Body::new(false).int32(-1).count(1).text(topic).count(partitions.len());
    partitions.iter().fold(body, |body, partition| body.int32(*partition).int64(moment))
}

/// Reads an answer to `ListOffsets` 1: partition, error, offset.
///
/// # Errors
/// As for [`api_versions`].
pub fn offsets(fields: &mut Fields<'_>) -> Result<Vec<(i32, i16, i64)>, Malformed> {
    let mut found = Vec::new();
    for _ in 0..fields.count()? {
        let _name = fields.text()?;
        for _ in 0..fields.count()? {
            let (partition, error, _time) = (fields.int32()?, fields.int16()?, fields.int64()?);
            found.push((partition, error, fields.int64()?));
        }
    }
    Ok(found)
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// How long the broker may wait for a first record, in milliseconds.
    pub wait_ms: i32,
    /// Bytes of the answer; a batch that alone is larger is given all the same.
    pub bytes: i32,
    /// Bytes of each partition.
    pub partition_bytes: i32,
}

/// Asks for records of these partitions from these offsets on.
#[must_use]
pub fn ask_records(version: i16, topic: &str, wanted: &[(i32, i64)], amount: Amount) -> Body {
    // Not a replica; one byte is enough to answer; open transactions are read as well.
    let mut body = Body::new(false).int32(-1).int32(amount.wait_ms).int32(1).int32(amount.bytes).int8(0);
    if version >= 7 {
        // No session: each request says everything.
        body = body.int32(0).int32(-1);
    }
    body = body.count(1).text(topic).count(wanted.len());
    for (partition, offset) in wanted {
        body = body.int32(*partition);
        if version >= 9 {
            // The leader's epoch is not known.
            body = body.int32(-1);
        }
        body = body.int64(*offset);
        if version >= 5 {
            body = body.int64(-1);
        }
        body = body.int32(amount.partition_bytes);
    }
    if version >= 7 { body.count(0) } else { body }
}

/// What a partition answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// The partition.
    pub partition: i32,
    /// 0 where there is no error.
    pub error: i16,
    /// The offset behind the last record that readers may have.
    pub end: i64,
    /// Batches.
    pub records: &'a [u8],
}

/// Reads an answer to `Fetch` 4 or 10: the error of the whole, and the partitions.
///
/// # Errors
/// As for [`api_versions`].
pub fn records<'a>(fields: &mut Fields<'a>, version: i16) -> Result<(i16, Vec<Fetched<'a>>), Malformed> {
    let _throttled_ms = fields.int32()?;
    let mut failed = 0;
    if version >= 7 {
        failed = fields.int16()?;
        let _session = fields.int32()?;
    }
    let mut found = Vec::new();
    for _ in 0..fields.count()? {
        let _name = fields.text()?;
        for _ in 0..fields.count()? {
            let (partition, error, end) = (fields.int32()?, fields.int16()?, fields.int64()?);
            let _stable = fields.int64()?;
            if version >= 5 {
                let _start = fields.int64()?;
            }
            for _ in 0..fields.count()? {
                let _aborted = (fields.int64()?, fields.int64()?);
            }
            found.push(Fetched { partition, error, end, records: fields.blob()? });
        }
    }
    Ok((failed, found))
}

/// Reads an answer to `SaslHandshake` 1: error, and the mechanisms that the broker knows.
///
/// # Errors
/// As for [`api_versions`].
pub fn handshake(fields: &mut Fields<'_>) -> Result<(i16, String), Malformed> {
    let error = fields.int16()?;
    let mut known = Vec::new();
    for _ in 0..fields.count()? {
        known.extend(fields.text()?);
    }
    Ok((error, known.join(", ")))
}

/// What an error number means, in the words of the protocol.
#[must_use]
pub fn error_name(code: i16) -> &'static str {
    match code {
        1 => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        8 => "BROKER_NOT_AVAILABLE",
        9 => "REPLICA_NOT_AVAILABLE",
        13 => "NETWORK_EXCEPTION",
        17 => "INVALID_TOPIC_EXCEPTION",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        31 => "CLUSTER_AUTHORIZATION_FAILED",
        33 => "UNSUPPORTED_SASL_MECHANISM",
        35 => "UNSUPPORTED_VERSION",
        56 => "KAFKA_STORAGE_ERROR",
        58 => "SASL_AUTHENTICATION_FAILED",
        74 => "FENCED_LEADER_EPOCH",
        75 => "UNKNOWN_LEADER_EPOCH",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        78 => "OFFSET_NOT_AVAILABLE",
        _ => "an error of the broker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_laid_out_as_the_guide_has_it() {
        let plain = request(Api::ListOffsets, 1, 7, "me", &ask_offsets("t", &[3], Edge::Earliest));
        let expected = "00000027 0002 0001 00000007 0002 6d65 ffffffff 00000001 0001 74 00000001 00000003 fffffffffffffffe";
        assert_eq!(hex::encode(plain), expected.replace(' ', ""));
        let flexible = request(Api::Metadata, 12, 7, "me", &ask_metadata(12, "t"));
        let expected =
            "00000024 0003 000c 00000007 0002 6d65 00 02 00000000000000000000000000000000 02 74 00 00 00 00";
        assert_eq!(hex::encode(flexible), expected.replace(' ', ""));
    }

    #[test]
    fn the_best_version_that_both_speak_is_taken() {
        let offer = |api, lowest, highest| Offer { api, lowest, highest };
        let kafka_4 = [offer(1, 4, 17), offer(2, 1, 10), offer(3, 0, 13)];
        assert_eq!(best(Api::Fetch, &kafka_4), Some(10));
        assert_eq!(best(Api::Metadata, &kafka_4), Some(12));
        assert_eq!(best(Api::Metadata, &[offer(3, 0, 2)]), Some(1));
        assert_eq!((best(Api::Fetch, &[offer(1, 11, 17)]), best(Api::Fetch, &[])), (None, None));
    }

    /// Two brokers and two partitions, the second without a leader.
    fn metadata_12() -> Body {
        let broker = |body: Body, id, port| body.int32(id).text("127.0.0.1").int32(port).raw(&[0]).end();
        let mut body = Body::new(true).int32(0).count(2);
        body = broker(broker(body, 1, 9_092), 2, 9_093);
        body = body.text("cluster").int32(1).count(1).int16(0).text("t").raw(&[7; 16]).int8(0).count(2);
        for (partition, leader) in [(0, 2), (1, -1)] {
            body = body.int16(0).int32(partition).int32(leader).int32(5);
            body = body.count(2).int32(1).int32(2).count(1).int32(2).count(0).end();
        }
        body.int32(i32::MIN).end().end()
    }

    #[test]
    fn topics_with_ids_are_read() {
        let body = metadata_12();
        let read = metadata(&mut Fields::new(body.bytes(), true), 12).unwrap();
        assert_eq!((read.error, read.id), (0, Some([7; 16])));
        assert_eq!(read.partitions, [(0, 2), (1, -1)]);
        assert_eq!(read.nodes[1], Node { id: 2, host: "127.0.0.1".to_owned(), port: 9_093 });
        for cut in 0..body.bytes().len() - 1 {
            assert!(metadata(&mut Fields::new(&body.bytes()[..cut], true), 12).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_answers_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for version in [1, 4, 12] {
                let _either = metadata(&mut Fields::new(&bytes, version >= 9), version);
            }
            for version in [4, 10] {
                let _either = records(&mut Fields::new(&bytes, false), version);
            }
            let _either = offsets(&mut Fields::new(&bytes, false));
            let _either = api_versions(&mut Fields::new(&bytes, false));
            let _either = handshake(&mut Fields::new(&bytes, false));
        }
    }
}
