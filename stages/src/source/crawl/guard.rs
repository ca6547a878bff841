//! Keeps a crawl from reaching into the network that it runs in.
//!
//! A name is resolved once, here; addresses that are not public are refused, and the connection goes to the very
//! address that was checked, so a second answer of the name server changes nothing. Hosts written as addresses never
//! reach a resolver and are checked by [`check_literal`] before each request, redirects and robots.txt included.
//!
//! Public is what the IANA special-purpose registries call globally reachable; for IPv6 that is within 2000::/3.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// A host that only leads to addresses which are not public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {ip}, which is not a public address")]
pub(super) struct Private {
    host: String,
    ip: IpAddr,
}

/// Resolves names and refuses private addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    pub(super) allow_private: bool,
}

impl Guard {
    /// Checks a host that is written as an address.
    ///
    /// # Errors
    /// It is not public.
    pub(super) fn check_literal(self, url: &Url) -> Result<(), Private> {
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            _ => return Ok(()),
        };
        if self.allow_private || is_public(ip) {
            return Ok(());
        }
        Err(Private { host: ip.to_string(), ip })
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = |a: &&SocketAddr| guard.allow_private || is_public(a.ip());
            let kept: Vec<SocketAddr> = found.iter().filter(allowed).copied().collect();
            if let (true, Some(first)) = (kept.is_empty(), found.first()) {
                return Err(Private { host: name.as_str().to_owned(), ip: first.ip() }.into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)      // this network, private, loopback, multicast and reserved
            | (100, 64..=127, _)        // carrier-grade NAT
            | (169, 254, _)             // link-local, metadata services
            | (172, 16..=31, _)         // private
            | (192, 0, 0 | 2)           // protocol assignments, documentation
            | (192, 88, 99)             // 6to4 relays
            | (192, 168, _)             // private
            | (198, 18..=19, _)         // benchmarks
            | (198, 51, 100)            // documentation
            | (203, 0, 113) // documentation
    );
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) => v4(g, h),      // mapped
        (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),   // NAT64
        (0x2001, 0..=0x1ff | 0xdb8, ..) => false, // Teredo and other protocols, documentation
        (0x2002, ..) => false,                    // 6to4 can wrap any IPv4 address
        (0x3fff, 0..=0xfff, ..) => false,         // documentation
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let check = |ip: &str, expected: bool| assert_eq!(is_public(ip.parse().unwrap()), expected, "{ip}");
        for public in
            ["1.1.1.1", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            check(public, true);
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "::7f00:1",
        ] {
            check(private, false);
        }
    }

    #[test]
    fn odd_spellings_of_an_address_are_seen_through() {
        let guard = Guard { allow_private: false };
        for url in ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::ffff:7f00:1]/"] {
            assert!(guard.check_literal(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
        assert!(Guard { allow_private: true }.check_literal(&Url::parse("http://127.1/").unwrap()).is_ok());
        assert!(guard.check_literal(&Url::parse("http://localhost/").unwrap()).is_ok());
    }
}
