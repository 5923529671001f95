//! From lists of ranges to a table of countries: what `cargo run --example countries` calls.

use std::collections::BTreeMap;

use touchmark_identity::key::sha256;

use super::Country;
use super::table::{Address, MAGIC};

/// The most countries that a table can hold.
const MAX_COUNTRIES: usize = 255;

/// Why no table is built of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// MO-0042, caller: a line is not two addresses as numbers and a country.
    #[error("line {line} of the IPv{family} list: {detail}")]
    Line {
        /// 4 or 6.
        family: u8,
        /// Its number, from 1.
        line: usize,
        /// What was expected and found.
        detail: String,
    },
    /// MO-0043, caller: the lists name more countries than a table holds.
    #[error("the lists name {found} countries, a table holds at most {MAX_COUNTRIES}")]
    Countries {
        /// How many they name.
        found: usize,
    },
}

impl BuildError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Line { .. } => "MO-0042",
            Self::Countries { .. } => "MO-0043",
        }
    }
}

/// Builds a table of two lists with lines of `first,last,country`: both addresses as decimal numbers and included, the
/// country as two letters. The ranges must ascend and must not overlap: a list that contradicts itself is refused.
///
/// # Errors
/// [`BuildError`], naming the line.
pub fn build(ipv4: &str, ipv6: &str) -> Result<Vec<u8>, BuildError> {
    let (v4, v6) = (boundaries::<u32>(4, ipv4)?, boundaries::<u128>(6, ipv6)?);
    let mut count: BTreeMap<Country, usize> = BTreeMap::new();
    for (_, country) in v4.iter().chain(&v6) {
        if let Some(country) = country {
            *count.entry(*country).or_default() += 1;
        }
    }
    let names: Vec<Country> = count.into_keys().collect();
    let Some(number) = u8::try_from(names.len()).ok().filter(|number| *number > 0) else {
        return Err(BuildError::Countries { found: names.len() });
    };
    let mut file = MAGIC.to_vec();
    file.push(number);
    names.iter().for_each(|name| file.extend(name.0));
    for (ranges, bits) in [(v4, 32u8), (v6, 128)] {
        let zeros = ranges.iter().map(|(start, _)| start.trailing_zeros()).min().unwrap_or(0);
        let shift = u8::try_from(zeros).unwrap_or(0).min(bits - 1);
        file.push(shift);
        file.extend(u32::try_from(ranges.len()).unwrap_or(u32::MAX).to_le_bytes());
        let mut last = 0;
        for (start, country) in ranges {
            push_number(&mut file, (start - last) >> shift);
            last = start;
            let code = country.and_then(|country| names.binary_search(&country).ok()).map_or(0, |at| at + 1);
            file.push(u8::try_from(code).unwrap_or(0));
        }
    }
    let digest = sha256(&file);
    file.extend(digest);
    Ok(file)
}

fn push_number(file: &mut Vec<u8>, mut number: u128) {
    loop {
        let [group, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        file.push(if number == 0 { group } else { group | 0x80 });
        if number == 0 {
            return;
        }
    }
}

/// Where a country begins or ends. Ranges of one country that touch are one.
fn boundaries<A: Address>(family: u8, list: &str) -> Result<Vec<(u128, Option<Country>)>, BuildError> {
    let mut found: Vec<(u128, Option<Country>)> = Vec::new();
    // The first address that no range before has.
    let mut next = Some(0u128);
    for (number, text) in (1..).zip(list.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let wrong = |detail: String| BuildError::Line { family, line: number, detail };
        let mut fields = text.trim().split(',');
        let (first, last, country) = (fields.next(), fields.next(), fields.next());
        let address = |text: &str| text.parse().ok().filter(|number| A::of(*number).is_some());
        let (Some(first), Some(last), Some(country), None) =
            (first.and_then(address), last.and_then(address), country, fields.next())
        else {
            return Err(wrong(format!("expected first,last,country with numbers of {} bits", A::BITS)));
        };
        let country: Country =
            country.parse().map_err(|error: super::UnknownCountry| wrong(error.to_string()))?;
        if last < first {
            return Err(wrong(format!("the range ends at {last}, before it begins at {first}")));
        }
        if next.is_none_or(|next| first < next) {
            return Err(wrong(format!("the range begins at {first}, inside of the one before or before it")));
        }
        if next != Some(first) && !found.is_empty() {
            found.extend(next.map(|gap| (gap, None)));
        }
        if found.last().is_none_or(|(_, before)| *before != Some(country)) {
            found.push((first, Some(country)));
        }
        next = last.checked_add(1).filter(|next| A::of(*next).is_some());
    }
    if !found.is_empty() {
        found.extend(next.map(|gap| (gap, None)));
    }
    Ok(found)
}
