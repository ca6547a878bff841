//! Files in which a whole site opts out of machine learning: `/.well-known/tdmrep.json` and `/ai.txt`.
//!
//! Both are asked for once a host, behind its robots.txt and before its pages, at the pace of the host. What is not there, or cannot be
//! had, says nothing. A header or a `meta` of a page goes before the file (TDMRep, W3C community report of 2024).
//!
//! `tdmrep.json` is a list of objects with `location` (a pattern as in robots.txt) and `tdm-reservation`; the longest location that
//! matches counts, of equal ones the one that reserves. `ai.txt` (Spawning) has the form of robots.txt; its patterns name
//! types of files, so a page is looked up by its path and by its path with `.html` behind it.
//!
//! ```text
//! [{"location": "/news/*", "tdm-reservation": 1}]     /news/today  →  tdm-reservation
//! User-Agent: *  Disallow: *.html                      /about       →  ai-txt
//! ```

use super::pattern;
use super::robots::{self, Robots};
use crate::text::rights::{AI_TXT, TDM_RESERVATION, Wishes};
use serde_json::Value;

/// Most rules of a `tdmrep.json` that are read.
const RULES_MAX: usize = 10_000;

/// A file that speaks for a whole site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptOutFile {
    Tdmrep,
    AiTxt,
}

impl OptOutFile {
    /// All of them, in the order in which they are asked for.
    pub(super) const ALL: [Self; 2] = [Self::Tdmrep, Self::AiTxt];

    /// Where the file lies.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Tdmrep => "/.well-known/tdmrep.json",
            Self::AiTxt => "/ai.txt",
        }
    }
}

/// What the files of one host say.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct SiteOptOuts {
    reservations: Vec<Reservation>,
    ai_txt: Robots,
}

#[derive(Debug, Clone, PartialEq)]
struct Reservation {
    location: Vec<u8>,
    reserved: bool,
}

impl SiteOptOuts {
    /// Reads one of the files; whatever is none of the kind says nothing. `token` is our name.
    pub(super) fn read(&mut self, file: OptOutFile, body: &[u8], token: &str) {
        match file {
            OptOutFile::Tdmrep => self.reservations = reservations(body),
            // Google's leniency would find rules in the pages that servers send for files which they do not have.
            OptOutFile::AiTxt => self.ai_txt = Robots::parse(body, token, false),
        }
    }

    /// Adds what the site wishes for a path with its query.
    pub(super) fn wishes(&self, path: &str, wishes: &mut Wishes) {
        let matching = self.reservations.iter().filter(|r| pattern::matches(&r.location, path.as_bytes()));
        if matching.max_by_key(|r| (r.location.len(), r.reserved)).is_some_and(|r| r.reserved) {
            wishes.opt_out(TDM_RESERVATION);
        }
        let as_file = format!("{}.html", path.split('?').next().unwrap_or_default());
        if !self.ai_txt.allows(path) || !self.ai_txt.allows(&as_file) {
            wishes.opt_out(AI_TXT);
        }
    }
}

fn reservations(body: &[u8]) -> Vec<Reservation> {
    let rules: Vec<Value> = serde_json::from_slice(robots::without_bom(body)).unwrap_or_default();
    let rule = |rule: &Value| {
        let location = rule["location"].as_str()?;
        let slash = if location.starts_with(['/', '*']) { "" } else { "/" };
        let reserved = match &rule["tdm-reservation"] {
            Value::Number(number) => number.as_u64()? == 1,
            Value::String(number) => number.trim() == "1",
            _ => return None,
        };
        Some(Reservation { location: robots::escape(format!("{slash}{location}").as_bytes()), reserved })
    };
    rules.iter().take(RULES_MAX).filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_location_counts() {
        let check = |file: OptOutFile, body: &str, path: &str, expected: &str| {
            let (mut site, mut wishes) = (SiteOptOuts::default(), Wishes::default());
            site.read(file, body.as_bytes(), "mill");
            site.wishes(path, &mut wishes);
            assert_eq!(wishes.opt_outs().unwrap_or_default(), expected, "{body} {path}");
        };
        let tdmrep = |body: &str, path: &str, reserved: bool| {
            check(OptOutFile::Tdmrep, body, path, if reserved { "tdm-reservation" } else { "" });
        };
        let news =
            "[{\"location\":\"/\",\"tdm-reservation\":0},{\"location\":\"/news/*\",\"tdm-reservation\":1}]";
        tdmrep(news, "/news/a?b", true);
        tdmrep(news, "/about", false);
        tdmrep("\u{feff}[{\"location\":\"é\",\"tdm-reservation\":\"1\"}]", "/%C3%A9", true);
        tdmrep(
            "[{\"location\":\"/\",\"tdm-reservation\":1},{\"location\":\"/\",\"tdm-reservation\":0}]",
            "/",
            true,
        );
        for nothing in ["", "<html>", "{}", "[1, {}]", "[{\"location\":\"/\"}]", "[{\"tdm-reservation\":1}]"]
        {
            tdmrep(nothing, "/", false);
        }
        let ai_txt = |body: &str, path: &str, refused: bool| {
            check(OptOutFile::AiTxt, body, path, if refused { "ai-txt" } else { "" });
        };
        ai_txt("User-Agent: *\nDisallow: /\n", "/a", true);
        ai_txt("User-Agent: *\nDisallow: *.jpg\n", "/a", false);
        ai_txt("User-Agent: *\nDisallow: *.html\nAllow: /\n", "/a/?x=1", true);
        ai_txt("User-Agent: other\nDisallow: /\n", "/a", false);
        ai_txt("User-Agent: *\nDisallow: /\nUser-Agent: mill\nAllow: /\n", "/a", false);
        ai_txt("<html><p>Not found: /", "/a", false);
    }
}
