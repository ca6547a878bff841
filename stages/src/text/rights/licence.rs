//! Short names of Creative Commons licences: `cc-by-4.0`, `cc-by-nc-nd-3.0`, `cc0-1.0`, `pd` for the public domain.
//!
//! A licence is told by its address or in words. The version is left out where it is not told; a port to a country goes
//! by the name of its licence (`…/by-sa/3.0/de/` is `cc-by-sa-3.0`). What is not of Creative Commons has no name here.
//!
//! ```text
//! http://creativecommons.org/licenses/by-nc-nd/3.0/us/         →  cc-by-nc-nd-3.0
//! Creative Commons Attribution-ShareAlike 4.0 International    →  cc-by-sa-4.0
//! ```

use serde_json::Value;

/// Longest text that is searched for the words of a licence.
const WORDS_BYTES_MAX: usize = 400;
/// Longest JSON-LD that is read.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Most licences taken from one piece of JSON-LD.
const JSON_LICENCES_MAX: usize = 16;

/// The short name of a licence, told by its address or in words.
pub fn short(text: &str) -> Option<String> {
    of_url(text).or_else(|| of_words(text))
}

/// The short name of the licence that an address of creativecommons.org, which may stand in other text, leads to.
pub fn of_url(text: &str) -> Option<String> {
    let lower = cut(text).to_ascii_lowercase();
    let (before, path) = lower.split_once("creativecommons.org/")?;
    if before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-') {
        return None;
    }
    let mut parts = path.split(['/', '?', '#', ' ', '"', ')', ',', ';']);
    let (group, name) = (parts.next()?, parts.next()?);
    let version = parts.next().filter(|v| is_version(v));
    match (group, name) {
        ("publicdomain", "zero") => Some("cc0-1.0".to_owned()),
        ("publicdomain", "mark" | "certification") | ("licenses", "publicdomain") => Some("pd".to_owned()),
        ("licenses", name) => {
            let mut terms = Terms::default();
            name.split('-').all(|term| terms.add(term)).then(|| terms.name(version)).flatten()
        }
        _ => None,
    }
}

/// What a licence asks for: attribution, no commerce, no derivatives, the same licence.
#[derive(Default)]
struct Terms([bool; 4]);

impl Terms {
    const NAMES: [&'static str; 4] = ["by", "nc", "nd", "sa"];

    /// Adds a term; `false` where it is none.
    fn add(&mut self, term: &str) -> bool {
        let at = Self::NAMES.iter().position(|name| *name == term);
        at.is_some_and(|at| {
            self.0[at] = true;
            true
        })
    }

    fn name(&self, version: Option<&str>) -> Option<String> {
        let terms = Self::NAMES.into_iter().zip(self.0).filter(|(_, asked)| *asked).map(|(name, _)| name);
        let parts: Vec<&str> = std::iter::once("cc").chain(terms).chain(version).collect();
        self.0.contains(&true).then(|| parts.join("-"))
    }
}

fn is_version(text: &str) -> bool {
    text.split_once('.').is_some_and(|(major, minor)| {
        let is_digit = |part: &str| part.len() == 1 && part.as_bytes()[0].is_ascii_digit();
        is_digit(major) && is_digit(minor)
    })
}

/// The beginning of a text, cut between two characters.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(WORDS_BYTES_MAX)]
}

/// The licence that the words of a text name: `CC BY 4.0`, `Creative Commons Attribution 4.0`, `CC0`, `Public domain`.
fn of_words(text: &str) -> Option<String> {
    let lower = cut(text).to_lowercase();
    let split = lower.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    let words: Vec<&str> = split.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty()).collect();
    if words.contains(&"cc0") || words.windows(3).any(|w| w == ["creative", "commons", "zero"]) {
        return Some("cc0-1.0".to_owned());
    }
    // Only as the first words: other texts speak of the public domain for many reasons.
    if words.starts_with(&["public", "domain"]) {
        return Some("pd".to_owned());
    }
    let after_name = words.windows(2).position(|w| w == ["creative", "commons"]).map(|at| at + 2);
    let start = after_name.or_else(|| Some(words.iter().position(|word| *word == "cc")? + 1))?;
    let mut terms = Terms::default();
    let mut version = None;
    for &word in &words[start..] {
        let known = match word {
            "attribution" => terms.add("by"),
            "noncommercial" | "commercial" => terms.add("nc"),
            "noderivatives" | "noderivs" | "derivatives" | "derivs" | "derivative" => terms.add("nd"),
            "sharealike" | "alike" => terms.add("sa"),
            "non" | "no" | "share" | "works" | "license" | "licence" | "licensed" | "public" | "version"
            | "cc" => true,
            word if is_version(word) => {
                version = Some(word);
                false
            }
            word => terms.add(word),
        };
        if !known {
            break;
        }
    }
    terms.name(version)
}

/// Adds the licences that a piece of JSON-LD tells of its page; those of its pictures and recordings do not count.
pub(super) fn of_json_ld(json: &[u8], licences: &mut Vec<String>) {
    if json.len() > JSON_BYTES_MAX || memchr::memmem::find(json, b"\"license\"").is_none() {
        return;
    }
    if let Ok(value) = serde_json::from_slice::<Value>(json) {
        let most = licences.len() + JSON_LICENCES_MAX;
        walk(&value, most, licences);
    }
}

/// Goes through the nodes; the JSON reader bounds their depth.
fn walk(value: &Value, most: usize, licences: &mut Vec<String>) {
    const MEDIA: [&str; 5] = ["ImageObject", "VideoObject", "AudioObject", "MediaObject", "3DModel"];
    if licences.len() >= most {
        return;
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, most, licences)),
        Value::Object(node) => {
            let is_medium =
                node.get("@type").is_some_and(|kind| any_text(kind, |kind| MEDIA.contains(&kind)));
            if is_medium {
                return;
            }
            for (key, value) in node {
                if key == "license" {
                    any_text(value, |text| {
                        licences.extend(short(text));
                        licences.len() >= most
                    });
                } else {
                    walk(value, most, licences);
                }
            }
        }
        _ => {}
    }
}

/// Whether `find` is true of a text, one of a list, or the address of a node (`@id` or `url`) among them.
fn any_text(value: &Value, mut find: impl FnMut(&str) -> bool) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(node) => {
            node.get("@id").or_else(|| node.get("url")).and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    };
    match value {
        Value::Array(values) => values.iter().filter_map(text).any(|text| find(&text)),
        value => text(value).is_some_and(|text| find(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(short(text).unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn addresses() {
        check("https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0");
        check("HTTP://WWW.CreativeCommons.org/licenses/BY-NC-ND/3.0/us/deed.de", "cc-by-nc-nd-3.0");
        check("//creativecommons.org/licenses/by-nd-nc/1.0", "cc-by-nc-nd-1.0");
        check("https://creativecommons.org/licenses/by-sa/4.0?ref=chooser-v1", "cc-by-sa-4.0");
        check("https://creativecommons.org/licenses/by-sa/", "cc-by-sa");
        check("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0");
        check("https://creativecommons.org/publicdomain/mark/1.0/", "pd");
        check("https://creativecommons.org/licenses/publicdomain/", "pd");
        check("https://creativecommons.org/licenses/", "");
        check("https://creativecommons.org/about/by/4.0", "");
        check("https://creativecommons.org/licenses/sampling+/1.0/", "");
        check("https://creativecommons.org/licenses/by-no/99", "");
        check("This work is under http://creativecommons.org/licenses/by/2.5/.", "cc-by-2.5");
        check("https://opensource.org/licenses/MIT", "");
    }

    #[test]
    fn words() {
        check("CC BY 4.0", "cc-by-4.0");
        check("CC-BY-NC-SA", "cc-by-nc-sa");
        check("© 2020 Mill, CC BY-ND 3.0 DE.", "cc-by-nd-3.0");
        check(
            "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International License",
            "cc-by-nc-nd-4.0",
        );
        check("Creative Commons Attribution-Non Commercial-Share Alike 2.0", "cc-by-nc-sa-2.0");
        check("Creative Commons License CC BY-SA 3.0", "cc-by-sa-3.0");
        check("CC0", "cc0-1.0");
        check("Creative Commons Zero v1.0", "cc0-1.0");
        check("Public Domain", "pd");
        check("This is not in the public domain", "");
        check("Copyright 2024 by The Mill. All rights reserved.", "");
        check("cc: editor, by post", "");
        check("", "");
        check(&"é".repeat(900), "");
    }

    #[test]
    fn json_ld() {
        let check = |json: &str, expected: &str| {
            let mut found = Vec::new();
            of_json_ld(json.as_bytes(), &mut found);
            assert_eq!(found.join(" "), expected, "{json}");
        };
        check(r#"{"@type":"Article","license":"https://creativecommons.org/licenses/by/4.0/"}"#, "cc-by-4.0");
        check(
            r#"{"@graph":[{"@type":"WebPage","license":{"@id":"https://creativecommons.org/publicdomain/zero/1.0/"}}]}"#,
            "cc0-1.0",
        );
        check(
            r#"{"license":["CC BY 4.0",{"@type":"CreativeWork","url":"//creativecommons.org/licenses/by-sa/4.0"}]}"#,
            "cc-by-4.0 cc-by-sa-4.0",
        );
        check(r#"{"image":{"@type":"ImageObject","license":"CC BY 4.0"}}"#, "");
        check(r#"{"image":{"@type":["Thing","ImageObject"],"license":"CC BY 4.0"}}"#, "");
        check(r#"{"license": broken"#, "");
        let nested = format!("{}\"license\"", "[".repeat(100_000));
        check(&nested, "");
        let many = format!("[{}0]", r#"{"license":"CC BY 4.0"},"#.repeat(1000));
        check(&many, &vec!["cc-by-4.0"; JSON_LICENCES_MAX].join(" "));
    }
}
