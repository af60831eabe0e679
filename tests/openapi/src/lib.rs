//! Merges the descriptions of the functions into one of the whole API. The functions do not know of each other,
//! and only `status` carries the result, as a file that this crate writes.

#![forbid(unsafe_code)]

use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Description,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The path of the description, which is in version control.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions/status/src/openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(title = "Files Manager", description = include_str!("description.md")),
    tags(
        (name = "Accounts"),
        (name = "Sessions", description = "A login opens one; its token is what `X-Token` sends."),
        (name = "API keys", description = "Tokens for programs, with rights that are less than the user's."),
        (name = "Files", description = "Folders, files and images: making, finding, publishing and deleting them."),
        (name = "Content", description = "The bytes, and thumbnails of images."),
        (name = "ZIPs", description = "Many files and folders as one file, made in the background."),
        (name = "Uploads", description = "Files of any size, which their clients bring to S3 themselves."),
        (name = "Companion", description = "What stock Uppy asks where it is given a ticket's `companionEndpoint`."),
        (name = "Links", description = "What others may read, or upload, who have no account."),
        (name = "Web app", description = "The app for people, and the cookie by which a browser keeps its session."),
        (name = "Status"),
    ),
    security(("token" = []), ("bearer" = [])),
    modifiers(&Security),
)]
struct Whole;

struct Security;

impl Modify for Security {
    fn modify(&self, description: &mut Description) {
        let token =
            ApiKey::Header(ApiKeyValue::with_description("X-Token", "The token of `GET /connect`, or an API key."));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The same token."));
        let password = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some("E-mail and password."));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::ApiKey(token));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let of_link = HttpBuilder::new().scheme(HttpAuthScheme::Basic);
        let of_link = of_link.description(Some("The password of a link, with any user name."));
        components.add_security_scheme("linkPassword", SecurityScheme::Http(of_link.build()));
        let cookie =
            ApiKeyValue::with_description("__Host-session", "The cookie of `POST /web/session`: it reads content.");
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme("password", SecurityScheme::Http(password.build()));
    }
}

/// The description in the format of [`PATH`].
pub fn description() -> String {
    let functions = [
        auth::openapi::Api::openapi(),
        content::openapi::Api::openapi(),
        files::openapi::Api::openapi(),
        links::openapi::Api::openapi(),
        status::openapi::Api::openapi(),
        uploads::openapi::Api::openapi(),
        users::openapi::Api::openapi(),
        web::openapi::Api::openapi(),
    ];
    let whole = functions.into_iter().fold(Whole::openapi(), Description::merge_from);
    let mut text = whole.to_pretty_json().expect("a description is JSON");
    text.push('\n');
    text
}
