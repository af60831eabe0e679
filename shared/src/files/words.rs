//! The words of a name, by which a search finds the name: each begins at a border inside the name and goes on to the
//! end of its letters, without accents and without case. A word of a query finds every word that it begins.
//!
//! Han, Kana and Hangul are written without spaces, so that a person searches for some of the characters. Their words
//! are pairs of neighbours, and the last character alone.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::Name;
use crate::limits;

/// The word of a name that has no words, so that its row differs from one whose words were never stored.
const NONE: &str = "";

/// The words of a name, at most [`limits::MAX_WORDS`], each once. A name without a word has one that no query finds.
pub fn of(name: &Name) -> Vec<String> {
    let mut words = Vec::new();
    for run in runs(name.as_str()) {
        match run.script {
            Script::Digits => words.push(run.text()),
            Script::Letters => words.extend(humps(&run.chars).map(|start| folded(&run.chars[start..]))),
            Script::Pairs => words.extend((0..run.chars.len()).map(|at| folded(pair(&run.chars, at)))),
        }
    }
    let mut words = distinct(words);
    words.truncate(limits::MAX_WORDS);
    if words.is_empty() {
        words.push(NONE.into());
    }
    words
}

/// The words of a query, each once. Each must begin a word of a name. Case makes no border here: `iPhone` has to find
/// `iphone`.
pub fn of_query(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in runs(query) {
        match run.script {
            Script::Digits | Script::Letters => words.push(run.text()),
            Script::Pairs => {
                let pairs = run.chars.len().saturating_sub(1).max(1);
                words.extend((0..pairs).map(|at| folded(pair(&run.chars, at))));
            }
        }
    }
    distinct(words)
}

/// True if each word of a query begins one of these words.
pub fn are_found(query: &[String], words: &[String]) -> bool {
    query.iter().all(|sought| words.iter().any(|word| word.starts_with(sought.as_str())))
}

/// Characters without a border that a query has, too.
struct Run {
    script: Script,
    chars: Vec<char>,
}

#[derive(Clone, Copy, PartialEq)]
enum Script {
    Digits,
    Letters,
    /// Han, Kana and Hangul.
    Pairs,
}

impl Run {
    fn text(&self) -> String {
        folded(&self.chars)
    }
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut is_new = true;
    // The composition puts the syllables of Hangul together again, which NFKD takes apart.
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).nfc() {
        let Some(script) = script(c) else {
            is_new = true;
            continue;
        };
        match runs.last_mut() {
            Some(run) if run.script == script && !is_new => run.chars.push(c),
            _ => runs.push(Run { script, chars: vec![c] }),
        }
        is_new = false;
    }
    runs
}

/// `None` for a character that is in no word.
fn script(c: char) -> Option<Script> {
    match c {
        '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}'
            if c.is_alphanumeric() =>
        {
            Some(Script::Pairs)
        }
        c if c.is_numeric() => Some(Script::Digits),
        c if c.is_alphabetic() => Some(Script::Letters),
        _ => None,
    }
}

/// The positions at which a word begins: the first, and each at which case marks the begin of a word, as in `myPhoto`
/// and in `HTMLPage`.
fn humps(letters: &[char]) -> impl Iterator<Item = usize> {
    let is_upper = |at: usize| letters.get(at).is_some_and(|c| c.is_uppercase());
    let is_lower = |at: usize| letters.get(at).is_some_and(|c| c.is_lowercase());
    (0..letters.len()).filter(move |&at| at == 0 || is_upper(at) && (!is_upper(at - 1) || is_lower(at + 1)))
}

/// The character here and the next one, if there is one.
fn pair(chars: &[char], at: usize) -> &[char] {
    &chars[at..chars.len().min(at + 2)]
}

/// The text without case, up to the longest word. Upper case comes first, because it makes `ß` and `SS` alike, and the
/// two forms of the small sigma.
fn folded(chars: &[char]) -> String {
    let mut word = String::new();
    for c in chars.iter().flat_map(|c| c.to_uppercase()).flat_map(char::to_lowercase) {
        if word.len() + c.len_utf8() > limits::MAX_WORD_BYTES {
            break;
        }
        word.push(c);
    }
    word
}

/// The words in their order, each once.
fn distinct(words: Vec<String>) -> Vec<String> {
    let mut distinct = Vec::with_capacity(words.len());
    for word in words {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> Vec<String> {
        of(&Name(name.to_owned()))
    }

    fn is_found(query: &str, name: &str) -> bool {
        let sought = of_query(query);
        assert!(!sought.is_empty(), "{query} has no word");
        are_found(&sought, &words(name))
    }

    #[test]
    fn f36_the_words_of_a_name_begin_at_its_borders() {
        for (name, expected) in [
            ("IMG_2041.jpg", &["img", "2041", "jpg"][..]),
            ("IMG2041.jpg", &["img", "2041", "jpg"]),
            ("myHolidayPhoto.png", &["myholidayphoto", "holidayphoto", "photo", "png"]),
            ("HTMLPage2.html", &["htmlpage", "page", "2", "html"]),
            ("Crème brûlée", &["creme", "brulee"]),
            ("Straße STRASSE", &["strasse"]),
            ("ΟΔΟΣ οδός", &["οδοσ"]),
            ("İstanbul", &["istanbul"]),
            ("ﬁle ＡＢＣ ①", &["file", "abc", "1"]),
            ("请假单.pdf", &["请假", "假单", "单", "pdf"]),
            ("ガイドbook", &["カイ", "イト", "ト", "book"]),
            ("한글 문서", &["한글", "글", "문서", "서"]),
            ("单", &["单"]),
            ("a a A", &["a"]),
            ("... 🌍", &[""]),
            ("", &[""]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn f36_each_word_of_a_query_begins_a_word_of_the_name() {
        for (query, name) in [
            ("img 20", "IMG_2041.jpg"),
            ("2041", "IMG_2041.jpg"),
            ("jpg", "IMG_2041.jpg"),
            ("20 img", "IMG_2041.jpg"),
            ("img20", "IMG_2041.jpg"),
            ("IMG2041", "img 2041"),
            ("假单", "请假单.pdf"),
            ("请假单", "请假单.pdf"),
            ("单", "请假单.pdf"),
            ("한", "한글.txt"),
            ("creme BRU", "Crème brûlée.txt"),
            ("Crème", "creme.txt"),
            ("iPhone", "iphone.txt"),
            ("iphone", "iPhone.txt"),
            ("phone", "iPhone.txt"),
            ("holidayp", "myHolidayPhoto.png"),
            ("my holiday photo", "myHolidayPhoto.png"),
            ("STRASSE", "straße.txt"),
        ] {
            assert!(is_found(query, name), "{query} in {name}");
        }
        for (query, name) in
            [("mg", "IMG_2041.jpg"), ("041", "IMG_2041.jpg"), ("img x", "IMG_2041.jpg"), ("假请", "请假单.pdf")]
        {
            assert!(!is_found(query, name), "{query} in {name}");
        }
        for nothing in ["", " ", "...", "🌍"] {
            assert!(of_query(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn f36_a_name_has_at_most_sixteen_words_of_32_bytes() {
        let many: Vec<_> = ('a'..='z').map(|letter| format!("w{letter}")).collect();
        assert_eq!(words(&many.join(" ")), many[..16]);
        let long = words(&"é".repeat(127));
        assert_eq!(long, ["e".repeat(32)]);
        assert_eq!(words(&"я".repeat(100)), ["я".repeat(16)]);
        // A query finds what is left of a long word.
        assert!(is_found(&"é".repeat(100), &"é".repeat(127)));
    }
}
