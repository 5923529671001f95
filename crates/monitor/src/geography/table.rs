//! The table of countries: ranges of addresses, in a compact file that is part of the program.
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | `TMCTRY` and the version, `01` |
//! | 1, then 2 each | how many countries, 1 to 255; their letters. Country *n* is the *n*th, 0 stands for none |
//! | 1, 4, then 2 or more each | IPv4: the shift, 0 to 31; how many ranges, little-endian; the ranges |
//! | 1, 4, then 2 or more each | IPv6: likewise, with a shift of 0 to 127 |
//! | 32 | SHA-256 of all before |
//!
//! A range is two numbers: how far it begins after the beginning of the one before (the first: after address 0), shifted
//! right, and its country. It ends where the next one begins; the last one reaches to the last address. A number is
//! written in groups of seven bits, the lowest first, each but the last with the highest bit set.

use std::net::IpAddr;
use std::sync::LazyLock;

use touchmark_identity::key::sha256;

use super::Country;

pub(super) const MAGIC: &[u8; 8] = b"TMCTRY01";
const DIGEST_BYTES: usize = 32;
/// Ranges between two that the guide names.
const STEP: usize = 64;

/// Why a file is no table of countries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountriesError {
    /// MO-0040, environment: it is no table, or of another version, or cut off.
    #[error("this is no table of countries of version 01: at byte {at} {detail}; build it anew")]
    Malformed {
        /// The place, from 0.
        at: usize,
        /// What was expected and found.
        detail: String,
    },
    /// MO-0041, environment: it was changed after it had been built.
    #[error("the table of countries has the digest {found}, it says {expected}; build it anew")]
    Damaged {
        /// SHA-256 of what was read.
        found: String,
        /// SHA-256 that it ends with.
        expected: String,
    },
}

impl CountriesError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "MO-0040",
            Self::Damaged { .. } => "MO-0041",
        }
    }
}

/// In which country an address is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countries {
    names: Vec<Country>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// The beginnings of ranges in ascending order, and the country of each; 0 is none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges<A> {
    starts: Vec<A>,
    codes: Vec<u8>,
    /// Every [`STEP`]th start, so that the first half of a search stays in the cache.
    guide: Vec<A>,
}

impl<A: Ord + Copy> Ranges<A> {
    fn code(&self, address: A) -> u8 {
        let not_after = |start: &A| *start <= address;
        let Some(block) = self.guide.partition_point(not_after).checked_sub(1) else { return 0 };
        let from = block * STEP;
        let starts = self.starts.get(from..self.starts.len().min(from + STEP)).unwrap_or_default();
        let within = starts.partition_point(not_after);
        (from + within).checked_sub(1).and_then(|at| self.codes.get(at)).copied().unwrap_or(0)
    }
}

/// An address as a number.
pub(super) trait Address: Copy + Ord {
    /// Its bits.
    const BITS: u32;
    /// The number, where it is one of an address.
    fn of(number: u128) -> Option<Self>;
}

impl Address for u32 {
    const BITS: u32 = 32;
    fn of(number: u128) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Address for u128 {
    const BITS: u32 = 128;
    fn of(number: u128) -> Option<Self> {
        Some(number)
    }
}

/// What is left to read, and where it stands.
struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn wrong<T>(&self, detail: impl Into<String>) -> Result<T, CountriesError> {
        Err(CountriesError::Malformed { at: self.at, detail: detail.into() })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CountriesError> {
        let rest = self.all.get(self.at..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(count) else {
            return self.wrong(format!("{count} bytes were expected, {} are left", rest.len()));
        };
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CountriesError> {
        Ok(self.take(1)?.iter().fold(0, |_, byte| *byte))
    }

    fn number(&mut self) -> Result<u128, CountriesError> {
        let mut number = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let group = u128::from(byte & 0x7f);
            if (group << shift) >> shift != group {
                break;
            }
            number |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        self.wrong("a number has more than 128 bits")
    }

    fn ranges<A: Address>(&mut self, names: usize) -> Result<Ranges<A>, CountriesError> {
        let shift = u32::from(self.byte()?);
        if shift >= A::BITS {
            return self.wrong(format!("the shift is {shift}, it must be below {}", A::BITS));
        }
        let count = self.take(4)?.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        // A range has at least two bytes, so a count that could not be there allocates nothing.
        if count > self.all.len().saturating_sub(self.at) / 2 {
            return self.wrong(format!("{count} ranges do not fit into what is left"));
        }
        let mut ranges = Ranges {
            starts: Vec::with_capacity(count),
            codes: Vec::with_capacity(count),
            guide: Vec::with_capacity(count / STEP + 1),
        };
        let mut last = 0u128;
        for range in 0..count {
            let after = self.number()?;
            if after == 0 && range > 0 {
                return self.wrong("a range begins where the one before does");
            }
            let start =
                after.checked_mul(1 << shift).and_then(|after| last.checked_add(after)).and_then(|number| {
                    last = number;
                    A::of(number)
                });
            let Some(start) = start else {
                return self.wrong(format!("a range begins beyond {} bits", A::BITS));
            };
            let code = self.byte()?;
            if usize::from(code) > names {
                return self.wrong(format!("country {code} of {names}"));
            }
            if range % STEP == 0 {
                ranges.guide.push(start);
            }
            ranges.starts.push(start);
            ranges.codes.push(code);
        }
        Ok(ranges)
    }
}

impl Countries {
    /// The table that is part of the program: where the regional registries say that an address's holder is.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Countries> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the file is part of the program, and a test reads it")]
            Countries::read(BUILT_IN_FILE).expect("the built-in table is whole")
        });
        &BUILT_IN
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`CountriesError`] when it is none, cut off or damaged.
    pub fn read(file: &[u8]) -> Result<Self, CountriesError> {
        let mut bytes = Bytes { all: file, at: 0 };
        if bytes.take(MAGIC.len())? != MAGIC {
            bytes.at = 0;
            return bytes.wrong("the name TMCTRY01 is missing");
        }
        let Some((content, digest)) = file.split_at_checked(file.len().saturating_sub(DIGEST_BYTES)) else {
            return bytes.wrong("the digest is missing");
        };
        let found = sha256(content);
        if found != digest {
            let [found, expected] = [hex::encode(found), hex::encode(digest)];
            return Err(CountriesError::Damaged { found, expected });
        }
        bytes.all = content;
        let mut names = Vec::new();
        for _ in 0..bytes.byte()? {
            let letters = bytes.take(2)?.first_chunk().copied();
            let Some(name) = letters.and_then(Country::of_bytes) else {
                return bytes.wrong("a country is not two letters, A to Z");
            };
            names.push(name);
        }
        let (v4, v6) = (bytes.ranges(names.len())?, bytes.ranges(names.len())?);
        if bytes.at != content.len() {
            return bytes.wrong("the end was expected");
        }
        Ok(Self { names, v4, v6 })
    }

    /// The country of an address; an IPv4 address may be written as an IPv6 one (`::ffff:192.0.2.7`). Addresses that are
    /// nobody's (private, documentation, multicast) and those that no registry has given out are in none.
    #[must_use]
    pub fn country(&self, ip: IpAddr) -> Option<Country> {
        let code = match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.code(u32::from(ip)),
            IpAddr::V6(ip) => self.v6.code(u128::from(ip)),
        };
        usize::from(code).checked_sub(1).and_then(|at| self.names.get(at)).copied()
    }

    /// How many ranges there are, of IPv4 and of IPv6.
    #[must_use]
    pub fn ranges(&self) -> (usize, usize) {
        (self.v4.starts.len(), self.v6.starts.len())
    }
}

/// Built from public data: `crates/monitor/data/README.md` says from which, and how.
pub(super) const BUILT_IN_FILE: &[u8] = include_bytes!("../../data/countries.bin");
