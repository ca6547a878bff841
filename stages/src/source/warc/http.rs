//! Reads an HTTP response as archives hold it and undoes what was done for the way (RFC 9110, 9112).
//!
//! Archives hold responses that browsers would show and standards would refuse: bare line feeds, a `chunked` that was
//! undone already, a `gzip` that never was. So a coding is undone where the bytes bear it out and passed over where the
//! first of them does not; what can be read of a body that breaks off is kept.
//!
//! ```text
//! HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎5⏎hello⏎0⏎⏎   →   200, body "hello"
//! ```

use super::read::Headers;
use crate::source::coding::{Coding, decoder};
use schemas::source::DOCUMENT_BYTES_MAX;
use std::io::{self, Read};

/// Most bytes out for a byte in, asked from the first MiB on (the crawler's limit, too).
const RATIO_MAX: usize = 100;
const RATIO_FROM_BYTES: usize = 1 << 20;
/// Most content codings undone.
const CODINGS_MAX: usize = 4;

/// A response with its body decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields as sent.
    pub headers: Headers,
    /// Body without transfer and content codings.
    pub body: Vec<u8>,
}

/// Why a response cannot be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HttpFault {
    /// No status line.
    BadHttp,
    /// A content coding that is not known, or too many of them.
    UnsupportedEncoding,
    /// The body is longer than a document may be, or more than 100 times what was sent; the value is its length so far.
    TooLarge(usize),
}

/// Reads a response.
///
/// # Errors
/// With the head, where that could be read.
pub fn response(block: &[u8]) -> Result<Response, (HttpFault, Option<Response>)> {
    let (status, headers, body) = head(block).ok_or((HttpFault::BadHttp, None))?;
    let response = |body: Vec<u8>| Response { status, headers: headers.clone(), body };
    let chunked =
        headers.get("Transfer-Encoding").is_some_and(|t| t.to_ascii_lowercase().contains("chunked"));
    let body = if chunked { dechunked(body) } else { body.to_vec() };
    match decoded(body, headers.get("Content-Encoding").unwrap_or_default()) {
        Ok(body) => Ok(response(body)),
        Err((fault, body)) => Err((fault, Some(response(body)))),
    }
}

fn head(block: &[u8]) -> Option<(u16, Headers, &[u8])> {
    let mut rest = block;
    let first = next_line(&mut rest);
    let mut words = std::str::from_utf8(first.get(..first.len().min(64))?).ok()?.split_ascii_whitespace();
    // `ICY 200 OK` is what early streaming servers say.
    let protocol = words.next().filter(|w| w.to_ascii_uppercase().starts_with("HTTP") || *w == "ICY");
    protocol?;
    let status = words.next()?.parse().ok().filter(|status| (100..1000).contains(status))?;
    let mut headers = Headers::default();
    while !rest.is_empty() {
        let line = next_line(&mut rest);
        if line.is_empty() {
            break;
        }
        headers.add(line);
    }
    Some((status, headers, rest))
}

fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\n', rest);
    let line = &rest[..end.unwrap_or(rest.len())];
    *rest = &rest[end.map_or(rest.len(), |at| at + 1)..];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Undoes chunked transfer. A body whose first line is no chunk size was undone before it was archived.
fn dechunked(body: &[u8]) -> Vec<u8> {
    let mut rest = body;
    let mut out = Vec::with_capacity(body.len());
    while !rest.is_empty() {
        let before = rest;
        let Some(size) = chunk_size(next_line(&mut rest)) else {
            // A chunk of wrong length: the bytes themselves are better than nothing.
            out.extend_from_slice(before);
            break;
        };
        if size == 0 {
            break;
        }
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.strip_prefix(b"\n")).unwrap_or(behind);
    }
    out
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii();
    let valid = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| valid)?;
    usize::from_str_radix(text, 16).ok()
}

/// Undoes the content codings, the last one first.
fn decoded(mut body: Vec<u8>, codings: &str) -> Result<Vec<u8>, (HttpFault, Vec<u8>)> {
    let sent = body.len();
    for (at, coding) in codings.rsplit(',').filter(|name| !name.trim().is_empty()).enumerate() {
        if body.is_empty() {
            break;
        }
        if at >= CODINGS_MAX {
            return Err((HttpFault::UnsupportedEncoding, body));
        }
        let result = match decoder(coding, &body) {
            Coding::Plain => continue,
            Coding::Reader(reader) => Some(bounded(reader, sent)),
            Coding::Unknown => None,
        };
        let Some(result) = result else { return Err((HttpFault::UnsupportedEncoding, body)) };
        match result {
            // Not one byte came out: it was not coded at all.
            Ok(out) if out.is_empty() => {}
            Ok(out) => body = out,
            Err(out) => return Err((HttpFault::TooLarge(out.len()), out)),
        }
    }
    Ok(body)
}

/// Reads to the end or to where the coding breaks; what came before the limit, when there is more.
fn bounded(decoder: impl Read, sent: usize) -> Result<Vec<u8>, Vec<u8>> {
    let limit = DOCUMENT_BYTES_MAX.min((sent * RATIO_MAX).max(RATIO_FROM_BYTES));
    let mut out = Vec::new();
    let mut decoder = decoder.take(limit as u64 + 1);
    let mut buffer = [0; 16 << 10];
    loop {
        match decoder.read(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(n) => out.extend_from_slice(&buffer[..n]),
        }
    }
    if out.len() > limit { Err(out) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::coding::encode::{brotli, deflate, gzip, zlib, zstd};

    fn check(head: &str, body: &[u8], expected: Result<&[u8], HttpFault>) {
        let block = [head.as_bytes(), b"\r\n\r\n", body].concat();
        let found = response(&block).map(|r| r.body).map_err(|(fault, _)| fault);
        assert_eq!(found, expected.map(<[u8]>::to_vec), "{head}");
    }

    #[test]
    fn chunks_are_undone_where_there_are_chunks() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
        check(head, b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", Ok(b"hello world"));
        check(head, b"<p>not chunked", Ok(b"<p>not chunked"));
        check(head, b"5\r\nhel", Ok(b"hel"));
        check(head, b"2\r\nhello\r\n0\r\n", Ok(b"hello\r\n0\r\n"));
        check(head, b"ffffffffffffffffff\r\nx", Ok(b"ffffffffffffffffff\r\nx"));
        check(head, b"", Ok(b""));
    }

    #[test]
    fn codings_are_undone_where_the_bytes_bear_them_out() {
        let page = b"<p>page</p>".repeat(9);
        let with = |coding: &str| format!("HTTP/1.1 200 OK\nContent-Encoding: {coding}");
        check(&with("gzip"), &gzip(&page), Ok(&page));
        check(&with("GZIP, identity"), &gzip(&page), Ok(&page));
        check(&with("gzip, gzip"), &gzip(&gzip(&page)), Ok(&page));
        check(&with("gzip"), &page, Ok(&page));
        check(&with("deflate"), &zlib(&page), Ok(&page));
        check(&with("deflate"), &deflate(&page), Ok(&page));
        check(&with("zstd"), &zstd(&page), Ok(&page));
        check(&with("br"), b"\x0b\x02\x80hello\x03", Ok(b"hello"));
        check(&with("br"), &brotli(&page), Ok(&page));
        check(&with("gzip, gzip, gzip, gzip, gzip"), &gzip(&page), Err(HttpFault::UnsupportedEncoding));
        check(&with("dcb"), b"x", Err(HttpFault::UnsupportedEncoding));
    }

    #[test]
    fn a_broken_body_is_kept_as_far_as_it_goes() {
        let noise: Vec<u8> = (0..9000_u64).map(|n| (schemas::hash::seed(n, "", 0) >> 56) as u8).collect();
        let whole = gzip(&noise);
        let block =
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", &whole[..whole.len() / 2]].concat();
        let body = response(&block).unwrap().body;
        assert!(body.len() > 2000 && noise.starts_with(&body), "{} bytes", body.len());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 8 << 20]);
        let sent = bomb.len();
        check(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip",
            &bomb,
            Err(HttpFault::TooLarge((sent * 100).max(1 << 20) + 1)),
        );
    }

    #[test]
    fn heads_that_servers_send() {
        for (block, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Some(200)),
            ("HTTP/2 404\r\n\r\n", Some(404)),
            ("http/1.0 301\n\n", Some(301)),
            ("ICY 200 OK\n\n", Some(200)),
            ("HTTP/1.1 OK\r\n\r\n", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(response(block.as_bytes()).ok().map(|r| r.status), expected, "{block}");
        }
    }
}
