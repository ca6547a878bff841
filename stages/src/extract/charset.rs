//! Finds the encoding of a page and decodes it, as the standards say.
//!
//! Order (HTML standard, 13.2.3.2 "Determining the character encoding"; Encoding standard, "decode"): byte order
//! mark; `charset` of the Content-Type header; `<meta>` within the first 1024 bytes; XML declaration; then, where
//! nothing is declared, UTF-8 if the bytes are valid UTF-8, else the guess of `chardetng`, which is Firefox's.
//!
//! ```text
//! EF BB BF …                                  → UTF-8
//! Content-Type: text/html; charset=latin1     → windows-1252
//! <meta charset=utf-16>                       → UTF-8   (whoever could read the meta, did not read UTF-16)
//! ```

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use std::borrow::Cow;

/// How far the search for `<meta>` goes (HTML standard: "the first 1024 bytes").
const PRESCAN_BYTES_MAX: usize = 1024;
/// How far a late `<meta>` is looked for.
const LATE_BYTES_MAX: usize = 1 << 16;
/// How much of an undeclared page the guess looks at.
const GUESS_BYTES_MAX: usize = 1 << 16;

/// Decodes a page. Bytes that are wrong in its encoding become U+FFFD.
pub(crate) fn decode<'a>(bytes: &'a [u8], content_type: Option<&str>) -> (Cow<'a, str>, &'static Encoding) {
    let (text, encoding, _) = sniff(bytes, content_type).decode(bytes);
    (text, encoding)
}

/// The encoding of a page.
pub(crate) fn sniff(bytes: &[u8], content_type: Option<&str>) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    content_type.and_then(header_charset).or_else(|| declared(bytes)).unwrap_or_else(|| guess(bytes))
}

/// What the page itself declares. A `<meta>` behind the first 1024 bytes makes a browser begin again ("change the
/// encoding while parsing"); here it is looked for at once.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    [PRESCAN_BYTES_MAX, LATE_BYTES_MAX].iter().find_map(|&most| prescan(&bytes[..bytes.len().min(most)]))
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    // Plain ASCII tells nothing: the look starts at the first byte that does.
    let start = bytes.iter().position(|b| !b.is_ascii()).unwrap_or(0).saturating_sub(64);
    detector.feed(&bytes[start..bytes.len().min(start + GUESS_BYTES_MAX)], true);
    detector.guess(None, Utf8Detection::Allow)
}

/// The `charset` parameter of a media type.
fn header_charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim().eq_ignore_ascii_case("charset").then(|| Encoding::for_label(value.as_bytes()))?
    })
}

/// HTML standard, "prescan a byte stream to determine its encoding".
pub(crate) fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    if bytes.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if bytes.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    Scan { bytes, at: 0 }.run().or_else(|| xml_encoding(bytes))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

impl Scan<'_> {
    fn run(mut self) -> Option<&'static Encoding> {
        while self.at < self.bytes.len() {
            self.at += memchr::memchr(b'<', &self.bytes[self.at..])?;
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"<!--") {
                // The dashes of `<!-->` open and close at once.
                self.at += 2 + memchr::memmem::find(&rest[2..], b"-->")? + 3;
            } else if rest.len() > 5
                && rest[..5].eq_ignore_ascii_case(b"<meta")
                && (is_space(rest[5]) || rest[5] == b'/')
            {
                self.at += 5;
                if let Some(found) = self.meta()? {
                    return Some(found);
                }
            } else if is_tag(rest) {
                self.at += rest.iter().position(|&b| is_space(b) || b == b'>')?;
                while self.attribute()?.is_some() {}
            } else if rest.len() > 1 && matches!(rest[1], b'!' | b'/' | b'?') {
                self.at += memchr::memchr(b'>', rest)? + 1;
            } else {
                self.at += 1;
            }
        }
        None
    }

    /// `None`: the bytes ended; `Some(None)`: this `<meta>` declares nothing.
    fn meta(&mut self) -> Option<Option<&'static Encoding>> {
        let (mut pragma, mut needs_pragma, mut label) = (false, None, None);
        // The first of repeated attributes counts; only three are looked at.
        let mut seen = [false; 3];
        while let Some((name, value)) = self.attribute()? {
            let known = [&b"http-equiv"[..], b"content", b"charset"].iter().position(|known| *known == name);
            let Some(at) = known.filter(|&at| !seen[at]) else { continue };
            seen[at] = true;
            match name.as_slice() {
                b"http-equiv" => pragma |= value == b"content-type",
                b"content" if label.is_none() => {
                    if let Some(found) = content_charset(&value) {
                        (label, needs_pragma) = (Some(found), Some(true));
                    }
                }
                b"charset" => (label, needs_pragma) = (Encoding::for_label(&value), Some(false)),
                _ => {}
            }
        }
        Some(match needs_pragma {
            None => None,
            Some(true) if !pragma => None,
            Some(_) => label.map(readable),
        })
    }

    /// HTML standard, "get an attribute", lower-cased. `None`: the bytes ended; `Some(None)`: the tag did.
    fn attribute(&mut self) -> Option<Option<(Vec<u8>, Vec<u8>)>> {
        self.skip(|b| is_space(b) || b == b'/')?;
        if self.peek()? == b'>' {
            self.at += 1;
            return Some(None);
        }
        let start = self.at;
        self.skip(|b| !(is_space(b) || b == b'/' || b == b'>'))?;
        // A name may start with `=`, but an `=` behind its first byte ends it.
        let word = &self.bytes[start..self.at];
        let name = match word.iter().skip(1).position(|&b| b == b'=') {
            Some(equals) => {
                self.at = start + equals + 1;
                &word[..=equals]
            }
            None => word,
        };
        let name = name.to_ascii_lowercase();
        self.skip(is_space)?;
        if self.peek()? != b'=' {
            return Some(Some((name, Vec::new())));
        }
        self.at += 1;
        self.skip(is_space)?;
        let quote = self.peek()?;
        let start = if matches!(quote, b'"' | b'\'') {
            self.at += 1;
            self.at
        } else {
            self.at
        };
        let quoted = start > 0 && matches!(quote, b'"' | b'\'');
        self.skip(|b| if quoted { b != quote } else { !(is_space(b) || b == b'>') })?;
        let value = self.bytes[start..self.at].to_ascii_lowercase();
        self.at += usize::from(quoted);
        Some(Some((name, value)))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, passes: impl Fn(u8) -> bool) -> Option<()> {
        self.at += self.bytes[self.at..].iter().position(|&b| !passes(b))?;
        Some(())
    }
}

fn is_tag(rest: &[u8]) -> bool {
    let name = if rest.get(1) == Some(&b'/') { rest.get(2) } else { rest.get(1) };
    name.is_some_and(u8::is_ascii_alphabetic)
}

/// An encoding in which the declaration itself could be read.
fn readable(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    }
}

/// HTML standard, "extracting a character encoding from a meta element", on a lower-cased value.
fn content_charset(value: &[u8]) -> Option<&'static Encoding> {
    let mut rest = value;
    loop {
        rest = &rest[memchr::memmem::find(rest, b"charset")? + 7..];
        let trimmed = rest.trim_ascii_start();
        let Some(after) = trimmed.strip_prefix(b"=") else { continue };
        let after = after.trim_ascii_start();
        let label = match *after.first()? {
            quote @ (b'"' | b'\'') => &after[1..=memchr::memchr(quote, &after[1..])?],
            _ => after.split(|&b| is_space(b) || b == b';').next()?,
        };
        return Encoding::for_label(label);
    }
}

/// HTML standard, "get an XML encoding".
fn xml_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let declaration = bytes.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memchr(b'>', declaration)?];
    let rest = declaration[memchr::memmem::find(declaration, b"encoding")? + 8..].trim_ascii_start();
    let rest = rest.strip_prefix(b"=")?.trim_ascii_start();
    let quote = *rest.first().filter(|q| matches!(q, b'"' | b'\''))?;
    let label = &rest[1..=memchr::memchr(quote, &rest[1..])?];
    Encoding::for_label(label).map(readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], content_type: Option<&str>, expected: &str) {
        assert_eq!(sniff(bytes, content_type).name(), expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn the_first_declaration_wins() {
        check(b"\xef\xbb\xbf<meta charset=latin1>", Some("text/html; charset=koi8-r"), "UTF-8");
        check(b"<meta charset=latin1>", Some("text/html; Charset=\"koi8-r\""), "KOI8-R");
        check(b"<meta charset=latin1>", Some("text/html"), "windows-1252");
        check(b"<meta charset=utf-16>", None, "UTF-8");
        check(b"<meta charset=x-user-defined>", None, "windows-1252");
        check(b"<meta content='text/html; charset=euc-jp' http-equiv=content-type>", None, "EUC-JP");
        check(b"<meta content='text/html; charset=euc-jp'>\xe4", None, "windows-1252");
        check(b"<!-- <meta charset=koi8-r> --><meta charset=gbk>", None, "GBK");
        check(b"<?xml version='1.0' encoding='ISO-8859-2'?><p>", None, "ISO-8859-2");
        check(b"", None, "UTF-8");
        check("<p>ä".as_bytes(), None, "UTF-8");
    }

    /// The files of html5lib-tests: `#data`, bytes, `#encoding`, a label.
    #[test]
    fn html5lib_encoding_tests() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/conformance/encoding");
        let Ok(entries) = std::fs::read_dir(folder) else {
            eprintln!("SKIPPED: {folder} is missing");
            return;
        };
        let (mut cases, mut wrong) = (0, Vec::new());
        for entry in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "dat"))
        {
            let bytes = std::fs::read(&entry).unwrap();
            let starts: Vec<usize> = memchr::memmem::find_iter(&bytes, b"#data\n").collect();
            for (n, &start) in starts.iter().enumerate() {
                let case = &bytes[start + 6..starts.get(n + 1).copied().unwrap_or(bytes.len())];
                let Some(split) = memchr::memmem::rfind(case, b"\n#encoding\n") else { continue };
                let label = case[split + 11..].split(|&b| b == b'\n').next().unwrap();
                let expected = Encoding::for_label(label).unwrap();
                cases += 1;
                let data = &case[..split];
                let marked = Encoding::for_bom(data).map(|(encoding, _)| encoding);
                let found = marked.or_else(|| declared(data)).unwrap_or(WINDOWS_1252);
                if found != expected {
                    wrong.push(format!(
                        "{} {}: {}",
                        String::from_utf8_lossy(data),
                        expected.name(),
                        found.name()
                    ));
                }
            }
        }
        assert!(cases > 50 && wrong.is_empty(), "{} of {cases}: {wrong:#?}", wrong.len());
    }
}
