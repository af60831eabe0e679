//! Points in time. For clients a time is RFC 3339 in UTC; in `MongoDB` it is a date, to the millisecond.

use std::{
    ops::{Add, Sub},
    time::{Duration, SystemTime},
};

use mongodb::bson::{Bson, DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use utoipa::ToSchema;

use crate::{Error, Result};

/// A point in time, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(
    value_type = String,
    format = DateTime,
    description = "A time in RFC 3339.",
    example = "2026-11-22T12:00:00.123Z"
)]
pub struct Timestamp(DateTime);

impl Timestamp {
    pub fn now() -> Self {
        Self(DateTime::now())
    }

    pub fn from_millis(since_1970: i64) -> Self {
        Self(DateTime::from_millis(since_1970))
    }

    /// The milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// The same time without the milliseconds.
    #[must_use]
    pub fn in_whole_seconds(self) -> Self {
        Self::from_millis(self.millis() / 1000 * 1000)
    }

    /// The time in RFC 3339.
    ///
    /// # Errors
    /// `Internal` for a time that RFC 3339 cannot express, such as one before the year 0.
    pub fn to_rfc3339(self) -> Result<String> {
        self.0.try_to_rfc3339_string().map_err(|error| Error::Internal(error.into()))
    }
}

impl From<DateTime> for Timestamp {
    fn from(time: DateTime) -> Self {
        Self(time)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(DateTime::from_system_time(time))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        time.0.to_system_time()
    }
}

impl From<Timestamp> for Bson {
    fn from(time: Timestamp) -> Self {
        time.0.into()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, period: Duration) -> Self {
        (SystemTime::from(self) + period).into()
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, period: Duration) -> Self {
        (SystemTime::from(self) - period).into()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        serializer.serialize_str(&self.0.try_to_rfc3339_string().map_err(ser::Error::custom)?)
    }
}

/// The form in `MongoDB`.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DateTime::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_slice, doc, serialize_to_vec};

    use super::*;

    #[test]
    fn a_time_is_rfc_3339_in_json_and_a_date_in_mongodb() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Row {
            at: Timestamp,
        }
        let row = Row { at: Timestamp::from_millis(1_795_348_800_123) };
        assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"at":"2026-11-22T12:00:00.123Z"}"#);
        assert_eq!(row.at.in_whole_seconds().to_rfc3339().unwrap(), "2026-11-22T12:00:00Z");
        let stored = doc! { "at": DateTime::from_millis(1_795_348_800_123) };
        assert_eq!(serialize_to_vec(&row).unwrap(), serialize_to_vec(&stored).unwrap());
        assert_eq!(doc! { "at": row.at }, stored);
        assert_eq!(deserialize_from_slice::<Row>(&serialize_to_vec(&stored).unwrap()).unwrap(), row);
    }

    #[test]
    fn a_time_that_rfc_3339_cannot_express_has_no_text() {
        assert!(Timestamp(DateTime::MIN).to_rfc3339().is_err());
        assert!(serde_json::to_string(&Timestamp(DateTime::MIN)).is_err());
    }
}
