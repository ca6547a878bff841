//! The element names that matter to the stack of open elements, and what each means there.

/// An element name as a number: its first seven bytes in lower case and its length.
pub(super) const fn key(name: &[u8]) -> u64 {
    let mut key = if name.len() < 255 { name.len() as u64 } else { 255 };
    let mut at = 0;
    while at < name.len() && at < 7 {
        key = key << 8 | name[at].to_ascii_lowercase() as u64;
        at += 1;
    }
    key
}

macro_rules! names {
    ($doc:literal $set:ident = $($name:literal)+) => {
        #[doc = $doc]
        pub(super) const $set: &[u64] = &[$(key($name.as_bytes())),+];
    };
}

names!("Elements that hold nothing or are closed by nearly anything: they do not count as a level." FLAT =
    "area" "base" "br" "col" "embed" "hr" "img" "input" "link" "meta" "source" "track" "wbr" "param" "p" "tbody"
    "thead" "tfoot" "option" "optgroup" "html" "head" "body" "rp" "rt" "frame");
names!("Elements that the active formatting elements hold, without links." FORMATTING =
    "b" "big" "code" "em" "font" "i" "nobr" "s" "small" "strike" "strong" "tt" "u");
names!("Elements behind which an end tag does not look." SCOPE =
    "table" "td" "th" "caption" "object" "template" "marquee" "applet" "svg" "math" "button");
names!("Elements that an end tag of an unknown name does not look behind." SPECIAL =
    "address" "article" "aside" "blockquote" "center" "details" "dir" "div" "dl" "dt" "dd" "fieldset" "figcaption"
    "figure" "footer" "form" "h1" "h2" "h3" "h4" "h5" "h6" "header" "hgroup" "li" "main" "menu" "nav" "ol" "pre"
    "section" "summary" "tr" "ul" "select" "listing" "table" "td" "th" "caption" "object" "template" "marquee"
    "applet" "button");
names!("Special elements that a list item looks behind for an elder brother." THIN = "address" "div");
names!("Items of lists." LIST_ITEM = "li");
names!("Items of definition lists." DEFINITION = "dt" "dd");
names!("Cells." CELL = "td" "th");
names!("Rows." ROW = "tr");
names!("Tables." TABLE = "table");
names!("Links." LINK = "a");
names!("Elements that hold little but say what it is." LEAF =
    "h1" "h2" "h3" "h4" "h5" "h6" "pre" "code" "a" "b" "strong" "i" "em" "li" "dt" "dd" "td" "th" "tr" "blockquote"
    "summary" "figcaption" "sub" "sup" "kbd" "samp" "q");
names!("Elements of which a page has one." ROOT = "html" "body");
names!("End tags that make an element where none is open." MAKING = "p" "br");

/// What a name means here, as a set of bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Class(pub(super) u16);

impl Class {
    pub(super) const FLAT: u16 = 1;
    pub(super) const FORMATTING: u16 = 1 << 1;
    pub(super) const SCOPE: u16 = 1 << 2;
    pub(super) const SPECIAL: u16 = 1 << 3;
    /// Special, and a list item does not look behind it.
    pub(super) const WALL: u16 = 1 << 4;
    pub(super) const LEAF: u16 = 1 << 5;
    pub(super) const LINK: u16 = 1 << 6;
    pub(super) const CELL: u16 = 1 << 7;
    pub(super) const ROW: u16 = 1 << 8;
    pub(super) const TABLE: u16 = 1 << 9;
    pub(super) const LIST_ITEM: u16 = 1 << 10;
    pub(super) const DEFINITION: u16 = 1 << 11;
    pub(super) const ROOT: u16 = 1 << 12;
    pub(super) const MAKING: u16 = 1 << 13;

    pub(super) fn of(name: u64) -> Self {
        const SETS: [(&[u64], u16); 13] = [
            (FLAT, Class::FLAT),
            (FORMATTING, Class::FORMATTING),
            (SCOPE, Class::SCOPE),
            (SPECIAL, Class::SPECIAL),
            (LEAF, Class::LEAF),
            (LINK, Class::LINK),
            (CELL, Class::CELL),
            (ROW, Class::ROW),
            (TABLE, Class::TABLE),
            (LIST_ITEM, Class::LIST_ITEM),
            (DEFINITION, Class::DEFINITION),
            (ROOT, Class::ROOT),
            (MAKING, Class::MAKING),
        ];
        let mut class = SETS.iter().filter(|(set, _)| set.contains(&name)).fold(0, |all, (_, bit)| all | bit);
        if class & Self::SPECIAL != 0 && !THIN.contains(&name) {
            class |= Self::WALL;
        }
        Self(class)
    }

    pub(super) const fn is(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}
