//! An input's lines on their way into the log: as they are, or read by the adapter of a foreign format.

use std::sync::{Arc, Mutex, PoisonError};

use touchmark_monitor::adapters::{Format, Reader, safe_example};

use crate::error::ServerError;
use crate::stream::desk::Desk;
use crate::stream::station::Taken;

/// One input's way in. Clones share what the adapter remembers of earlier lines.
#[derive(Debug, Clone)]
pub struct Intake {
    desk: Arc<Desk>,
    name: String,
    adapter: Option<Arc<Mutex<Reader>>>,
}

impl Intake {
    /// The way in of an input; lines are our own events where there is no format.
    #[must_use]
    pub fn new(desk: Arc<Desk>, name: &str, format: Option<Format>) -> Self {
        let adapter = format.map(|format| Arc::new(Mutex::new(Reader::new(format, name))));
        Self { desk, name: name.to_owned(), adapter }
    }

    /// The desk that it leads to.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// The input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes whole lines, and the place that the input has reached with them; durable when it returns. It blocks.
    ///
    /// # Errors
    /// As for [`Desk::take`]; nothing was taken then.
    pub fn take(&self, lines: Vec<u8>, place: Option<(&str, &str)>) -> Result<(), ServerError> {
        let Some(adapter) = &self.adapter else {
            return self.desk.take(&self.name, lines, place).map(|_| ());
        };
        let (mut events, mut refused) = (Vec::new(), Taken::default());
        {
            let mut adapter = adapter.lock().unwrap_or_else(PoisonError::into_inner);
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                match adapter.read(line) {
                    Ok(read) => {
                        for event in read {
                            events.extend_from_slice(event.to_line().as_bytes());
                            events.push(b'\n');
                        }
                    }
                    Err(error) => refused.refuse(error.reason(), &safe_example(line)),
                }
            }
        }
        if !events.is_empty() {
            self.desk.take(&self.name, events, place)?;
        } else if let Some((key, value)) = place {
            self.desk.station().set_place(key, value)?;
        }
        self.desk.count(&self.name, &refused);
        Ok(())
    }

    /// As [`Self::take`], on a thread that may block.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub async fn take_async(&self, lines: Vec<u8>) -> Result<(), ServerError> {
        let intake = self.clone();
        self.desk.blocking(move |_| intake.take(lines, None)).await
    }
}
