//! Whole lines from a stream of bytes, in bounded memory.

/// Lines are taken in pieces of about this many bytes.
pub const PIECE: usize = 1 << 20;
/// Of a line that is longer than this, the beginning alone is kept: it is no event.
const LONGEST: usize = 128 * 1024;

/// Cuts a stream of bytes into pieces of whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The rest continues a line that is too long.
    skipping: bool,
}

impl Lines {
    /// Takes the next bytes and gives the lines that end in them; of a line that is too long, its beginning.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.last() == Some(&b'\n');
            if !self.skipping {
                self.rest.extend_from_slice(part);
                if !ends && self.rest.len() > LONGEST {
                    whole.append(&mut self.rest);
                    whole.push(b'\n');
                    self.skipping = true;
                }
            }
            if ends {
                whole.append(&mut self.rest);
                self.skipping = false;
            }
        }
        whole
    }

    /// There are no more bytes: the last line, if it has no end.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut last = std::mem::take(&mut self.rest);
        if !last.is_empty() {
            last.push(b'\n');
        }
        self.skipping = false;
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_that_is_too_long_is_cut_once() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..40 {
            out.extend(lines.push(&[b'a'; 10_000]));
        }
        out.extend(lines.push(b"a\nb\nc"));
        out.extend(lines.finish());
        let lengths: Vec<usize> = out.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [140_000, 1, 1, 0]);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_bytes_come(
            text in "[ab\n]{0,200}",
            cuts in prop::collection::vec(1usize..20, 1..50),
        ) {
            let (mut lines, mut out) = (Lines::default(), Vec::new());
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                let whole = lines.push(now);
                prop_assert!(whole.is_empty() || whole.ends_with(b"\n"));
                out.extend(whole);
                rest = later;
            }
            out.extend(lines.finish());
            let expected =
                if text.is_empty() || text.ends_with('\n') { text.clone() } else { format!("{text}\n") };
            prop_assert_eq!(out, expected.as_bytes());
        }
    }
}
