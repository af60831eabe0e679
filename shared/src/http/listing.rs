//! The query of a sorted listing: its parameters, their schemas, and the header that leads to the next part.

use std::str::FromStr;

use axum::http::{HeaderName, header};

use super::{ApiUrl, Params};
use crate::{
    Error, Result,
    files::{Cursor, Order, Parent, Sort, Types, View},
    ids::UserId,
    limits,
};

/// The query of a sorted listing.
pub struct Sorted<'a> {
    sort: Sort,
    order: Order,
    types: Types,
    pub limit: usize,
    cursor: Option<&'a str>,
}

/// The parameters of which one makes a listing sorted, but for the cursor.
pub const OF_SORTED: [&str; 4] = ["sort", "order", "type", "limit"];

impl<'a> Sorted<'a> {
    /// # Errors
    /// `Invalid sort`, `Invalid order`, `Invalid limit`, `Invalid type`.
    pub fn read(params: &'a Params) -> Result<Self> {
        Ok(Self {
            sort: match params.get("sort") {
                None | Some("name") => Sort::Name,
                Some("size") => Sort::Size,
                Some("date") => Sort::Date,
                Some(_) => return Err(Error::Invalid("Invalid sort")),
            },
            order: match params.get("order") {
                None | Some("asc") => Order::Ascending,
                Some("desc") => Order::Descending,
                Some(_) => return Err(Error::Invalid("Invalid order")),
            },
            limit: limit(params, limits::LISTED, limits::MAX_LISTED)?,
            types: types(params)?,
            cursor: params.get("cursor"),
        })
    }

    pub fn view(&self, owner: UserId, folder: Parent) -> View {
        View { owner, folder, sort: self.sort, order: self.order, types: self.types }
    }

    /// # Errors
    /// `Invalid cursor`.
    pub fn cursor(&self, view: View) -> Result<Option<Cursor>> {
        self.cursor.map(|cursor| Cursor::parse(cursor, view)).transpose()
    }
}

/// The header that leads to the next part. The parameters are valid, so they need no encoding.
pub fn next_link(ApiUrl(api): &ApiUrl, path: &str, params: &Params, cursor: &str) -> [(HeaderName, String); 1] {
    let mut url = format!("{api}{path}?");
    for name in ["parentId"].iter().chain(&OF_SORTED) {
        if let Some(value) = params.get(name) {
            url.extend([name, "=", value, "&"]);
        }
    }
    [(header::LINK, format!("<{url}cursor={cursor}>; rel=\"next\""))]
}

/// The parameter `limit`, or its default.
pub fn limit(params: &Params, default: usize, most: usize) -> Result<usize> {
    let Some(text) = params.get("limit") else { return Ok(default) };
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = usize::from_str(text).ok().filter(|limit| is_number && (1..=most).contains(limit));
    limit.ok_or(Error::Invalid("Invalid limit"))
}

/// The parameter `type`: one type, or several with commas between them; all without the parameter.
pub fn types(params: &Params) -> Result<Types> {
    let Some(names) = params.get("type") else { return Ok(Types::ALL) };
    let mut types = Types::NONE;
    for name in names.split(',') {
        match name {
            "folder" => types.folders = true,
            "file" => types.files = true,
            "image" => types.images = true,
            _ => return Err(Error::Invalid("Invalid type")),
        }
    }
    Ok(types)
}

/// The schemas of the parameters.
pub mod schema {
    use utoipa::openapi::{Object, ObjectBuilder, schema::Type};

    use crate::limits;

    pub fn sort() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "What the list is sorted by: the name, in which numbers count as numbers and case makes no difference; the \
                 size; or the time of the last change.",
            ))
            .enum_values(Some(["name", "size", "date"]))
            .default(Some("name".into()))
            .build()
    }

    pub fn order() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("`desc` turns folders and the other documents around, each for themselves."))
            .enum_values(Some(["asc", "desc"]))
            .default(Some("asc".into()))
            .build()
    }

    pub fn types() -> Object {
        const NAME: &str = "(folder|file|image)";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("`folder`, `file` or `image`, or several with commas between them; all without it."))
            .pattern(Some(format!("^{NAME}(,{NAME})*$")))
            .examples(["folder,image"])
            .build()
    }

    pub fn listed() -> Object {
        number_to(limits::MAX_LISTED, limits::LISTED)
    }

    pub fn number_to(most: usize, default: usize) -> Object {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The most documents of the answer."))
            .minimum(Some(1))
            .maximum(Some(most))
            .default(Some(default.into()))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f29_a_limit_is_a_number_of_documents() {
        let limit = |text: &str| limit(&vec![("limit".into(), text.into())].into(), 100, 1000);
        assert_eq!((limit("1").unwrap(), limit("1000").unwrap(), limit("007").unwrap()), (1, 1000, 7));
        for text in ["", "0", "1001", "-1", "+1", "1.0", "x", " 1", "99999999999999999999999"] {
            assert!(matches!(limit(text), Err(Error::Invalid("Invalid limit"))), "{text:?}");
        }
    }

    #[test]
    fn f31_types_are_names_with_commas_between_them() {
        let types = |text: &str| types(&vec![("type".into(), text.into())].into());
        let some = Types { folders: true, files: false, images: true };
        assert_eq!((types("folder,image").unwrap(), types("image,folder,image").unwrap()), (some, some));
        for text in ["", "folder,", ",", "Folder", "folder image", "directory"] {
            assert!(matches!(types(text), Err(Error::Invalid("Invalid type"))), "{text:?}");
        }
    }
}
