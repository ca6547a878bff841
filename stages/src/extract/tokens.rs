//! Cuts a page into the tokens that html5ever's tree builder takes.
//!
//! What nearly all of a page is made of is read here, in runs and not by the character: tags with their attributes, texts,
//! comments, references to characters, what is in scripts and styles. What is rare goes through html5ever's own tokenizer:
//! the document type. Attributes that nobody asks for are left out, but for
//! those of formatting elements, which the tree builder compares.

use super::references;
use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::Attribute;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    Doctype, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::{LocalName, QualName, ns};
use memchr::{memchr, memchr_iter, memchr2, memmem};

/// Whether an attribute is read, by extraction or by the tree builder.
pub(crate) fn is_read(name: &str) -> bool {
    let names: &[&str] = match name.len() {
        2 => &["id"],
        3 => &["alt", "rel"],
        4 => &["face", "href", "name", "role", "size", "type"],
        5 => &["class", "color", "start", "style", "title", "value"],
        6 => &["hidden"],
        7 => &["alttext", "charset", "colspan", "content", "display", "rowspan"],
        8 => &["datetime", "encoding", "itemprop", "itemtype", "property"],
        9 => &["data-lang"],
        10 => &["aria-label"],
        11 => &["aria-hidden"],
        13 => &["data-language"],
        14 => &["shadowrootmode"],
        15 => &["aria-labelledby"],
        _ => &[],
    };
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// How what is in an element is read where that is no markup.
pub(crate) fn raw_kind(name: &str) -> Option<RawKind> {
    match name {
        "script" => Some(RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "textarea" | "title" => Some(RawKind::Rcdata),
        _ => None,
    }
}

/// Elements of which all attributes are kept: the tree builder counts equal ones (HTML standard, 13.2.4.3).
const FORMATTING: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// Attributes of a tag from which on only those are kept that are read: each is compared with all before it.
pub(crate) const ATTRIBUTES_MAX: usize = 64;
/// Places of the names that were read last.
const NAMES: usize = 512;

/// A tokenizer over one page.
pub(crate) struct Tokens<'p, S> {
    page: &'p str,
    /// The page once more; its parts are shared, not copied.
    shared: StrTendril,
    sink: &'p S,
    at: usize,
    names: Vec<Option<LocalName>>,
    /// The name of the last start tag.
    last: LocalName,
    /// Whether there was a document type; those behind it mean nothing.
    typed: bool,
    /// Whether there are zero bytes: dropped from text, U+FFFD elsewhere.
    zeros: bool,
}

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Markup,
    Raw(RawKind),
    Plain,
}

impl<'p, S: TokenSink> Tokens<'p, S> {
    /// Over a page without carriage returns.
    pub(crate) fn new(page: &'p str, sink: &'p S) -> Self {
        let names = vec![None; NAMES];
        let (shared, last) = (StrTendril::from(page), LocalName::default());
        let zeros = memchr(0, page.as_bytes()).is_some();
        Self { page, shared, sink, at: 0, names, last, typed: false, zeros }
    }

    /// Gives the sink all tokens, until `enough` says of the place that was reached that the rest is not to be read; that
    /// place.
    pub(crate) fn run(mut self, enough: impl Fn(usize) -> bool) -> usize {
        if self.page.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        let mut mode = Mode::Markup;
        while self.at < self.page.len() && !enough(self.at) {
            mode = match mode {
                Mode::Markup => self.markup(),
                Mode::Raw(kind) => self.raw(kind),
                Mode::Plain => {
                    self.give(Token::CharacterTokens(self.raw_part(self.at, self.page.len())));
                    self.at = self.page.len();
                    Mode::Plain
                }
            };
        }
        self.at
    }

    fn part(&self, from: usize, to: usize) -> StrTendril {
        self.shared.subtendril(from as u32, (to - from) as u32)
    }

    fn give(&self, token: Token) -> Mode {
        match self.sink.process_token(token, 1) {
            TokenSinkResult::RawData(kind) => Mode::Raw(kind),
            TokenSinkResult::Plaintext => Mode::Plain,
            _ => Mode::Markup,
        }
    }

    /// Reads a text, a tag or a comment.
    fn markup(&mut self) -> Mode {
        let bytes = self.page.as_bytes();
        let rest = &bytes[self.at..];
        if rest[0] == b'<' && is_markup(rest) {
            return match rest[1] {
                b'/' if rest[2].is_ascii_alphabetic() => self.tag(TagKind::EndTag),
                b'/' if rest[2] == b'>' => {
                    self.at += 3;
                    Mode::Markup
                }
                b'!' => self.declaration(),
                b'/' | b'?' => self.bogus(),
                _ => self.tag(TagKind::StartTag),
            };
        }
        let mut end = self.at;
        loop {
            let from = end + usize::from(end == self.at);
            end = memchr(b'<', &bytes[from..]).map_or(bytes.len(), |n| from + n);
            if end == bytes.len() || is_markup(&bytes[end..]) {
                break;
            }
            end += 1;
        }
        self.characters(self.at, end, |from, to| self.read(from, to, false));
        self.at = end;
        Mode::Markup
    }

    /// A part of the page that is no text of it, where a zero byte is U+FFFD.
    fn raw_part(&self, from: usize, to: usize) -> StrTendril {
        let part = &self.page[from..to];
        if self.zeros && part.contains('\0') {
            return StrTendril::from(part.replace('\0', "\u{fffd}"));
        }
        self.part(from, to)
    }

    /// Gives characters; the tree builder decides what zero bytes become.
    fn characters(&self, from: usize, to: usize, read: impl Fn(usize, usize) -> StrTendril) {
        let mut at = from;
        let zeros = memchr_iter(0, if self.zeros { &self.page.as_bytes()[from..to] } else { &[] });
        for end in zeros.map(|n| from + n).chain([to]) {
            if end > at {
                self.give(Token::CharacterTokens(read(at, end)));
            }
            if end < to {
                self.give(Token::NullCharacterToken);
            }
            at = end + 1;
        }
    }

    /// A part of the page with its references read.
    fn read(&self, from: usize, to: usize, is_value: bool) -> StrTendril {
        let text = &self.page[from..to];
        match memchr(b'&', text.as_bytes()) {
            None => self.raw_part(from, to),
            Some(_) if self.zeros => references::read(&text.replace('\0', "\u{fffd}"), is_value),
            Some(_) => references::read(text, is_value),
        }
    }

    /// `<!`: a comment, a document type, a section of characters.
    fn declaration(&mut self) -> Mode {
        let rest = &self.page.as_bytes()[self.at..];
        if rest.starts_with(b"<!--") {
            let length = comment(rest);
            self.at += length;
            return self.give(Token::CommentToken(StrTendril::new()));
        }
        let begins = |word: &[u8]| rest.get(2..2 + word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
        if begins(b"doctype") {
            let end = memchr(b'>', rest).map_or(self.page.len(), |n| self.at + n + 1);
            if std::mem::replace(&mut self.typed, true) {
                self.give(Token::DoctypeToken(Doctype::default()));
            } else {
                slowly(self.sink, &self.page[self.at..end]);
            }
            self.at = end;
            return Mode::Markup;
        }
        if rest.starts_with(b"<![CDATA[")
            && self.sink.adjusted_current_node_present_but_not_in_html_namespace()
        {
            let from = self.at + "<![CDATA[".len();
            let inside = &self.page.as_bytes()[from..];
            let to = memmem::find(inside, b"]]>").map_or(self.page.len(), |n| from + n);
            self.characters(from, to, |from, to| self.part(from, to));
            self.at = (to + "]]>".len()).min(self.page.len());
            return Mode::Markup;
        }
        self.bogus()
    }

    /// What is a comment by mistake: up to the next `>`.
    fn bogus(&mut self) -> Mode {
        self.at = memchr(b'>', &self.page.as_bytes()[self.at..]).map_or(self.page.len(), |n| self.at + n + 1);
        self.give(Token::CommentToken(StrTendril::new()))
    }

    /// A name in lower case; those that were read lately are found again.
    fn name(&mut self, from: usize, to: usize) -> LocalName {
        let name = &self.page[from..to];
        let hash = name.bytes().fold(name.len(), |h, b| h.wrapping_mul(31) ^ usize::from(b));
        let slot = &mut self.names[hash % NAMES];
        match slot {
            Some(known) if &**known == name => known.clone(),
            _ => {
                if name.bytes().any(|b| b.is_ascii_uppercase() || b == 0) {
                    return LocalName::from(name.to_ascii_lowercase().replace('\0', "\u{fffd}"));
                }
                let made = LocalName::from(name);
                *slot = Some(made.clone());
                made
            }
        }
    }

    fn tag(&mut self, kind: TagKind) -> Mode {
        let bytes = self.page.as_bytes();
        let from = self.at + if kind == TagKind::EndTag { 2 } else { 1 };
        let to = from + bytes[from..].iter().position(|b| ends_name(*b)).unwrap_or(bytes.len() - from);
        let name = self.name(from, to);
        let keeps_all = kind == TagKind::StartTag && FORMATTING.contains(&&*name);
        let mut attrs: Vec<Attribute> = Vec::new();
        let mut at = to;
        let self_closing = loop {
            while bytes.get(at).is_some_and(|b| is_space(*b)) {
                at += 1;
            }
            match bytes.get(at) {
                // The page ends in a tag, which is none then.
                None => {
                    self.at = bytes.len();
                    return Mode::Markup;
                }
                Some(b'>') => {
                    at += 1;
                    break false;
                }
                Some(b'/') if bytes.get(at + 1) == Some(&b'>') => {
                    at += 2;
                    break true;
                }
                Some(b'/') => at += 1,
                Some(_) => {
                    let Some(attribute) = Piece::read(bytes, at) else {
                        self.at = bytes.len();
                        return Mode::Markup;
                    };
                    at = attribute.end;
                    if kind == TagKind::StartTag {
                        self.attribute(&attribute, keeps_all, &mut attrs);
                    }
                }
            }
        };
        self.at = at;
        if kind == TagKind::StartTag {
            self.last = name.clone();
        }
        self.give(Token::TagToken(Tag { kind, name, self_closing, attrs, had_duplicate_attributes: false }))
    }

    fn attribute(&mut self, piece: &Piece, keeps: bool, attrs: &mut Vec<Attribute>) {
        let (from, to) = piece.name;
        let name = &self.page[from..to];
        let is_kept = is_read(name) || (keeps && attrs.len() < ATTRIBUTES_MAX);
        if !is_kept {
            return;
        }
        let local = self.name(from, to);
        if attrs.iter().any(|a| a.name.local == local) {
            return;
        }
        let (from, to) = piece.value;
        let value = self.read(from, to, true);
        attrs.push(Attribute { name: QualName::new(None, ns!(), local), value });
    }

    /// Reads what is no markup up to the end tag of the last start tag.
    fn raw(&mut self, kind: RawKind) -> Mode {
        let bytes = self.page.as_bytes();
        let is_script = kind == RawKind::ScriptData;
        let end = raw_end(bytes, self.at, self.last.as_bytes(), is_script).unwrap_or(bytes.len());
        if end > self.at {
            let is_read = kind == RawKind::Rcdata;
            let text = if is_read { self.read(self.at, end, false) } else { self.raw_part(self.at, end) };
            self.give(Token::CharacterTokens(text));
        }
        self.at = end;
        Mode::Markup
    }
}

/// An attribute as it stands in the page.
struct Piece {
    name: (usize, usize),
    value: (usize, usize),
    end: usize,
}

impl Piece {
    /// Reads the attribute at `at`; `None` where the page ends before it does.
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        // An equals sign at the start is a part of the name.
        let rest = bytes.get(at + 1..)?;
        let name_end = at + 1 + rest.iter().position(|b| ends_name(*b) || *b == b'=')?;
        let behind = |from: usize| Some(from + bytes.get(from..)?.iter().position(|b| !is_space(*b))?);
        let next = behind(name_end)?;
        let name = (at, name_end);
        if bytes[next] != b'=' {
            return Some(Self { name, value: (next, next), end: next });
        }
        let from = behind(next + 1)?;
        Some(match bytes[from] {
            quote @ (b'"' | b'\'') => {
                let to = from + 1 + memchr(quote, &bytes[from + 1..])?;
                Self { name, value: (from + 1, to), end: to + 1 }
            }
            b'>' => Self { name, value: (from, from), end: from },
            _ => {
                let to = from + bytes[from..].iter().position(|b| is_space(*b) || *b == b'>')?;
                Self { name, value: (from, to), end: to }
            }
        })
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\x0c')
}

const fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

/// Whether a `<` begins more than text.
fn is_markup(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'/') => rest.len() > 2,
        Some(b'!' | b'?') => true,
        Some(byte) => byte.is_ascii_alphabetic(),
        None => false,
    }
}

/// The length of a comment with its marks.
fn comment(rest: &[u8]) -> usize {
    for short in [&b"<!-->"[..], b"<!--->"] {
        if rest.starts_with(short) {
            return short.len();
        }
    }
    let mut at = "<!--".len();
    while let Some(found) = memmem::find(&rest[at..], b"--") {
        let end = at + found + 2;
        match rest.get(end) {
            Some(b'>') => return end + 1,
            Some(b'!') if rest.get(end + 1) == Some(&b'>') => return end + 2,
            _ => at = end - 1,
        }
    }
    rest.len()
}

/// Whether a word and the end of a name stand somewhere, in any case.
fn stands(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes.get(at..at + word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word))
        && bytes.get(at + word.len()).is_some_and(|b| ends_name(*b))
}

/// Where the end tag of raw text begins. In a script, a comment hides it once a script begins in the comment
/// (HTML standard, 13.2.5.15 to 13.2.5.31).
fn raw_end(bytes: &[u8], from: usize, name: &[u8], is_script: bool) -> Option<usize> {
    let (mut at, mut escaped, mut double) = (from, false, false);
    loop {
        at += if escaped { memchr2(b'<', b'-', &bytes[at..])? } else { memchr(b'<', &bytes[at..])? };
        let rest = &bytes[at..];
        if rest[0] == b'-' {
            if rest.starts_with(b"-->") {
                (escaped, double) = (false, false);
            }
            at += 1;
        } else if rest.get(1) == Some(&b'/') && stands(bytes, at + 2, name) {
            if !double {
                return Some(at);
            }
            double = false;
            at += 2;
        } else if is_script && !escaped && rest.starts_with(b"<!--") {
            escaped = true;
            at += 2;
        } else {
            double |= escaped && stands(bytes, at + 1, name);
            at += 1;
        }
    }
}

/// A part of a page for a sink that reads on behind it.
struct Part<'s, S>(&'s S);

impl<S: TokenSink> TokenSink for Part<'_, S> {
    type Handle = S::Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<S::Handle> {
        match token {
            Token::EOFToken | Token::ParseError(_) => TokenSinkResult::Continue,
            token => match self.0.process_token(token, line) {
                TokenSinkResult::Script(_) | TokenSinkResult::EncodingIndicator(_) => {
                    TokenSinkResult::Continue
                }
                other => other,
            },
        }
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.0.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Gives a part of a page to html5ever's tokenizer.
fn slowly<S: TokenSink>(sink: &S, part: &str) {
    let opts = TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() };
    let tokenizer = Tokenizer::new(Part(sink), opts);
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from(part));
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
