//! The page that asks for the password of a link.

use maud::{Markup, html};

use super::layout::{self, Head, icon};

/// `refusal` says why the password that was sent did not open the link.
pub fn page(refusal: Option<&str>) -> Markup {
    layout::page(
        &Head::titled("Password required"),
        &html! {
            section class="card narrow" {
                div class="about" {
                    div class="sign" { (icon("lock")) }
                    h1 { "This link has a password" }
                    p { "Type the password that you got together with the link." }
                    form method="post" {
                        label for="password" { "Password" }
                        input id="password" name="password" type="password" required autofocus
                            autocomplete="off" maxlength="1024" aria-invalid=[refusal.map(|_| "true")]
                            aria-describedby=[refusal.map(|_| "refusal")];
                        // The place is there before a refusal is, so that the button does not move.
                        p id="refusal" class="refusal" role="alert" { @if let Some(refusal) = refusal { (refusal) } }
                        button class="button" type="submit" { "Open" }
                    }
                }
            }
        },
    )
}
