//! Undoes `Content-Encoding` within bounds, so that a small answer cannot become a huge one.

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::borrow::Cow;
use std::io::{self, Read};

/// How large a body may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes after decompression.
    pub(super) bytes_max: u64,
    /// Most bytes after decompression for one before.
    pub(super) ratio_max: u64,
}

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// An encoding that was not asked for and is not known.
    Unknown,
    /// The stream is damaged or ends early.
    Stream,
    /// It grows beyond the bounds.
    TooLarge,
}

/// A body as far as it could be decoded, and what was wrong.
pub(super) type Decoded<'a> = (Cow<'a, [u8]>, Option<Broken>);

/// Undoes the encodings of a header value, the last one first.
pub(super) fn decode<'a>(body: &'a [u8], encodings: &str, bounds: Bounds) -> Decoded<'a> {
    let most = bounds.bytes_max.min(bounds.ratio_max.saturating_mul(body.len() as u64)).max(64 << 10);
    let mut decoded = Cow::Borrowed(body);
    // Two layers are odd, more are an attack.
    for name in encodings.rsplit(',').map(str::trim).filter(|n| !n.is_empty()).take(2) {
        let lower = name.to_ascii_lowercase();
        let (bytes, broken) = match lower.as_str() {
            "identity" | "none" | "utf-8" => continue,
            "gzip" | "x-gzip" if !decoded.starts_with(&[0x1f, 0x8b]) => continue, // Said, and not done.
            "gzip" | "x-gzip" => bounded(MultiGzDecoder::new(&decoded[..]), most),
            // RFC 9110 means zlib; some servers send bare deflate.
            "deflate" if decoded.first().is_some_and(|b| b & 0x0f == 8) => {
                bounded(ZlibDecoder::new(&decoded[..]), most)
            }
            "deflate" => bounded(DeflateDecoder::new(&decoded[..]), most),
            _ => return (decoded, Some(Broken::Unknown)),
        };
        decoded = Cow::Owned(bytes);
        if broken.is_some() {
            return (decoded, broken);
        }
    }
    (decoded, None)
}

/// Reads at most `most` bytes; what was read before an error is kept.
pub(super) fn bounded(reader: impl Read, most: u64) -> (Vec<u8>, Option<Broken>) {
    let mut out = Vec::new();
    let result: io::Result<usize> = reader.take(most + 1).read_to_end(&mut out);
    let broken = match result {
        Err(_) => Some(Broken::Stream),
        Ok(_) if out.len() as u64 > most => Some(Broken::TooLarge),
        Ok(_) => None,
    };
    out.truncate(most as usize);
    (out, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, ratio_max: 100 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_decoded_within_bounds() {
        let check = |body: &[u8], encodings: &str, expected: &[u8], broken: Option<Broken>| {
            let (found, why) = decode(body, encodings, BOUNDS);
            assert_eq!((&found[..], why), (expected, broken), "{encodings}");
        };
        check(b"x", "", b"x", None);
        check(b"x", "identity", b"x", None);
        check(&gzip(b"x"), "GZIP", b"x", None);
        check(&gzip(&gzip(b"x")), "gzip, gzip", b"x", None);
        check(&[gzip(b"x"), gzip(b"y")].concat(), "gzip", b"xy", None);
        check(b"plain", "gzip", b"plain", None);
        check(b"x", "br", b"x", Some(Broken::Unknown));
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        let (found, why) = decode(&bomb, "gzip", BOUNDS);
        assert_eq!((found.len(), why), (1 << 20, Some(Broken::TooLarge)));
        let whole = gzip(b"a longer text that is cut");
        assert_eq!(decode(&whole[..whole.len() - 9], "gzip", BOUNDS).1, Some(Broken::Stream));
    }
}
