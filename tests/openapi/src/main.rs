//! Writes the description of the API to [`openapi::PATH`]: `cargo local openapi`.

#![forbid(unsafe_code)]

use std::{fs, io};

fn main() -> io::Result<()> {
    fs::write(openapi::PATH, openapi::description())
}
