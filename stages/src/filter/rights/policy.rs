//! The policy of `filter.rights`: an expression over what a page's author asks for and the page's licence.
//!
//! ```text
//! or:    and { "or" and }
//! and:   not { "and" not }
//! not:   "not" not | "(" or ")" | "true" | signal | "licence" [ "in" "[" text { "," text } "]" | "like" text ]
//! ```
//!
//! A signal is one of [`SIGNALS`]; a text stands between `"` or `'`. A page may have several licences: `in` and `like` are
//! true where it has one and all of them fit.

use schemas::near::closest;

/// The names of opt-outs, in the order of `text::rights::OPT_OUTS`.
pub(super) const SIGNALS: [&str; 6] =
    ["noindex", "noai", "noimageai", "tdm_reservation", "content_signal", "ai_txt"];
const LICENCE: &str = "licence";
/// Deepest nesting of brackets and `not`.
const DEPTH_MAX: usize = 64;
const SIGNAL: &str = "`not`, `(`, `true`, `licence` or a signal (`noindex`, `noai`, `noimageai`, `tdm_reservation`, `content_signal`, `ai_txt`)";

/// What a policy is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights<'a> {
    /// Which of [`SIGNALS`] there are.
    pub(super) asked: [bool; SIGNALS.len()],
    pub(super) has_licence: bool,
    /// The licences by name.
    pub(super) licences: &'a [String],
}

/// A policy that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Policy {
    True,
    Asked(usize),
    Licence,
    /// All licences are among these.
    In(Vec<String>),
    /// All licences begin so.
    Begins(String),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Policy {
    /// Understands a text.
    ///
    /// # Errors
    /// At which character something else was expected, and what to write, where that can be guessed.
    pub(super) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let policy = parser.or()?;
        if parser.peek().is_empty() { Ok(policy) } else { Err(parser.expected("`and`, `or` or the end")) }
    }

    /// Whether a page stays.
    pub(super) fn keeps(&self, rights: Rights<'_>) -> bool {
        let all = |fits: &dyn Fn(&String) -> bool| rights.has_licence && rights.licences.iter().all(fits);
        match self {
            Self::True => true,
            Self::Asked(at) => rights.asked[*at],
            Self::Licence => rights.has_licence,
            Self::In(names) => all(&|licence| names.contains(licence)),
            Self::Begins(start) => all(&|licence| licence.starts_with(start)),
            Self::Not(policy) => !policy.keeps(rights),
            Self::And(policies) => policies.iter().all(|policy| policy.keeps(rights)),
            Self::Or(policies) => policies.iter().any(|policy| policy.keeps(rights)),
        }
    }

    /// Whether some part of it is true of `is`.
    fn any(&self, is: fn(&Self) -> bool) -> bool {
        is(self)
            || match self {
                Self::Not(policy) => policy.any(is),
                Self::And(policies) | Self::Or(policies) => policies.iter().any(|policy| policy.any(is)),
                _ => false,
            }
    }

    /// Whether it asks for the licence.
    pub(super) fn asks_licence(&self) -> bool {
        self.any(|part| matches!(part, Self::Licence | Self::In(_) | Self::Begins(_)))
    }

    /// Whether it asks for the name of the licence, so that more than [`SIGNALS`] and its being there decides.
    pub(super) fn asks_names(&self) -> bool {
        self.any(|part| matches!(part, Self::In(_) | Self::Begins(_)))
    }
}

type Mistake = (String, Option<String>);

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// The next token: a word, a quoted text with its quotes, or a single character; empty at the end.
    fn peek(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        let word = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
        let length = match (word.unwrap_or(rest.len()), rest.chars().next()) {
            (0, Some(quote @ ('"' | '\''))) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
            (0, Some(c)) => c.len_utf8(),
            (length, _) => length,
        };
        &rest[..length]
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// The mistake that something else stands here.
    fn expected(&mut self, what: &str) -> Mistake {
        let found = self.peek();
        let place = self.text[..self.at].chars().count() + 1;
        let shown: String = found.chars().take(40).collect();
        let found = if shown.is_empty() { "the end".to_owned() } else { format!("`{shown}`") };
        let known = SIGNALS.iter().copied().chain([LICENCE, "and", "or", "not", "in", "like"]);
        let help = closest(&shown, known).filter(|near| *near != shown);
        let help = help.map(|near| format!("did you mean `{near}`?"));
        (format!("at character {place}: expected {what}, found {found}"), help)
    }

    fn or(&mut self) -> Result<Policy, Mistake> {
        let mut policies = vec![self.and()?];
        while self.takes("or") {
            policies.push(self.and()?);
        }
        Ok(if policies.len() == 1 { policies.remove(0) } else { Policy::Or(policies) })
    }

    fn and(&mut self) -> Result<Policy, Mistake> {
        let mut policies = vec![self.not()?];
        while self.takes("and") {
            policies.push(self.not()?);
        }
        Ok(if policies.len() == 1 { policies.remove(0) } else { Policy::And(policies) })
    }

    fn not(&mut self) -> Result<Policy, Mistake> {
        if self.depth >= DEPTH_MAX {
            return Err(self.expected(&format!("at most {DEPTH_MAX} brackets and `not` inside each other")));
        }
        self.depth += 1;
        let policy = if self.takes("not") {
            Policy::Not(Box::new(self.not()?))
        } else if self.takes("(") {
            let policy = self.or()?;
            if !self.takes(")") {
                return Err(self.expected("`and`, `or` or `)`"));
            }
            policy
        } else {
            self.signal()?
        };
        self.depth -= 1;
        Ok(policy)
    }

    fn signal(&mut self) -> Result<Policy, Mistake> {
        if self.takes("true") {
            return Ok(Policy::True);
        }
        if self.takes(LICENCE) {
            return self.licence();
        }
        // The column writes `tdm-reservation`; a name is understood either way.
        let word = self.peek();
        let Some(at) = SIGNALS.iter().position(|name| *name == word.replace('-', "_")) else {
            return Err(self.expected(SIGNAL));
        };
        self.at += word.len();
        Ok(Policy::Asked(at))
    }

    fn licence(&mut self) -> Result<Policy, Mistake> {
        if self.takes("like") {
            let pattern = self.quoted()?;
            let start = pattern.strip_suffix('*').unwrap_or(&pattern);
            if start.contains('*') {
                self.at -= pattern.len() + 2;
                return Err(self.expected("one `*`, at the end of the text"));
            }
            let is_prefix = start.len() < pattern.len();
            return Ok(if is_prefix { Policy::Begins(start.to_owned()) } else { Policy::In(vec![pattern]) });
        }
        if !self.takes("in") {
            return Ok(Policy::Licence);
        }
        if !self.takes("[") {
            return Err(self.expected("`[`, as in licence in [\"cc-by-4.0\", \"cc0-1.0\"]"));
        }
        let mut names = vec![self.quoted()?];
        while self.takes(",") {
            names.push(self.quoted()?);
        }
        if self.takes("]") { Ok(Policy::In(names)) } else { Err(self.expected("`,` or `]`")) }
    }

    /// A text between quotes, in lower case as the names of licences are.
    fn quoted(&mut self) -> Result<String, Mistake> {
        let token = self.peek();
        let quote = token.chars().next().filter(|c| matches!(c, '"' | '\''));
        let inner = quote.and_then(|quote| token[1..].strip_suffix(quote));
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
            return Err(self.expected("a text between quotes, as \"cc-by-4.0\""));
        };
        self.at += token.len();
        Ok(inner.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &str, words: &str, licences: &[&str], expected: bool) {
        let asked = SIGNALS.map(|name| words.split(' ').any(|word| word == name));
        let licences: Vec<String> = licences.iter().map(|l| (*l).to_owned()).collect();
        let rights = Rights { asked, has_licence: !licences.is_empty(), licences: &licences };
        assert_eq!(Policy::parse(policy).unwrap().keeps(rights), expected, "{policy}: {words} {licences:?}");
    }

    #[test]
    fn expressions() {
        check("true", "noai", &[], true);
        check("not noai", "noai", &[], false);
        check("not not noai", "noai", &[], true);
        check("not (noai or noindex)", "noindex", &[], false);
        check("not noai or noindex and tdm_reservation", "noai noindex", &[], false);
        check("not noai or noindex and tdm-reservation", "noai noindex tdm_reservation", &[], true);
        check("(not noai or noindex)and ai_txt", "ai_txt", &[], true);
        check("licence", "", &[], false);
        check("licence", "", &["pd"], true);
        check("licence in [\"CC-BY-4.0\", 'cc0-1.0']", "", &["cc-by-4.0"], true);
        check("licence in ['cc-by-4.0']", "", &["cc-by-4.0", "cc-by-nc-4.0"], false);
        check("not licence in ['cc-by-4.0']", "", &[], true);
        check("licence like 'cc-by-*'", "", &["cc-by-4.0", "cc-by-sa"], true);
        check("licence like 'cc-by-*' and not licence like 'cc-by-n*'", "", &["cc-by-nc-4.0"], false);
        check("licence like 'cc-by'", "", &["cc-by-4.0"], false);
        check("licence like '*'", "", &[], false);
    }

    #[test]
    fn mistakes_tell_the_place_and_what_was_expected() {
        let check = |policy: &str, message: &str, help: Option<&str>| {
            let (found, helped) = Policy::parse(policy).unwrap_err();
            assert_eq!((found.as_str(), helped.as_deref()), (message, help), "{policy}");
        };
        let signal = |at: usize, found: &str| format!("at character {at}: expected {SIGNAL}, found {found}");
        check("", &signal(1, "the end"), None);
        check("not noia", &signal(5, "`noia`"), Some("did you mean `noai`?"));
        check("license in ['x']", &signal(1, "`license`"), Some("did you mean `licence`?"));
        check("not (noai", "at character 10: expected `and`, `or` or `)`, found the end", None);
        check("noai noindex", "at character 6: expected `and`, `or` or the end, found `noindex`", None);
        check("noai && noindex", "at character 6: expected `and`, `or` or the end, found `&`", None);
        check("noai or", &signal(8, "the end"), None);
        check(
            "licence in 'x'",
            "at character 12: expected `[`, as in licence in [\"cc-by-4.0\", \"cc0-1.0\"], found `'x'`",
            None,
        );
        check("licence in ['x'", "at character 16: expected `,` or `]`, found the end", None);
        let quoted = "a text between quotes, as \"cc-by-4.0\"";
        check("licence in []", &format!("at character 13: expected {quoted}, found `]`"), None);
        check("licence like 'x", &format!("at character 14: expected {quoted}, found `'x`"), None);
        check("licence like ''", &format!("at character 14: expected {quoted}, found `''`"), None);
        check(
            "licence like '*-4.0'",
            "at character 14: expected one `*`, at the end of the text, found `'*-4.0'`",
            None,
        );
        check("é", &signal(1, "`é`"), None);
        let deep = "(".repeat(100_000);
        let (message, _) = Policy::parse(&deep).unwrap_err();
        assert!(message.starts_with("at character 65: expected at most 64"), "{message}");
    }
}
