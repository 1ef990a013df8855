use std::io::{self, Write};
use std::mem;

use ::tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::fields::{self, Saved};
use super::spans::{field_names, shows_current_context};

/// A writer for layers of `tracing` that format their lines themselves, such as tracing-bunyan-formatter's.
/// It adds the variables that are marked [`log`](crate::ContextVar::log) to each line.
///
/// If a line is one JSON object, the variables become members of it. Otherwise they come last in the line, or
/// in a line of their own below text of several lines.
///
/// The variables are those of the code that logs: wrap the writer that the layer calls, and not a writer
/// behind a thread of its own. Their values are formatted before the layer's writer is made, which can be a
/// lock.
///
/// A line ends at its line break, or where the layer flushes or drops the writer. The layer must write an
/// event of several lines with one call.
///
/// # Spans
///
/// A line about a span, such as those of `FmtSpan`, shows variables only if the layer is
/// [in a `SpanContextLayer`](super::SpanContextLayer::around): a span can be closed in another request, and
/// the writer cannot tell that line from the others. A layer that calls `MakeWriter::make_writer` and not
/// `make_writer_for` does not say that a line is about a span, so that its lines always show the variables of
/// the current context.
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

// The variables are saved first: that runs user code, which can log, and the inner writer can be a lock.
impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for ContextWriter<W> {
    type Writer = LineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        let fields = Saved::current();
        LineWriter { inner: self.inner.make_writer(), fields, taken: Vec::new(), line: Vec::new() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        let fields = if shows_current_context(metadata) { Saved::current() } else { Saved::default() };
        let taken = if fields.is_empty() { Vec::new() } else { field_names(metadata) };
        LineWriter { inner: self.inner.make_writer_for(metadata), fields, taken, line: Vec::new() }
    }
}

/// A writer of lines with variables. Made by [`ContextWriter`].
#[derive(Debug)]
pub struct LineWriter<W: Write> {
    inner: W,
    fields: Saved,
    /// The names of the event's fields.
    taken: Vec<&'static str>,
    /// A line that has not ended.
    line: Vec<u8>,
}

impl<W: Write> LineWriter<W> {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let Ok(text) = std::str::from_utf8(lines) else { return self.inner.write_all(lines) };
        let lines = fields::insert(text, &self.fields, false, &|name| self.taken.contains(&name));
        self.inner.write_all(lines.as_bytes())
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = mem::take(&mut self.line);
        if line.is_empty() { Ok(()) } else { self.write_lines(&line) }
    }
}

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fields.is_empty() {
            return self.inner.write(bytes);
        }
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let (lines, rest) = bytes.split_at(end);
        if !lines.is_empty() {
            if self.line.is_empty() {
                self.write_lines(lines)?;
            } else {
                self.line.extend(lines);
                self.end_line()?;
            }
        }
        self.line.extend(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for LineWriter<W> {
    fn drop(&mut self) {
        let _ = self.end_line();
    }
}
