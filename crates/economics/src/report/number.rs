//! How values are written for people.

/// Units that are counted, and so have a plural.
const COUNTED: &[&str] = &[
    "device",
    "year",
    "hour",
    "day",
    "certificate",
    "alert",
    "visit",
    "incident",
    "piece",
    "device-year",
    "certificate-year",
    "piece-year",
];

/// A value and its unit: thousands are set apart, and no more digits are shown than carry meaning, at most four.
#[must_use]
pub fn written(value: f64, unit: &str) -> String {
    let number = plain(value);
    let (first, rest) = unit.find('/').map_or((unit, ""), |at| unit.split_at(at));
    match first {
        "1" | "" => format!("{number}{rest}"),
        "%" => format!("{number} %{rest}"),
        counted if COUNTED.contains(&counted) && number != "1" => format!("{number} {counted}s{rest}"),
        first => format!("{number} {first}{rest}"),
    }
}

/// The number alone.
#[must_use]
pub fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    // The power of ten of the first digit.
    #[expect(clippy::cast_possible_truncation, reason = "between -4 and 15")]
    let first = size.log10().floor() as i32;
    let step = 10_f64.powi(first - 3);
    let rounded = if step >= 1.0 { (value / step).round() * step } else { value };
    let decimals = usize::try_from((3 - first).clamp(0, 8)).unwrap_or(0);
    let text = format!("{rounded:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = grouped(whole);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_digits_carry_meaning() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (1.5, "1.5"),
            (0.000_123_46, "0.0001235"),
            (1_412_345.0, "1,412,000"),
            (-375_000.0, "-375,000"),
            (12.345, "12.35"),
            (9_999.9, "10,000"),
            (300e9, "300,000,000,000"),
            (1e16, "1.00e16"),
        ] {
            assert_eq!(plain(value), text);
        }
        assert_eq!(written(1.5, "USD/device"), "1.5 USD/device");
        assert_eq!(written(0.25, "1"), "0.25");
        assert_eq!(written(0.25, "1/year"), "0.25/year");
        assert_eq!(written(1.0, "device"), "1 device");
        assert_eq!(written(250_000.0, "device"), "250,000 devices");
        assert_eq!(written(1.2, "certificate/device/year"), "1.2 certificates/device/year");
    }

    proptest! {
        #[test]
        fn what_is_written_is_near_the_value(value in -1e14..1e14_f64) {
            let text = plain(value);
            let back: f64 = text.replace(',', "").parse().unwrap();
            prop_assert!((back - value).abs() <= value.abs() * 0.000_51 + 1e-12, "{value} became {text}");
        }

        #[test]
        fn no_digit_without_meaning(whole in -9999_i32..9999) {
            let text = plain(f64::from(whole));
            prop_assert_eq!(text.replace(',', "").parse::<i32>().unwrap(), whole);
        }
    }
}
