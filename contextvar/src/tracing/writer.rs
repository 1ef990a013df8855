use std::io::{self, Write};

use ::tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::fields::{self, Style};

/// A writer for layers of `tracing` that format their lines themselves, such as tracing-bunyan-formatter's.
/// It adds the variables that are marked [`log`](crate::ContextVar::log) to each line.
///
/// If a line is one JSON object, the variables become members of it. Otherwise they come last in the line.
/// They are those of the code that logs: wrap the writer that the layer calls, and not a writer behind a
/// thread of its own.
///
/// A layer must write each line with one call.
///
/// If the layer writes a line when a span is closed, put a
/// [`SpanContextLayer`](super::SpanContextLayer::around) around it.
///
/// ```
/// use std::io;
///
/// use contextvar::tracing::ContextWriter;
///
/// // BunyanFormattingLayer::new("shop".to_owned(), ContextWriter::new(io::stdout))
/// let lines = tracing_subscriber::fmt().with_writer(ContextWriter::new(io::stdout)).finish();
/// # let _ = lines;
/// ```
#[derive(Clone, Debug)]
pub struct ContextWriter<W> {
    inner: W,
}

impl<W> ContextWriter<W> {
    /// Wraps a `MakeWriter`, such as `std::io::stdout`.
    pub fn new(inner: W) -> Self {
        ContextWriter { inner }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for ContextWriter<W> {
    type Writer = LineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { inner: self.inner.make_writer() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        LineWriter { inner: self.inner.make_writer_for(metadata) }
    }
}

/// A writer of lines with variables. Made by [`ContextWriter`].
#[derive(Debug)]
pub struct LineWriter<W> {
    inner: W,
}

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.ends_with('\n') => {
                let line = fields::insert(text, Style::Text { colored: false }, &|_| false);
                self.inner.write_all(line.as_bytes())?;
            }
            _ => self.inner.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
