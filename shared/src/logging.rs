//! One line of JSON for each request or job, and nothing that a person typed in it.

use tracing::level_filters::LevelFilter;

/// Logs to standard output, which Lambda keeps.
pub fn init(level: LevelFilter) {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level)
        .init();
    // In place of lines that are no JSON. What it says could be what somebody typed.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(at = panic.location().map(ToString::to_string), "panic");
    }));
}
