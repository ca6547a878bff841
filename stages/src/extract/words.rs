//! What the words of `class`, `id` and `role` say of an element.
//!
//! A name is cut at every character that is not a letter and at a lower-case letter before an upper-case one:
//! `entryContent main-nav2` holds `entry`, `content`, `main`, `nav`. Whole words are compared, so `shadow` says
//! nothing of ads. The words are common ones of class and id names, written from general knowledge.

use super::page::Node;
use html5ever::{LocalName, local_name};

/// A set of [`Hint`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hints(u16);

/// One thing that a name can say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hint {
    /// The main content.
    Main = 1,
    /// Ways to other pages: menus, bread crumbs, pagers, side bars, footers.
    Navigation = 2,
    /// Share buttons, advertisements, consent, subscription, search.
    Furniture = 4,
    /// Other pages that might interest the reader.
    Related = 8,
    /// Comments of readers.
    Comment = 16,
    /// Not shown.
    Hidden = 32,
    /// Author, date, tags.
    Meta = 64,
    /// Line numbers beside code.
    Gutter = 128,
    /// A post in a discussion.
    Post = 256,
    /// A caption or credit of a picture.
    Caption = 512,
}

impl Hints {
    /// Whether the set holds the hint.
    pub(crate) const fn has(self, hint: Hint) -> bool {
        self.0 & hint as u16 != 0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The hints of every node of a page.
    pub(crate) fn of_all(nodes: &[Node<'_>]) -> Vec<Self> {
        let mut lately = Lately::default();
        nodes.iter().map(|node| Self::of(node, &mut lately)).collect()
    }

    /// The hints of an element.
    fn of<'p>(node: &Node<'p>, lately: &mut Lately<'p>) -> Self {
        let Some(element) = node.element else { return Self::default() };
        let mut hints = Self::default();
        let mut opens = false;
        for attribute in &element.attributes {
            let (name, value) = (&attribute.name.local, &*attribute.value);
            // Names are compared as numbers here.
            if *name == local_name!("class") || *name == local_name!("id") {
                hints = hints.with(lately.names(value));
            } else if *name == local_name!("role") {
                hints = hints.with(role(value));
                opens |= value == "tabpanel";
            } else if *name == local_name!("itemprop") {
                hints = hints.with(property(value));
            } else if *name == local_name!("aria-label") {
                if value.to_ascii_lowercase().contains("breadcrumb") {
                    hints.0 |= Hint::Navigation as u16;
                }
            } else if *name == local_name!("aria-labelledby") {
                opens = true;
            } else if is_hidden(name, value) {
                hints.0 |= Hint::Hidden as u16;
            }
        }
        // A panel that a tab or a fold opens is hidden only until it is asked for.
        if opens {
            hints.0 &= !(Hint::Hidden as u16);
        }
        hints
    }
}

/// Whether an attribute takes its element out of sight.
fn is_hidden(name: &LocalName, value: &str) -> bool {
    *name == local_name!("style") && hides(value)
        || *name == local_name!("hidden") && value != "until-found"
        || *name == local_name!("aria-hidden") && value.trim() == "true"
}

/// Values of `class` and `id` that were read lately, with what they say: a page has the same ones again and again.
struct Lately<'p>([(&'p str, Hints); LATELY]);

/// How many of them are known.
const LATELY: usize = 256;

impl Default for Lately<'_> {
    fn default() -> Self {
        Self([("", Hints(0)); LATELY])
    }
}

impl<'p> Lately<'p> {
    fn names(&mut self, value: &'p str) -> Hints {
        // Names that belong together differ at their ends.
        let ends =
            value.bytes().rev().take(8).fold(value.len(), |ends, b| ends.wrapping_mul(31) ^ usize::from(b));
        let known = &mut self.0[ends % LATELY];
        if known.0 != value {
            let hiding = if is_hiding(value) { Hint::Hidden as u16 } else { 0 };
            *known = (value, words(value).with(Hints(hiding)));
        }
        known.1
    }
}

/// Names that hide an element when they stand alone; as parts of names (`hide-when-deleted`) they say nothing.
const HIDING: [&str; 16] = [
    "hidden",
    "hide",
    "d-none",
    "display-none",
    "sr-only",
    "screen-reader-text",
    "screen-reader-only",
    "visuallyhidden",
    "u-hidden",
    "invisible",
    "noprint",
    "no-print",
    "offscreen",
    "visually-hidden",
    "is-hidden",
    "hideme",
];

/// What the names of utility classes show again on a larger screen: `hidden md:block`, `d-none d-md-flex`.
const SHOWING: [&str; 8] =
    ["block", "flex", "grid", "inline", "inline-block", "inline-flex", "table", "table-cell"];

fn is_hiding(names: &str) -> bool {
    let shows = |name: &str| {
        let utility = name.split_once(':').or_else(|| name.strip_prefix("d-")?.split_once('-'));
        utility.is_some_and(|(_, display)| SHOWING.contains(&display))
    };
    let mut names = names.split_ascii_whitespace();
    names.clone().any(|name| HIDING.contains(&name)) && !names.any(shows)
}

fn hides(style: &str) -> bool {
    let plain: String =
        style.chars().filter(|c| !c.is_whitespace()).take(400).collect::<String>().to_ascii_lowercase();
    plain.contains("display:none") || plain.contains("visibility:hidden")
}

fn role(role: &str) -> Hints {
    Hints(match role.trim() {
        "navigation" | "menu" | "menubar" | "contentinfo" | "toolbar" | "tablist" => Hint::Navigation as u16,
        "banner" | "search" | "dialog" | "alertdialog" | "alert" | "tooltip" => Hint::Furniture as u16,
        "complementary" => Hint::Related as u16,
        "main" | "article" => Hint::Main as u16,
        _ => 0,
    })
}

fn property(property: &str) -> Hints {
    Hints(match property.trim() {
        "articleBody" | "reviewBody" | "mainContentOfPage" => Hint::Main as u16,
        "comment" => Hint::Comment as u16,
        "breadcrumb" => Hint::Navigation as u16,
        "author" | "datePublished" | "dateModified" | "publisher" => Hint::Meta as u16,
        _ => 0,
    })
}

/// Longest `class` or `id` that is read.
const NAME_BYTES_MAX: usize = 400;
/// Longest word that is compared.
const WORD_BYTES_MAX: usize = 16;

fn words(names: &str) -> Hints {
    let mut hints = Hints::default();
    let (mut word, mut len) = (0_u128, 0);
    let mut before = b' ';
    for byte in names.bytes().take(NAME_BYTES_MAX).chain([b' ']) {
        let is_letter = byte.is_ascii_alphabetic();
        if len > 0 && (!is_letter || (byte.is_ascii_uppercase() && before.is_ascii_lowercase())) {
            if len <= WORD_BYTES_MAX {
                hints = hints.with(Hints(hint(word)));
            }
            (word, len) = (0, 0);
        }
        if is_letter {
            word = word << 8 | u128::from(byte.to_ascii_lowercase());
            len += 1;
        }
        before = byte;
    }
    hints
}

/// What the words say.
const SAYING: [(Hint, &[&str]); 9] = [
    (
        Hint::Main,
        &[
            "article",
            "articlebody",
            "content",
            "contents",
            "entry",
            "story",
            "main",
            "maincontent",
            "body",
            "text",
            "prose",
            "markdown",
            "mw",
            "docs",
            "doc",
            "documentation",
            "description",
            "recipe",
            "page",
            "blog",
            "postbody",
        ],
    ),
    (
        Hint::Navigation,
        &[
            "nav",
            "navi",
            "navbar",
            "navigation",
            "menu",
            "submenu",
            "breadcrumb",
            "breadcrumbs",
            "crumb",
            "crumbs",
            "pager",
            "pagination",
            "paging",
            "sidebar",
            "sidenav",
            "rail",
            "footer",
            "foot",
            "toc",
            "masthead",
            "topbar",
            "toolbar",
            "tabs",
            "skip",
            "skiplink",
            "sitemap",
            "pagenav",
            "topnav",
            "subnav",
            "navlinks",
            "sidemenu",
            "bottombar",
            "prevnext",
        ],
    ),
    (
        Hint::Furniture,
        &[
            "share",
            "sharing",
            "shared",
            "social",
            "sharebar",
            "addthis",
            "sharedaddy",
            "ad",
            "ads",
            "advert",
            "advertisement",
            "adsense",
            "adsbygoogle",
            "banner",
            "cookie",
            "cookies",
            "consent",
            "gdpr",
            "newsletter",
            "subscribe",
            "subscription",
            "signup",
            "login",
            "signin",
            "popup",
            "modal",
            "overlay",
            "promo",
            "promotion",
            "sponsor",
            "sponsored",
            "search",
            "searchform",
            "print",
            "rating",
            "ratings",
            "follow",
            "donate",
            "paywall",
            "cart",
            "basket",
            "minicart",
            "wishlist",
            "disqus",
            "outbrain",
            "taboola",
            "feedback",
            "actions",
            "buttons",
            "tooltip",
            "legal",
            "copyright",
            "cta",
            "werbung",
            "anzeige",
        ],
    ),
    (
        Hint::Related,
        &[
            "related",
            "recommended",
            "recommendation",
            "recommendations",
            "similar",
            "more",
            "readmore",
            "popular",
            "trending",
            "teaser",
            "teasers",
            "latest",
            "recent",
            "mostread",
            "upsell",
            "crosssell",
            "suggested",
            "aside",
            "also",
            "yarpp",
            "jp",
        ],
    ),
    (
        Hint::Comment,
        &["comment", "comments", "commentlist", "respond", "commentform", "kommentare", "kommentar"],
    ),
    (
        Hint::Meta,
        &[
            "meta",
            "byline",
            "author",
            "date",
            "time",
            "tags",
            "tag",
            "category",
            "categories",
            "cat",
            "dateline",
            "timestamp",
            "posted",
            "published",
            "infoline",
            "postmeta",
            "bio",
            "tagcloud",
            "vcard",
        ],
    ),
    (Hint::Gutter, &["gutter", "linenos", "lineno", "linenumber", "linenumbers", "linenodiv"]),
    (
        Hint::Post,
        &[
            "thread",
            "message",
            "reply",
            "replies",
            "answer",
            "answers",
            "question",
            "topic",
            "forum",
            "discussion",
            "post",
            "posts",
        ],
    ),
    (Hint::Caption, &["caption", "captions", "credit", "credits"]),
];
/// How many words there are.
const WORDS: usize = 178;
/// The words as numbers in order, each with its hint.
static TABLE: [(u128, u16); WORDS] = table();

/// A word of at most sixteen bytes as a number.
const fn number(word: &[u8]) -> u128 {
    let (mut number, mut at) = (0, 0);
    while at < word.len() {
        number = number << 8 | word[at] as u128;
        at += 1;
    }
    number
}

const fn table() -> [(u128, u16); WORDS] {
    let mut table = [(0, 0); WORDS];
    let (mut len, mut group) = (0, 0);
    while group < SAYING.len() {
        let (hint, words) = SAYING[group];
        let mut word = 0;
        while word < words.len() {
            let entry = (number(words[word].as_bytes()), hint as u16);
            let mut at = len;
            while at > 0 && table[at - 1].0 > entry.0 {
                table[at] = table[at - 1];
                at -= 1;
            }
            table[at] = entry;
            (len, word) = (len + 1, word + 1);
        }
        group += 1;
    }
    table
}

fn hint(word: u128) -> u16 {
    TABLE.binary_search_by(|(known, _)| known.cmp(&word)).map_or(0, |at| TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::super::tag::Tag;
    use super::super::testing::with_page;
    use super::*;

    fn check(attributes: &str, expected: u16) {
        with_page(&format!("<div {attributes}>"), |page| {
            let div = page.nodes.iter().find(|n| n.tag == Tag::Div).unwrap();
            assert_eq!(Hints::of(div, &mut Lately::default()).0, expected, "{attributes}");
        });
    }

    #[test]
    fn whole_words_of_names_count() {
        const MAIN: u16 = Hint::Main as u16;
        check("class=entryContent", MAIN);
        check("class='main-nav2'", MAIN | Hint::Navigation as u16);
        check("class=shadow", 0);
        check("class=NAV", Hint::Navigation as u16);
        check("id=comments", Hint::Comment as u16);
        check("class='x' id=x", 0);
        check("class='' id=''", 0);
        check("class=\u{fc}nav", Hint::Navigation as u16);
        check("title=nav", 0);
        check("role=' navigation '", Hint::Navigation as u16);
        check("role=main", MAIN);
        check("itemprop=articleBody", MAIN);
        check("aria-label='Breadcrumbs of the page'", Hint::Navigation as u16);
    }

    #[test]
    fn long_names_are_read_to_their_bound() {
        check(&format!("class='{} nav'", "x".repeat(NAME_BYTES_MAX)), 0);
        check(&format!("class='{} nav'", "x".repeat(NAME_BYTES_MAX - 5)), Hint::Navigation as u16);
        check(&format!("class={}", "nav".repeat(20)), 0);
    }
}
