//! Sizes, times, names and types as people read them.

/// Bytes in the units of file managers, of a thousand each.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") };
    }
    let (mut tenths, mut unit) = (rounded(bytes, 100), 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = rounded(tenths, 1000);
        unit += 1;
    }
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[unit]),
        (whole, _) if whole >= 100 => format!("{whole} {}", UNITS[unit]),
        (whole, tenth) => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

fn rounded(number: u64, by: u64) -> u64 {
    number / by + u64::from(number % by >= by / 2)
}

/// The date of a time in RFC 3339.
pub fn date(time: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |range| time.get(range).and_then(|digits: &str| digits.parse::<usize>().ok());
    match (time.get(..4), number(5..7), number(8..10)) {
        (Some(year), Some(month @ 1..=12), Some(day)) => format!("{day} {} {year}", MONTHS[month - 1]),
        _ => time.to_owned(),
    }
}

/// Date and minute of a time in RFC 3339.
pub fn date_and_time(time: &str) -> String {
    format!("{}, {} UTC", date(time), time.get(11..16).unwrap_or_default())
}

/// A name without the characters that reorder text around them: with U+202E, `gpj.exe` reads as `exe.jpg`. Marks of
/// right-to-left languages stay, because they act on the name alone.
pub fn name(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')).collect()
}

/// The class of a file, which decides its icon and its preview.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    Picture,
    Video,
    Audio,
    Text,
    Archive,
    Other,
}

impl Class {
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default();
        match essence.split_once('/') {
            Some(("image", _)) => Self::Picture,
            Some(("video", _)) => Self::Video,
            Some(("audio", _)) => Self::Audio,
            Some(("text", _) | ("application", "pdf" | "msword" | "rtf" | "json" | "xml")) => Self::Text,
            Some(("application", kind)) if kind.starts_with("vnd.o") => Self::Text,
            Some(("application", "zip" | "gzip" | "x-tar" | "x-7z-compressed" | "x-bzip2" | "vnd.rar" | "x-xz")) => {
                Self::Archive
            }
            _ => Self::Other,
        }
    }

    pub fn icon(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Archive => "archive",
            Self::Other => "file",
        }
    }
}

/// The type of a file by the extension of its name, which is what a computer goes by that opens the file.
pub fn file_type(name: &str, content_type: &str) -> String {
    let noun = match Class::of(content_type) {
        Class::Picture => "picture",
        Class::Video => "video",
        Class::Audio => "audio",
        Class::Archive => "archive",
        Class::Text | Class::Other => "file",
    };
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && (1..=8).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            format!("{} {noun}", extension.to_ascii_uppercase())
        }
        _ => capitalized(noun),
    }
}

fn capitalized(word: &str) -> String {
    word[..1].to_ascii_uppercase() + &word[1..]
}

/// One of many: `1 file`, `2 files`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_at_most_three_digits() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1 kB"),
            (1049, "1 kB"),
            (1050, "1.1 kB"),
            (123_456, "123 kB"),
            (999_999, "1 MB"),
            (1_500_000, "1.5 MB"),
            (5 << 40, "5.5 TB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_time_is_a_date_that_no_country_reads_differently() {
        assert_eq!(date("2026-02-03T04:05:06.789Z"), "3 Feb 2026");
        assert_eq!(date_and_time("2026-12-31T23:59:00Z"), "31 Dec 2026, 23:59 UTC");
        assert_eq!(date("no time"), "no time");
    }

    #[test]
    fn a_name_cannot_be_reordered_to_hide_its_extension() {
        assert_eq!(name("\u{202e}gpj.exe"), "gpj.exe");
        assert_eq!(name("עברית\u{200f}.txt"), "עברית\u{200f}.txt");
        assert_eq!(file_type("\u{202e}gpj.exe", "application/x-msdownload"), "EXE file");
    }

    #[test]
    fn a_type_is_told_by_the_extension() {
        for (name, content_type, expected) in [
            ("a.JPG", "image/jpeg", "JPG picture"),
            ("film.mp4", "video/mp4", "MP4 video"),
            ("backup.tar.gz", "application/gzip", "GZ archive"),
            ("README", "application/octet-stream", "File"),
            (".hidden", "application/octet-stream", "File"),
            ("a.b c", "application/octet-stream", "File"),
        ] {
            assert_eq!(file_type(name, content_type), expected, "{name}");
        }
    }
}
