//! What a page says of itself: title, description, kind by its markup and address.

use super::super::page::Page;
use super::super::tag::Tag;
use super::super::words::{Hint, Hints};
use crate::text::keys::KeySet;

/// Kinds of schema.org that tell pages apart, by what they are about.
const KINDS: [&[&str]; 8] = [
    &["Article", "NewsArticle", "BlogPosting", "Report"],
    &["Product", "Offer"],
    &["ItemList", "CollectionPage", "OfferCatalog", "SearchResultsPage"],
    &["DiscussionForumPosting", "QAPage", "Question", "Answer"],
    &["TechArticle", "APIReference", "HowTo"],
    &["Service", "LocalBusiness", "ProfessionalService", "Organization"],
    &["Recipe"],
    &["FAQPage"],
];

/// Words of addresses that tell pages apart.
const ADDRESSES: [&[&str]; 6] = [
    &[
        "forum",
        "forums",
        "thread",
        "threads",
        "topic",
        "viewtopic",
        "showthread",
        "t",
        "questions",
        "discussion",
        "discussions",
        "community",
        "board",
    ],
    &["product", "products", "shop", "store", "p", "item", "dp", "buy"],
    &["docs", "doc", "documentation", "api", "guide", "reference", "manual", "wiki", "help", "support"],
    &[
        "category",
        "categories",
        "collections",
        "collection",
        "tag",
        "list",
        "search",
        "archive",
        "best",
        "top",
    ],
    &["blog", "news", "article", "articles", "story"],
    &["services", "service", "about", "solutions", "pricing", "features", "contact"],
];

/// Most bytes of a script that are looked through for kinds.
const SCRIPT_BYTES_MAX: usize = 20_000;
/// Shortest `og:title` that is believed over `<title>`, in bytes.
const TITLE_BYTES_MIN: usize = 6;

/// The facts.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Hashes of the words of the title.
    pub(crate) title: KeySet,
    /// Hashes of the words of the description.
    pub(crate) description: KeySet,
    /// Article, product, site, something else; 0 for none.
    pub(crate) og_type: f32,
    /// How often each of [`KINDS`] is named.
    pub(crate) kinds: [u32; 8],
    /// Elements: article, main, p, img, input, li, td, pre.
    pub(crate) tags: [u32; 8],
    /// Elements that hint at comments and posts.
    pub(crate) comments: u32,
    pub(crate) posts: u32,
    /// The address: parts, bytes, digits, hyphens, [`ADDRESSES`], whether it is the root.
    pub(crate) address: [f32; 11],
}

impl Facts {
    pub(crate) fn new(page: &Page<'_>, hints: &[Hints], url: &str) -> Self {
        let mut facts = Self { address: address(url), ..Self::default() };
        let (mut title, mut og, mut description) = (String::new(), "", "");
        let mut svg_end = 0;
        for (at, node) in page.nodes.iter().enumerate() {
            facts.comments += u32::from(hints[at].has(Hint::Comment));
            facts.posts += u32::from(hints[at].has(Hint::Post));
            match node.tag {
                Tag::Svg => svg_end = node.end as usize,
                Tag::Title if title.is_empty() && at >= svg_end => title = page.line(at),
                Tag::Meta => {
                    let name = node.attribute("property").or_else(|| node.attribute("name"));
                    let content = node.attribute("content").unwrap_or_default();
                    match name.unwrap_or_default() {
                        "og:title" => og = content,
                        "og:type" => facts.og_type = og_type(content),
                        "description" | "og:description" if content.len() > description.len() => {
                            description = content;
                        }
                        _ => {}
                    }
                }
                Tag::Script if node.attribute("type").is_some_and(|t| t.contains("ld+json")) => {
                    if let Some(text) = page.nodes.get(at + 1).filter(|t| t.parent as usize == at) {
                        facts.script(text.text);
                    }
                }
                tag => facts.count(tag),
            }
            if let Some(kind) = node.attribute("itemtype") {
                facts.kind(kind.rsplit('/').next().unwrap_or_default());
            }
        }
        each_word(if og.len() < TITLE_BYTES_MIN { &title } else { og }, |w| {
            facts.title.insert(w);
        });
        each_word(description, |w| {
            facts.description.insert(w);
        });
        facts
    }

    fn count(&mut self, tag: Tag) {
        let counted = [Tag::Article, Tag::Main, Tag::P, Tag::Img, Tag::Input, Tag::Li, Tag::Td, Tag::Pre];
        if let Some(n) = counted.iter().position(|t| *t == tag) {
            self.tags[n] += 1;
        }
    }

    fn kind(&mut self, name: &str) {
        for (count, kinds) in self.kinds.iter_mut().zip(KINDS) {
            *count += u32::from(kinds.contains(&name));
        }
    }

    /// Linked data (JSON-LD): the strings that follow `@type`.
    fn script(&mut self, text: &str) {
        let mut rest = &text[..text.floor_char_boundary(SCRIPT_BYTES_MAX)];
        while let Some(at) = rest.find("@type") {
            rest = &rest[at + "@type".len()..];
            let value = &rest[..rest.floor_char_boundary(80)];
            for word in value.split('"').skip(1).take(6) {
                self.kind(word);
            }
        }
    }
}

fn og_type(content: &str) -> f32 {
    match content {
        "article" => 1.0,
        "product" | "og:product" | "product.item" => 2.0,
        "website" => 3.0,
        _ => 4.0,
    }
}

fn address(url: &str) -> [f32; 11] {
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let lower = url.to_ascii_lowercase();
    let words = |list: &[&str]| lower.split(|c: char| !c.is_alphanumeric()).any(|word| list.contains(&word));
    let mut address = [0.0; 11];
    address[0] = path.split(['/', '?']).filter(|part| !part.is_empty()).count() as f32;
    address[1] = path.len() as f32;
    address[2] = path.bytes().filter(u8::is_ascii_digit).count() as f32;
    address[3] = path.bytes().filter(|b| *b == b'-').count() as f32;
    for (slot, list) in address[4..10].iter_mut().zip(ADDRESSES) {
        *slot = f32::from(u8::from(words(list)));
    }
    address[10] = f32::from(u8::from(path.is_empty()));
    address
}

/// The lower case of each ASCII letter and digit; 0 for what is in no word.
static LOW: [u8; 128] = {
    let mut low = [0; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            low[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    low
};

/// Calls back with a hash of each word, a run of letters and digits, in lower case.
pub(crate) fn each_word(text: &str, mut found: impl FnMut(u64)) {
    let mut word = 0_u64;
    let add = |word: u64, low: u64| (word.rotate_left(5) ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for c in text.chars() {
        match LOW.get(c as usize) {
            Some(0) => {}
            Some(low) => {
                word = add(word, u64::from(*low));
                continue;
            }
            None if c.is_alphanumeric() => {
                for low in c.to_lowercase() {
                    word = add(word, u64::from(low));
                }
                continue;
            }
            None => {}
        }
        if word != 0 {
            found(std::mem::take(&mut word));
        }
    }
    if word != 0 {
        found(word);
    }
}
