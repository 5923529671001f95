//! Why bytes are not a batch.

use touchmark_identity::event::EventError;

/// Why bytes are not a batch, or a record of it not an event. All of them are the sender's fault, or the caller's where
/// a batch is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// BA-0001, peer: not a batch, or one of another version.
    #[error("the input does not begin with \"TMB1\", so it is no batch of version 1; send touchmark.batch/1")]
    Magic,
    /// BA-0002, peer: the batch is longer than is read.
    #[error("the batch has {found} bytes, at most {max} are read; send several batches")]
    TooLong {
        /// Bytes in the batch.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// BA-0003, peer: bytes are missing, or too many.
    #[error("the batch has {found} bytes and says that it has {announced}; send it again")]
    Length {
        /// Bytes that came.
        found: usize,
        /// Bytes that the header says, or that a header takes.
        announced: usize,
    },
    /// BA-0004, peer: the text table cannot be read.
    #[error("the text table is cut short, or one of its texts is not UTF-8 or longer than 512 bytes")]
    Table,
    /// BA-0005, peer: the length of a record cannot be read, or the record is not all there.
    #[error("record {number} of {announced} is cut short, or is longer than 131072 bytes")]
    Cut {
        /// Its number, from 1.
        number: u32,
        /// Records that the header says.
        announced: u32,
    },
    /// BA-0006, peer: there is something behind the last record.
    #[error("{bytes} bytes follow the last record; the number of records in the header is wrong")]
    LeftOver {
        /// How many bytes.
        bytes: usize,
    },
    /// BA-0007, peer: a field of a record is absent, or holds what it may not hold.
    #[error("in record {number} the field {field:?} is absent, or holds what it may not hold")]
    Record {
        /// The record's number, from 1.
        number: u32,
        /// The field.
        field: &'static str,
    },
    /// BA-0008, peer: the registry line in a record cannot be read.
    #[error("the registry line in record {number} cannot be read")]
    Registry {
        /// The record's number, from 1.
        number: u32,
        /// What is wrong with the line.
        #[source]
        source: EventError,
    },
}

impl BatchError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic => "BA-0001",
            Self::TooLong { .. } => "BA-0002",
            Self::Length { .. } => "BA-0003",
            Self::Table => "BA-0004",
            Self::Cut { .. } => "BA-0005",
            Self::LeftOver { .. } => "BA-0006",
            Self::Record { .. } => "BA-0007",
            Self::Registry { .. } => "BA-0008",
        }
    }

    /// The reason under which refused batches and records are counted: one word per variant, no content.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Magic => "not-a-batch",
            Self::TooLong { .. } => "too-long",
            Self::Length { .. } => "bad-length",
            Self::Table => "bad-texts",
            Self::Cut { .. } => "cut-record",
            Self::LeftOver { .. } => "left-over",
            Self::Record { .. } => "bad-record",
            Self::Registry { source, .. } => source.reason(),
        }
    }
}
