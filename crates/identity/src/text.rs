//! Texts from outside, in messages.

/// The beginning of a text that somebody else chose, fit for a terminal and a log: at most `most` characters, `?` in
/// place of each control character. The messages of JSON and TOML readers quote what they read; an escape sequence in
/// it must not reach the terminal of whoever reads the message.
#[must_use]
pub fn printable(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_sequence_gets_through() {
        assert_eq!(printable("a\u{1b}[31mä\u{7f}\u{9b}b\n", 20), "a?[31mä??b?");
        assert_eq!(printable("abc", 2), "ab");
    }

    #[test]
    fn what_a_reader_quotes_is_printable_too() {
        let event = r#"{"schema":"touchmark.event/1","type":"registry","time":"2026-11-20T22:00:00Z","source":"r",
            "identity":{"common_name":"m"},"device":"m","assurance":{"storage":"\u001b[2J"}}"#;
        let said = crate::event::Event::from_line(event.as_bytes()).unwrap_err().to_string();
        assert!(said.contains("?[2J") && !said.contains('\u{1b}'), "{said}");
        let said = crate::finding::Finding::from_line(br#"{"kind":"\u001b[2J"}"#).unwrap_err().to_string();
        assert!(said.contains("?[2J") && !said.contains('\u{1b}'), "{said}");
    }
}
