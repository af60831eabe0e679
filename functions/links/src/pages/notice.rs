//! Pages that have nothing to show but a reason. No reason tells more than the status of the response does.

use maud::{Markup, html};

use shared::Error;

use super::layout::{self, Head, icon};

pub struct Notice {
    pub icon: &'static str,
    pub title: &'static str,
    pub text: &'static str,
}

impl Notice {
    pub const UNKNOWN: Self = Self {
        icon: "broken",
        title: "There is nothing here",
        text: "The link may be incomplete, or what it led to is not shared any more. Ask the person who sent it to you.",
    };

    pub const EXPIRED: Self = Self {
        icon: "clock",
        title: "This link has expired",
        text: "Ask the person who sent it to you for a new one.",
    };

    pub const USED_UP: Self = Self {
        icon: "clock",
        title: "This link is used up",
        text: "It was good for a certain number of downloads. Ask the person who sent it to you for a new one.",
    };

    pub const TOO_MANY: Self =
        Self { icon: "lock", title: "Too many wrong passwords", text: "Wait a minute, then load this page again." };

    pub const UNAVAILABLE: Self = Self {
        icon: "clock",
        title: "This does not work at the moment",
        text: "Load this page again in a minute. Nothing is lost.",
    };

    pub const INVALID: Self = Self {
        icon: "broken",
        title: "This request is not understood",
        text: "Go back to the link that you got, and begin there again.",
    };

    pub fn of(error: &Error) -> Self {
        match error {
            Error::NotFound => Self::UNKNOWN,
            Error::Gone("The link is used up") => Self::USED_UP,
            Error::Gone(_) => Self::EXPIRED,
            Error::TooManyFailures { .. } => Self::TOO_MANY,
            Error::Unavailable(_) | Error::Internal(_) => Self::UNAVAILABLE,
            _ => Self::INVALID,
        }
    }
}

pub fn page(notice: &Notice) -> Markup {
    layout::page(
        &Head::titled(notice.title),
        &html! {
            section class="card narrow" {
                div class="about" {
                    div class="sign" { (icon(notice.icon)) }
                    h1 { (notice.title) }
                    p { (notice.text) }
                }
            }
        },
    )
}
