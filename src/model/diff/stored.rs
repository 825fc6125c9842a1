//! Sentences as they come from a store. Early versions wrote the headers of health checks into them with their
//! values, which are often credentials; here they become what is written today, the name alone.

use serde::{Deserialize, Deserializer};

const NAME: &str = r#"{"name":""#;
const VALUE: &str = r#"","value":""#;

/// For serde.
pub fn sentence<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(without_values)
}

/// For serde.
pub fn sentences<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into_iter().map(without_values).collect())
}

/// The sentence with the names of headers in place of headers. A value ends with its object, or was cut off; what
/// follows one whose end is not found is left out.
pub fn without_values(sentence: String) -> String {
    let mut parts = sentence.split(NAME);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(VALUE).filter(|(name, _)| !name.contains('"')) {
            Some((name, rest)) => said.extend([name, after_value(rest)]),
            None => said.extend([NAME, part]),
        }
    }
    said
}

fn after_value(rest: &str) -> &str {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return rest[at + 1..].strip_prefix('}').unwrap_or_default(),
            '…' => return &rest[at + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_sentence_tells_no_value_of_a_header() {
        for (stored, shown) in [
            ("Pool eu: weight goes from 1 to 2.", "Pool eu: weight goes from 1 to 2."),
            (r#"Monitor web: headers gains {"name":"X-Key","value":"s3cret"}."#, "Monitor web: headers gains X-Key."),
            (
                r#"Monitor web: headers loses {"name":"A","value":"s3cret"} and gains {"name":"A","value":"s3cret-2"}."#,
                "Monitor web: headers loses A and gains A.",
            ),
            // As `brief` cut long ones.
            (
                r#"Monitor web: headers gains {"name":"Authorization","value":"Bearer s3cret s3cret… and {"name":"B","value":"s3cret"}."#,
                "Monitor web: headers gains Authorization and B.",
            ),
            (
                r#"headers is now {"name":"A","value":"s3cret\"} s3cret\\"}, {"name":"B","value":""}."#,
                "headers is now A, B.",
            ),
            (r#"headers gains {"name":"A","value":"s3cret"#, "headers gains A"),
            (r#"the server said {"name":"A"}"#, r#"the server said {"name":"A"}"#),
        ] {
            assert_eq!(without_values(stored.to_owned()), shown);
        }
    }
}
