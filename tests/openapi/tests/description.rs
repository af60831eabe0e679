//! Tests that the description that `status` carries agrees with the sources, and that it is complete.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::Value;
use shared::{http::key_routes, limits};

#[test]
fn the_description_in_status_is_up_to_date() {
    let carried = fs::read_to_string(openapi::PATH).unwrap();
    assert!(carried == openapi::description(), "`cargo local openapi` writes it anew");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
    let mut names = BTreeSet::new();
    for_each_operation(|operation| {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{name}");
    });
}

/// A misspelled route would refuse all keys.
#[test]
fn every_route_of_an_api_key_is_described() {
    let whole: Value = serde_json::from_str(&openapi::description()).unwrap();
    for route in key_routes() {
        let (method, path) = route.split_once(' ').unwrap();
        assert!(whole["paths"][path][method.to_lowercase()].is_object(), "{route}");
    }
}

/// The body of every error has an error schema, and its description begins with the text of the error in backticks.
#[test]
fn every_error_is_json_and_is_described() {
    for_each_operation(|operation| {
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let name = &operation["operationId"];
            // A page is for people, and says what went wrong in HTML.
            if response["content"]["text/html"].is_object() {
                assert_eq!(operation["tags"][0], "Pages", "{status} of {name}");
                assert!(response["description"].as_str().unwrap().starts_with("A page: "), "{status} of {name}");
                continue;
            }
            let schema = response["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
            assert!(schema.ends_with("Error"), "{status} of {name} is {response}");
            assert!(response["description"].as_str().unwrap().starts_with('`'), "{status} of {name}");
        }
    });
}

/// The limits in schemas come from the code. These are limits in sentences.
#[test]
fn limits_are_what_the_words_say() {
    let words = openapi::description();
    for (said, is_so) in [
        ("At most a thousand", limits::MAX_SESSIONS == 1000),
        ("Of all tickets at most a thousand", limits::MAX_TICKETS_LISTED == 1000),
        ("Twenty a page", limits::PAGE_SIZE == 20),
        ("The next hundred, signed for 15 minutes", limits::SIGNED_PARTS_PER_REQUEST == 100),
        ("signed for 15 minutes", limits::UPLOAD_URL_TTL == Duration::from_mins(15)),
        ("of the first hundred", limits::SIGNED_PARTS_PER_REQUEST == 100),
        ("Of a hundred parts at most", limits::SIGNED_PARTS_PER_REQUEST == 100),
        ("Good for a minute", limits::DOWNLOAD_URL_TTL == Duration::from_mins(1)),
        ("A session for 24 hours", limits::SESSION_TTL == Duration::from_hours(24)),
        ("More than 4 MiB", limits::MAX_INLINE_BYTES == 4 << 20),
        ("ten within a minute for this account", limits::MAX_FAILURES == 10),
        ("has not logged in to this account for 30 days", limits::KNOWN_NETWORK_TTL == Duration::from_hours(30 * 24)),
        ("`500`, `250` or `100` pixels wide", limits::THUMBNAIL_WIDTHS == [500, 250, 100]),
        ("and `1600` if the deployment made", limits::POSSIBLE_THUMBNAIL_WIDTHS == [1600, 500, 250, 100]),
        ("1 MiB (1048576 bytes), the limit of a preview", limits::MAX_PREVIEW_BYTES == 1_048_576),
        ("Invalid part number: 1 to 10000", limits::MAX_PARTS == 10_000),
        ("^([1-9][0-9]{0,3}|10000)", limits::MAX_PARTS == 10_000),
        ("Invalid expiresIn: 1 to 86400 seconds", limits::MAX_TICKET_SECONDS == 86_400),
        ("1 to 255 characters of ASCII", limits::IDEMPOTENCY_KEY_BYTES == 255),
        ("5 TiB (5497558138880 bytes)", limits::MAX_FILE_BYTES == 5_497_558_138_880),
        ("`1000 uploads are not complete: ", limits::MAX_INCOMPLETE_UPLOADS == 1000),
        ("all but the last must have 5 MiB or more", limits::MIN_PART_BYTES == 5 << 20),
        ("of up to 5 GiB for every 5 MiB of it", limits::MIN_PART_BYTES == 5 << 20),
        ("0 to 5368709120 bytes", limits::MAX_PART_BYTES == 5_368_709_120),
        ("at most 5 TiB", limits::MAX_FILE_BYTES == 5 << 40),
        (
            "the first 16 words count, and of a word the first 32",
            limits::MAX_WORDS == 16 && limits::MAX_WORD_BYTES == 32,
        ),
        ("The newest of the first thousand that match", limits::SEARCHED_AT_ONCE == 1000),
        ("Invalid ids: 1 to 1000", limits::MAX_ZIPPED == 1000),
        ("`10 ZIPs are being made: ", limits::MAX_ZIPS_MADE == 10),
        ("`100 ZIPs were made within a day: ", limits::MAX_ZIPS_KEPT == 100),
        ("It is kept for a day", limits::ZIP_TTL == Duration::from_hours(24)),
        ("64 KiB, or 1 MiB", limits::MAX_BODY_BYTES == 64 << 10 && limits::PARTS_BODY_BYTES == 1 << 20),
    ] {
        assert!(words.contains(said), "nothing says {said:?}");
        assert!(is_so, "{said:?} is not so any more");
    }
}

fn for_each_operation(mut see: impl FnMut(&Value)) {
    let description: Value = serde_json::from_str(&openapi::description()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    for operation in paths.values().flat_map(|item| item.as_object().unwrap().values()) {
        see(operation);
    }
}
