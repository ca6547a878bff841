//! The settings of a crawl, checked and in the form that the work needs.

use super::decode::Bounds;
use super::scope::Scope;
use super::{Config, address};
use schemas::{ConfigValue as _, KeyError};
use std::time::Duration;
use url::Url;

/// File names with these endings are no pages.
const EXTENSIONS: &str = "7z apk avi avif bin bmp bz2 css csv deb dmg doc docx eot epub exe gif gz ico iso jar jpeg jpg js \
    json m4a m4v map mjs mkv mov mp3 mp4 msi odp ods odt ogg ogv otf pdf png ppt pptx ps rar rpm svg tar tgz tif tiff ttf \
    wasm wav webm webp wmv woff woff2 xls xlsx xz zip zst";

pub(super) fn extensions() -> Vec<String> {
    EXTENSIONS.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Checked settings.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) seeds: Vec<Url>,
    pub(super) scope: Scope,
    /// The name that robots.txt is searched for.
    pub(super) token: String,
}

impl Settings {
    /// Checks what single keys cannot.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn new(config: Config) -> Result<Self, Vec<KeyError>> {
        let mut errors = Vec::new();
        let seeds = seeds(&config, &mut errors);
        let token = product_token(&config.user_agent);
        errors.extend(user_agent_mistake(&config.user_agent, token));
        let token = token.to_owned();
        match Scope::new(&config, &seeds) {
            Ok(scope) if errors.is_empty() => Ok(Self { config, seeds, scope, token }),
            Ok(_) => Err(errors),
            Err(more) => Err(errors.into_iter().chain(more).collect()),
        }
    }

    /// Hash of the settings that decide what is fetched: the name of the crawl's folder.
    ///
    /// Pace, memory and what is dropped at reading may change without another crawl.
    pub(super) fn hash(&self) -> String {
        let c = &self.config;
        let mut hasher = blake3::Hasher::new();
        for list in [&c.seeds, &c.hosts, &c.prefixes, &c.include, &c.exclude, &c.extensions_skipped] {
            hasher.update(list.show().as_bytes());
        }
        let numbers = [
            c.pages_max,
            c.pages_per_host_max,
            c.depth_max,
            c.frontier_max,
            c.url_bytes_max,
            c.query_bytes_max,
            c.path_segments_max,
            c.segment_repeats_max,
            c.redirects_max,
            c.body_bytes_max,
            c.sitemap_urls_max,
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        let switches = [
            c.html_only,
            c.robots_extensions,
            c.robots_strict,
            c.sitemaps,
            c.opt_out_files,
            c.respect_nofollow,
            c.allow_private,
        ];
        for switch in switches {
            hasher.update(&[u8::from(switch)]);
        }
        hasher.update(self.token.as_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { bytes_max: self.config.decoded_bytes_max, ratio_max: self.config.decoded_ratio_max }
    }

    /// Wait before repetition number `attempt`, counted from 1: doubled each time, up to a minute.
    pub(super) fn back_off(&self, attempt: u32) -> Duration {
        let doubled = self.config.retry_ms.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        Duration::from_millis(doubled.min(60_000))
    }
}

fn seeds(config: &Config, errors: &mut Vec<KeyError>) -> Vec<Url> {
    let mistake = |message: String| KeyError {
        key: "seeds".to_owned(),
        message,
        help: Some("write the whole address, as in seeds = [\"https://example.com/\"]".to_owned()),
    };
    if config.seeds.is_empty() {
        errors.push(mistake("is required".to_owned()));
    }
    let mut seeds = Vec::new();
    for text in &config.seeds {
        match Url::parse(text).ok().and_then(address::canonical) {
            Some(url) => seeds.push(url),
            None => errors.push(mistake(format!("expected a web address, found {text:?}"))),
        }
    }
    seeds
}

/// The first word of a user agent, as RFC 9309 allows it: letters, `-` and `_`.
fn product_token(user_agent: &str) -> &str {
    let end = user_agent.find(|c: char| !c.is_ascii_alphabetic() && !matches!(c, '-' | '_'));
    &user_agent[..end.unwrap_or(user_agent.len())]
}

fn user_agent_mistake(user_agent: &str, token: &str) -> Option<KeyError> {
    let is_mail = |word: &str| word.split_once('@').is_some_and(|(_, host)| host.contains('.'));
    let contact = user_agent.contains("http://")
        || user_agent.contains("https://")
        || user_agent.split([' ', '(', ')', ';', ',', '+', '<', '>']).any(is_mail);
    let message = if user_agent.is_empty() {
        "is required"
    } else if !user_agent.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        "has characters that a header cannot carry"
    } else if token.is_empty() {
        "does not begin with a name of letters"
    } else if !contact {
        "has no contact: a site must be able to reach whoever crawls it"
    } else {
        return None;
    };
    Some(KeyError {
        key: "user_agent".to_owned(),
        message: message.to_owned(),
        help: Some(
            "write a name and a web or e-mail address: \"mybot/1.0 (+https://example.org/bot)\"".to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seed: &str, user_agent: &str, expected: Result<&str, &str>) {
        let config = Config { seeds: vec![seed.into()], user_agent: user_agent.into(), ..Config::default() };
        let found = Settings::new(config).map(|s| s.token).map_err(|e| e[0].key.clone());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{seed} {user_agent}");
    }

    #[test]
    fn a_crawl_says_who_it_is() {
        check("http://a/", "mill/1 (+https://a.org)", Ok("mill"));
        check("http://a/", "my-mill me@example.org", Ok("my-mill"));
        check("http://a/", "mill/1", Err("user_agent"));
        check("http://a/", "", Err("user_agent"));
        check("http://a/", "1mill https://a", Err("user_agent"));
        check("http://a/", "mill https://a\r\nX: y", Err("user_agent"));
        check("a.org", "mill https://a", Err("seeds"));
        check("ftp://a/", "mill https://a", Err("seeds"));
    }

    #[test]
    fn pace_does_not_change_the_crawl() {
        let hash = |change: fn(&mut Config)| {
            let mut config = Config { seeds: vec!["http://a/".into()], ..Config::default() };
            config.user_agent = "mill https://a".into();
            change(&mut config);
            Settings::new(config).map(|s| s.hash()).unwrap()
        };
        let plain = hash(|_| {});
        assert_eq!(plain, hash(|c| c.delay_ms = 5));
        assert_ne!(plain, hash(|c| c.pages_max = 5));
        assert_ne!(plain, hash(|c| c.exclude = vec!["/x".into()]));
    }
}
