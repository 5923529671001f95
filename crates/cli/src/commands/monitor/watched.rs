//! An input whose reading people can watch.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::open;
use crate::output::Printer;

/// Time between two drawings.
const PERIOD: Duration = Duration::from_millis(100);

/// Draws how much of a file was read, on stderr, while it is a terminal and findings do not go to one.
pub(super) struct Watched {
    input: Box<dyn Read>,
    /// Its length in bytes, and who draws; none where nobody watches or the length is not known.
    shown: Option<(u64, Printer)>,
    read: u64,
    drawn: Option<Instant>,
}

impl Watched {
    /// Opens an input; `-` is stdin, whose length is not known.
    pub(super) fn open(path: &Path, printer: &Printer) -> anyhow::Result<Self> {
        let input = open(path)?;
        let watched = printer.is_watched() && !io::stdout().is_terminal() && path != Path::new("-");
        let regular = |file: File| file.metadata().ok().filter(std::fs::Metadata::is_file);
        let length = watched.then(|| File::open(path).ok().and_then(regular)).flatten();
        let shown = length.map(|metadata| (metadata.len(), *printer));
        Ok(Self { input, shown, read: 0, drawn: None })
    }
}

/// Megabytes with one digit, and a share that is 100 % at the end alone.
fn says(read: u64, length: u64) -> String {
    let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
    // A file may grow while it is read.
    let length = length.max(read).max(1);
    let share = u128::from(read) * 100 / u128::from(length);
    format!("   {} of {} MB read ({share} %)", megabytes(read), megabytes(length))
}

impl Read for Watched {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(to)?;
        self.read += read as u64;
        if read == 0 {
            self.clear();
        } else if let Some((length, printer)) = &self.shown
            && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PERIOD)
        {
            printer.progress(&says(self.read, *length));
            self.drawn = Some(Instant::now());
        }
        Ok(read)
    }
}

impl Watched {
    /// Takes away what was drawn.
    fn clear(&mut self) {
        if let (Some((_, printer)), Some(_)) = (&self.shown, self.drawn.take()) {
            printer.progress("");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn the_share_in_words() {
        assert_eq!(says(0, 0), "   0.0 of 0.0 MB read (0 %)");
        assert_eq!(says(1_250_000, 3_610_000_000), "   1.2 of 3610.0 MB read (0 %)");
        assert_eq!(says(3_609_999_999, 3_610_000_000), "   3609.9 of 3610.0 MB read (99 %)");
        assert_eq!(says(5, 3), "   0.0 of 0.0 MB read (100 %)", "it has grown");
        assert_eq!(says(u64::MAX, u64::MAX), "   18446744073709.5 of 18446744073709.5 MB read (100 %)");
    }
}
