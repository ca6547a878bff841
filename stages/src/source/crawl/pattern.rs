//! Patterns over paths as robots.txt has them: a prefix, `*` for any run of bytes, `$` at the end for the end.
//!
//! The settings of a scope use the same patterns, so there is one thing to learn. Matching is leftmost-greedy over the
//! pieces between stars: linear in path times pieces, with no back-tracking for a hostile pattern to exploit.
//!
//! ```text
//! /fish*.php$  matches  /fish/salmon.php  and not  /fish.php?a
//! ```

use memchr::memmem;

/// Whether `pattern` matches from the start of `path`.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, anchored) = match pattern.strip_suffix(b"$") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split(|&b| b == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut last: Option<&[u8]> = None;
    for piece in pieces {
        if let Some(earlier) = last.replace(piece) {
            match memmem::find(rest, earlier) {
                Some(at) => rest = &rest[at + earlier.len()..],
                None => return false,
            }
        }
    }
    match (last, anchored) {
        (None, false) => true,
        (None, true) => rest.is_empty(),
        (Some(piece), false) => memmem::find(rest, piece).is_some(),
        (Some(piece), true) => rest.ends_with(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_star_and_end() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} on {path}");
        };
        check("", "/", true);
        check("/a", "/ab", true);
        check("/a$", "/ab", false);
        check("/a$", "/a", true);
        check("/*.php$", "/a.php.php", true);
        check("/*.php$", "/a.php5", false);
        check("/a*b*c", "/a-b-b-c", true);
        check("/a*b*c", "/a-c-b", false);
        check("/a**b", "/aab", true);
        check("/ab*ba$", "/aba", false);
        check("/a$b", "/a$bc", true);
        check("*", "/x", true);
        check("*$", "/x", true);
        check("$", "/", false);
        check("/*", "", false);
    }
}
