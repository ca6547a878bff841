//! What is known and not yet fetched: a queue per host, hosts in the order in which they may be asked.
//!
//! A host is in the heap at most once, with the time at which its next request may start, or in the line of its server
//! while that is busy (see `server`). Each host's addresses are taken in the order of their discovery (breadth first),
//! repetitions and redirect targets before others.

use super::address;
use super::opt_out::{OptOutFile, SiteOptOuts};
use super::politeness::Pace;
use super::robots::Robots;
use super::server::Servers;
use super::settings::Settings;
use schemas::hash::{FastMap, FastSet};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// How long a robots.txt is believed (RFC 9309 section 2.4).
const ROBOTS_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What an address is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Page,
    /// A sitemap; `level` counts the indexes above it.
    Sitemap {
        level: u8,
    },
}

/// An address to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) url: Box<str>,
    pub(super) what: What,
    pub(super) depth: u64,
    pub(super) redirects: u64,
    pub(super) attempts: u32,
}

/// What robots.txt says of a host.
#[derive(Debug)]
pub(super) enum Access {
    Unknown,
    Asking,
    Known(Arc<Robots>, Instant),
    /// Unreachable robots.txt or a host that was given up: nothing more is fetched.
    Closed,
}

/// A host: scheme, name and port.
pub(super) struct Host {
    pub(super) origin: Box<str>,
    pub(super) access: Access,
    pub(super) pace: Pace,
    pub(super) pages: u64,
    /// Page requests under way.
    pub(super) pages_asked: u64,
    pub(super) robots_attempts: u32,
    pub(super) sitemap_urls: u64,
    pub(super) sitemaps: u64,
    pub(super) sitemaps_asked: bool,
    /// What the files say in which the site opts out.
    pub(super) opt_outs: Arc<SiteOptOuts>,
    /// How many of [`OptOutFile::ALL`] are answered.
    pub(super) opt_outs_answered: usize,
    pub(super) opt_out_attempts: u32,
    /// One of them is asked for: no page is, before it is answered.
    pub(super) opt_out_asking: bool,
    queue: VecDeque<Entry>,
    inflight: u64,
    /// It is in the heap or in the line of its server.
    queued: bool,
    /// Where its name leads, once that is known.
    server: Option<usize>,
    resolved: bool,
    /// Its host is a name, not an address.
    named: bool,
}

/// What the heap holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Host(usize),
    /// The first host in the line of a server.
    Server(usize),
}

/// What to do next.
pub(super) enum Next {
    /// Find the address of a host.
    Resolve(usize),
    Robots(usize),
    OptOut(usize, OptOutFile),
    Fetch(usize, Entry),
    Wait(Instant),
    Idle,
}

/// All hosts with their queues.
pub(super) struct Frontier {
    settings: Arc<Settings>,
    hosts: Vec<Host>,
    by_origin: FastMap<Box<str>, usize>,
    servers: Servers,
    heap: BinaryHeap<Reverse<(Instant, u64, Turn)>>,
    seen: FastSet<u128>,
    turn: u64,
    waiting: usize,
}

impl Frontier {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let config = &settings.config;
        let connections = config.ip_connections.max(config.host_connections);
        // Without a pause for a host there is none for its server.
        let delay = if config.delay_ms == 0 { 0 } else { config.ip_delay_ms };
        Self {
            servers: Servers::new(connections, Duration::from_millis(delay)),
            settings,
            hosts: Vec::new(),
            by_origin: FastMap::default(),
            heap: BinaryHeap::new(),
            seen: FastSet::default(),
            turn: 0,
            waiting: 0,
        }
    }

    /// Remembers an address; false when it is known already.
    pub(super) fn learn(&mut self, url: &str) -> bool {
        self.seen.insert(address::key(url))
    }

    /// Remembers addresses by their keys.
    pub(super) fn learn_keys(&mut self, keys: FastSet<u128>) {
        self.seen.extend(keys);
    }

    pub(super) fn is_known(&self, url: &str) -> bool {
        self.seen.contains(&address::key(url))
    }

    pub(super) fn known(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Addresses that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn host(&mut self, at: usize) -> &mut Host {
        &mut self.hosts[at]
    }

    /// The host of an address.
    pub(super) fn host_of(&mut self, url: &Url, now: Instant) -> usize {
        let origin = address::origin(url);
        if let Some(&at) = self.by_origin.get(origin) {
            return at;
        }
        let at = self.hosts.len();
        let ip = match url.host() {
            Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        self.hosts.push(Host {
            origin: origin.into(),
            access: Access::Unknown,
            pace: Pace::new(now),
            pages: 0,
            pages_asked: 0,
            robots_attempts: 0,
            sitemap_urls: 0,
            sitemaps: 0,
            sitemaps_asked: false,
            opt_outs: Arc::default(),
            opt_outs_answered: 0,
            opt_out_attempts: 0,
            opt_out_asking: false,
            queue: VecDeque::new(),
            inflight: 0,
            queued: false,
            server: ip.map(|ip| self.servers.at(ip, now)),
            resolved: ip.is_some(),
            named: ip.is_none(),
        });
        self.by_origin.insert(origin.into(), at);
        at
    }

    pub(super) fn push(&mut self, host: usize, entry: Entry) {
        self.hosts[host].queue.push_back(entry);
        self.waiting += 1;
        self.offer(host);
    }

    pub(super) fn push_first(&mut self, host: usize, entry: Entry) {
        self.hosts[host].queue.push_front(entry);
        self.waiting += 1;
        self.offer(host);
    }

    /// Takes everything that waits for a host out.
    pub(super) fn drain(&mut self, host: usize) -> VecDeque<Entry> {
        let entries = std::mem::take(&mut self.hosts[host].queue);
        self.waiting -= entries.len();
        entries
    }

    /// A request to the host has ended; its pace has been told.
    pub(super) fn ended(&mut self, host: usize) {
        self.hosts[host].inflight -= 1;
        if let Some(server) = self.hosts[host].server {
            self.servers.ended(server);
            self.offer_server(server);
        }
        self.offer(host);
    }

    /// The address of a host was looked for; without one it is asked all the same, and fails with a reason.
    pub(super) fn resolved(&mut self, index: usize, ip: Option<IpAddr>, now: Instant) {
        let server = ip.map(|ip| self.servers.at(ip, now));
        let host = &mut self.hosts[index];
        host.inflight -= 1;
        host.resolved = true;
        // Requests under way are counted where they were sent to.
        if host.inflight == 0 {
            host.server = server;
        }
        if matches!(host.access, Access::Asking) {
            host.access = Access::Unknown;
        }
        self.offer(index);
    }

    /// The next request that may start, which then counts as under way.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while let Some(&Reverse((at, _, turn))) = self.heap.peek() {
            if at > now {
                return Next::Wait(at);
            }
            self.heap.pop();
            let (host, server) = match turn {
                Turn::Host(host) => (Some(host), None),
                Turn::Server(server) => (self.servers.wake(server, now), Some(server)),
            };
            let next = host.and_then(|host| {
                self.hosts[host].queued = false;
                self.start(host, now)
            });
            if let Some(server) = server {
                self.offer_server(server);
            }
            if let Some(next) = next {
                return next;
            }
        }
        Next::Idle
    }

    /// Starts the next request of a host whose turn has come, unless it has to wait on.
    fn start(&mut self, index: usize, now: Instant) -> Option<Next> {
        // Since it was offered the host may have been slowed down, closed or emptied.
        if !self.is_free(index) {
            return None;
        }
        if self.hosts[index].pace.next_at > now {
            self.offer(index);
            return None;
        }
        let host = &mut self.hosts[index];
        let stale = match &host.access {
            Access::Unknown => true,
            Access::Known(_, asked) => now.duration_since(*asked) > ROBOTS_AGE_MAX,
            Access::Asking | Access::Closed => false,
        };
        if stale && !host.resolved {
            host.inflight += 1;
            host.access = Access::Asking;
            return Some(Next::Resolve(index));
        }
        if let Some(server) = host.server {
            if !self.servers.is_free(server, now) {
                host.queued = true;
                self.servers.wait(server, index);
                self.offer_server(server);
                return None;
            }
            self.servers.started(server, now);
        }
        host.inflight += 1;
        if stale {
            host.access = Access::Asking;
            host.opt_outs_answered = 0;
            // With the next robots.txt the address is looked for again.
            host.resolved = !host.named;
            return Some(Next::Robots(index));
        }
        if self.settings.config.opt_out_files && host.opt_outs_answered < OptOutFile::ALL.len() {
            host.opt_out_asking = true;
            return Some(Next::OptOut(index, OptOutFile::ALL[host.opt_outs_answered]));
        }
        let entry = host.queue.pop_front().expect("a free host has an address that waits");
        self.waiting -= 1;
        self.offer(index);
        Some(Next::Fetch(index, entry))
    }

    fn offer(&mut self, index: usize) {
        if self.hosts[index].queued || !self.is_free(index) {
            return;
        }
        self.turn += 1;
        let host = &mut self.hosts[index];
        host.queued = true;
        self.heap.push(Reverse((host.pace.next_at, self.turn, Turn::Host(index))));
    }

    fn offer_server(&mut self, server: usize) {
        if let Some(at) = self.servers.wake_at(server) {
            self.turn += 1;
            self.heap.push(Reverse((at, self.turn, Turn::Server(server))));
        }
    }

    fn is_free(&self, index: usize) -> bool {
        let host = &self.hosts[index];
        let connections = match host.access {
            Access::Asking | Access::Closed => 0,
            Access::Unknown => 1,
            Access::Known(..) if host.opt_out_asking => 0,
            Access::Known(..) if host.pace.pause(&self.settings).is_zero() => {
                self.settings.config.host_connections
            }
            Access::Known(..) => 1,
        };
        // Pages under way may turn out to be none: only those that came use the budget up, the others are waited for.
        let budget = self.settings.config.pages_per_host_max;
        let undecided = host.pages < budget && host.pages + host.pages_asked >= budget;
        !host.queue.is_empty() && host.inflight < connections && !undecided
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn frontier(delay_ms: u64, host_connections: u64) -> Frontier {
        let config = Config {
            seeds: vec!["http://a/".into()],
            user_agent: "mill https://a".into(),
            delay_ms,
            host_connections,
            opt_out_files: false,
            ..Config::default()
        };
        Frontier::new(Arc::new(Settings::new(config).map_err(|e| format!("{e:?}")).unwrap()))
    }

    fn fill(frontier: &mut Frontier, urls: &[&str], now: Instant) {
        for url in urls {
            let host = frontier.host_of(&Url::parse(url).unwrap(), now);
            let url = (*url).into();
            frontier.push(host, Entry { url, what: What::Page, depth: 0, redirects: 0, attempts: 0 });
        }
    }

    /// Answers the first questions for the addresses of hosts 0, 1, ….
    fn resolve(frontier: &mut Frontier, ips: &[&str], now: Instant) {
        for (host, ip) in ips.iter().enumerate() {
            assert_eq!(word(&frontier.next(now)), format!("resolve {host}"));
            frontier.resolved(host, Some(ip.parse().unwrap()), now);
        }
    }

    fn word(next: &Next) -> String {
        match next {
            Next::Resolve(host) => format!("resolve {host}"),
            Next::Robots(host) => format!("robots {host}"),
            Next::OptOut(host, file) => format!("{} {host}", file.path()),
            Next::Fetch(_, entry) => entry.url.to_string(),
            Next::Wait(_) => "wait".to_owned(),
            Next::Idle => "idle".to_owned(),
        }
    }

    #[test]
    fn robots_first_then_one_at_a_time_with_a_pause() {
        let (now, mut frontier) = (Instant::now(), frontier(1000, 8));
        fill(&mut frontier, &["http://a/1", "http://a/2", "http://b/1"], now);
        resolve(&mut frontier, &["192.0.2.1", "192.0.2.2"], now);
        assert_eq!(word(&frontier.next(now)), "robots 0");
        assert_eq!(word(&frontier.next(now)), "robots 1");
        assert_eq!(word(&frontier.next(now)), "idle");
        let now = now + Duration::from_secs(1);
        frontier.host(0).access = Access::Known(Arc::default(), now);
        frontier.ended(0);
        assert_eq!(word(&frontier.next(now)), "http://a/1");
        assert_eq!(word(&frontier.next(now)), "idle");
        let settings = frontier.settings.clone();
        frontier.host(0).pace.answered(Duration::ZERO, now, &settings);
        frontier.ended(0);
        assert_eq!(word(&frontier.next(now)), "wait");
        assert_eq!(word(&frontier.next(now + Duration::from_secs(1))), "http://a/2");
        assert_eq!(frontier.waiting(), 1);
    }

    #[test]
    fn without_a_pause_several_connections() {
        let (now, mut frontier) = (Instant::now(), frontier(0, 2));
        fill(&mut frontier, &["http://192.0.2.1/1", "http://192.0.2.1/2", "http://192.0.2.1/3"], now);
        assert_eq!(word(&frontier.next(now)), "robots 0");
        frontier.host(0).access = Access::Known(Arc::default(), now);
        frontier.ended(0);
        let words: Vec<String> = (0..3).map(|_| word(&frontier.next(now))).collect();
        assert_eq!(words, ["http://192.0.2.1/1", "http://192.0.2.1/2", "idle"]);
        frontier.host(0).access = Access::Closed;
        frontier.ended(0);
        assert_eq!(word(&frontier.next(now)), "idle");
        assert_eq!(frontier.drain(0).len(), 1);
    }

    #[test]
    fn hosts_on_one_address_take_turns() {
        let (now, delay) = (Instant::now(), Duration::from_millis(250));
        let mut frontier = frontier(1000, 1);
        fill(&mut frontier, &["http://a/1", "http://b/1", "http://c/1", "http://d/1"], now);
        resolve(&mut frontier, &["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.9"], now);
        let words: Vec<String> = (0..3).map(|_| word(&frontier.next(now))).collect();
        assert_eq!(words, ["robots 0", "robots 3", "wait"]);
        assert_eq!(word(&frontier.next(now + delay)), "robots 1");
        assert_eq!(word(&frontier.next(now + delay)), "wait");
        assert_eq!(word(&frontier.next(now + delay * 2)), "robots 2");
        assert_eq!(word(&frontier.next(now + delay * 9)), "idle");
    }

    #[test]
    fn a_server_has_a_limit_of_requests_at_once() {
        let mut now = Instant::now();
        let mut frontier = frontier(1000, 1);
        let urls: Vec<String> = (0..7).map(|n| format!("http://h{n}/")).collect();
        fill(&mut frontier, &urls.iter().map(String::as_str).collect::<Vec<_>>(), now);
        resolve(&mut frontier, &["192.0.2.1"; 7], now);
        let mut started = Vec::new();
        for _ in 0..20 {
            if let Next::Robots(host) = frontier.next(now) {
                started.push(host);
            }
            now += Duration::from_millis(250);
        }
        assert_eq!(started, [0, 1, 2, 3]);
        frontier.host(2).access = Access::Closed;
        frontier.ended(2);
        assert_eq!(word(&frontier.next(now)), "robots 4");
        assert_eq!(word(&frontier.next(now + Duration::from_secs(9))), "idle");
    }

    #[test]
    fn a_host_without_an_address_is_asked_all_the_same() {
        let (now, mut frontier) = (Instant::now(), frontier(1000, 1));
        fill(&mut frontier, &["http://a/1"], now);
        assert_eq!(word(&frontier.next(now)), "resolve 0");
        assert_eq!(word(&frontier.next(now)), "idle");
        frontier.resolved(0, None, now);
        assert_eq!(word(&frontier.next(now)), "robots 0");
        frontier.host(0).access = Access::Known(Arc::default(), now);
        frontier.ended(0);
        assert_eq!(word(&frontier.next(now)), "http://a/1");
        frontier.ended(0);
    }
}
