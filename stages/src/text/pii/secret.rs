//! Keys and tokens: by the prefix that their issuer gives them, as private key blocks, as signed web tokens, and as a value that
//! is given to a name such as `api_key` and looks drawn by lot.
//!
//! A value of that last sort has 16 characters or more, letters and digits, 3.5 bits of entropy a character, and is neither a
//! UUID nor hexadecimal throughout: a checksum is no secret.

use super::{after, before};
use std::ops::Range;

/// Prefixes with the fewest and the most characters behind them.
#[rustfmt::skip]
const PREFIXES: &[(&str, usize, usize)] = &[
    ("AKIA", 16, 16), ("ASIA", 16, 16), ("ABIA", 16, 16), ("ACCA", 16, 16), ("AIza", 35, 35), ("ya29.", 20, 400), ("GOCSPX-", 20, 40),
    ("ghp_", 36, 251), ("gho_", 36, 251), ("ghu_", 36, 251), ("ghs_", 36, 251), ("ghr_", 36, 251), ("github_pat_", 22, 255),
    ("glpat-", 20, 64), ("xoxb-", 10, 255), ("xoxp-", 10, 255), ("xoxa-", 10, 255), ("xoxr-", 10, 255), ("xoxs-", 10, 255), ("xapp-", 10, 255),
    ("sk-", 20, 255), ("sk_live_", 16, 255), ("sk_test_", 16, 255), ("rk_live_", 16, 255), ("rk_test_", 16, 255), ("pk_live_", 16, 255),
    ("whsec_", 24, 64), ("npm_", 36, 36), ("pypi-", 50, 400), ("hf_", 30, 40), ("SG.", 40, 80), ("dop_v1_", 64, 64), ("shpat_", 32, 32),
    ("shpss_", 32, 32), ("dckr_pat_", 20, 64), ("lin_api_", 32, 64), ("eyJ", 40, 8192),
];
/// What a name ends in that is given a secret, in lower case and without marks.
const NAMES: &[&str] = &[
    "apikey",
    "secret",
    "secretkey",
    "token",
    "password",
    "passwd",
    "accesskey",
    "privatekey",
    "authtoken",
    "clientsecret",
    "passphrase",
    "secretaccesskey",
];
/// Characters of a value that looks drawn by lot, and its bits a character.
const VALUE: Range<usize> = 16..256;
const ENTROPY_MIN: f64 = 3.5;
/// Longest token, and longest block of a private key.
const TOKEN_BYTES_MAX: usize = 8192;
const BLOCK_BYTES_MAX: usize = 16 << 10;

pub(super) fn find(text: &str, runs: &[super::Run]) -> Vec<Range<usize>> {
    let mut found = blocks(text);
    let mut done = 0;
    // All these have digits; what has none is not looked at.
    for run in runs.iter().filter(|run| run.joined) {
        if run.start < done {
            continue;
        }
        let token = token(text, run.start);
        done = token.end;
        if (prefixed(&text[token.clone()]) || assigned(text, &token)) && whole(text, &token) {
            found.push(token);
        }
    }
    found
}

const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+' | b'/')
}

/// The token around a place, without marks at its ends.
fn token(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let head = bytes[..at].iter().rev().take(TOKEN_BYTES_MAX).take_while(|b| is_token(**b)).count();
    let tail = bytes[at..].iter().take(TOKEN_BYTES_MAX).take_while(|b| is_token(**b)).count();
    let shown = &text[at - head..at + tail];
    let marks = ['.', '/', '-', '+'];
    let start = at - head + (shown.len() - shown.trim_start_matches(marks).len());
    start..at + tail - (shown.len() - shown.trim_end_matches(marks).len())
}

fn whole(text: &str, token: &Range<usize>) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !letter(before(text, token.start)) && !letter(after(text, token.end))
}

fn prefixed(token: &str) -> bool {
    PREFIXES.iter().any(|(prefix, least, most)| {
        let Some(rest) = token.strip_prefix(prefix) else { return false };
        let plain = !rest.contains(['/', '+']);
        let shape = match *prefix {
            "AKIA" | "ASIA" | "ABIA" | "ACCA" => {
                rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            }
            // Head, body and signature of a JSON web token.
            "eyJ" => {
                let parts: Vec<&str> = rest.split('.').collect();
                parts.len() == 3 && parts[1].starts_with("eyJ")
            }
            "SG." => rest.split('.').count() == 2,
            "ya29." => true,
            _ => !rest.contains('.'),
        };
        (*least..=*most).contains(&rest.len())
            && plain
            && shape
            && rest.bytes().any(|b| b.is_ascii_digit())
            && entropy(rest) > 2.5
    })
}

/// Whether a name that stands for a secret is given the token.
fn assigned(text: &str, token: &Range<usize>) -> bool {
    let value = &text[token.clone()];
    let hex = value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let mixed = value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic());
    if !VALUE.contains(&value.len()) || hex || !mixed || value.contains("://") {
        return false;
    }
    let head = &text[text.ceil_char_boundary(token.start.saturating_sub(48))..token.start];
    let head = head.trim_end_matches(['"', '\'', '`']).trim_end_matches(' ');
    let Some(head) = head.strip_suffix(['=', ':']) else { return false };
    let head = head.trim_end_matches([' ', ':', '"', '\'', '`']);
    let name: String = head
        .chars()
        .rev()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        .collect();
    let name: String =
        name.chars().rev().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().any(|ending| name.ends_with(ending)) && entropy(value) >= ENTROPY_MIN && !is_path(value)
}

/// Words between marks, as in a path or a name with dots.
fn is_path(value: &str) -> bool {
    let parts: Vec<&str> = value.split(['/', '.', '_', '-']).collect();
    parts.len() > 2
        && parts.iter().filter(|part| part.bytes().all(|b| b.is_ascii_lowercase())).count() * 2 > parts.len()
}

/// Bits a character, by how often each stands there (Shannon 1948).
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let n = value.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum()
}

/// Private keys in PEM form (RFC 7468), from the first line to the last.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in memchr::memmem::find_iter(text.as_bytes(), "-----BEGIN ") {
        let rest = &text[start..text.floor_char_boundary((start + BLOCK_BYTES_MAX).min(text.len()))];
        let label = rest
            .get(11..)
            .and_then(|rest| rest[..rest.floor_char_boundary(64.min(rest.len()))].split("-----").next())
            .unwrap_or_default();
        if !label.ends_with("PRIVATE KEY") || label.len() >= 40 {
            continue;
        }
        let last = format!("-----END {label}-----");
        if let Some(end) = rest.find(&last) {
            found.push(start..start + end + last.len());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text)), text, expected);
    }

    /// Made up for the test, and put together here, so that no scanner of repositories takes them for real.
    fn made(prefix: &str, letters: usize) -> String {
        let body = "q7Zr2Lk9Xw4Tn8Vb3Yd6Hs1Mf5Pg0Jc".repeat(4);
        format!("{prefix}{}", &body[..letters])
    }

    #[test]
    fn tokens_with_the_prefix_of_their_issuer() {
        for (prefix, letters) in [
            ("ghp_", 36),
            ("sk-", 48),
            ("xoxb-", 40),
            ("AIza", 35),
            ("npm_", 36),
            ("glpat-", 20),
            ("sk_live_", 24),
        ] {
            let token = made(prefix, letters);
            check(&format!("use {token}, please"), &[&token]);
            check(&format!("KEY=\"{token}\""), &[&token]);
        }
        let key = format!("{}{}", "AKIA", "Q7ZR2LK9XW4TN8VB");
        check(&format!("id {key}."), &[&key]);
        let web = format!("eyJ{}.eyJ{}.{}", &made("", 30), &made("", 40), &made("", 43));
        check(&format!("Bearer {web}"), &[&web]);
    }

    #[test]
    fn values_given_to_a_name_and_private_keys() {
        let value = made("", 24);
        for name in ["api_key = ", "\"client_secret\": \"", "PASSWORD=", "auth token: "] {
            check(&format!("{name}{value}"), &[&value]);
        }
        let block =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", made("", 64));
        check(&format!("a {block} b"), &[&block]);
    }

    #[test]
    fn what_is_no_secret() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nabc1\n-----END PUBLIC KEY-----",
            "token = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "secret: 550e8400-e29b-41d4-a716-446655440000",
            "password = your_password_goes_here_1",
            "sk-learn-contrib-0.3 and sk-1",
            "AKIA1234",
            "ghp_1",
            "key = q7Zr2Lk9Xw4Tn8Vb3Yd6Hs1M",
            "token: http2/frames/headers/continuation_3",
            "eyJ and eyJhbGciOiJIUzI1NiJ9",
        ] {
            check(text, &[]);
        }
    }
}
