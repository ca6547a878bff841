//! What the author of a page wishes, and under which licence it stands: by response headers and by markup.
//!
//! Wishes are told in words, always in this order: `noindex`, `noai`, `noimageai` (`X-Robots-Tag` and `meta` robots),
//! `tdm-reservation` (header and `meta`, W3C community report TDMRep), `content-signal` (`Content-Signal: ai-train=no` of
//! contentsignals.org, `Content-Usage: train-ai=n` of the IETF's aipref drafts) and `ai-txt` (the file `ai.txt` of a site, which is known
//! to whoever fetched it, not to the page; so is a site's `tdmrep.json`).
//! Licences are those of Creative Commons, declared by `rel=license` or `rel=copyright`, by `meta` or by JSON-LD; see [`licence`].
//!
//! ```text
//! X-Robots-Tag: noai   +   <a rel=license href=https://creativecommons.org/licenses/by/4.0/>   →   noai, cc-by-4.0
//! ```

pub mod licence;

use super::tags::{self, Tag};
use std::borrow::Cow;

/// Ways to opt out, in the order in which they are told.
pub const OPT_OUTS: [&str; 6] = [NOINDEX, "noai", "noimageai", TDM_RESERVATION, CONTENT_SIGNAL, AI_TXT];
const NOINDEX: &str = "noindex";
/// Where [`TDM_RESERVATION`] stands in [`OPT_OUTS`].
const TDM_AT: usize = 3;
/// The word for TDMRep, which also a file of the site can say.
pub const TDM_RESERVATION: &str = "tdm-reservation";
/// The word for `Content-Signal: ai-train=no`, which also robots.txt can say.
pub const CONTENT_SIGNAL: &str = "content-signal";
/// The word for a site's `ai.txt`.
pub const AI_TXT: &str = "ai-txt";
/// Most licences that a page is believed to declare.
const LICENCES_MAX: usize = 16;

/// Wishes of the author of a page.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// Its links are not to be followed.
    pub nofollow: bool,
    /// Which of [`OPT_OUTS`] are asked for.
    asked: [bool; OPT_OUTS.len()],
}

impl Wishes {
    /// Adds the words of a `meta name=robots` or an `X-Robots-Tag`.
    fn add(&mut self, words: &str) {
        for word in words.split(',').map(|w| w.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "nofollow" => self.nofollow = true,
                "none" => {
                    self.nofollow = true;
                    self.opt_out(NOINDEX);
                }
                word @ (NOINDEX | "noai" | "noimageai") => self.opt_out(word),
                _ => {}
            }
        }
    }

    /// Adds an opt-out by its word; other words mean nothing.
    pub fn opt_out(&mut self, word: &str) {
        if let Some(at) = OPT_OUTS.iter().position(|known| *known == word) {
            self.asked[at] = true;
        }
    }

    /// Adds the opt-outs of a column that [`Wishes::opt_outs`] made.
    pub fn add_told(&mut self, told: &str) {
        told.split(',').for_each(|word| self.opt_out(word.trim()));
    }

    /// Whether each of [`OPT_OUTS`] is asked for.
    pub const fn asked(&self) -> [bool; OPT_OUTS.len()] {
        self.asked
    }

    /// The page is not to be kept.
    pub const fn noindex(&self) -> bool {
        self.asked[0]
    }

    /// The page is not to be used for machine learning or mining.
    pub fn no_training(&self) -> bool {
        self.asked[1..].contains(&true)
    }

    /// The opt-outs with a comma and a space between them; `None` where there is none.
    pub fn opt_outs(&self) -> Option<String> {
        let said: Vec<&str> =
            OPT_OUTS.into_iter().zip(self.asked).filter(|(_, s)| *s).map(|(w, _)| w).collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// Adds what a named value says, be it a header or a `meta`; `false` where the name stands for no wish of this kind.
    fn add_named(&mut self, name: &str, value: &str) -> bool {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is(TDM_RESERVATION) {
            // 1 reserves the right to mining, 0 does not: of file, header and `meta` the later one counts (TDMRep).
            match value.trim() {
                "1" => self.opt_out(TDM_RESERVATION),
                "0" => self.asked[TDM_AT] = false,
                _ => {}
            }
        } else if is("content-signal") || is("content-usage") {
            if refuses_training(value) {
                self.opt_out(CONTENT_SIGNAL);
            }
        } else {
            return false;
        }
        true
    }

    /// Adds a response header. `X-Robots-Tag: otherbot: noindex` is not for us; `token` is our name, which may be empty.
    pub fn add_header(&mut self, name: &str, value: &str, token: &str) {
        if self.add_named(name, value) || !name.eq_ignore_ascii_case("x-robots-tag") {
            return;
        }
        match value.split_once(':') {
            Some((agent, words)) if is_agent(agent) => {
                if !token.is_empty() && agent.trim().eq_ignore_ascii_case(token) {
                    self.add(words);
                }
            }
            _ => self.add(value),
        }
    }

    /// Adds what a `meta` of the page says.
    pub fn add_meta(&mut self, tag: &Tag<'_>, token: &str) {
        let (Some(name), Some(content)) = (text(tag, "name"), text(tag, "content")) else { return };
        if name.eq_ignore_ascii_case("robots") || (!token.is_empty() && name.eq_ignore_ascii_case(token)) {
            self.add(&content);
        } else {
            self.add_named(&name, &content);
        }
    }
}

/// A word before a colon that is a crawler's name and not a directive with a value.
fn is_agent(word: &str) -> bool {
    const VALUED: [&str; 4] = ["max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"];
    let word = word.trim();
    !word.contains(',') && !VALUED.iter().any(|v| word.eq_ignore_ascii_case(v))
}

/// Whether the words of a `Content-Signal` or a `Content-Usage` refuse training: `search=yes, ai-train=no`.
pub fn refuses_training(value: &str) -> bool {
    value.to_ascii_lowercase().split(',').filter_map(|pair| pair.split_once('=')).any(|(key, value)| {
        matches!(key.trim(), "ai-train" | "train-ai") && matches!(value.trim(), "no" | "n")
    })
}

fn text<'a>(tag: &Tag<'a>, name: &str) -> Option<Cow<'a, str>> {
    Some(String::from_utf8_lossy(tag.attribute(name)?.trim_ascii()))
}

/// Adds the wishes in the markup of a page.
pub fn wishes(html: &[u8], token: &str, wishes: &mut Wishes) {
    tags::scan(html, |tag| {
        if tag.is("meta") {
            wishes.add_meta(tag, token);
        }
        true
    });
}

/// Adds wishes and licences in the markup of a page, each licence once, in the order of the alphabet.
pub fn page(html: &[u8], wishes: &mut Wishes, licences: &mut Vec<String>) {
    tags::scan(html, |tag| {
        if tag.is("meta") {
            wishes.add_meta(tag, "");
        }
        if licences.len() < LICENCES_MAX {
            declared(tag, licences);
        }
        true
    });
    licences.sort_unstable();
    licences.dedup();
}

/// Adds what a tag declares as the licence of its page.
fn declared(tag: &Tag<'_>, licences: &mut Vec<String>) {
    // `copyright` is the older word for `license` (HTML standard, section on the link type "license").
    const RELS: [&str; 6] =
        ["license", "copyright", "cc:license", "dc:license", "dct:license", "dcterms.license"];
    const METAS: [&str; 9] = [
        "copyright",
        "dc.license",
        "dc.rights",
        "dc.rights.license",
        "dcterms.license",
        "dcterms.rights",
        "licence",
        "license",
        "rights",
    ];
    if tag.is("a") || tag.is("link") {
        let rel = text(tag, "rel").unwrap_or_default().to_ascii_lowercase();
        // RDFa's `about` says that the licence is another thing's, such as a picture's.
        let is_own = tag.attribute("about").is_none_or(<[u8]>::is_empty);
        if is_own && rel.split_ascii_whitespace().any(|word| RELS.contains(&word)) {
            licences.extend(text(tag, "href").and_then(|href| licence::of_url(&href)));
        }
    } else if tag.is("meta") {
        let name = text(tag, "name").or_else(|| text(tag, "property")).unwrap_or_default();
        if METAS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            licences.extend(text(tag, "content").and_then(|content| licence::short(&content)));
        }
    } else if tag.is("script")
        && tag.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/ld+json"))
    {
        licence::of_json_ld(tag.raw_text(), licences);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_of_header_and_markup() {
        let check = |header: (&str, &str), html: &str, nofollow: bool, expected: &str| {
            let mut found = Wishes::default();
            found.add_header(header.0, header.1, "mill");
            wishes(html.as_bytes(), "mill", &mut found);
            let told = found.opt_outs().unwrap_or_default();
            assert_eq!((found.nofollow, told.as_str()), (nofollow, expected), "{header:?} {html}");
        };
        let none = ("x", "");
        check(none, "<meta name=ROBOTS content='NoIndex, follow'>", false, "noindex");
        check(none, "<meta name=mill content=none>", true, "noindex");
        check(none, "<meta name=other content=none>", false, "");
        check(none, "<meta name='' content=none>", false, "");
        check(("X-Robots-Tag", "noindex, max-snippet: 5"), "", false, "noindex");
        check(("X-Robots-Tag", "max-snippet:5, nofollow"), "", true, "");
        check(("X-Robots-Tag", "other: noindex"), "", false, "");
        check(("X-Robots-Tag", "mill: noai"), "", false, "noai");
        check(("tdm-reservation", "1"), "", false, "tdm-reservation");
        check(none, "<meta name=tdm-reservation content=0>", false, "");
        check(("TDM-Reservation", " 1 "), "", false, "tdm-reservation");
        check(("tdm-reservation", "0"), "", false, "");
        check(none, "<META NAME='TDM-Reservation' CONTENT=' 1 '>", false, "tdm-reservation");
        check(none, "<meta name=robots content='index, NoImageAI'>", false, "noimageai");
        check(none, "<meta name=robots content=''>", false, "");
        check(("x-robots-tag", "unavailable_after: 25 Jun 2010 15:00:00 PST, noai"), "", false, "noai");
        check(("x-robots-tag", "Mill: NOINDEX, nofollow"), "", true, "noindex");
        check(none, "<!-- <meta name=robots content=noai> -->", false, "");
        check(("Content-Signal", "search=yes, ai-train=no"), "", false, "content-signal");
        check(("content-usage", "train-ai=n"), "", false, "content-signal");
        check(("content-signal", "ai-train=yes"), "", false, "");
        check(none, "<meta name=content-signal content='ai-train=no'>", false, "content-signal");
    }

    #[test]
    fn opt_outs_are_told_in_one_order() {
        let check = |told: &str, expected: Option<&str>| {
            let mut found = Wishes::default();
            found.add_told(told);
            assert_eq!(found.opt_outs().as_deref(), expected);
        };
        check("", None);
        check("nofollow, no", None);
        check("content-signal,noai, noai", Some("noai, content-signal"));
        check("ai-txt, tdm-reservation, noindex", Some("noindex, tdm-reservation, ai-txt"));
    }

    #[test]
    fn licences_of_a_page() {
        let check = |html: &str, expected: &str| {
            let mut found = Vec::new();
            page(html.as_bytes(), &mut Wishes::default(), &mut found);
            assert_eq!(found.join(" "), expected, "{html}");
        };
        let by = "https://creativecommons.org/licenses/by/4.0/";
        check(&format!("<a rel=license href={by}>"), "cc-by-4.0");
        check(&format!("<a rel='noopener License' href='{by}'><link rel=license href={by}>"), "cc-by-4.0");
        check(&format!("<link rel=copyright href={by}>"), "cc-by-4.0");
        check(&format!("<a href={by}>"), "");
        check(&format!("<a rel=license about=/photo.jpg href={by}>"), "");
        check(&format!("<a rel=license about='' href={by}>"), "cc-by-4.0");
        check("<a rel=license href=/licence>", "");
        check(
            "<meta name=DC.rights content='CC BY-SA 4.0'><meta name=dcterms.license content=CC0>",
            "cc-by-sa-4.0 cc0-1.0",
        );
        check("<meta name=copyright content='© 2024 The Mill'>", "");
        check("<meta name=description content='CC BY 4.0'>", "");
        check(&format!("<script type=application/ld+json>{{\"license\":\"{by}\"}}</script>"), "cc-by-4.0");
        check(&format!("<script type=application/ld+json>{{\"license\":\"{by}\"}}"), "cc-by-4.0");
        check(&format!("<script>{{\"license\":\"{by}\"}}</script>"), "");
        check(&format!("<!-- <a rel=license href={by}> -->"), "");
    }
}
