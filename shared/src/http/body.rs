//! JSON bodies as the contract reads them: a field of the wrong type counts as missing, an unknown field is ignored,
//! the last of two equal keys wins, and only scalars are ever kept in memory.

use std::fmt;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    Error, Result,
    files::{OnConflict, Parent},
};

/// The fields of a JSON object. There are none if the body is empty, is not an object, or has another content type.
#[derive(Default)]
pub struct Fields {
    fields: Vec<(&'static str, Scalar)>,
    is_other_json: bool,
}

impl Fields {
    /// The text of a field; `None` where the contract calls the field missing: absent, `null`, `""`, or no string.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Scalar::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The field `onConflict`; `default` if it is missing.
    ///
    /// # Errors
    /// `Invalid onConflict`.
    pub fn on_conflict(&mut self, default: OnConflict) -> Result<OnConflict> {
        match self.take("onConflict") {
            Scalar::Null => Ok(default),
            Scalar::Text(text) => OnConflict::parse(&text),
            _ => Err(Error::Invalid("Invalid onConflict")),
        }
    }

    /// The fields of a body with these headers.
    ///
    /// # Errors
    /// `Invalid JSON`.
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        if body.is_empty() || !is_json(headers) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|_| Error::Invalid("Invalid JSON"))
    }

    /// Refuses a body that is JSON, but neither an object nor `null`, for an endpoint that needs no field.
    ///
    /// # Errors
    /// `Invalid JSON`.
    pub fn must_be_object(&self) -> Result<()> {
        if self.is_other_json { Err(Error::Invalid("Invalid JSON")) } else { Ok(()) }
    }

    fn other_json() -> Self {
        Self { is_other_json: true, ..Self::default() }
    }

    /// Takes the value of a field that is there, even if it is `null`.
    pub fn present(&mut self, name: &str) -> Option<Scalar> {
        let found = self.fields.iter().position(|(key, _)| *key == name);
        found.map(|at| self.fields.remove(at).1)
    }

    /// Takes the value of a field; a second call returns `Null`.
    pub fn take(&mut self, name: &str) -> Scalar {
        debug_assert!(NAMES.contains(&name), "{name} is not among the names that are kept");
        let found = self.fields.iter().position(|(key, _)| *key == name);
        found.map_or(Scalar::Null, |at| self.fields.remove(at).1)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let headers = request.headers().clone();
        Self::of(&headers, &read(request, state).await?)
    }
}

/// A JSON body whose fields are more than scalars. As for [`Fields`], an empty body, `null` or another content type
/// counts as `{}`.
pub struct Object<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Object<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_json = is_json(request.headers());
        let body = Some(read(request, state).await?).filter(|body| is_json && !body.is_empty());
        // A derived type would also accept an array of its fields in order, and refuse a repeated field.
        let fields: Option<Map<String, Value>> =
            serde_json::from_slice(body.as_deref().unwrap_or(b"{}")).map_err(|_| Error::Invalid("Invalid JSON"))?;
        let fields = Value::Object(fields.unwrap_or_default());
        serde_json::from_value(fields).map(Self).map_err(|_| Error::Invalid("Invalid JSON"))
    }
}

/// True if the content type of a request is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let essence = content_type.and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|_| {
        Error::TooLarge("The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts")
    })
}

/// A JSON value. Only scalars have a meaning here.
#[derive(Debug, Default, PartialEq)]
pub enum Scalar {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// An array or an object, whose content is dropped.
    Nested,
}

impl Scalar {
    /// The number, if it is a count: not negative, whole, and exact.
    pub fn as_integer(&self) -> Option<u64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match *self {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are ruled out before")]
            Self::Number(number) if (0.0..=EXACT).contains(&number) && number.fract() == 0.0 => Some(number as u64),
            _ => None,
        }
    }
}

/// A `parentId` as a client sends it. The root has six forms; the sixth is an absent field.
impl TryFrom<Scalar> for Parent {
    type Error = Error;

    fn try_from(field: Scalar) -> Result<Self> {
        match field {
            Scalar::Null | Scalar::Bool(false) | Scalar::Number(0.0) => Ok(Self::Root),
            Scalar::Text(text) if text.is_empty() || text == "0" => Ok(Self::Root),
            Scalar::Text(text) => text.parse().map(Self::Folder).map_err(|_| Error::Invalid("Parent not found")),
            Scalar::Bool(true) | Scalar::Number(_) | Scalar::Nested => Err(Error::Invalid("Parent not found")),
        }
    }
}

/// Every field that an endpoint reads by its name. Other fields are not kept, so a body takes no more memory than these
/// fields, whatever the number and the order of its keys.
const NAMES: [&str; 15] = [
    "action",
    "data",
    "email",
    "isPublic",
    "key",
    "method",
    "name",
    "newPassword",
    "onConflict",
    "parentId",
    "partNumber",
    "password",
    "size",
    "type",
    "uploadId",
];

/// One of [`NAMES`]; `None` for a key that is not kept.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Fields, A::Error> {
        let mut fields: Vec<(&'static str, Scalar)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            match fields.iter_mut().find(|(key, _)| *key == name) {
                Some((_, value)) => *value = map.next_value()?,
                None => fields.push((name, map.next_value()?)),
            }
        }
        Ok(Fields { fields, is_other_json: false })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Fields, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Fields::other_json())
    }
    fn visit_unit<E>(self) -> std::result::Result<Fields, E> {
        Ok(Fields::default())
    }
    fn visit_bool<E>(self, _: bool) -> std::result::Result<Fields, E> {
        Ok(Fields::other_json())
    }
    fn visit_i64<E>(self, _: i64) -> std::result::Result<Fields, E> {
        Ok(Fields::other_json())
    }
    fn visit_u64<E>(self, _: u64) -> std::result::Result<Fields, E> {
        Ok(Fields::other_json())
    }
    fn visit_f64<E>(self, _: f64) -> std::result::Result<Fields, E> {
        Ok(Fields::other_json())
    }
    fn visit_str<E>(self, _: &str) -> std::result::Result<Fields, E> {
        Ok(Fields::other_json())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        Ok(Self(NAMES.into_iter().find(|name| *name == key)))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Null)
    }
    fn visit_bool<E>(self, value: bool) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }
    #[expect(clippy::cast_precision_loss, reason = "only zero has a meaning")]
    fn visit_i64<E>(self, value: i64) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Number(value as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "only zero has a meaning")]
    fn visit_u64<E>(self, value: u64) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> std::result::Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_a_string_with_content_is_a_text() {
        for json in [
            r"{}",
            r#"{"name":null}"#,
            r#"{"name":""}"#,
            r#"{"name":7}"#,
            r#"{"name":{"$ne":null}}"#,
            r#"{"name":["x"]}"#,
        ] {
            assert_eq!(fields(json).text("name"), None, "{json}");
        }
        assert_eq!(fields(r#"{"name":"x"}"#).text("name").as_deref(), Some("x"));
    }

    #[test]
    fn a_body_that_is_no_object_has_no_fields() {
        for json in ["[1,{}]", "null", "true", "-1", "1", "1.5", r#""email""#] {
            let fields = fields(json);
            assert!(fields.fields.is_empty(), "{json}");
            assert_eq!(fields.must_be_object().is_ok(), json == "null", "{json}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let twice = r#"{"name":"x","type":1,"n\u0061me":"y"}"#;
        assert_eq!(fields(twice).text("name").as_deref(), Some("y"));
    }

    #[test]
    fn the_root_has_six_forms() {
        for root in [Scalar::Null, Scalar::Text(String::new()), Scalar::Bool(false), Scalar::Number(0.0)] {
            assert_eq!(Parent::try_from(root).unwrap(), Parent::Root);
        }
        assert_eq!(Parent::try_from(Scalar::Text("0".into())).unwrap(), Parent::Root);
        for other in [Scalar::Bool(true), Scalar::Number(1.0), Scalar::Nested, Scalar::Text("00".into())] {
            assert!(Parent::try_from(other).is_err());
        }
    }

    #[test]
    fn a_field_counts_at_any_position_and_unknown_keys_are_not_kept() {
        let many: Vec<String> = (0..10_000).map(|n| format!(r#""k{n}":"x","#)).collect();
        let mut fields = fields(&format!(r#"{{{},"name":"a"}}"#, many.concat().trim_end_matches(',')));
        assert_eq!(fields.fields.len(), 1);
        assert_eq!(fields.text("name").as_deref(), Some("a"));
    }
}
