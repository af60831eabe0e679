//! The two facts of a picture's EXIF data that are used: how the picture is turned, and when it was taken. The position,
//! the owner and the serial numbers of the camera are never read.

use exif::{DateTime, In, Reader, Tag, Value};
use image::metadata::Orientation;

use crate::limits::MAX_EXIF_BYTES;

#[derive(Clone)]
pub struct Exif {
    pub orientation: Orientation,
    /// The local time at which the picture was taken: RFC 3339, without a time zone if the camera has recorded none.
    pub taken_at: Option<String>,
}

impl Default for Exif {
    fn default() -> Self {
        Self { orientation: Orientation::NoTransforms, taken_at: None }
    }
}

impl Exif {
    /// Reads a TIFF structure, as EXIF data is in every container. Data that is broken or longer than the limit tells
    /// nothing.
    pub fn parse(tiff: &[u8]) -> Self {
        let orientation = Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms);
        Self { orientation, taken_at: taken_at(tiff) }
    }
}

fn taken_at(tiff: &[u8]) -> Option<String> {
    if tiff.len() > MAX_EXIF_BYTES {
        return None;
    }
    let exif = Reader::new().continue_on_error(true).read_raw(tiff.to_vec());
    let exif = exif.or_else(|error| error.distill_partial_result(|_| ())).ok()?;
    let text = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => texts.first().cloned(),
        _ => None,
    };
    time(text)
}

/// The time of the picture by the texts of its tags.
pub fn time(text: impl Fn(Tag) -> Option<Vec<u8>>) -> Option<String> {
    [(Tag::DateTimeOriginal, Tag::OffsetTimeOriginal), (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized)]
        .into_iter()
        .find_map(|(time, offset)| rfc3339(&text(time)?, text(offset).as_deref()))
}

/// A time of EXIF, `2026:11:29 07:28:35`, with an offset such as `+01:00`. None if no calendar has such a time.
fn rfc3339(time: &[u8], offset: Option<&[u8]>) -> Option<String> {
    let mut time = DateTime::from_ascii(time).ok()?;
    let DateTime { year, month, day, hour, minute, second, .. } = time;
    let is_leap_year = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if is_leap_year => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let offset = offset.and_then(|offset| time.parse_offset(offset).ok().and(time.offset));
    let offset = offset.filter(|minutes| minutes.unsigned_abs() < 24 * 60).map(|minutes| {
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
    });
    Some(local + &offset.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use exif::{Field, experimental::Writer};

    use super::*;

    fn tiff(fields: &[(Tag, &str)]) -> Vec<u8> {
        let field = |&(tag, text): &(Tag, &str)| {
            let value = Value::Ascii(vec![text.as_bytes().to_vec()]);
            Field { tag, ifd_num: In::PRIMARY, value }
        };
        let fields: Vec<Field> = fields.iter().map(field).collect();
        let (mut writer, mut tiff) = (Writer::new(), std::io::Cursor::new(Vec::new()));
        for field in &fields {
            writer.push_field(field);
        }
        writer.write(&mut tiff, false).unwrap();
        tiff.into_inner()
    }

    #[test]
    fn the_time_has_a_zone_only_if_the_camera_has_recorded_one() {
        for (time, offset, taken_at) in [
            ("2026:11:29 07:28:35", "", Some("2026-11-29T07:28:35")),
            ("2026:11:29 07:28:35", "+05:30", Some("2026-11-29T07:28:35+05:30")),
            ("2024:02:29 23:59:59", "-08:00", Some("2024-02-29T23:59:59-08:00")),
            ("2026:11:29 07:28:35", "   :  ", Some("2026-11-29T07:28:35")),
            ("2023:02:29 07:28:35", "", None),
            ("0000:00:00 00:00:00", "", None),
            ("    :  :     :  :  ", "", None),
            ("yesterday", "", None),
        ] {
            let fields = [(Tag::DateTimeOriginal, time), (Tag::OffsetTimeOriginal, offset)];
            assert_eq!(Exif::parse(&tiff(&fields)).taken_at.as_deref(), taken_at, "{time} {offset}");
        }
    }

    #[test]
    fn the_time_of_an_edit_is_not_the_time_of_the_picture() {
        assert_eq!(Exif::parse(&tiff(&[(Tag::DateTime, "2026:11:29 07:28:35")])).taken_at, None);
        let scanned = tiff(&[(Tag::DateTimeDigitized, "2026:11:29 07:28:35")]);
        assert_eq!(Exif::parse(&scanned).taken_at.as_deref(), Some("2026-11-29T07:28:35"));
    }
}
