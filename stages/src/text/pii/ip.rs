//! IP addresses: four octets without leading zeros, or eight groups of hexadecimal digits as RFC 4291 shortens them.
//!
//! Addresses of the IANA special-purpose registries (private, loopback, link-local, documentation, multicast, reserved) name no
//! one, so they stay unless asked for. Small numbers (the first and two more below 32) are an address only beside a word such as "ip": elsewhere
//! they are a section or a version.

use super::{after, before, context_after, context_before, says};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

const CUES: &[&str] = &[
    "ip",
    "ips",
    "ipv4",
    "address",
    "addr",
    "host",
    "server",
    "ping",
    "dns",
    "gateway",
    "subnet",
    "nameserver",
    "from",
];
const VERSION_CUES: &[&str] = &[
    "version", "versions", "ver", "v", "release", "build", "section", "firmware", "chapter", "rev", "§", "§§",
];
const CUE_BYTES: usize = 24;

pub(super) fn find(text: &str, runs: &[super::Run], local: bool) -> Vec<Range<usize>> {
    let mut found = v4(text, runs, local);
    if text.contains(':') {
        found.extend(v6(text, local));
    }
    found
}

fn v4(text: &str, runs: &[super::Run], local: bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in runs.iter().map(|run| run.start) {
        let bytes = text.as_bytes();
        // Most numbers have no dot within three digits.
        if !bytes[start..].iter().take(4).any(|b| *b == b'.') {
            continue;
        }
        if before(text, start).is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            continue;
        }
        let end =
            start + bytes[start..].iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let shown = text[start..end].trim_end_matches('.');
        let end = start + shown.len();
        let Ok(address) = shown.parse::<Ipv4Addr>() else { continue };
        let more = match after(text, end) {
            Some('.') => after(text, end + 1).is_some_and(|c| c.is_ascii_digit()),
            Some(c) => c.is_alphanumeric() || c == '_',
            None => false,
        };
        if !more && (local || is_public_v4(address)) && is_meant(text, start, end, address) {
            found.push(start..end);
        }
    }
    found
}

/// Whether the words around do not make a version or a section of it.
fn is_meant(text: &str, start: usize, end: usize, address: Ipv4Addr) -> bool {
    let context = context_before(text, start, CUE_BYTES);
    let last = context.trim_end_matches([' ', ':', '=', '(']);
    if VERSION_CUES.iter().any(|cue| super::says_at(last, cue) == Some(last.len())) {
        return false;
    }
    let small = address.octets()[0] < 32 && address.octets().iter().filter(|octet| **octet < 32).count() >= 3;
    let address_like =
        matches!(after(text, end), Some(':' | '/')) || context.ends_with("://") || context.ends_with('@');
    !small
        || address_like
        || says(&context, CUES)
        || says(&context_after(text, end, CUE_BYTES), &["ip", "address"])
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn v6(text: &str, local: bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut seen = 0;
    for colon in memchr::memchr_iter(b':', bytes) {
        if colon < seen {
            continue;
        }
        let start =
            colon - bytes[seen..colon].iter().rev().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
        let end = colon + bytes[colon..].iter().take(46).take_while(|b| part(b)).count();
        seen = end;
        let shown = text[start..end].trim_end_matches(['.', ':']);
        // A trailing "::" is part of the address, a single colon of the sentence.
        let shown = if text[start + shown.len()..end].starts_with("::") {
            &text[start..start + shown.len() + 2]
        } else {
            shown
        };
        let end = start + shown.len();
        let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':'));
        if shown.len() < 3 || !edge(before(text, start)) || !edge(after(text, end)) {
            continue;
        }
        let Ok(address) = shown.parse::<Ipv6Addr>() else { continue };
        if is_no_path(shown) && (local || is_public_v6(address)) {
            found.push(start..end);
        }
    }
    found
}

/// `add::bad` is a path in code: an address shortened by `::` has a digit and at least three groups.
fn is_no_path(shown: &str) -> bool {
    let groups = shown.split(':').filter(|group| !group.is_empty());
    !shown.contains("::") || groups.count() >= 3 && shown.bytes().any(|b| b.is_ascii_digit())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [a, b, ..] = address.segments();
    let special = matches!(a, 0..=0xff | 0x100 | 0x3fff | 0xfc00..=0xffff) && !(a == 0x64 && b == 0xff9b)
        || a == 0x2001 && (b < 0x200 || b == 0xdb8)
        || a == 0x64 && b == 0xff9b && address.segments()[2] == 1;
    !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text), false), text, expected);
    }

    #[test]
    fn addresses() {
        check(
            "from 86.121.97.248, 41.173.96.26:80 and 52.91.2.133.",
            &["86.121.97.248", "41.173.96.26", "52.91.2.133"],
        );
        check("|106.31.73.20|", &["106.31.73.20"]);
        check("server 8.8.8.8", &["8.8.8.8"]);
        check("[2a00:1450:4001:81b::200e]:443", &["2a00:1450:4001:81b::200e"]);
        check("6e40:4041:c617:e898:c11:40d2:c669:2eb4", &["6e40:4041:c617:e898:c11:40d2:c669:2eb4"]);
        check("2a00:1450:4001:: is a prefix", &["2a00:1450:4001::"]);
    }

    #[test]
    fn what_is_no_address_or_stays() {
        for text in [
            "999.1.1.1",
            "86.121.97.248.5",
            "v86.121.97.248",
            "086.121.97.248",
            "version 86.121.97.248",
            "section 3.2.1.1",
            "3.2.1.1",
            "3.3.9.45",
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.5.4",
            "192.0.2.7",
            "198.51.100.9",
            "203.0.113.5",
            "224.0.0.1",
            "::1",
            "fe80::1:2:3",
            "2001:db8::8a2e:370:7334",
            "fd00::1:2:3",
            "add::bad",
            "std::fmt::Add",
            "12:34:56",
            "00:1a:2b:3c:4d:5e",
            "a::b::c",
            "1.2.3",
            "::",
            "::2",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn special_addresses_by_switch() {
        let text = "192.168.0.1 and 2001:db8::8a2e:370:7334";
        super::super::check_found(
            find(text, &super::super::runs(text), true),
            text,
            &["192.168.0.1", "2001:db8::8a2e:370:7334"],
        );
    }
}
