//! The crawl itself: takes from the frontier, sends workers, archives what they bring, and learns from it.
//!
//! One task owns frontier and archive; workers are bounded by `concurrency` and report over a channel of that size.

use super::address;
use super::archive::{self, Archive};
use super::fetch::{Failure, Fetcher};
use super::frontier::{Access, Entry, Frontier, Next, What};
use super::journal::{self, Replay, State};
use super::opt_out::OptOutFile;
use super::refusal::Refusal;
use super::robots::Robots;
use super::settings::Settings;
use super::visit::{Found, Report, Task, Visit, work};
use crate::source::warc::write::{IndexEntry, file_name};
use crate::text::rights::{CONTENT_SIGNAL, Wishes};
use schemas::{Event, Observer, SourceError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use url::Url;

/// Crawls until nothing is left to do, going on where an earlier run was killed.
///
/// After `stop_after` archived responses it stops dead, as a killed process would: for tests.
pub(super) fn crawl(
    settings: &Arc<Settings>,
    root: &Path,
    observer: &dyn Observer,
    stop_after: u64,
) -> Result<(), SourceError> {
    let folder = archive::folder(root, settings);
    if archive::is_complete(&folder, settings) {
        return Ok(());
    }
    let (archive, replay) = Archive::open(&folder, settings)?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(16);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|e| SourceError::Refused(format!("the network runtime: {e}")))?;
    let _guard = runtime.enter();
    let mut run = Run::new(settings.clone(), archive, observer, stop_after)?;
    let result = runtime.block_on(async {
        run.begin(replay)?;
        run.work().await
    });
    drop(_guard);
    // A resolver may hang; nobody waits for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    if result? { run.finish() } else { Ok(()) }
}

pub(super) struct Run<'a> {
    pub(super) settings: Arc<Settings>,
    fetcher: Arc<Fetcher>,
    pub(super) frontier: Frontier,
    archive: Archive,
    observer: &'a dyn Observer,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    /// Lines for the log that belong to what is being done.
    pub(super) lines: String,
    pages: u64,
    pages_asked: u64,
    inflight: u64,
    /// Addresses taken into the frontier.
    pub(super) admitted: u64,
    /// Addresses beyond `frontier_max`.
    pub(super) overflow: u64,
    responses: u64,
    stop_after: u64,
    deadline: Instant,
}

impl<'a> Run<'a> {
    fn new(
        settings: Arc<Settings>,
        archive: Archive,
        observer: &'a dyn Observer,
        stop_after: u64,
    ) -> Result<Self, SourceError> {
        let config = &settings.config;
        Ok(Self {
            fetcher: Arc::new(Fetcher::new(&settings)?),
            frontier: Frontier::new(settings.clone()),
            archive,
            observer,
            reports: mpsc::channel(config.concurrency as usize),
            lines: String::new(),
            pages: 0,
            pages_asked: 0,
            inflight: 0,
            admitted: 0,
            overflow: 0,
            responses: 0,
            stop_after,
            deadline: Instant::now() + Duration::from_secs(config.duration_s_max),
            settings,
        })
    }

    /// Takes up what an earlier run left, and the seeds.
    fn begin(&mut self, replay: Replay) -> Result<(), SourceError> {
        let name = "crawl";
        self.observer.event(Event::Phase { name, total: self.settings.config.pages_max });
        let now = Instant::now();
        let fresh = replay.end == (0, 0);
        let admitted = replay.known.len() as u64;
        for entry in replay.known {
            self.frontier.learn(&entry.url);
            if !replay.settled.contains(&address::key(&entry.url))
                && let Ok(url) = Url::parse(&entry.url)
            {
                let host = self.frontier.host_of(&url, now);
                self.frontier.push(host, entry);
            }
        }
        self.frontier.learn_keys(replay.settled);
        for url in replay.pages.iter().filter_map(|url| Url::parse(url).ok()) {
            let host = self.frontier.host_of(&url, now);
            self.frontier.host(host).pages += 1;
        }
        self.pages = replay.pages.len() as u64;
        self.admitted = admitted;
        self.observer.event(Event::Advance { units: self.pages });
        if !fresh {
            let waiting = self.frontier.waiting();
            self.note(&format!("goes on with {} pages archived, {waiting} addresses waiting", self.pages));
        }
        let seeds = self.settings.seeds.clone();
        for seed in seeds {
            self.admit(&seed, What::Page, 0, 0);
        }
        self.write_lines()
    }

    /// Works until nothing is left (true) or it was to stop dead (false).
    async fn work(&mut self) -> Result<bool, SourceError> {
        loop {
            let wake = self.dispatch()?;
            if self.inflight == 0 && wake.is_none() {
                return Ok(true);
            }
            let wake = wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let report = tokio::select! {
                report = self.reports.1.recv() => report,
                () = sleep_until(wake) => None,
            };
            if let Some(report) = report {
                self.take(report)?;
            }
            if self.responses >= self.stop_after {
                return Ok(false);
            }
        }
    }

    fn finish(mut self) -> Result<(), SourceError> {
        let left = self.frontier.waiting();
        if self.overflow > 0 {
            self.note(&format!("{} addresses beyond `frontier_max` were passed over", self.overflow));
        }
        self.write_lines()?;
        let (pages, settings, observer) = (self.pages, self.settings.clone(), self.observer);
        let refused = self.archive.finish(&settings, left)?;
        let mut reasons: Vec<(&String, &u64)> = refused.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
        let mut told = vec![format!("{pages} pages")];
        told.extend(reasons.iter().map(|(reason, count)| format!("{count} addresses {reason}")));
        if left > 0 {
            told.push(format!("{left} left unfetched at a limit"));
        }
        let mut message = told.join(", ");
        if refused.contains_key(Refusal::PrivateAddress.name()) {
            message += "; `allow_private = true` permits addresses that are not public";
        }
        observer.event(Event::Note { message: &format!("crawl: {message}") });
        Ok(())
    }

    /// Starts what may be started; says when more can be, `None` when nothing waits.
    fn dispatch(&mut self) -> Result<Option<Instant>, SourceError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Ok(None);
        }
        let config = &self.settings.config;
        let (concurrency, pages_max) = (config.concurrency, config.pages_max);
        while self.inflight < concurrency {
            if self.pages + self.pages_asked >= pages_max {
                return Ok(None);
            }
            match self.frontier.next(now) {
                Next::Resolve(host) => self.send(host, Task::Resolve),
                Next::Robots(host) => self.send(host, Task::Robots),
                Next::OptOut(host, file) => self.ask_opt_out(host, file),
                Next::Fetch(host, entry) => self.start(host, entry)?,
                Next::Wait(at) => return Ok(Some(at.min(self.deadline))),
                Next::Idle => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Starts an address if robots.txt and the budget of the host let it.
    fn start(&mut self, at: usize, entry: Entry) -> Result<(), SourceError> {
        let budget = self.settings.config.pages_per_host_max;
        let host = self.frontier.host(at);
        let mut wishes = Wishes::default();
        let allowed = match (&host.access, Url::parse(&entry.url)) {
            (Access::Known(robots, _), Ok(url)) => {
                let path = address::path_and_query(&url);
                if robots.no_training {
                    wishes.opt_out(CONTENT_SIGNAL);
                }
                host.opt_outs.wishes(path, &mut wishes);
                robots.allows(path)
            }
            _ => false,
        };
        let is_page = entry.what == What::Page;
        let refusal = if !allowed {
            Some(Refusal::RobotsDenied)
        } else if is_page && host.pages >= budget {
            Some(Refusal::HostBudget)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.refuse(refusal, &entry.url, "");
            self.frontier.ended(at);
            return self.write_lines();
        }
        if is_page {
            host.pages_asked += 1;
            self.pages_asked += 1;
        }
        self.send(at, Task::Fetch { entry, wishes });
        Ok(())
    }

    fn send(&mut self, host: usize, task: Task) {
        self.inflight += 1;
        let origin = self.frontier.host(host).origin.clone();
        let (settings, fetcher) = (self.settings.clone(), self.fetcher.clone());
        let reports = self.reports.0.clone();
        tokio::spawn(async move {
            let worker = tokio::spawn(work(settings, fetcher, host, origin, task.clone()));
            // A worker that panics must not leave the crawl waiting for it.
            let report = worker.await.unwrap_or_else(|error| {
                let failure = Failure { refusal: Refusal::Network, detail: error.to_string() };
                Report { host, task, visits: Vec::new(), result: Err(failure) }
            });
            // The receiver is gone only when the crawl has ended.
            let _ = reports.send(report).await;
        });
    }

    /// Archives what a worker brings, then learns from it.
    fn take(&mut self, report: Report) -> Result<(), SourceError> {
        let Report { host, task, visits, result } = report;
        self.inflight -= 1;
        if let Task::Resolve = task {
            let ip = result.ok().and_then(|found| if let Found::Address(ip) = found { ip } else { None });
            self.frontier.resolved(host, ip, Instant::now());
            return Ok(());
        }
        self.pace(host, &task, visits.last(), &result);
        match task {
            Task::Robots => {
                for visit in &visits {
                    self.archive(visit, State::Robots)?;
                }
                self.robots(host, visits.last(), result);
            }
            Task::OptOut(file) => {
                for visit in &visits {
                    self.archive(visit, State::Robots)?;
                }
                self.opt_out(host, file, result);
            }
            Task::Resolve => {}
            Task::Fetch { entry, .. } => self.fetched(host, entry, &visits, result)?,
        }
        self.frontier.ended(host);
        self.write_lines()
    }

    fn pace(&mut self, at: usize, task: &Task, last: Option<&Visit>, result: &Result<Found, Failure>) {
        let (now, settings) = (Instant::now(), self.settings.clone());
        let host = self.frontier.host(at);
        let attempt = match task {
            Task::Resolve | Task::Robots => host.robots_attempts + 1,
            Task::OptOut(_) => host.opt_out_attempts + 1,
            Task::Fetch { entry, .. } => entry.attempts + 1,
        };
        match (result, last) {
            (Ok(Found::Later), Some(visit)) if visit.truncated.is_none() => {
                host.pace.refused(visit.retry_after, now, &settings);
            }
            (Ok(Found::Later), _) => host.pace.failed(attempt, now, &settings),
            (Err(failure), _) if failure.is_passing() => host.pace.failed(attempt, now, &settings),
            (Err(_), _) => host.pace.failed(1, now, &settings),
            (Ok(_), Some(visit)) => host.pace.answered(visit.latency, now, &settings),
            (Ok(_), None) => {}
        }
    }

    /// Learns what robots.txt says, or asks again, or closes the host.
    fn robots(&mut self, at: usize, last: Option<&Visit>, result: Result<Found, Failure>) {
        let retries_max = self.settings.config.retries_max;
        let (detail, passing) = match result {
            Ok(Found::Robots(robots)) => return self.open(at, robots),
            Ok(_) => {
                let status = last.map_or(0, |visit| visit.status);
                (format!("robots.txt answered with status {status}"), true)
            }
            Err(failure) => (format!("robots.txt: {}", failure.detail), failure.is_passing()),
        };
        let too_long = last.and_then(|visit| visit.retry_after).filter(|wait| self.is_too_long(*wait));
        let host = self.frontier.host(at);
        host.robots_attempts += 1;
        if passing && u64::from(host.robots_attempts) <= retries_max && too_long.is_none() {
            host.access = Access::Unknown;
            return;
        }
        self.close(at, Refusal::RobotsUnreachable, &detail);
    }

    /// Asks for a file in which the site opts out, where robots.txt lets us.
    fn ask_opt_out(&mut self, at: usize, file: OptOutFile) {
        let host = self.frontier.host(at);
        if matches!(&host.access, Access::Known(robots, _) if robots.allows(file.path())) {
            return self.send(at, Task::OptOut(file));
        }
        (host.opt_outs_answered, host.opt_out_asking) = (host.opt_outs_answered + 1, false);
        self.frontier.ended(at);
    }

    /// Learns what such a file says, or asks again; one that cannot be had says nothing.
    fn opt_out(&mut self, at: usize, file: OptOutFile, result: Result<Found, Failure>) {
        let (retries_max, token) = (self.settings.config.retries_max, self.settings.token.clone());
        let host = self.frontier.host(at);
        host.opt_out_asking = false;
        host.opt_out_attempts += 1;
        let passing = match &result {
            Ok(found) => matches!(found, Found::Later),
            Err(failure) => failure.is_passing(),
        };
        if passing && u64::from(host.opt_out_attempts) <= retries_max {
            return;
        }
        if let Ok(Found::OptOut(body)) = result {
            Arc::make_mut(&mut host.opt_outs).read(file, &body, &token);
        }
        (host.opt_outs_answered, host.opt_out_attempts) = (host.opt_outs_answered + 1, 0);
    }

    fn open(&mut self, at: usize, robots: Robots) {
        let (now, settings) = (Instant::now(), self.settings.clone());
        let sitemaps = robots.sitemaps.clone();
        let host = self.frontier.host(at);
        host.robots_attempts = 0;
        host.pace.set_crawl_delay(robots.crawl_delay, &settings);
        let pause = host.pace.pause(&settings);
        host.pace.next_at = host.pace.next_at.max(now + pause);
        host.access = Access::Known(Arc::new(robots), now);
        if !settings.config.sitemaps || std::mem::replace(&mut host.sitemaps_asked, true) {
            return;
        }
        let origin = host.origin.clone();
        let named = if sitemaps.is_empty() { vec![format!("{origin}/sitemap.xml")] } else { sitemaps };
        let base = Url::parse(&origin).expect("an origin is an address");
        for url in named.iter().filter_map(|text| address::resolve(&base, text)) {
            self.admit(&url, What::Sitemap { level: 0 }, 0, 0);
        }
    }

    /// Gives a host up: whatever waits for it is refused.
    fn close(&mut self, at: usize, refusal: Refusal, detail: &str) {
        self.frontier.host(at).access = Access::Closed;
        let entries = self.frontier.drain(at);
        let origin = self.frontier.host(at).origin.clone();
        let count = entries.len();
        self.note(&format!("{origin} is given up ({}, {detail}): {count} addresses refused", refusal.name()));
        for entry in entries {
            self.refuse(refusal, &entry.url, detail);
        }
    }

    fn fetched(
        &mut self,
        at: usize,
        mut entry: Entry,
        visits: &[Visit],
        result: Result<Found, Failure>,
    ) -> Result<(), SourceError> {
        if entry.what == What::Page {
            self.frontier.host(at).pages_asked -= 1;
            self.pages_asked -= 1;
        }
        let again = match &result {
            Ok(found) => matches!(found, Found::Later),
            Err(failure) => failure.is_passing(),
        };
        let retry_after = visits.last().and_then(|visit| visit.retry_after);
        let too_long = again && retry_after.is_some_and(|wait| self.is_too_long(wait));
        let repeat = again && u64::from(entry.attempts) < self.settings.config.retries_max && !too_long;
        if !repeat {
            self.learn(at, &entry, &result, visits.last());
        }
        let state = match &result {
            _ if repeat => State::Again,
            Ok(Found::Page(_)) => State::Page,
            _ => State::Done,
        };
        for visit in visits {
            self.archive(visit, state)?;
        }
        if state == State::Page {
            self.frontier.host(at).pages += 1;
            self.pages += 1;
            self.observer.event(Event::Advance { units: 1 });
        }
        if repeat && matches!(self.frontier.host(at).access, Access::Closed) {
            self.refuse(Refusal::HostGivenUp, &entry.url, "");
        } else if repeat {
            entry.attempts += 1;
            self.frontier.push_first(at, entry);
        }
        let failures = self.frontier.host(at).pace.failures;
        if too_long {
            let wait = retry_after.unwrap_or_default().as_secs();
            self.close(at, Refusal::HostGivenUp, &format!("it asks to wait {wait} s"));
        } else if failures >= self.settings.config.host_failures_max {
            self.close(at, Refusal::HostGivenUp, &format!("{failures} failures in a row"));
        }
        Ok(())
    }

    fn archive(&mut self, visit: &Visit, state: State) -> Result<(), SourceError> {
        let place = self.archive.append(&visit.members, &visit.date)?;
        let index = IndexEntry {
            url: &visit.url,
            date: &visit.date,
            mime: &visit.mime,
            status: visit.status,
            digest: &visit.digest,
            start: place.start + visit.response_at,
            end: place.end,
            file: &file_name(place.file),
        };
        journal::archived(&mut self.lines, state, (place.file, place.end), visit.url.as_str(), &index.line());
        self.responses += 1;
        self.write_lines()
    }

    fn write_lines(&mut self) -> Result<(), SourceError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        self.archive.log(&lines)
    }

    fn is_too_long(&self, wait: Duration) -> bool {
        wait > Duration::from_secs(self.settings.config.pause_s_max)
    }

    pub(super) fn note(&self, message: &str) {
        self.observer.event(Event::Note { message: &format!("crawl: {message}") });
    }
}
