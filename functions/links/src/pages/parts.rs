//! Parts that several pages have.

use maud::{Markup, html};

use super::{format, view::LinkView};

pub fn changed(time: &str) -> Markup {
    html! { time datetime=(time) { (format::date(time)) } }
}

/// The time at which the link expires.
pub fn expiry(link: &LinkView) -> Markup {
    html! {
        @if let Some(time) = &link.expires_at {
            p class="note" { "This link expires on " time datetime=(time) { (format::date_and_time(time)) } "." }
        }
    }
}
