//! Why an address was not fetched or was given up: the words of `refused.jsonl`.

/// A reason with its name and meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its host or prefix is not among those allowed.
    OutOfScope,
    /// It matches `exclude`, or `include` is set and does not match.
    Excluded,
    /// Longer than `url_bytes_max` or its query longer than `query_bytes_max`.
    UrlTooLong,
    /// More segments than `path_segments_max`, or one repeated more than `segment_repeats_max` times.
    PathTrap,
    /// Its name ends as files do that are no pages (`extensions_skipped`).
    Extension,
    /// Further from the seeds than `depth_max`.
    TooDeep,
    /// Its host has had `pages_per_host_max` pages.
    HostBudget,
    /// `frontier_max` addresses are known already.
    FrontierFull,
    /// robots.txt disallows it.
    RobotsDenied,
    /// robots.txt could not be had (5xx, 429, time-out, network), which means disallow.
    RobotsUnreachable,
    /// The host resolves to an address that is not public.
    PrivateAddress,
    /// More redirects in a row than `redirects_max`.
    TooManyRedirects,
    /// A redirect without a usable target.
    RedirectInvalid,
    /// No answer within the limits, also when asked again.
    Timeout,
    /// No connection or a broken answer, also when asked again.
    Network,
    /// Response headers longer than `header_bytes_max`.
    HeaderTooLarge,
    /// 429, 502, 503 or 504, also when asked again.
    Unavailable,
    /// The host failed `host_failures_max` times in a row or asked to be left alone for longer than `pause_s_max`.
    HostGivenUp,
}

impl Refusal {
    /// Name in `refused.jsonl`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::Excluded => "excluded",
            Self::UrlTooLong => "url_too_long",
            Self::PathTrap => "path_trap",
            Self::Extension => "extension",
            Self::TooDeep => "too_deep",
            Self::HostBudget => "host_budget",
            Self::FrontierFull => "frontier_full",
            Self::RobotsDenied => "robots_denied",
            Self::RobotsUnreachable => "robots_unreachable",
            Self::PrivateAddress => "private_address",
            Self::TooManyRedirects => "too_many_redirects",
            Self::RedirectInvalid => "redirect_invalid",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::HeaderTooLarge => "header_too_large",
            Self::Unavailable => "unavailable",
            Self::HostGivenUp => "host_given_up",
        }
    }
}
