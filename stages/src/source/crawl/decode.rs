//! Undoes `Content-Encoding` within bounds, so that a small answer cannot become a huge one.

use crate::source::coding::{Coding, decoder};
use std::borrow::Cow;
use std::io::{self, Read};

/// Most layers undone: two are odd, more are an attack.
const CODINGS_MAX: usize = 2;

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
    /// An encoding that is not known, or too many of them.
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
    for (at, name) in encodings.rsplit(',').filter(|name| !name.trim().is_empty()).enumerate() {
        if at >= CODINGS_MAX {
            return (decoded, Some(Broken::Unknown));
        }
        let result = match decoder(name, &decoded) {
            Coding::Plain => continue,
            Coding::Reader(reader) => Some(bounded(reader, most)),
            Coding::Unknown => None,
        };
        let Some((bytes, broken)) = result else { return (decoded, Some(Broken::Unknown)) };
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
    use crate::source::coding::encode::{brotli, gzip, zstd};

    const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, ratio_max: 100 };

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
        check(&brotli(&zstd(b"x")), "zstd, br", b"x", None);
        check(b"x", "compress", b"x", Some(Broken::Unknown));
        check(&gzip(b"x"), "gzip, gzip, gzip", b"x", Some(Broken::Unknown));
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        let (found, why) = decode(&bomb, "gzip", BOUNDS);
        assert_eq!((found.len(), why), (1 << 20, Some(Broken::TooLarge)));
        let whole = gzip(b"a longer text that is cut");
        assert_eq!(decode(&whole[..whole.len() - 9], "gzip", BOUNDS).1, Some(Broken::Stream));
    }
}
