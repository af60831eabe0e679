//! The words of a name, for the search.

use super::Name;

/// The words of a name.
pub fn of(name: &Name) -> Vec<String> {
    name.as_str().split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).take(16).collect()
}
