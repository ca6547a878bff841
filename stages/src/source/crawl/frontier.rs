//! What is known and not yet fetched: a queue per host, hosts in the order in which they may be asked.
//!
//! A host is in the heap at most once, with the time at which its next request may start. Each host's addresses are
//! taken in the order of their discovery (breadth first), repetitions and redirect targets before others.

use super::address;
use super::politeness::Pace;
use super::robots::Robots;
use super::settings::Settings;
use schemas::hash::{FastMap, FastSet};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
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
    pub(super) sitemaps_asked: bool,
    queue: VecDeque<Entry>,
    inflight: u64,
    in_heap: bool,
}

/// What to do next.
pub(super) enum Next {
    Robots(usize),
    Fetch(usize, Entry),
    Wait(Instant),
    Idle,
}

/// All hosts with their queues.
pub(super) struct Frontier {
    settings: Arc<Settings>,
    hosts: Vec<Host>,
    by_origin: FastMap<Box<str>, usize>,
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    seen: FastSet<u128>,
    turn: u64,
    waiting: usize,
}

impl Frontier {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
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
        self.hosts.push(Host {
            origin: origin.into(),
            access: Access::Unknown,
            pace: Pace::new(now),
            pages: 0,
            pages_asked: 0,
            robots_attempts: 0,
            sitemap_urls: 0,
            sitemaps_asked: false,
            queue: VecDeque::new(),
            inflight: 0,
            in_heap: false,
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
        self.offer(host);
    }

    /// The next request that may start, which then counts as under way.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while let Some(&Reverse((at, _, index))) = self.heap.peek() {
            if at > now {
                return Next::Wait(at);
            }
            self.heap.pop();
            self.hosts[index].in_heap = false;
            // Since it was offered the host may have been slowed down, closed or emptied.
            if !self.is_free(index) {
                continue;
            }
            if self.hosts[index].pace.next_at > now {
                self.offer(index);
                continue;
            }
            let host = &mut self.hosts[index];
            host.inflight += 1;
            let stale = match &host.access {
                Access::Unknown => true,
                Access::Known(_, asked) => now.duration_since(*asked) > ROBOTS_AGE_MAX,
                Access::Asking | Access::Closed => false,
            };
            if stale {
                host.access = Access::Asking;
                return Next::Robots(index);
            }
            let entry = host.queue.pop_front().expect("a free host has an address that waits");
            self.waiting -= 1;
            self.offer(index);
            return Next::Fetch(index, entry);
        }
        Next::Idle
    }

    fn offer(&mut self, index: usize) {
        if self.hosts[index].in_heap || !self.is_free(index) {
            return;
        }
        self.turn += 1;
        let host = &mut self.hosts[index];
        host.in_heap = true;
        self.heap.push(Reverse((host.pace.next_at, self.turn, index)));
    }

    fn is_free(&self, index: usize) -> bool {
        let host = &self.hosts[index];
        let connections = match host.access {
            Access::Asking | Access::Closed => 0,
            Access::Unknown => 1,
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

    fn word(next: &Next) -> String {
        match next {
            Next::Robots(host) => format!("robots {host}"),
            Next::Fetch(_, entry) => entry.url.to_string(),
            Next::Wait(_) => "wait".to_owned(),
            Next::Idle => "idle".to_owned(),
        }
    }

    #[test]
    fn robots_first_then_one_at_a_time_with_a_pause() {
        let (now, mut frontier) = (Instant::now(), frontier(1000, 8));
        fill(&mut frontier, &["http://a/1", "http://a/2", "http://b/1"], now);
        assert_eq!(word(&frontier.next(now)), "robots 0");
        assert_eq!(word(&frontier.next(now)), "robots 1");
        assert_eq!(word(&frontier.next(now)), "idle");
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
        fill(&mut frontier, &["http://a/1", "http://a/2", "http://a/3"], now);
        assert_eq!(word(&frontier.next(now)), "robots 0");
        frontier.host(0).access = Access::Known(Arc::default(), now);
        frontier.ended(0);
        let words: Vec<String> = (0..3).map(|_| word(&frontier.next(now))).collect();
        assert_eq!(words, ["http://a/1", "http://a/2", "idle"]);
        frontier.host(0).access = Access::Closed;
        frontier.ended(0);
        assert_eq!(word(&frontier.next(now)), "idle");
        assert_eq!(frontier.drain(0).len(), 1);
    }
}
