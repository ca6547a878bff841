//! Keeps one of the documents that have the same text.
//!
//! Texts are the same when their blake3 hashes, cut to 128 bits, are. With `normalize = "whitespace+case"` the text is
//! lower-cased and every run of white space is one space, none at the ends. A row whose text is null is kept.
//!
//! ```text
//! normalize = "none"              "A  b" and "a b" both stay
//! normalize = "whitespace+case"   "A  b" and "a b": one goes as duplicate_text, its twin is the other
//! ```

use super::keep::Keep;
use super::one_per_key::{Key, OnePerKey};
use schemas::{Build, Config as _, Made, Reason, Spec, choice, column, config};

choice! {
    /// What is left out of the comparison.
    pub enum Normalize {
        /// Nothing: texts are equal when their bytes are.
        None = "none",
        /// Case, and how much white space stands between words.
        WhitespaceCase = "whitespace+case",
    }
}

config! {
    /// Settings of `dedup.exact`.
    pub struct Config {
        /// What is left out of the comparison.
        normalize: Normalize = Normalize::None;
        /// Which document stays.
        keep: Keep = Keep::First;
    }
}

/// Why `dedup.exact` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// A document that is kept has the same text.
    DuplicateText,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::DuplicateText => "duplicate_text",
        }
    }
}

const REASONS: &[Reason] =
    &[Reason { name: Drop::DuplicateText.name(), doc: "A document that is kept has the same text." }];

const BUILD: Build = |settings| {
    let Config { normalize, keep } = settings.parse()?;
    Ok(Made::Global(Box::new(OnePerKey { keep, key: Text(normalize) })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.exact",
    version: 2,
    summary: "Keeps one of the documents that have the same text.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Text(Normalize);

impl Key for Text {
    const COLUMN: &'static str = column::TEXT;
    const REASON: &'static str = Drop::DuplicateText.name();

    fn key(&self, text: &str) -> [u8; 16] {
        let hash = match self.0 {
            Normalize::None => blake3::hash(text.as_bytes()),
            Normalize::WhitespaceCase => blake3::hash(plain(text).as_bytes()),
        };
        *hash.as_bytes().first_chunk().expect("a blake3 hash has 32 bytes")
    }
}

fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    // As a whole, for the small sigma at the end of a word depends on what stands beside it.
    out.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::driver::check;

    #[test]
    fn equal_bytes() {
        let run = |rows: &[(&str, &str)]| check(&SPEC, &[], column::TEXT, rows);
        assert_eq!(run(&[]), "");
        assert_eq!(
            run(&[("a", "x"), ("b", "x"), ("c", "X"), ("d", "")]),
            "a kept, b duplicate_text 1 of 1 (a), c kept, d kept"
        );
        assert_eq!(run(&[("a", ""), ("b", ""), ("c", "\0")]), "a kept, b duplicate_text 1 of 1 (a), c kept");
    }

    #[test]
    fn white_space_and_case() {
        let set = [("normalize", "whitespace+case")];
        let run = |rows: &[(&str, &str)]| check(&SPEC, &set, column::TEXT, rows);
        assert_eq!(
            run(&[("a", " É\u{a0}\n x"), ("b", "é x "), ("c", "éx")]),
            "a kept, b duplicate_text 1 of 1 (a), c kept"
        );
    }

    #[test]
    fn the_longest_stays() {
        let set = [("normalize", "whitespace+case"), ("keep", "longest")];
        assert_eq!(
            check(&SPEC, &set, column::TEXT, &[("a", "x y"), ("b", "x  y")]),
            "a duplicate_text 1 of 1 (b), b kept"
        );
    }
}
