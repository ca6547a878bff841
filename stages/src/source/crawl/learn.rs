//! What a response leads to: links, redirects and sitemaps taken into the frontier, or refused with a reason.

use super::address;
use super::fetch::Failure;
use super::frontier::{Access, Entry, What};
use super::journal;
use super::refusal::Refusal;
use super::run::Run;
use super::sitemap::Sitemap;
use super::visit::{Found, Visit};
use tokio::time::Instant;
use url::Url;

/// Most sitemap indexes above a sitemap.
const SITEMAP_LEVELS_MAX: u8 = 3;
/// Most sitemaps of a host: each may be 50 MiB, so that without a bound a host could fill the disk with them.
const SITEMAPS_MAX: u64 = 500;
/// Refusals are remembered up to so many times `frontier_max`.
const REFUSED_SHARE: u64 = 10;

impl Run<'_> {
    /// Follows what a response leads to, or says why it leads nowhere.
    pub(super) fn learn(
        &mut self,
        at: usize,
        entry: &Entry,
        result: &Result<Found, Failure>,
        last: Option<&Visit>,
    ) {
        match result {
            Ok(Found::Page(links)) => {
                for link in links {
                    self.admit(link, What::Page, entry.depth + 1, 0);
                }
            }
            Ok(Found::Redirect(target)) => self.redirect(entry, target.as_ref()),
            Ok(Found::Sitemap(sitemap)) => self.sitemap(at, entry, sitemap),
            Ok(Found::Later) => {
                let status = last.map_or(0, |visit| visit.status);
                let refusal = match last.and_then(|visit| visit.truncated) {
                    Some(_) => Refusal::Network,
                    None => Refusal::Unavailable,
                };
                self.refuse(refusal, &entry.url, &format!("status {status}"));
            }
            Ok(Found::Nothing | Found::Robots(_) | Found::OptOut(_) | Found::Address(_)) => {}
            Err(failure) => {
                self.refuse(failure.refusal, &entry.url, &failure.detail);
                if entry.depth == 0 && entry.what == What::Page {
                    let reason = failure.refusal.name();
                    self.note(&format!("{} cannot be fetched ({reason}): {}", entry.url, failure.detail));
                }
            }
        }
    }

    fn redirect(&mut self, entry: &Entry, target: Option<&Url>) {
        let Some(target) = target else {
            return self.refuse(Refusal::RedirectInvalid, &entry.url, "no usable Location");
        };
        if entry.redirects >= self.settings.config.redirects_max {
            return self.refuse(Refusal::TooManyRedirects, &entry.url, target.as_str());
        }
        if let (What::Page, 0, Err(refusal)) = (entry.what, entry.depth, self.settings.scope.judge(target, 0))
        {
            let reason = refusal.name();
            self.note(&format!("seed {} leads to {target}, which is refused ({reason})", entry.url));
        }
        self.admit(target, entry.what, entry.depth, entry.redirects + 1);
    }

    fn sitemap(&mut self, at: usize, entry: &Entry, sitemap: &Sitemap) {
        let What::Sitemap { level } = entry.what else { return };
        let urls_max = self.settings.config.sitemap_urls_max;
        let Ok(base) = Url::parse(&entry.url) else { return };
        for url in sitemap.urls.iter().filter_map(|text| address::resolve(&base, text)) {
            let taken = &mut self.frontier.host(at).sitemap_urls;
            if *taken >= urls_max {
                return;
            }
            *taken += 1;
            if !sitemap.index {
                self.admit(&url, What::Page, 1, 0);
            } else if level < SITEMAP_LEVELS_MAX {
                self.admit(&url, What::Sitemap { level: level + 1 }, 0, 0);
            }
        }
    }

    /// Takes an address into the frontier, or refuses it.
    pub(super) fn admit(&mut self, url: &Url, what: What, depth: u64, redirects: u64) {
        if self.frontier.is_known(url.as_str()) {
            return;
        }
        let judged = match what {
            What::Page => self.settings.scope.judge(url, depth),
            What::Sitemap { .. } if self.settings.scope.allows_host(url) => Ok(()),
            What::Sitemap { .. } => Err(Refusal::OutOfScope),
        };
        // Refusals are remembered too, but they must not take the room of pages.
        let frontier_max = self.settings.config.frontier_max;
        let is_full = match judged {
            Ok(()) => self.admitted >= frontier_max,
            Err(_) => self.frontier.known() >= REFUSED_SHARE.saturating_mul(frontier_max),
        };
        if is_full {
            if self.overflow == 0 {
                self.refuse(Refusal::FrontierFull, url.as_str(), "the first of those passed over");
            }
            self.overflow += 1;
            return;
        }
        self.frontier.learn(url.as_str());
        if let Err(refusal) = judged {
            return self.refuse(refusal, url.as_str(), "");
        }
        let host = self.frontier.host_of(url, Instant::now());
        if matches!(self.frontier.host(host).access, Access::Closed) {
            return self.refuse(Refusal::HostGivenUp, url.as_str(), "");
        }
        if matches!(what, What::Sitemap { .. }) {
            let sitemaps = &mut self.frontier.host(host).sitemaps;
            if *sitemaps >= SITEMAPS_MAX {
                return self.refuse(Refusal::HostBudget, url.as_str(), "more sitemaps than a host may have");
            }
            *sitemaps += 1;
        }
        self.admitted += 1;
        let entry = Entry { url: url.as_str().into(), what, depth, redirects, attempts: 0 };
        journal::known(&mut self.lines, &entry);
        if redirects > 0 {
            self.frontier.push_first(host, entry);
        } else {
            self.frontier.push(host, entry);
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, url: &str, detail: &str) {
        journal::refused(&mut self.lines, refusal, url, detail);
    }
}
