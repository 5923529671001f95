//! How wide text will be, without knowing the font, and breaking it into lines.

/// The width of a text, as the fonts after Helvetica have it; a little more than it will be.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(of).sum::<f64>() * size * 1.06
}

/// The width of one character in parts of the font's size.
fn of(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.23,
        ' ' | '.' | ',' | ':' | ';' | '!' | 'I' | 'f' | 't' | '/' | '\\' | '[' | ']' | '·' => 0.28,
        'r' | '(' | ')' | '-' | '`' | '"' | '{' | '}' | '*' => 0.35,
        'c' | 'k' | 's' | 'v' | 'x' | 'y' | 'z' | 'J' => 0.5,
        'm' | 'M' | '%' => 0.86,
        'w' => 0.72,
        'W' | '@' => 1.0,
        'A' | 'B' | 'E' | 'K' | 'P' | 'S' | 'V' | 'X' | 'Y' | '&' => 0.68,
        'C' | 'D' | 'H' | 'N' | 'R' | 'U' | 'G' | 'O' | 'Q' => 0.76,
        'a'..='z' | '0'..='9' | 'F' | 'L' | 'T' | 'Z' => 0.58,
        _ if character.is_ascii() => 0.6,
        // Letters with marks are as wide as those without; what is beyond is square.
        _ if u32::from(character) < 0x2E80 => 0.66,
        _ => 1.0,
    }
}

/// The text in lines no wider than this, at most so many; what does not fit ends in an ellipsis.
pub(super) fn lines(text: &str, size: f64, most: f64, at_most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&longer, size) <= most || line.is_empty() {
            line = longer;
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    lines.push(line);
    let cut = lines.len() > at_most;
    lines.truncate(at_most.max(1));
    let last = lines.len() - 1;
    for (at, line) in lines.iter_mut().enumerate() {
        if (cut && at == last) || width(line, size) > most {
            shorten(line, size, most);
        }
    }
    lines
}

fn shorten(line: &mut String, size: f64, most: f64) {
    while !line.is_empty() && width(line, size) + width("…", size) > most {
        line.pop();
    }
    line.truncate(line.trim_end_matches([' ', ',', ';']).len());
    line.push('…');
}

/// Without the characters that XML forbids.
pub(super) fn clean(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && c != '\u{FFFE}' && c != '\u{FFFF}';
    text.chars().map(|c| if allowed(c) { c } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_does_not_fit_ends_in_an_ellipsis() {
        let lines = lines("a software key, one secret for the whole fleet of devices", 12.0, 90.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…'), "{lines:?}");
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(text in "\\PC{0,80}", most in 40.0..200.0_f64, at_most in 1..4_usize) {
            let lines = lines(&text, 12.0, most, at_most);
            prop_assert!(!lines.is_empty() && lines.len() <= at_most);
            for line in lines {
                prop_assert!(width(&line, 12.0) <= most, "{line}");
            }
        }
    }
}
