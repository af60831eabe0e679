//! Whatever the bytes are, there are three thumbnails or a reason why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thumbnails::picture;

fuzz_target!(|source: &[u8]| {
    match picture::thumbnails(source) {
        Ok(made) => assert!(made.len() == 3 && made.iter().all(|thumbnail| !thumbnail.bytes.is_empty())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
