//! A stream of native findings rewritten line by line into another form.

use std::io::{self, Write};

use touchmark_identity::finding::Finding;
use touchmark_monitor::outputs::{self, Context, Form};

/// Takes `touchmark.finding/1` lines and writes each in another form.
pub(super) struct Rewriter<W: Write> {
    to: W,
    form: Form,
    context: Context,
    line: Vec<u8>,
}

impl<W: Write> Rewriter<W> {
    pub(super) fn new(to: W, form: Form) -> Self {
        // A replay has to give the same bytes on every machine.
        Self { to, form, context: Context::new("urn:touchmark:replay", "-"), line: Vec::new() }
    }
}

impl<W: Write> Write for Rewriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.form == Form::Native {
            return self.to.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let finding = Finding::from_line(&self.line).map_err(io::Error::other)?;
                writeln!(self.to, "{}", outputs::write(&finding, self.form, &self.context))?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
