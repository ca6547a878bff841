//! How fast a host is asked.
//!
//! The pause after a request is the longest of `delay_ms`, the `Crawl-delay` of robots.txt, `latency_factor` times the
//! host's smoothed time to answer, and a penalty. The penalty moves by additive increase and multiplicative decrease of
//! the rate (AIMD, Chiu and Jain 1989): 429 and 503 double it, every good answer takes a fixed step off. `Retry-After`
//! stops the host for as long as it says.

use super::settings::Settings;
use std::time::Duration;
use tokio::time::Instant;

/// Weight of the last answer in the smoothed latency.
const LATENCY_WEIGHT: f64 = 0.25;
/// Longest penalty.
const PENALTY_MAX: Duration = Duration::from_secs(60);

/// The pace of one host.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// When the next request may start.
    pub(super) next_at: Instant,
    /// Failures in a row.
    pub(super) failures: u64,
    crawl_delay: Duration,
    latency_s: f64,
    penalty: Duration,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next_at: now,
            failures: 0,
            crawl_delay: Duration::ZERO,
            latency_s: 0.0,
            penalty: Duration::ZERO,
        }
    }

    pub(super) fn set_crawl_delay(&mut self, delay: Option<Duration>, settings: &Settings) {
        let most = Duration::from_secs(settings.config.crawl_delay_s_max);
        self.crawl_delay = delay.unwrap_or_default().min(most);
    }

    /// The pause that is due after a request.
    pub(super) fn pause(&self, settings: &Settings) -> Duration {
        let config = &settings.config;
        let floor = Duration::from_millis(config.delay_ms);
        let by_latency = if config.delay_ms == 0 { 0.0 } else { config.latency_factor * self.latency_s };
        let by_latency = Duration::try_from_secs_f64(by_latency).unwrap_or(PENALTY_MAX).min(PENALTY_MAX);
        floor.max(self.crawl_delay).max(by_latency).max(self.penalty)
    }

    /// A host answered in good health.
    pub(super) fn answered(&mut self, latency: Duration, now: Instant, settings: &Settings) {
        self.failures = 0;
        self.latency_s += (latency.as_secs_f64() - self.latency_s) * LATENCY_WEIGHT;
        self.penalty = self.penalty.saturating_sub(Duration::from_millis(settings.config.retry_ms) / 4);
        self.wait(now + self.pause(settings));
    }

    /// A host asked to be left alone, for `retry_after` where it says so.
    pub(super) fn refused(&mut self, retry_after: Option<Duration>, now: Instant, settings: &Settings) {
        self.failures += 1;
        let step = Duration::from_millis(settings.config.retry_ms);
        self.penalty = (self.penalty * 2).max(step).min(PENALTY_MAX);
        self.wait(now + self.pause(settings).max(retry_after.unwrap_or_default()));
    }

    /// A host did not answer.
    pub(super) fn failed(&mut self, attempt: u32, now: Instant, settings: &Settings) {
        self.failures += 1;
        self.wait(now + self.pause(settings).max(settings.back_off(attempt)));
    }

    fn wait(&mut self, until: Instant) {
        self.next_at = self.next_at.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn settings(delay_ms: u64, latency_factor: f64) -> Settings {
        let config = Config {
            seeds: vec!["http://a/".into()],
            user_agent: "mill https://a".into(),
            delay_ms,
            latency_factor,
            ..Config::default()
        };
        Settings::new(config).map_err(|e| format!("{e:?}")).unwrap()
    }

    #[test]
    fn the_longest_pause_wins() {
        let check = |delay_ms, factor, crawl_delay: Option<u64>, expected_ms: u64| {
            let settings = settings(delay_ms, factor);
            let mut pace = Pace::new(Instant::now());
            pace.latency_s = 0.5;
            pace.set_crawl_delay(crawl_delay.map(Duration::from_secs), &settings);
            assert_eq!(pace.pause(&settings), Duration::from_millis(expected_ms));
        };
        check(100, 1.0, None, 500);
        check(1000, 1.0, None, 1000);
        check(100, 4.0, Some(1), 2000);
        check(0, 4.0, None, 0);
        check(0, 4.0, Some(3), 3000);
        check(0, 4.0, Some(9999), 60_000);
    }

    #[test]
    fn a_refused_host_is_asked_less_and_slowly_more_again() {
        let settings = settings(0, 0.0);
        let (now, mut pace) = (Instant::now(), Pace::new(Instant::now()));
        pace.refused(None, now, &settings);
        assert_eq!(pace.pause(&settings), Duration::from_secs(1));
        pace.refused(Some(Duration::from_secs(30)), now, &settings);
        assert_eq!(
            (pace.pause(&settings), pace.next_at),
            (Duration::from_secs(2), now + Duration::from_secs(30))
        );
        (0..8).for_each(|_| pace.answered(Duration::ZERO, now, &settings));
        assert_eq!(pace.pause(&settings), Duration::ZERO);
        assert_eq!(pace.next_at, now + Duration::from_secs(30));
    }
}
