//! A reader for the PNG and GIF decoders, which are libraries. It gives a decoder a few bytes at a time, and no more bytes
//! than the rows so far can need, because compressed data may go on without ever giving a pixel.

use std::{
    cell::Cell,
    io::{self, BufRead, Cursor, Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use crate::limits::READ_SLACK_BYTES;

/// Bytes that a decoder gets before the deadline is checked again.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes that one `read` copies at most, and so the number of bytes that a decoder has read ahead when the rows begin.
const COPY_BYTES: usize = 2 << 10;

/// The number of bytes that may still be read: all of the headers, and the granted bytes of the rows.
pub struct ReadBudget {
    remaining: Cell<usize>,
    deadline: Cell<Option<Instant>>,
}

impl ReadBudget {
    /// A budget of all bytes of the file, for its headers.
    pub fn whole_file(source: &[u8]) -> Self {
        Self { remaining: Cell::new(source.len()), deadline: Cell::new(None) }
    }

    /// Starts the rows: from now on every byte has to be granted, and may be read for `timeout` at most.
    pub fn start_rows(&self, timeout: Option<Duration>) {
        self.remaining.set(READ_SLACK_BYTES);
        self.deadline.set(timeout.map(|timeout| Instant::now() + timeout));
    }

    /// Adds bytes to the budget, for the next row.
    pub fn grant(&self, bytes: usize) {
        self.remaining.set(self.remaining.get().saturating_add(bytes));
    }
}

/// Reads a file within a [`ReadBudget`]. Reading more is an error.
pub struct BoundedReader<'a> {
    source: Cursor<&'a [u8]>,
    budget: &'a ReadBudget,
}

impl<'a> BoundedReader<'a> {
    pub fn new(source: &'a [u8], budget: &'a ReadBudget) -> Self {
        Self { source: Cursor::new(source), budget }
    }
}

impl BufRead for BoundedReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let rest = self.source.fill_buf()?;
        let length = rest.len().min(self.budget.remaining.get()).min(CHUNK_BYTES);
        if length == 0 && !rest.is_empty() {
            return Err(io::Error::other("it has more data than its rows need"));
        }
        if self.budget.deadline.get().is_some_and(|deadline| deadline < Instant::now()) {
            return Err(io::Error::other("its data takes too long to decompress"));
        }
        Ok(&rest[..length])
    }

    fn consume(&mut self, bytes: usize) {
        self.source.consume(bytes);
        self.budget.remaining.set(self.budget.remaining.get().saturating_sub(bytes));
    }
}

impl Read for BoundedReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = to.len().min(COPY_BYTES);
        let read = self.fill_buf()?.read(&mut to[..length])?;
        self.consume(read);
        Ok(read)
    }
}

/// The PNG decoder requires `Seek`, and never seeks.
impl Seek for BoundedReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_more_than_granted_is_an_error() {
        let source = [7; 10 << 10];
        let budget = ReadBudget::whole_file(&source);
        let mut reader = BoundedReader::new(&source, &budget);
        reader.read_exact(&mut [0; 5 << 10]).unwrap();
        budget.start_rows(None);
        budget.grant(1 << 10);
        reader.read_exact(&mut [0; (1 << 10) + READ_SLACK_BYTES]).unwrap();
        let error = reader.read_exact(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "it has more data than its rows need");
        budget.grant(usize::MAX);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), (4 << 10) - READ_SLACK_BYTES);
    }

    #[test]
    fn reading_after_the_deadline_is_an_error() {
        let source = [7; 100];
        let budget = ReadBudget::whole_file(&source);
        let mut reader = BoundedReader::new(&source, &budget);
        budget.start_rows(Some(Duration::from_mins(1)));
        reader.read_exact(&mut [0; 10]).unwrap();
        budget.start_rows(Some(Duration::ZERO));
        let error = reader.read_exact(&mut [0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "its data takes too long to decompress");
    }
}
