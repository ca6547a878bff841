//! The durable frontier: an append-only log of what became known, was archived and was refused.
//!
//! One line an event, fields divided by tabs:
//!
//! ```text
//! +  page|sitemap LEVEL   DEPTH  REDIRECTS  URL         known, to be fetched
//! =  page|done|again|robots  FILE  END  URL  CDXJ       archived up to byte END of file FILE; `again`: to be repeated
//! -  REASON  URL  DETAIL                                refused or given up
//! S  FILE  END                                          everything up to here is on the disk
//! ```
//!
//! A response is appended to the archive first and to the log second, links before the line that says that their page
//! is done. So whatever the log says is in the archive; what stands behind the last place that the log knows is cut off.

use super::address;
use super::frontier::{Entry, What};
use super::refusal::Refusal;
use schemas::hash::FastSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// What became of an archived response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A page.
    Page,
    /// Anything else that is not to be fetched again.
    Done,
    /// To be fetched again.
    Again,
    /// A robots.txt, a file in which the site opts out, or a redirect on the way to one.
    Robots,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Done => "done",
            Self::Again => "again",
            Self::Robots => "robots",
        }
    }
}

/// Writes that an address is known.
pub(super) fn known(out: &mut String, entry: &Entry) {
    let what = match entry.what {
        What::Page => "page".to_owned(),
        What::Sitemap { level } => format!("sitemap {level}"),
    };
    out.push_str(&format!("+\t{what}\t{}\t{}\t{}\n", entry.depth, entry.redirects, entry.url));
}

/// Writes that a response is archived.
pub(super) fn archived(out: &mut String, state: State, place: (u32, u64), url: &str, index: &str) {
    out.push_str(&format!("=\t{}\t{}\t{}\t{url}\t{index}\n", state.name(), place.0, place.1));
}

/// Writes that an address was refused or given up.
pub(super) fn refused(out: &mut String, refusal: Refusal, url: &str, detail: &str) {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let detail: String = detail.chars().take(500).map(plain).collect();
    out.push_str(&format!("-\t{}\t{url}\t{detail}\n", refusal.name()));
}

/// Writes that everything up to a place is on the disk.
pub(super) fn synced(place: (u32, u64)) -> String {
    format!("S\t{}\t{}\n", place.0, place.1)
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Known(Entry),
    Archived { state: State, place: (u32, u64), url: &'a str, index: &'a str },
    Refused { reason: &'a str, url: &'a str, detail: &'a str },
    Synced((u32, u64)),
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let place = |file: &str, end: &str| Some((file.parse().ok()?, end.parse().ok()?));
        Some(match fields[..] {
            ["+", what, depth, redirects, url] => {
                let what = match what.strip_prefix("sitemap ") {
                    Some(level) => What::Sitemap { level: level.parse().ok()? },
                    None => What::Page,
                };
                let (depth, redirects) = (depth.parse().ok()?, redirects.parse().ok()?);
                Self::Known(Entry { url: url.into(), what, depth, redirects, attempts: 0 })
            }
            ["=", state, file, end, url, index] => {
                let states = [State::Page, State::Done, State::Again, State::Robots];
                let state = states.into_iter().find(|s| s.name() == state)?;
                Self::Archived { state, place: place(file, end)?, url, index }
            }
            ["-", reason, url, detail] => Self::Refused { reason, url, detail },
            ["S", file, end] => Self::Synced(place(file, end)?),
            _ => return None,
        })
    }
}

/// What a log says when it is read again.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Known addresses in the order of the log, fetched ones included.
    pub(super) known: Vec<Entry>,
    /// Addresses that are done or refused.
    pub(super) settled: FastSet<u128>,
    /// Addresses of pages.
    pub(super) pages: Vec<String>,
    /// Last place that the log knows.
    pub(super) end: (u32, u64),
    /// Last place that is on the disk for sure.
    pub(super) synced: (u32, u64),
}

impl Replay {
    /// Reads a log; lines about places behind `limit` count as never written.
    ///
    /// # Errors
    /// The log cannot be read or is not one.
    pub(super) fn read(path: &Path, limit: (u32, u64)) -> io::Result<Self> {
        let mut replay = Self::default();
        each_line(path, |line| {
            match line {
                Line::Known(entry) => replay.known.push(entry),
                Line::Archived { state, place, url, .. } if place <= limit => {
                    replay.end = replay.end.max(place);
                    if matches!(state, State::Page | State::Done) {
                        replay.settled.insert(address::key(url));
                    }
                    if state == State::Page {
                        replay.pages.push(url.to_owned());
                    }
                }
                Line::Refused { url, .. } => {
                    replay.settled.insert(address::key(url));
                }
                Line::Synced(place) => replay.synced = place,
                Line::Archived { .. } => {}
            }
            Ok(())
        })?;
        Ok(replay)
    }
}

/// Calls `visit` for every whole line of the log.
///
/// # Errors
/// The log cannot be read or has a line that is none.
pub(super) fn each_line(path: &Path, mut visit: impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut buffer, mut number) = (String::new(), 0_u64);
    while reader.read_line(&mut buffer)? > 0 {
        number += 1;
        // A line without its end was cut by a kill, and so was never written.
        let Some(text) = buffer.strip_suffix('\n') else { break };
        let line = Line::parse(text)
            .ok_or_else(|| io::Error::other(format!("line {number} is no line of a crawl's log")))?;
        visit(line)?;
        buffer.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back() {
        let entry = Entry {
            url: "http://a/".into(),
            what: What::Sitemap { level: 2 },
            depth: 3,
            redirects: 1,
            attempts: 0,
        };
        let mut text = String::new();
        known(&mut text, &entry);
        archived(&mut text, State::Again, (1, 99), "http://a/", "a)/ 2026 {}");
        refused(&mut text, Refusal::Network, "http://a/", "reset\tby\npeer");
        text.push_str(&synced((1, 99)));
        let lines: Vec<Line<'_>> = text.lines().map(|l| Line::parse(l).unwrap()).collect();
        assert_eq!(lines[0], Line::Known(entry));
        assert_eq!(
            lines[1],
            Line::Archived { state: State::Again, place: (1, 99), url: "http://a/", index: "a)/ 2026 {}" }
        );
        assert_eq!(lines[2], Line::Refused { reason: "network", url: "http://a/", detail: "reset by peer" });
        assert_eq!(lines[3], Line::Synced((1, 99)));
        assert_eq!(Line::parse("=\tpage\tx"), None);
    }
}
