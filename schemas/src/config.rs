//! Strict settings: flat keys, each with a type, a default, a range and a sentence.
//!
//! The macro [`crate::config!`] makes the struct, its `Default` and its key table from one list, so that the manual,
//! the suggestions for a misspelt key and the range checks can never disagree with the code.

use crate::{Value, near};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One key of a stage's settings, as the manual shows it.
#[derive(Debug)]
pub struct Key {
    /// Name in the recipe.
    pub name: &'static str,
    /// Type in words.
    pub kind: &'static str,
    /// Writes the default as a recipe would.
    pub default: fn() -> String,
    /// Allowed range as the source writes it, empty when every value of the type is allowed.
    pub range: &'static str,
    /// Least and greatest value as a recipe would write them; `None` when every value of the type is allowed.
    pub bounds: fn() -> Option<[String; 2]>,
    /// What the key does.
    pub doc: &'static str,
}

/// A mistake in one key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}{}", help.as_ref().map_or(String::new(), |h| format!("; {h}")))]
pub struct KeyError {
    /// Key as written.
    pub key: String,
    /// Expected and found.
    pub message: String,
    /// Next step, where there is one.
    pub help: Option<String>,
}

/// A type that a key can have.
pub trait ConfigValue: Sized {
    /// The type in words.
    const KIND: &'static str;
    /// Reads a TOML value; `None` when it has another type.
    fn read(value: &Value) -> Option<Self>;
    /// Writes the value as TOML.
    fn show(&self) -> String;
}

impl ConfigValue for bool {
    const KIND: &'static str = "true or false";
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl ConfigValue for u64 {
    const KIND: &'static str = "a whole number";
    fn read(value: &Value) -> Option<Self> {
        value.as_integer().and_then(|n| Self::try_from(n).ok())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl ConfigValue for f64 {
    const KIND: &'static str = "a number";
    fn read(value: &Value) -> Option<Self> {
        // TOML writes 1 and 1.0 apart, people do not.
        value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl ConfigValue for String {
    const KIND: &'static str = "a string";
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
    fn show(&self) -> String {
        Value::String(self.clone()).to_string()
    }
}

impl ConfigValue for Vec<String> {
    const KIND: &'static str = "a list of strings";
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(String::read).collect()
    }
    fn show(&self) -> String {
        Value::from(self.clone()).to_string()
    }
}

/// A key that may be left unset, for a value that depends on other keys.
impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: &'static str = T::KIND;
    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "unset".to_owned(), T::show)
    }
}

/// A file or folder: relative paths start at the folder of the recipe. Its content is part of every cache key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

impl FilePath {
    /// The kind of keys that name a file; the house checks that the file is there and hashes it.
    pub const KIND: &'static str = "a path";

    /// Whether no path was set.
    pub fn is_empty(&self) -> bool {
        self.0.as_os_str().is_empty()
    }
}

impl ConfigValue for FilePath {
    const KIND: &'static str = Self::KIND;
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(|s| Self(s.into()))
    }
    fn show(&self) -> String {
        self.0.display().to_string().show()
    }
}

/// Files, folders or patterns with `*`: relative ones start at the folder of the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePaths(pub Vec<String>);

impl FilePaths {
    /// The kind of keys that list files; the house checks that those without a pattern are there.
    pub const KIND: &'static str = "a list of paths";
}

impl ConfigValue for FilePaths {
    const KIND: &'static str = Self::KIND;
    fn read(value: &Value) -> Option<Self> {
        Vec::read(value).map(Self)
    }
    fn show(&self) -> String {
        self.0.show()
    }
}

/// A set of keys made by [`crate::config!`].
pub trait Config: Default {
    /// Every key in the order of the source.
    const KEYS: &'static [Key];
    /// Sets a known key.
    ///
    /// # Errors
    /// A value of another type or out of range.
    fn set(&mut self, key: &str, value: &Value) -> Result<(), KeyError>;
    /// Every key with its value as a recipe would write it, defaults included.
    fn table(&self) -> BTreeMap<String, String>;
}

/// The settings of one stage as a recipe or a command line gives them.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pairs: Vec<(String, Value)>,
    base: PathBuf,
}

impl Settings {
    /// Takes keys with their values, in the order in which they were written.
    pub fn new(pairs: Vec<(String, Value)>) -> Self {
        Self { pairs, base: PathBuf::new() }
    }

    /// Sets the folder that relative paths start from.
    #[must_use]
    pub fn with_base(mut self, base: &Path) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// The keys with their values, in the order in which they were written.
    pub fn pairs(&self) -> &[(String, Value)] {
        &self.pairs
    }

    /// Where a path of the settings lies.
    pub fn resolve(&self, path: &FilePath) -> PathBuf {
        self.base.join(&path.0)
    }

    /// Reads all keys into a config.
    ///
    /// # Errors
    /// Every mistake, not only the first: unknown key, repeated key, wrong type, value out of range.
    pub fn parse<C: Config>(&self) -> Result<C, Vec<KeyError>> {
        let mut config = C::default();
        let mut errors = Vec::new();
        for (at, (key, value)) in self.pairs.iter().enumerate() {
            let result = if !C::KEYS.iter().any(|k| k.name == key) {
                Err(unknown::<C>(key))
            } else if self.pairs[..at].iter().any(|(earlier, _)| earlier == key) {
                Err(KeyError { key: key.clone(), message: "is set twice".into(), help: None })
            } else {
                config.set(key, value)
            };
            errors.extend(result.err());
        }
        if errors.is_empty() {
            errors = self.crossed(&config);
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Limits that leave nothing between them: `words_min` above `words_max`.
    fn crossed<C: Config>(&self, config: &C) -> Vec<KeyError> {
        let table = config.table();
        let number = |key: &str| table.get(key)?.parse::<f64>().ok();
        let mut errors = Vec::new();
        for low in C::KEYS.iter().map(|key| key.name) {
            let Some(high) = low.strip_suffix("_min").map(|stem| format!("{stem}_max")) else { continue };
            // Some rules are switched off by a limit of 0.
            if let (Some(least), Some(most)) = (number(low), number(&high))
                && most != 0.0
                && least > most
            {
                // The one that was written is at fault; of two, the first.
                let is_set = |key: &str| self.pairs.iter().any(|(name, _)| name == key);
                let [key, other] = if is_set(low) || !is_set(&high) { [low, &high] } else { [&*high, low] };
                let side = if key == low { "above" } else { "below" };
                let message = format!("{} is {side} `{other}`, which is {}", table[key], table[other]);
                errors.push(KeyError {
                    key: key.to_owned(),
                    message,
                    help: Some("nothing lies between them".into()),
                });
            }
        }
        errors
    }
}

fn unknown<C: Config>(key: &str) -> KeyError {
    let names: Vec<&str> = C::KEYS.iter().map(|k| k.name).collect();
    let help = match near::closest(key, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => "take it out: this kind has no keys".to_owned(),
        None => near::listed(key, &names),
    };
    KeyError { key: key.to_owned(), message: "is not a key of this kind".into(), help: Some(help) }
}

/// Makes a settings struct from a list of `/// doc`, `name: type = default`, and optionally `, in range`.
#[macro_export]
macro_rules! config {
    ($(#[doc = $about:literal])+ $vis:vis struct $Name:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $ty:ty = $default:expr $(, in $range:expr)?;)*
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $Name { $($(#[doc = $doc])+ $vis $field: $ty,)* }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::Config for $Name {
            const KEYS: &'static [$crate::Key] = &[$($crate::Key {
                name: stringify!($field),
                kind: <$ty as $crate::ConfigValue>::KIND,
                default: || <$ty as $crate::ConfigValue>::show(&Self::default().$field),
                range: concat!("" $(, stringify!($range))?),
                bounds: || {
                    let bounds: Option<[String; 2]> = None;
                    $(let bounds = {
                        let range: ::std::ops::RangeInclusive<$ty> = $range;
                        let show = <$ty as $crate::ConfigValue>::show;
                        bounds.or(Some([show(range.start()), show(range.end())]))
                    };)?
                    bounds
                },
                doc: concat!($($doc),+),
            }),*];

            fn set(&mut self, key: &str, value: &$crate::Value) -> Result<(), $crate::KeyError> {
                match key {
                    $(stringify!($field) => match <$ty as $crate::ConfigValue>::read(value) {
                        Some(read) $(if ($range).contains(&read))? => {
                            self.$field = read;
                            Ok(())
                        }
                        _ => Err($crate::advice::refused(Self::KEYS, key, value)),
                    },)*
                    _ => Err($crate::advice::refused(Self::KEYS, key, value)),
                }
            }

            fn table(&self) -> ::std::collections::BTreeMap<String, String> {
                let pairs: Vec<(&str, String)> =
                    vec![$((stringify!($field), <$ty as $crate::ConfigValue>::show(&self.$field))),*];
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }
        }
    };
}

/// Makes an enum whose variants a recipe writes as strings: `/// doc`, `Variant = "name"`.
#[macro_export]
macro_rules! choice {
    ($(#[doc = $about:literal])+ $vis:vis enum $Name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $Name { $($(#[doc = $doc])+ $variant,)+ }

        impl $crate::ConfigValue for $Name {
            const KIND: &'static str = concat!("one of", $(" `", $name, "`",)+);
            fn read(value: &$crate::Value) -> Option<Self> {
                match value.as_str()? {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $crate::ConfigValue::show(&$name.to_owned()),)+ }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    choice! {
        /// Which document stays.
        pub(crate) enum Keep {
            /// The first.
            First = "first",
            /// The longest.
            Longest = "longest",
        }
    }

    config! {
        /// A sample.
        pub(crate) struct Sample {
            /// Fewest words.
            words_min: u64 = 50, in 1..=100;
            /// Languages kept.
            languages: Vec<String> = vec!["en".into()];
            /// Which stays.
            keep: Keep = Keep::First;
            /// Greatest share.
            share_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        }
    }

    fn check(toml: &str, expected: &[&str]) {
        let table: toml::Table = toml.parse().expect("the case is TOML");
        let errors = match Settings::new(table.into_iter().collect()).parse::<Sample>() {
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        };
        let shown: Vec<String> = errors.iter().map(KeyError::to_string).collect();
        assert_eq!(shown, expected, "{toml}");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        check("words_min = 7\nlanguages = [\"de\"]", &[]);
        check(
            "words_min = 0",
            &["`words_min`: 0 is too small; write a whole number from 1 to 100 (default 50)"],
        );
        check(
            "languages = 3\nword_min = 3",
            &[
                "`languages`: expected a list of strings, found 3; write `languages = [\"3\"]`",
                "`word_min`: is not a key of this kind; did you mean `words_min`?",
            ],
        );
        check(
            "zzz = 1",
            &["`zzz`: is not a key of this kind; known keys: words_min, languages, keep, share_max"],
        );
        check(
            "keep = \"frist\"",
            &["`keep`: expected `first` or `longest`, found \"frist\"; did you mean `first`?"],
        );
    }

    #[test]
    fn a_key_may_be_unset() {
        let share = |toml: &str| {
            let table: toml::Table = toml.parse().expect("the case is TOML");
            Settings::new(table.into_iter().collect()).parse::<Sample>().map(|sample| sample.share_max)
        };
        assert_eq!(share(""), Ok(None));
        assert_eq!(share("share_max = 0"), Ok(Some(0.0)));
        check("share_max = 2", &["`share_max`: 2 is too large; write a number from 0 to 1 (default unset)"]);
        let key = &Sample::KEYS[3];
        assert_eq!(((key.default)(), (key.bounds)()), ("unset".into(), Some(["0.0".into(), "1.0".into()])));
    }

    #[test]
    fn limits_that_leave_nothing_are_refused() {
        config! {
            /// A range.
            struct Range {
                /// Least.
                words_min: u64 = 5, in 0..=100;
                /// Most.
                words_max: u64 = 50, in 0..=100;
            }
        }
        let told = |toml: &str| {
            let table: toml::Table = toml.parse().expect("the case is TOML");
            let found = Settings::new(table.into_iter().collect()).parse::<Range>();
            found.err().into_iter().flatten().map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert!(told("words_min = 50").is_empty());
        assert_eq!(
            told("words_min = 51"),
            ["`words_min`: 51 is above `words_max`, which is 50; nothing lies between them"]
        );
        assert_eq!(
            told("words_max = 4"),
            ["`words_max`: 4 is below `words_min`, which is 5; nothing lies between them"]
        );
        assert_eq!(told("words_max = 7\nwords_min = 9").len(), 1);
    }

    #[test]
    fn a_key_set_twice_is_refused() {
        let pair = || ("words_min".to_owned(), Value::Integer(5));
        let errors = Settings::new(vec![pair(), pair()]).parse::<Sample>().unwrap_err();
        assert_eq!(errors[0].message, "is set twice");
    }

    #[test]
    fn the_table_carries_defaults_and_docs() {
        let table = Sample { words_min: 7, ..Sample::default() }.table();
        assert_eq!((table.len(), table["words_min"].as_str(), table["keep"].as_str()), (4, "7", "\"first\""));
        let key = &Sample::KEYS[0];
        assert_eq!(
            (key.name, (key.default)(), key.range, key.doc.trim()),
            ("words_min", "50".into(), "1..=100", "Fewest words.")
        );
    }
}
