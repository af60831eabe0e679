//! The bytes of a file for a decoder that others have written, a few at a time and no more than the rows so far can take:
//! compressed data may go on without ever giving a pixel.

use std::{
    cell::Cell,
    io::{self, BufRead, Cursor, Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use shared::limits::SPARE_BYTES;

/// How many bytes a decoder is given before the time is looked at again.
const PIECE: usize = 64 << 10;

/// How many bytes a decoder is given that copies them, and so how far it has read ahead when the rows begin.
const COPIED: usize = 2 << 10;

/// How much of a file may be read by now: of its headers everything, of the data of its rows what was granted.
pub struct Supply {
    left: Cell<usize>,
    until: Cell<Option<Instant>>,
}

impl Supply {
    /// All bytes of a file.
    pub fn of(source: &[u8]) -> Self {
        Self { left: Cell::new(source.len()), until: Cell::new(None) }
    }

    /// The rows begin here: from now on bytes have to be granted, and are given for `time` at most.
    pub fn begin_rows(&self, time: Option<Duration>) {
        self.left.set(SPARE_BYTES);
        self.until.set(time.map(|time| Instant::now() + time));
    }

    /// Grants so many bytes more, for the next row.
    pub fn grant(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_add(bytes));
    }
}

/// The file, as far as its [`Supply`] allows. Reading beyond that is an error.
pub struct Supplied<'a> {
    source: Cursor<&'a [u8]>,
    supply: &'a Supply,
}

impl<'a> Supplied<'a> {
    pub fn new(source: &'a [u8], supply: &'a Supply) -> Self {
        Self { source: Cursor::new(source), supply }
    }
}

impl BufRead for Supplied<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let rest = self.source.fill_buf()?;
        let length = rest.len().min(self.supply.left.get()).min(PIECE);
        if length == 0 && !rest.is_empty() {
            return Err(io::Error::other("it has more data than its rows need"));
        }
        if self.supply.until.get().is_some_and(|until| until < Instant::now()) {
            return Err(io::Error::other("its data takes too long to decompress"));
        }
        Ok(&rest[..length])
    }

    fn consume(&mut self, bytes: usize) {
        self.source.consume(bytes);
        self.supply.left.set(self.supply.left.get().saturating_sub(bytes));
    }
}

impl Read for Supplied<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = to.len().min(COPIED);
        let read = self.fill_buf()?.read(&mut to[..length])?;
        self.consume(read);
        Ok(read)
    }
}

/// The PNG decoder asks for it and never seeks.
impl Seek for Supplied<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_was_granted() {
        let source = [7; 10 << 10];
        let supply = Supply::of(&source);
        let mut supplied = Supplied::new(&source, &supply);
        supplied.read_exact(&mut [0; 5 << 10]).unwrap();
        supply.begin_rows(None);
        supply.grant(1 << 10);
        supplied.read_exact(&mut [0; (1 << 10) + SPARE_BYTES]).unwrap();
        let error = supplied.read_exact(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "it has more data than its rows need");
        supply.grant(usize::MAX);
        assert_eq!(supplied.read_to_end(&mut Vec::new()).unwrap(), (4 << 10) - SPARE_BYTES);
    }

    #[test]
    fn nothing_is_read_when_the_time_is_over() {
        let source = [7; 100];
        let supply = Supply::of(&source);
        let mut supplied = Supplied::new(&source, &supply);
        supply.begin_rows(Some(Duration::from_mins(1)));
        supplied.read_exact(&mut [0; 10]).unwrap();
        supply.begin_rows(Some(Duration::ZERO));
        let error = supplied.read_exact(&mut [0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "its data takes too long to decompress");
    }
}
