//! Sitemaps: XML, indexes of sitemaps, plain text, each also in gzip (sitemaps.org/protocol.html).
//!
//! Addresses are taken from `<loc>` elements by scanning, so a broken file gives what it can. A sitemap names at most
//! 50,000 addresses and has at most 50 MiB, as the protocol says.

use super::decode::bounded;
use super::links::decode_entities;
use flate2::bufread::MultiGzDecoder;
use memchr::memmem;
use std::borrow::Cow;

/// Most addresses of one sitemap (the protocol's own limit).
pub(super) const URLS_MAX: usize = 50_000;
/// Most bytes of one sitemap after decompression (the protocol's own limit).
pub(super) const BYTES_MAX: u64 = 50 << 20;

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    /// Whether the addresses are sitemaps themselves.
    pub(super) index: bool,
    /// Addresses as written.
    pub(super) urls: Vec<String>,
}

/// Reads a sitemap; whatever is none gives no addresses.
pub(super) fn parse(body: &[u8]) -> Sitemap {
    let body = if body.starts_with(&[0x1f, 0x8b]) {
        Cow::Owned(bounded(MultiGzDecoder::new(body), BYTES_MAX).0)
    } else {
        Cow::Borrowed(body)
    };
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body).trim_ascii_start();
    if !body.starts_with(b"<") {
        return Sitemap { index: false, urls: text_lines(body) };
    }
    let head = &body[..body.len().min(4096)];
    let index = memmem::find(head, b"sitemapindex").is_some();
    Sitemap { index, urls: locations(body) }
}

fn text_lines(body: &[u8]) -> Vec<String> {
    let lines = body.split(|&b| b == b'\n' || b == b'\r').map(<[u8]>::trim_ascii);
    let urls = lines.filter(|l| l.starts_with(b"http://") || l.starts_with(b"https://"));
    urls.take(URLS_MAX).map(|l| String::from_utf8_lossy(l).into_owned()).collect()
}

/// The texts of `<loc>` elements, with or without a prefix other than those of images and videos.
fn locations(body: &[u8]) -> Vec<String> {
    let mut urls = Vec::new();
    let mut rest = body;
    while let Some(at) = memmem::find(rest, b"<loc>") {
        rest = &rest[at + 5..];
        let Some(end) = memmem::find(rest, b"</loc>") else { break };
        let mut text = rest[..end].trim_ascii();
        if let Some(inner) = text.strip_prefix(b"<![CDATA[").and_then(|t| t.strip_suffix(b"]]>")) {
            text = inner.trim_ascii();
        }
        urls.push(decode_entities(&String::from_utf8_lossy(text)).into_owned());
        rest = &rest[end..];
        if urls.len() == URLS_MAX {
            break;
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let check = |body: &[u8], index: bool, urls: &[&str]| {
            let found = parse(body);
            assert_eq!((found.index, &found.urls[..]), (index, &urls.map_to_owned()[..]));
        };
        check(
            b"<?xml?><urlset><url><loc> http://a/?x=1&amp;y=2 </loc></url></urlset>",
            false,
            &["http://a/?x=1&y=2"],
        );
        check(b"<sitemapindex><sitemap><loc><![CDATA[http://a/s]]></loc></sitemap>", true, &["http://a/s"]);
        check(b"http://a/1\r\nnonsense\nhttps://a/2", false, &["http://a/1", "https://a/2"]);
        check(b"<urlset><loc>http://a/1</loc><loc>http://a/2", false, &["http://a/1"]);
        check(b"\xff\x00", false, &[]);
        check(b"", false, &[]);
    }

    trait MapToOwned {
        fn map_to_owned(&self) -> Vec<String>;
    }
    impl MapToOwned for [&str] {
        fn map_to_owned(&self) -> Vec<String> {
            self.iter().map(|&s| s.to_owned()).collect()
        }
    }
}
