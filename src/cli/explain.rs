//! `gristmill explain DATASET URL|ID`: the life of one document.

use super::history::History;
use super::output::{emit, emit_json, style};
use super::wrong::{self, Trouble};
use pipeline::forget::Record;
use pipeline::inspect::layout::{Ink, Style, cut, number, one_line, thousands};
use pipeline::inspect::{Change, Dataset, Fate, Found, Life, Place, Step, explain};
use stages::source::crawl::Refused;
use std::path::PathBuf;
use std::process::ExitCode;

/// Changes and lines of a change told; `--json` has all.
const CHANGES_MAX: usize = 4;
const LINES_MAX: usize = 3;
/// Characters shown before what was changed in a line.
const LEAD_CHARS: usize = 24;
/// Places of tokens told.
const PLACES_MAX: usize = 6;

#[derive(clap::Args)]
#[command(
    after_help = "Exit code 1: no such document.\nExample: gristmill explain gristmill-demo http://127.0.0.1:8000/std/string.html"
)]
pub(crate) struct Args {
    /// Dataset folder, or the working folder of a build.
    dataset: PathBuf,
    /// URL, id or its first digits (at least 4), or the id that its source gave it (`record_id`).
    document: String,
    /// Writes the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Err(trouble) = wrong::dataset(&args.dataset) {
        return trouble.tell();
    }
    let dataset = match Dataset::open(&args.dataset) {
        Ok(dataset) => dataset,
        Err(error) => return Trouble::from(error).tell(),
    };
    let history = History::beside(&dataset);
    let found = match explain(&dataset, &args.document, &history) {
        Ok(found) => found,
        Err(error) => return Trouble::from(error).tell(),
    };
    if matches!(found, Found::Nothing(_))
        && let Some(refused) = history.refused(&args.document)
    {
        return match args.json {
            true => emit_json(&serde_json::json!({ "refused": refused }), ExitCode::SUCCESS),
            false => emit(&never_fetched(&refused), ExitCode::SUCCESS),
        };
    }
    let forgotten = match &found {
        Found::Nothing(_) => pipeline::forget::recorded(&dataset, &args.document),
        _ => Ok(Vec::new()),
    };
    match forgotten {
        Ok(records) if records.is_empty() => {}
        Ok(records) if args.json => {
            return emit_json(&serde_json::json!({ "forgotten": records }), ExitCode::SUCCESS);
        }
        Ok(records) => return emit(&was_forgotten(&records), ExitCode::SUCCESS),
        Err(error) => return Trouble::from(error).tell(),
    }
    let code = if matches!(found, Found::Lives(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        return emit_json(&found, code);
    }
    let style = style();
    let text = match &found {
        Found::Lives(lives) => lives.iter().map(|l| life(&style, l)).collect::<Vec<_>>().join("\n"),
        Found::Many(many) => {
            format!("more than one document begins with `{}`:\n{}", args.document, names(many))
        }
        Found::Nothing(near) if near.is_empty() => {
            format!(
                "no document is `{0}`; `gristmill inspect {1}` lists some\n",
                args.document,
                args.dataset.display()
            )
        }
        Found::Nothing(near) => format!("no document is `{}`; near are:\n{}", args.document, names(near)),
    };
    emit(&text, code)
}

fn never_fetched(refused: &Refused) -> String {
    let Refused { url, reason, detail } = refused;
    let detail = if detail.is_empty() { String::new() } else { format!(" ({})", one_line(detail)) };
    format!("{}\nnever fetched: the crawl refused it as {reason}{detail}\n", one_line(url))
}

fn was_forgotten(records: &[Record]) -> String {
    let told = |record: &Record| {
        let mut out = format!("{}\nforgotten on request", record.id);
        if let Some(reason) = &record.reason {
            out += &format!(": {}", one_line(reason));
        }
        if let Some(date) = &record.date {
            out += &format!(" ({})", one_line(date));
        }
        if let Some(twin) = &record.copy_of {
            out += &format!(", as a copy of {twin}");
        }
        out + "; nothing of it is in the dataset\n"
    };
    records.iter().map(told).collect()
}

fn names(documents: &[(String, Option<String>)]) -> String {
    let line = |(id, url): &(String, Option<String>)| {
        format!("  {id}  {}\n", one_line(url.as_deref().unwrap_or("–")))
    };
    documents.iter().map(line).collect()
}

fn life(style: &Style, life: &Life) -> String {
    let title = life.facts.get("url").and_then(|url| url.as_str()).unwrap_or(&life.id);
    let mut out = style.rule(&one_line(title));
    let fact = |(name, value): (&String, &serde_json::Value)| {
        (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let mut facts = vec![("id".to_owned(), life.id.clone())];
    facts.extend(life.facts.iter().map(fact));
    let pairs: Vec<(&str, String)> = facts.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
    out += &style.pairs(&pairs);
    out.push('\n');
    let widest = life.steps.iter().map(|s| s.node.len()).max().unwrap_or(0);
    life.steps.iter().for_each(|s| out += &step(style, s, widest));
    out.push('\n');
    out += &fate(style, &life.fate);
    if let Some(text) = &life.text {
        let size = thousands(text.chars().count() as u64);
        let shown = cut(&one_line(text.trim_start()), style.width.saturating_sub(18 + size.len()));
        out += &format!("text   {shown}  {}\n", style.paint(Ink::Dim, &format!("{size} chars")));
    }
    out + &places(&life.tokens)
}

fn step(style: &Style, step: &Step, widest: usize) -> String {
    let ink = match step.action.as_str() {
        "dropped" => Ink::Red,
        "edited" => Ink::Yellow,
        _ => Ink::Green,
    };
    let mut out = format!("  {:widest$}  {}", step.node, style.paint(ink, &format!("{:7}", step.action)));
    if let Some(reason) = &step.reason {
        out += &format!("  {}", style.paint(Ink::Bold, reason));
    }
    if let (Some(value), Some(limit)) = (step.value, step.limit) {
        let sign = if value < limit {
            '<'
        } else if value > limit {
            '>'
        } else {
            '='
        };
        out += &format!("  {} {sign} {}", number(value), number(limit));
    }
    if let Some((before, after)) = step.chars {
        out += &format!("  {} → {} chars", thousands(before), thousands(after));
    }
    let signal = |(name, value): (&String, &serde_json::Value)| {
        format!("{name} {}", value.as_f64().map_or_else(|| value.to_string(), number))
    };
    let signals: Vec<String> = step.signals.iter().map(signal).collect();
    out.push('\n');
    let indent = widest + 4;
    if !signals.is_empty() {
        for line in filled(&signals, style.width.saturating_sub(indent)) {
            out += &format!("{:indent$}{}\n", "", style.paint(Ink::Dim, &line));
        }
    }
    if let Some(twin) = &step.twin {
        out += &format!(
            "{:indent$}in favour of {twin}  {}\n",
            "",
            one_line(step.twin_url.as_deref().unwrap_or(""))
        );
    }
    step.changes.iter().take(CHANGES_MAX).for_each(|c| out += &change(style, c, indent));
    if step.changes.len() > CHANGES_MAX {
        out += &format!(
            "{:indent$}… and {} changes more\n",
            "",
            thousands((step.changes.len() - CHANGES_MAX) as u64)
        );
    }
    out
}

fn change(style: &Style, change: &Change, indent: usize) -> String {
    let mut out = format!("{:indent$}{}\n", "", style.paint(Ink::Dim, &format!("line {}", change.line)));
    for (lines, sign, ink) in [(&change.removed, '-', Ink::Red), (&change.added, '+', Ink::Green)] {
        let others = if sign == '-' { &change.added } else { &change.removed };
        for (at, line) in lines.iter().take(LINES_MAX).enumerate() {
            let line = around(line, others.get(at).map_or("", String::as_str));
            let shown = cut(&one_line(&visible(&line)), style.width.saturating_sub(indent + 2));
            out += &format!("{:indent$}{}\n", "", style.paint(ink, &format!("{sign} {shown}")));
        }
        if lines.len() > LINES_MAX {
            out += &format!(
                "{:indent$}{sign} … {} lines more\n",
                "",
                thousands((lines.len() - LINES_MAX) as u64)
            );
        }
    }
    out
}

/// A line from a little before the place where it differs from its other self: what is changed must not be cut off.
fn around(line: &str, other: &str) -> String {
    let same = line.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    match same.saturating_sub(LEAD_CHARS) {
        0 => line.to_owned(),
        skipped => std::iter::once('…').chain(line.chars().skip(skipped)).collect(),
    }
}

/// Words set in lines of at most `width` cells, with a dot between two.
fn filled(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 3 + word.chars().count() <= width => {
                *line += " · ";
                *line += word;
            }
            _ => lines.push(cut(word, width)),
        }
    }
    lines
}

/// A changed line with code points for what nobody sees: zero-width, odd spaces, controls, and the marks that NFC composes.
fn visible(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{a0}'
            | '\u{ad}'
            | '\u{300}'..='\u{36f}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3000}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{feff}' => out += &format!("⟨U+{:04X}⟩", u32::from(c)),
            c if c.is_control() => out += &format!("⟨U+{:04X}⟩", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

fn fate(style: &Style, fate: &Fate) -> String {
    match fate {
        Fate::Kept { file, row } => {
            format!("{}   {file} row {}\n", style.paint(Ink::Green, "kept"), thousands(*row))
        }
        Fate::Dropped { node, file, row } => {
            let dropped = style.paint(Ink::Red, &format!("dropped by {node}"));
            format!("{dropped}; its row is kept in {file} row {}\n", thousands(*row))
        }
        Fate::Unknown => "in the ledger alone: no file has its text\n".to_owned(),
    }
}

fn places(places: &[Place]) -> String {
    let all: u64 = places.iter().map(|p| p.tokens).sum();
    if all == 0 {
        return String::new();
    }
    let mut out = format!("tokens {} in {} places\n", thousands(all), thousands(places.len() as u64));
    for place in places.iter().take(PLACES_MAX) {
        let (row, from, to) = (thousands(place.row), place.offset, place.offset + place.tokens);
        out += &format!("  {} row {row}: {}..{}\n", place.file, thousands(from), thousands(to));
    }
    if places.len() > PLACES_MAX {
        out += &format!("  … and {} more\n", thousands((places.len() - PLACES_MAX) as u64));
    }
    out
}
