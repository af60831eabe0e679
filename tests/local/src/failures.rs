//! What failed, out of the output of `cargo test`, so that a long run ends with it.

/// The number of lines of a failure, without its backtrace. A page that a browser shows has about forty.
const MAX_LINES: usize = 60;
/// The number of characters of a line.
const MAX_CHARS: usize = 1_000;

/// The name of each failed test with the first lines of what the test printed.
pub fn failures(output: &str) -> Vec<String> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut is_inside = false;
    for line in output.lines() {
        if line.starts_with("---- ") && line.ends_with(" stdout ----") {
            found.push(vec![line]);
            is_inside = true;
        } else if ["stack backtrace:", "failures:", "test result:"].iter().any(|end| line.starts_with(end)) {
            is_inside = false;
        } else if is_inside && !line.trim().is_empty() {
            found.last_mut().expect("a failure").push(line);
        }
    }
    found.into_iter().map(|lines| shortened(&lines)).collect()
}

fn shortened(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines.iter().take(MAX_LINES) {
        text.extend(line.chars().take(MAX_CHARS));
        text.push('\n');
    }
    if lines.len() > MAX_LINES {
        text += "…\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn a_failure_is_its_name_and_its_message_without_the_backtrace() {
        let output = "running 2 tests\ntest a::works ... ok\ntest a::fails ... FAILED\n\nfailures:\n\n---- a::fails stdout ----\n\n\
                      thread 'a::fails' panicked at a.rs:1:2:\nleft is not right\nstack backtrace:\n   0: begin_unwind\n\n\n\
                      failures:\n    a::fails\n\ntest result: FAILED. 1 passed; 1 failed\n";
        let expected = "---- a::fails stdout ----\nthread 'a::fails' panicked at a.rs:1:2:\nleft is not right\n";
        assert_eq!(failures(output), [expected]);
        assert_eq!(failures("test a::works ... ok\n\ntest result: ok. 1 passed\n"), [""; 0]);
    }
}
