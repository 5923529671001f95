//! How far a topic was read, as it is kept, and what to do when that is not there any more.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Sixteen bytes that a broker gives a topic when it is made; another topic of the same name has others.
pub type TopicId = [u8; 16];

/// How far a topic was read.
///
/// Its text is `TOPIC ID PARTITION:OFFSET…`, separated by blanks, which no topic's name holds: the id in hex or `-`, and for
/// each partition the offset of the next record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The topic's name.
    pub topic: String,
    /// Its id, where brokers tell it.
    pub id: Option<TopicId>,
    /// The next offset of each partition.
    pub next: BTreeMap<i32, i64>,
}

/// A text that is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not how far a topic was read")]
pub struct NotAPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.map_or_else(|| "-".to_owned(), hex::encode);
        write!(f, "{} {id}", self.topic)?;
        self.next.iter().try_for_each(|(partition, offset)| write!(f, " {partition}:{offset}"))
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let mut words = text.split(' ');
        let (Some(topic), Some(id)) = (words.next(), words.next()) else { return Err(NotAPlace) };
        let id = match id {
            "-" => None,
            id => {
                let mut bytes = TopicId::default();
                hex::decode_to_slice(id, &mut bytes).map_err(|_| NotAPlace)?;
                Some(bytes)
            }
        };
        let mut next = BTreeMap::new();
        for word in words {
            let (partition, offset) = word.split_once(':').ok_or(NotAPlace)?;
            next.insert(partition.parse().map_err(|_| NotAPlace)?, offset.parse().map_err(|_| NotAPlace)?);
        }
        Ok(Self { topic: topic.to_owned(), id, next })
    }
}

/// Why offsets that are kept do not count for a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forgotten {
    /// The configuration names another topic.
    #[error("what was read before is the topic {before}, so {topic} is read from its beginning")]
    OtherTopic {
        /// The topic that was read.
        before: String,
        /// The topic that is read now.
        topic: String,
    },
    /// The topic was deleted, and made again under its name.
    #[error("the topic {topic} was made anew (id {now}, before {before}), so it is read from its beginning")]
    MadeAnew {
        /// Its name.
        topic: String,
        /// The id that it had.
        before: String,
        /// The id that it has.
        now: String,
    },
}

impl Place {
    /// The place for a topic as the brokers know it: offsets of another one are forgotten.
    pub fn turn_to(&mut self, topic: &str, id: Option<TopicId>) -> Option<Forgotten> {
        let fresh = Self { topic: topic.to_owned(), id, next: BTreeMap::new() };
        let why = if self.topic != topic {
            let other = || Forgotten::OtherTopic { before: self.topic.clone(), topic: topic.to_owned() };
            (!self.next.is_empty()).then(other)
        } else if let (Some(before), Some(now)) = (self.id, id)
            && before != now
        {
            let (before, now) = (hex::encode(before), hex::encode(now));
            Some(Forgotten::MadeAnew { topic: topic.to_owned(), before, now })
        } else {
            // A broker that does not tell the id does not take it away.
            self.id = id.or(self.id);
            return None;
        };
        *self = fresh;
        why
    }
}

/// What became of an offset that a broker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    /// It is there after all; it is asked for again.
    Not,
    /// Records from `stored` to before `earliest` were removed before they were read.
    Removed {
        /// The next offset, as it was kept.
        stored: i64,
        /// The first one that is there.
        earliest: i64,
    },
    /// The partition ends before it: the topic was made anew, or a broker lost its end.
    Beyond {
        /// The next offset, as it was kept.
        stored: i64,
        /// The first one that is there.
        earliest: i64,
        /// The offset behind the last one.
        end: i64,
    },
}

impl OutOfRange {
    /// What it is, from the offset that is kept and those that the broker has.
    #[must_use]
    pub fn of(stored: i64, earliest: i64, end: i64) -> Self {
        if stored < earliest {
            Self::Removed { stored, earliest }
        } else if stored > end {
            Self::Beyond { stored, earliest, end }
        } else {
            Self::Not
        }
    }

    /// Where to go on, and what to say.
    #[must_use]
    pub fn verdict(&self) -> Option<(i64, String)> {
        match self {
            Self::Not => None,
            Self::Removed { stored, earliest } => Some((
                *earliest,
                format!(
                    "offsets {stored} to {} were removed before they were read, going on at {earliest}",
                    earliest.saturating_sub(1)
                ),
            )),
            Self::Beyond { stored, earliest, end } => Some((
                *earliest,
                format!(
                    "read up to offset {stored}, and the partition ends at {end}: it was made anew or cut; reading \
                     it from {earliest}"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_and_read() {
        for text in ["fleet.events -", "t 000102030405060708090a0b0c0d0e0f 0:5 1:0 12:9223372036854775807"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
        for text in ["", "t", "t x", "t - 1", "t - a:1", "t - 1:b", "t 0001"] {
            assert_eq!(text.parse::<Place>(), Err(NotAPlace), "{text:?}");
        }
    }

    #[test]
    fn offsets_count_for_their_topic_alone() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        let mut same = place("t - 0:5");
        assert_eq!(same.turn_to("t", Some([1; 16])), None);
        assert_eq!((same.id, same.next.len()), (Some([1; 16]), 1), "the id is learnt");
        assert_eq!(same.turn_to("t", None), None);
        assert_eq!(same.id, Some([1; 16]), "and not forgotten");
        let forgotten = same.turn_to("t", Some([2; 16])).unwrap();
        assert!(matches!(&forgotten, Forgotten::MadeAnew { .. }), "{forgotten}");
        assert_eq!((same.id, same.next.len()), (Some([2; 16]), 0));
        let mut other = place("u - 0:5");
        assert!(matches!(other.turn_to("t", None), Some(Forgotten::OtherTopic { .. })));
        assert_eq!(other.to_string(), "t -");
        assert_eq!(Place::default().turn_to("t", None), None, "the first start");
    }

    #[test]
    fn an_offset_that_is_not_there_goes_to_the_earliest() {
        let removed = OutOfRange::of(3, 10, 20);
        assert_eq!(removed, OutOfRange::Removed { stored: 3, earliest: 10 });
        let (next, said) = removed.verdict().unwrap();
        assert_eq!(next, 10);
        assert!(said.contains("offsets 3 to 9 "), "{said}");
        let (next, said) = OutOfRange::of(21, 10, 20).verdict().unwrap();
        assert_eq!(next, 10);
        assert!(said.contains("21") && said.contains("20") && said.contains("10"), "{said}");
        for stored in [10, 15, 20] {
            assert_eq!(OutOfRange::of(stored, 10, 20).verdict(), None);
        }
    }
}
