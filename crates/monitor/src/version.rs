//! Which of two firmware versions is older, where that can be told.

use std::cmp::Ordering;

/// Compares the dotted numbers at the beginning (`2.4.1`, `v2.4.1-rc1`, `2024_05`); a missing number counts as 0.
/// `None` where there are no numbers, or the numbers are equal and what follows them differs.
pub(crate) fn compare(a: &str, b: &str) -> Option<Ordering> {
    let ((a, a_rest), (b, b_rest)) = (numbers(a)?, numbers(b)?);
    let length = a.len().max(b.len());
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let order = (0..length).map(|place| at(&a, place).cmp(&at(&b, place))).find(|order| order.is_ne());
    match order {
        Some(order) => Some(order),
        None if a_rest == b_rest => Some(Ordering::Equal),
        None => None,
    }
}

fn numbers(text: &str) -> Option<(Vec<u64>, &str)> {
    let mut rest = text.trim().trim_start_matches(['v', 'V']);
    let mut numbers = Vec::new();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, tail) = rest.split_at_checked(end)?;
        numbers.push(digits.parse().ok()?);
        rest = tail;
        match tail.strip_prefix(['.', '_']) {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => return Some((numbers, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn older_newer_and_not_to_be_told() {
        assert_eq!(compare("2.4.1", "2.10.0"), Some(Ordering::Less));
        assert_eq!(compare("v2.4", "2.4.0"), Some(Ordering::Equal));
        assert_eq!(compare("2024_05", "2024_04"), Some(Ordering::Greater));
        assert_eq!(compare("2.4.1-rc1", "2.4.1"), None);
        assert_eq!(compare("factory", "2.4.1"), None);
        assert_eq!(compare("99999999999999999999999", "1"), None);
    }

    proptest! {
        #[test]
        fn order_is_antisymmetric(a in "\\PC{0,12}", b in "[0-9.]{0,12}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).map(Ordering::reverse));
        }
    }
}
