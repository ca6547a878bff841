//! Servers: network addresses with the hosts behind them.
//!
//! A thousand sites can stand on one machine, and a pause for each of them is no pause for the machine. So hosts are
//! grouped by the address that their name leads to (the lowest of several, so that the order of a name server's answer
//! does not matter; IPv6 by its first 64 bits, which one machine has to itself), and each group has a limit of requests
//! at once and a least time between two of them. Hosts whose turn has come while their server is busy wait in a line.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// The hosts on one address.
struct Server {
    inflight: u64,
    next_at: Instant,
    line: VecDeque<usize>,
    /// The frontier knows when the next host in the line may go on.
    woken: bool,
}

/// All servers.
pub(super) struct Servers {
    all: Vec<Server>,
    by_ip: BTreeMap<IpAddr, usize>,
    connections: u64,
    delay: Duration,
}

impl Servers {
    /// At most `connections` requests at once to a server, and `delay` between the starts of two.
    pub(super) const fn new(connections: u64, delay: Duration) -> Self {
        Self { all: Vec::new(), by_ip: BTreeMap::new(), connections, delay }
    }

    /// The server at an address.
    pub(super) fn at(&mut self, ip: IpAddr, now: Instant) -> usize {
        let at = *self.by_ip.entry(group(ip)).or_insert(self.all.len());
        if at == self.all.len() {
            self.all.push(Server { inflight: 0, next_at: now, line: VecDeque::new(), woken: false });
        }
        at
    }

    /// Whether a request may start.
    pub(super) fn is_free(&self, at: usize, now: Instant) -> bool {
        self.all[at].inflight < self.connections && self.all[at].next_at <= now
    }

    pub(super) fn started(&mut self, at: usize, now: Instant) {
        let server = &mut self.all[at];
        server.inflight += 1;
        server.next_at = now + self.delay;
    }

    pub(super) fn ended(&mut self, at: usize) {
        self.all[at].inflight -= 1;
    }

    /// Puts a host at the end of the line.
    pub(super) fn wait(&mut self, at: usize, host: usize) {
        self.all[at].line.push_back(host);
    }

    /// When the first in the line may go on, told once; `None` while it waits for a request to end.
    pub(super) fn wake_at(&mut self, at: usize) -> Option<Instant> {
        let server = &mut self.all[at];
        if server.woken || server.line.is_empty() || server.inflight >= self.connections {
            return None;
        }
        server.woken = true;
        Some(server.next_at)
    }

    /// Takes the first of the line out, if a request may start.
    pub(super) fn wake(&mut self, at: usize, now: Instant) -> Option<usize> {
        self.all[at].woken = false;
        if self.is_free(at, now) { self.all[at].line.pop_front() } else { None }
    }
}

fn group(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine_are_one_server() {
        let mut servers = Servers::new(1, Duration::ZERO);
        let mut check = |ip: &str, expected: usize| {
            assert_eq!(servers.at(ip.parse().unwrap(), Instant::now()), expected, "{ip}");
        };
        check("192.0.2.1", 0);
        check("192.0.2.2", 1);
        check("::ffff:192.0.2.1", 0);
        check("2001:db8:1:2::1", 2);
        check("2001:db8:1:2:3::9", 2);
        check("2001:db8:1:3::1", 3);
    }

    #[test]
    fn a_busy_server_lets_hosts_wait_in_a_line() {
        let (now, delay) = (Instant::now(), Duration::from_secs(1));
        let mut servers = Servers::new(2, delay);
        let at = servers.at("192.0.2.1".parse().unwrap(), now);
        assert!(servers.is_free(at, now));
        servers.started(at, now);
        assert!(!servers.is_free(at, now), "the pause");
        servers.wait(at, 7);
        servers.wait(at, 8);
        assert_eq!(servers.wake_at(at), Some(now + delay));
        assert_eq!(servers.wake_at(at), None, "told once");
        assert_eq!(servers.wake(at, now), None, "too early");
        assert_eq!(servers.wake(at, now + delay), Some(7));
        servers.started(at, now + delay);
        assert_eq!(servers.wake_at(at), None, "two at once");
        assert_eq!(servers.wake(at, now + delay * 9), None);
        servers.ended(at);
        assert_eq!(servers.wake_at(at), Some(now + delay * 2));
        assert_eq!(servers.wake(at, now + delay * 2), Some(8));
        assert_eq!(servers.wake_at(at), None, "nobody is left");
    }
}
