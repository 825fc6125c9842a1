//! Identifiers: what an entity is called in URLs, files and references. Fixed at creation.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest identifier, in bytes: a DNS label, so that an id can be a pinned name.
pub const MAX_ID: usize = 63;

/// Words that stand in addresses where ids stand, such as `/pools/new`: what was called so would have no page.
/// One list for all kinds, so that nobody has to know where which is free; `web` tests it against its routes.
const PAGES: [&str; 3] = ["import", "new", "switch"];

/// The slug `[a-z0-9-]{1,63}` of one entity of type `T`; an `Id<Pool>` cannot name an endpoint.
pub struct Id<T> {
    slug: Arc<str>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    pub fn as_str(&self) -> &str {
        &self.slug
    }
}

impl<T> FromStr for Id<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > MAX_ID || !text.bytes().all(allowed) {
            return Err(format!("{text:?} is not an id; use 1 to {MAX_ID} of a-z, 0-9 and '-'"));
        }
        if PAGES.contains(&text) {
            return Err(format!("{text:?} is the address of a page; use another id, such as {text}-1"));
        }
        Ok(Id { slug: text.into(), kind: PhantomData })
    }
}

/// The id for a slug that was made of somebody's words.
pub fn beside_pages(slug: String) -> String {
    if PAGES.contains(&slug.as_str()) { format!("{slug}-1") } else { slug }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        Id { slug: self.slug.clone(), kind: PhantomData }
    }
}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.slug == other.slug
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.slug.cmp(&other.slug)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slug.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.slug)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.slug)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.slug)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_the_address_of_a_page() {
        for text in ["eu-west", "new-1", "news", "0"] {
            text.parse::<Id<()>>().unwrap();
        }
        for text in ["", "EU", "a.b", "..", "new", "switch", "import", &*"a".repeat(64)] {
            assert!(text.parse::<Id<()>>().is_err(), "{text}");
        }
        assert_eq!(beside_pages("new".into()).parse::<Id<()>>().unwrap().as_str(), "new-1");
        assert_eq!(beside_pages("news".into()), "news");
    }
}
