//! Any bytes lead either to three thumbnails or to an error with a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thumbnailer::{Made, Request};

fuzz_target!(|source: &[u8]| {
    match thumbnailer::make(source, Request { widths: &[500, 250, 100], heic: true }) {
        Ok(Made { thumbnails, .. }) => assert!(thumbnails.len() == 3 && thumbnails.iter().all(|thumbnail| !thumbnail.bytes.is_empty())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
