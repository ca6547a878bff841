//! Says what bytes are, where nobody else says it or the word is not to be trusted.
//!
//! The signs of HTML and the binary data bytes are those of the MIME Sniffing Standard (WHATWG, sections 3 and 7.1),
//! read a little more loosely: one stray control character does not make a page binary, for real pages have some.
//!
//! ```text
//! is_html(b"\n<!DOCTYPE html>…")  →  true        is_binary(b"\x89PNG\r\n\x1a\n…")  →  true
//! ```

/// Bytes looked at.
const SNIFF_BYTES: usize = 4096;
/// One in this many bytes may be a binary data byte; random bytes have one in nine.
const BINARY_ONE_IN: usize = 50;

const HTML: &[&[u8]] = &[
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
    b"<!--",
];

/// First bytes of PDF, PNG, GIF, JPEG, ZIP, gzip, bzip2, xz, 7z, RAR, ELF, Zstandard, SQLite, MP3, Ogg, RIFF.
const MAGIC: &[&[u8]] = &[
    b"%PDF-",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"BZh9",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"Rar!\x1a",
    b"\x7fELF",
    b"\x28\xb5\x2f\xfd",
    b"SQLite format 3",
    b"ID3",
    b"OggS",
    b"RIFF",
];

/// Whether the bytes begin as a page does: a known tag and then a space or `>`, or an XML head with `<html` near.
pub fn is_html(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace() && *b != 0x0c).unwrap_or(bytes.len());
    let lower = bytes[start..bytes.len().min(start + SNIFF_BYTES)].to_ascii_lowercase();
    let tag = |t: &&[u8]| {
        lower.starts_with(t) && matches!(lower.get(t.len()), None | Some(b' ' | b'>' | b'\n' | b'\r' | b'\t'))
    };
    HTML.iter().any(tag)
        || lower.starts_with(b"<!--")
        || (lower.starts_with(b"<?xml") && memchr::memmem::find(&lower, b"<html").is_some())
}

/// Whether the bytes are no text in any encoding. UTF-16 and UTF-32 with a byte order mark are text, and so is
/// UTF-16 that begins with `<`.
pub fn is_binary(bytes: &[u8]) -> bool {
    let utf16: [&[u8]; 4] = [b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"];
    if utf16.iter().any(|mark| bytes.starts_with(mark)) {
        return false;
    }
    if MAGIC.iter().any(|magic| bytes.starts_with(magic)) {
        return true;
    }
    let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
    let binary = head.iter().filter(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)).count();
    binary > 1 && binary * BINARY_ONE_IN > head.len()
}

/// The text of bytes in the encoding that they are in: a byte order mark, else `charset` of the content type, else
/// UTF-8 where it is valid, else what the letters look like.
pub fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let named = charset.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    let encoding = named.unwrap_or_else(|| {
        let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
        detector.feed(bytes, true);
        detector.guess(None, chardetng::Utf8Detection::Allow)
    });
    encoding.decode(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_known_by_its_first_tag() {
        for (bytes, expected) in [
            ("<!DOCTYPE HTML>", true),
            (" \n<html lang=en>", true),
            ("\u{feff}<p>", true),
            ("<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'>", true),
            ("<?xml version='1.0'?><rss>", false),
            ("<!-- x --><html>", true),
            ("<pre>", false),
            ("{\"a\": \"<html>\"}", false),
            ("", false),
        ] {
            assert_eq!(is_html(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn binary_is_not_text_in_any_encoding() {
        let noise: Vec<u8> = (0..5000_u64).map(|n| (schemas::hash::seed(n, "", 0) >> 56) as u8).collect();
        for (bytes, expected) in [
            (b"".as_slice(), false),
            (b"<p>one \x0b stray</p>", false),
            (b"\xff\xfe<\0p\0>\0", false),
            (b"<\0p\0", false),
            (b"\x1b$B$\"\x1b(B", false),
            (b"%PDF-1.4", true),
            (b"\0\0\0\0\0\x01", true),
            (&noise, true),
        ] {
            assert_eq!(is_binary(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn text_is_decoded_by_mark_then_label_then_guess() {
        for (bytes, charset, expected) in [
            (b"caf\xe9".as_slice(), Some("iso-8859-1"), "café"),
            ("café".as_bytes(), None, "café"),
            (b"\xef\xbb\xbfa", Some("latin1"), "a"),
            (b"a\xff", Some("utf-8"), "a\u{fffd}"),
        ] {
            assert_eq!(decode(bytes, charset), expected, "{bytes:?}");
        }
    }
}
