//! The ids. For clients, in storage keys and in the log an id is 24 hex digits in lower case; in `MongoDB` it is an
//! `ObjectId`.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use mongodb::bson::{Bson, oid::ObjectId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{Error, time::Timestamp};

/// An `ObjectId` of one kind of thing, so that an id of another kind is never used in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<Of>(ObjectId, PhantomData<Of>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfUser;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfFile;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfTicket;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfLink;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfZip;

/// The id of an account.
pub type UserId = Id<OfUser>;

/// The id of a folder, file or image.
pub type FileId = Id<OfFile>;

/// The id of an API key.
pub type KeyId = Id<OfKey>;

/// The id of a ticket, which permits uploads.
pub type TicketId = Id<OfTicket>;

/// The id of a link, which lets others read a file or a folder, or upload into a folder.
pub type LinkId = Id<OfLink>;

/// The id of a ZIP.
pub type ZipId = Id<OfZip>;

impl<Of> Id<Of> {
    /// A new id, which is unique.
    pub fn new() -> Self {
        ObjectId::new().into()
    }

    /// The time at which the id was made, in whole seconds.
    pub fn created_at(&self) -> Timestamp {
        self.0.timestamp().into()
    }

    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        ObjectId::from_bytes(bytes).into()
    }

    pub fn bytes(&self) -> [u8; 12] {
        self.0.bytes()
    }

    /// Another id that is made from this one, always the same. It differs in the random part that is the same for all
    /// ids of a process, so no process makes it as a new id.
    #[must_use]
    pub fn twin(&self) -> Self {
        let mut bytes = self.0.bytes();
        bytes[4] ^= 0x80;
        ObjectId::from_bytes(bytes).into()
    }
}

impl<Of> Default for Id<Of> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Of> From<ObjectId> for Id<Of> {
    fn from(id: ObjectId) -> Self {
        Self(id, PhantomData)
    }
}

impl<Of> From<Id<Of>> for Bson {
    fn from(id: Id<Of>) -> Self {
        id.0.into()
    }
}

impl<Of> fmt::Display for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no id names nothing, so the error is `NotFound`.
impl<Of> FromStr for Id<Of> {
    type Err = Error;

    fn from_str(hex: &str) -> Result<Self, Error> {
        // Lower case is the only form of an id, as in S3's keys and in the log.
        if hex.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return Err(Error::NotFound);
        }
        ObjectId::parse_str(hex).map(Self::from).map_err(|_| Error::NotFound)
    }
}

impl<Of> Serialize for Id<Of> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

/// The form in `MongoDB`.
impl<'de, Of> Deserialize<'de> for Id<Of> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ObjectId::deserialize(deserializer).map(Self::from)
    }
}

/// All ids have one schema.
impl<Of> PartialSchema for Id<Of> {
    fn schema() -> RefOr<Schema> {
        SessionId::schema()
    }
}

impl<Of> ToSchema for Id<Of> {
    fn name() -> Cow<'static, str> {
        SessionId::name()
    }
}

/// The id of a session: the first 24 digits of the digest of its token. These are as many digits as any other id has,
/// and they are of no use to find the rest of the digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(
    as = Id,
    description = "The id of an account, a file, a session, a ticket, an API key, a link or a ZIP.",
    pattern = "^[0-9a-f]{24}$",
    example = "5f1e7d35c7ba06511e683b21"
)]
#[serde(transparent)]
pub struct SessionId(pub String);

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_slice, doc, serialize_to_vec};

    use super::*;

    #[test]
    fn an_id_is_24_hex_digits_in_lower_case() {
        assert!("5f1e7d35c7ba06511e683b21".parse::<FileId>().is_ok());
        for id in [
            "",
            "5f1e7d35c7ba06511e683b2",
            "5f1e7d35c7ba06511e683b211",
            "5F1E7D35C7BA06511E683B21",
            "5f1e7d35c7ba06511e683B21",
            "zzzzzzzzzzzz",
            "../../../../../../etc/pa",
        ] {
            assert!(id.parse::<FileId>().is_err(), "{id}");
        }
    }

    #[test]
    fn an_id_is_text_in_json_and_an_object_id_in_mongodb() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Row {
            id: UserId,
        }
        let hex = "5f1e7d35c7ba06511e683b21";
        let row = Row { id: hex.parse().unwrap() };
        assert_eq!(serde_json::to_string(&row).unwrap(), format!(r#"{{"id":"{hex}"}}"#));
        let stored = doc! { "id": ObjectId::parse_str(hex).unwrap() };
        assert_eq!(serialize_to_vec(&row).unwrap(), serialize_to_vec(&stored).unwrap());
        assert_eq!(doc! { "id": row.id }, stored);
        assert_eq!(deserialize_from_slice::<Row>(&serialize_to_vec(&stored).unwrap()).unwrap(), row);
    }
}
