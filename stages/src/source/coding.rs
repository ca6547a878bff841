//! The content codings of HTTP (RFC 9110 section 8.4.1, RFC 7932, RFC 8878), by name and by what the bytes bear out.
//!
//! Servers and archives name codings that were never done, or were undone on the way. gzip and Zstandard begin with a
//! mark of their own, so a body without it is taken as it is.
//!
//! ```text
//! gzip  1f 8b …      →  reader        gzip  <html>  →  plain
//! br    …            →  reader        dcb   …       →  unknown
//! ```

use super::open::{GZIP, ZSTD};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// Buffer of the brotli decoder.
const BROTLI_BYTES: usize = 4096;

/// What undoes a coding.
pub enum Coding<'a> {
    /// The body is not coded.
    Plain,
    /// Gives the decoded body.
    Reader(Box<dyn Read + 'a>),
    /// No known coding has that name.
    Unknown,
}

/// Finds what undoes one coding of a body; the name in any case.
pub fn decoder<'a>(name: &str, body: &'a [u8]) -> Coding<'a> {
    match name.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" if body.starts_with(GZIP) => Coding::Reader(Box::new(MultiGzDecoder::new(body))),
        "deflate" if is_zlib(body) => Coding::Reader(Box::new(ZlibDecoder::new(body))),
        // What RFC 9110 calls deflate has a zlib head, what many servers send has none.
        "deflate" => Coding::Reader(Box::new(DeflateDecoder::new(body))),
        "br" => Coding::Reader(Box::new(brotli_decompressor::Decompressor::new(body, BROTLI_BYTES))),
        "zstd" if body.starts_with(ZSTD) => {
            zstd::Decoder::new(body).map_or(Coding::Unknown, |decoder| Coding::Reader(Box::new(decoder)))
        }
        "" | "identity" | "none" | "utf-8" | "gzip" | "x-gzip" | "zstd" => Coding::Plain,
        _ => Coding::Unknown,
    }
}

/// RFC 1950: compression method 8, and the first two bytes are a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    body.len() >= 2 && body[0] & 0x0f == 8 && u16::from_be_bytes([body[0], body[1]]).is_multiple_of(31)
}

/// Encoders for tests.
#[cfg(test)]
pub(crate) mod encode {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// Brotli's uncompressed meta-blocks of at most 64 KiB: window bits `0`, then per block ISLAST = 0, MNIBBLES = 4,
    /// MLEN - 1 and ISUNCOMPRESSED = 1, at the end an empty last block (RFC 7932 section 9.2).
    pub(crate) fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut first = true;
        for block in bytes.chunks(1 << 16) {
            let length = block.len() as u32 - 1;
            // Bits from the lowest: window (first block only), ISLAST, two of MNIBBLES, sixteen of MLEN, ISUNCOMPRESSED.
            let head = (length << 3) | (1 << 19);
            let bits = if first { head << 1 } else { head };
            out.extend_from_slice(&bits.to_le_bytes()[..3]);
            out.extend_from_slice(block);
            first = false;
        }
        out.push(if first { 0b110 } else { 0b11 });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coding_is_undone() {
        let check = |name: &str, body: &[u8], expected: Option<&[u8]>| {
            let mut out = Vec::new();
            match decoder(name, body) {
                Coding::Plain => out.extend_from_slice(body),
                Coding::Reader(mut reader) => drop(reader.read_to_end(&mut out).unwrap()),
                Coding::Unknown => assert_eq!(expected, None, "{name}"),
            }
            assert_eq!(out, expected.unwrap_or_default(), "{name}");
        };
        for page in [b"".to_vec(), b"<p>page".to_vec(), b"<p>page ".repeat(20_000)] {
            check("gzip", &encode::gzip(&page), Some(&page));
            check(" X-GZip", &encode::gzip(&page), Some(&page));
            check("deflate", &encode::zlib(&page), Some(&page));
            check("deflate", &encode::deflate(&page), Some(&page));
            check("zstd", &encode::zstd(&page), Some(&page));
            check("br", &encode::brotli(&page), Some(&page));
            check("Identity", &page, Some(&page));
        }
        check("gzip", b"plain", Some(b"plain"));
        check("zstd", b"plain", Some(b"plain"));
        check("dcb", b"x", None);
        check("compress", b"x", None);
    }
}
