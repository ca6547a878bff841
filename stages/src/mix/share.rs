//! Reads the lines of a mix, `"name = weight"`, and finds the line that a document falls under.

use schemas::KeyError;
use std::collections::BTreeMap;

/// Weights are read to this many parts of one.
const PARTS: f64 = 1e9;
const WEIGHT_MAX: f64 = 1e6;
/// Most names of a mix: each takes memory for its counts and its window.
pub const SOURCES_MAX: usize = 1000;

/// The sources of a mix with their weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// Names as written, in order.
    pub names: Vec<String>,
    /// Weights in billionths.
    pub weights: Vec<u64>,
    exact: BTreeMap<String, usize>,
    /// Names that end in `*`, the longest first.
    prefixes: Vec<(String, usize)>,
}

impl Shares {
    /// Reads the lines under `key`.
    ///
    /// # Errors
    /// Every line that is not `name = weight`, with a weight above 0, or whose name is there already.
    pub fn parse(key: &str, lines: &[String]) -> Result<Self, Vec<KeyError>> {
        let (mut shares, mut errors) = (Self::default(), Vec::new());
        for line in lines {
            match read(line) {
                Ok((name, _)) if shares.names.contains(&name) => {
                    errors.push(format!("`{name}` is there twice"))
                }
                Ok((name, weight)) => {
                    let at = shares.names.len();
                    match name.strip_suffix('*') {
                        Some(start) => shares.prefixes.push((start.to_owned(), at)),
                        None => drop(shares.exact.insert(name.clone(), at)),
                    }
                    shares.names.push(name);
                    shares.weights.push(weight);
                }
                Err(error) => errors.push(error),
            }
        }
        shares.prefixes.sort_by_key(|(start, at)| (std::cmp::Reverse(start.len()), *at));
        if shares.names.len() > SOURCES_MAX {
            let count = shares.names.len();
            errors.push(format!(
                "{count} names are more than {SOURCES_MAX}; one that ends in `*` stands for many"
            ));
        }
        let help = || Some(format!("write `{key} = [\"web = 0.7\", \"code = 0.3\"]`"));
        let wrong = |message| KeyError { key: key.to_owned(), message, help: help() };
        if errors.is_empty() { Ok(shares) } else { Err(errors.into_iter().map(wrong).collect()) }
    }

    /// The line that a name falls under: its own, or the longest start of it that is written with a `*`.
    pub fn find(&self, name: &str) -> Option<usize> {
        let start = || self.prefixes.iter().find(|(start, _)| name.starts_with(start)).map(|(_, at)| *at);
        self.exact.get(name).copied().or_else(start)
    }
}

fn read(line: &str) -> Result<(String, u64), String> {
    let (name, weight) = line.rsplit_once('=').ok_or_else(|| format!("`{line}` has no weight"))?;
    let (name, text) = (name.trim(), weight.trim());
    let weight: f64 = text.parse().map_err(|_| format!("the weight of `{name}` is no number: `{text}`"))?;
    if name.is_empty() {
        return Err(format!("`{line}` has no name"));
    }
    let parts = (weight * PARTS).round();
    if !(1.0..=WEIGHT_MAX * PARTS).contains(&parts) {
        return Err(format!("the weight of `{name}` is {text}, which is not from 0.000000001 to 1000000"));
    }
    Ok((name.to_owned(), parts as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &[&str]) {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let errors = Shares::parse("mix", &lines).err().unwrap_or_default();
        assert_eq!(errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(), expected, "{lines:?}");
    }

    #[test]
    fn every_bad_line_is_told() {
        check(&["web = 0.7", "code = 3e-1", "a = b = 1"], &[]);
        check(
            &["web", "code = many", "books = 0", "= 1", "x = 1", "x = 2", "y = -1", "z = nan"],
            &[
                "`web` has no weight",
                "the weight of `code` is no number: `many`",
                "the weight of `books` is 0, which is not from 0.000000001 to 1000000",
                "`= 1` has no name",
                "`x` is there twice",
                "the weight of `y` is -1, which is not from 0.000000001 to 1000000",
                "the weight of `z` is nan, which is not from 0.000000001 to 1000000",
            ],
        );
    }

    #[test]
    fn more_names_than_a_mix_may_have_are_told() {
        let lines: Vec<String> = (0..=SOURCES_MAX).map(|n| format!("s{n} = 1")).collect();
        assert!(Shares::parse("mix", &lines[1..]).is_ok());
        let error = Shares::parse("mix", &lines).unwrap_err().remove(0).message;
        assert_eq!(error, "1001 names are more than 1000; one that ends in `*` stands for many");
    }

    #[test]
    fn a_name_falls_under_its_own_line_or_the_longest_start() {
        let lines = ["web/* = 1", "web/de* = 2", "web/deu = 3"].map(str::to_owned);
        let shares = Shares::parse("mix", &lines).unwrap();
        let found = ["web/deu", "web/deutsch", "web/eng", "code"].map(|name| shares.find(name));
        assert_eq!(found, [Some(2), Some(1), Some(0), None]);
        assert_eq!(shares.weights, [1_000_000_000, 2_000_000_000, 3_000_000_000]);
    }
}
