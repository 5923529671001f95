//! Distinguished names as text: one form for the many that terminators write.

/// Brings a distinguished name into one form for comparison: the relative names sorted, attribute types in upper case,
/// values in lower case with single spaces.
///
/// Read are the form of RFC 4514 (`CN=a,O=b`, as nginx writes it) and the older one with slashes (`/O=b/CN=a`, as
/// OpenSSL's one-line form and HAProxy write it). Order is dropped, because the two write it in opposite directions;
/// case and inner spaces are dropped as RFC 5280 §7.1 asks for name comparison. The result is for comparison alone.
#[must_use]
pub fn canonical_dn(text: &str) -> String {
    let text = text.trim();
    let mut parts: Vec<String> = match text.strip_prefix('/') {
        Some(rest) => split(rest, &['/']),
        None => split(text, &[',', ';', '+']),
    }
    .iter()
    .map(|part| attribute(part))
    .filter(|part| !part.is_empty())
    .collect();
    parts.sort_unstable();
    parts.join(",")
}

/// Splits at separators that are neither escaped nor inside quotes (RFC 4514 §3; quotes are the older RFC 1779 form).
/// A slash separates only where an attribute type and `=` follow, because values may hold slashes.
fn split(text: &str, separators: &[char]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                part.push(c);
                part.extend(chars.next().map(|(_, next)| next));
            }
            '"' => quoted = !quoted,
            _ if !quoted && separators.contains(&c) && (c != '/' || attribute_follows(text, at + 1)) => {
                parts.push(std::mem::take(&mut part));
            }
            _ => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn attribute_follows(text: &str, from: usize) -> bool {
    text.get(from..).and_then(|rest| rest.split_once('=')).is_some_and(|(kind, _)| {
        !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
    })
}

/// One `type=value`: the type's usual short name, the value unescaped, then escaped again in one way.
fn attribute(part: &str) -> String {
    let Some((kind, value)) = part.split_once('=') else { return part.trim().to_lowercase() };
    let kind = kind.trim().to_ascii_uppercase();
    let kind = match kind.as_str() {
        "E" | "EMAIL" | "1.2.840.113549.1.9.1" => "EMAILADDRESS",
        "S" | "SP" | "2.5.4.8" => "ST",
        "2.5.4.3" => "CN",
        "2.5.4.5" | "SN" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        other => other,
    };
    let mut out = format!("{kind}=");
    let plain = unescaped(value.trim());
    for (place, word) in plain.split_whitespace().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        for c in word.chars().flat_map(char::to_lowercase) {
            if matches!(c, ',' | '=' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// Undoes `\,` and `\2C` (RFC 4514 §2.4). Bytes that are not UTF-8 become U+FFFD.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let pair = tail.get(..2).and_then(|pair| {
            let mut byte = [0];
            hex::decode_to_slice(pair, &mut byte).ok().map(|()| byte[0])
        });
        if let Some(byte) = pair {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else if let Some((&escaped, tail)) = tail.split_first() {
            bytes.push(escaped);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_name_in_the_forms_of_several_terminators() {
        let one = canonical_dn("CN=Example Device CA,O=Example\\, Ltd,C=DE");
        for same in [
            "C=DE, O=Example\\, Ltd, CN=Example Device CA",
            "/C=DE/O=Example, Ltd/CN=Example Device CA",
            "cn = example  device ca , o=\"Example, Ltd\",c=de",
            "CN=Example Device CA,O=Example\\2C Ltd,C=DE",
            "2.5.4.3=Example Device CA;O=Example\\, Ltd;C=DE",
        ] {
            assert_eq!(canonical_dn(same), one, "{same}");
        }
        assert_ne!(canonical_dn("CN=Example Device CA,O=Example,C=DE"), one);
    }

    #[test]
    fn a_separator_in_a_value_does_not_make_two_names_equal() {
        assert_ne!(canonical_dn("CN=a\\,O=b"), canonical_dn("CN=a,O=b"));
        assert_eq!(canonical_dn("/O=a/b/CN=c"), canonical_dn("CN=c,O=a/b"));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}") {
            let _ = canonical_dn(&text);
        }

        #[test]
        fn order_does_not_matter(a in "[a-z ,=\\\\]{0,12}", b in "[a-z]{1,8}") {
            let a = a.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            prop_assert_eq!(canonical_dn(&format!("CN={a},O={b}")), canonical_dn(&format!("O={b},CN={a}")));
        }
    }
}
