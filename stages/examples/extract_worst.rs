//! Times `extract.html` on pages built to be slow, and looks for panics in mutated real ones.
//!
//! ```text
//! extract_worst built [BYTES] [NAME]            each built page of about BYTES (1,000,000): best of three runs
//! extract_worst mutated COUNT SEED IN.jsonl.gz… COUNT mutations of the pages (`html` of each line): panics, slowest
//! extract_worst mutation N SEED IN.jsonl.gz…    writes one of them
//! ```

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use arrow::array::{ArrayRef, AsArray as _, BinaryArray, RecordBatch, StringArray};
use flate2::read::MultiGzDecoder;
use gristmill_stages::extract::html::SPEC;
use schemas::hash::Rng;
use schemas::{Made, Settings, Stage, column};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

const WORDS: &str = "some words of a text that is read, and a stop. ";
const SLOWEST: usize = 8;
/// Seconds from which on a mutation is timed again.
const SLOW_S: f64 = 0.01;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Ok(Made::Stage(stage)) = (SPEC.build)(&Settings::new(Vec::new())) else {
        return Err("extract.html is a stage".into());
    };
    match args[..] {
        ["built"] => built(&*stage, 1_000_000, ""),
        ["built", bytes] => built(&*stage, bytes.parse()?, ""),
        ["built", bytes, name] => built(&*stage, bytes.parse()?, name),
        ["mutation", number, seed, ref files @ ..] => {
            let html = mutation(&read(files)?, seed.parse()?, number.parse()?);
            Ok(std::io::stdout().write_all(&html)?)
        }
        ["mutated", count, seed, ref files @ ..] => mutated(&*stage, count.parse()?, seed.parse()?, files),
        _ => Err("extract_worst built [BYTES] [NAME] | mutated COUNT SEED IN.jsonl.gz…".into()),
    }
}

/// Extracts one page; bytes of text and seconds.
fn extract(stage: &dyn Stage, html: &[u8]) -> Result<(usize, f64), Box<dyn Error>> {
    let null: ArrayRef = Arc::new(StringArray::new_null(1));
    let columns =
        [(column::HTML, Arc::new(BinaryArray::from_vec(vec![html])) as ArrayRef), (column::TEXT, null)];
    let batch = RecordBatch::try_from_iter(columns)?;
    let begun = Instant::now();
    let outcome = stage.apply(&batch)?;
    let seconds = begun.elapsed().as_secs_f64();
    let text = outcome.columns.iter().find(|(name, _)| name == column::TEXT).ok_or("no text")?;
    Ok((text.1.as_string::<i32>().value(0).len(), seconds))
}

/// A page of one unit over and over, with a start that is written once.
fn repeated(start: &str, unit: &str, bytes: usize) -> String {
    let mut html = String::with_capacity(bytes + unit.len());
    html.push_str(start);
    while html.len() < bytes {
        html.push_str(unit);
    }
    html
}

/// Elements opened and never closed around the unit that fills the page.
fn inside(open: &str, times: usize, unit: &str, bytes: usize) -> String {
    repeated(&open.repeat(times), unit, bytes)
}

/// Opening tags over the first half of the page, closing ones over the second.
fn nested(open: &str, close: &str, bytes: usize) -> String {
    let times = bytes / (open.len() + close.len());
    format!("{}x{}", open.repeat(times), close.repeat(times))
}

fn numbered(start: &str, bytes: usize, unit: impl Fn(usize) -> String, end: &str) -> String {
    let mut html = start.to_owned();
    let mut number = 0;
    while html.len() < bytes {
        html.push_str(&unit(number));
        number += 1;
    }
    html + end
}

/// A name and its page.
type Built = (&'static str, String);

/// Pages built to be slow.
fn pages(bytes: usize) -> Vec<Built> {
    [nesting(bytes), contents(bytes), below(bytes), lengths(bytes)].concat()
}

/// Elements in elements, and those that are opened again and again.
fn nesting(bytes: usize) -> Vec<Built> {
    vec![
        ("prose (for scale)", repeated("<main>", &format!("<p>{}</p>\n", WORDS.repeat(6)), bytes)),
        ("nested div", nested("<div>", "</div>", bytes)),
        ("nested span", nested("<span>", "</span>", bytes)),
        ("nested table", nested("<table><tr><td>", "</td></tr></table>", bytes)),
        ("nested list", nested("<ul><li>", "</li></ul>", bytes)),
        ("nested unknown", nested("<x>", "</x>", bytes)),
        ("nested h1 div", nested("<h1><div>", "</div></h1>", bytes)),
        ("nested blockquote", nested("<blockquote>", "</blockquote>", bytes)),
        ("nested dl", nested("<dl><dd>", "</dd></dl>", bytes)),
        ("unclosed div", repeated("", "<div>x", bytes)),
        ("unclosed b i", repeated("", "<b><i>", bytes)),
        ("unclosed b i p", repeated("", "<b><i><p>x", bytes)),
        ("adoption agency", repeated("", "<b><i><p></b></i>x", bytes)),
        ("adoption of a", repeated("", "<a href=x><div>", bytes)),
        ("adoption of nobr", repeated("", "<nobr><div></nobr>", bytes)),
        ("fonts", numbered("", bytes, |n| format!("<font size={n}>x<p>"), "")),
    ]
}

/// Texts, links, attributes and tables without end.
fn contents(bytes: usize) -> Vec<Built> {
    let link = |n: usize| format!("<li><a href=/p{n}>link {n}</a></li>");
    vec![
        ("links in a list", numbered("<ul>", bytes, link, "</ul>")),
        ("links alone", repeated("", "<a href=x>y</a>", bytes)),
        ("one text node", repeated("<p>", WORDS, bytes)),
        ("one word", repeated("<p>", "x", bytes)),
        ("entities", repeated("<p>", "&amp;", bytes)),
        ("half entities", repeated("<p>", "&notit", bytes)),
        ("escapes", repeated("<p>", "[&*_`<", bytes)),
        ("brackets", repeated("<p>", "[", bytes)),
        ("backticks", repeated("<p><code>", "` ", bytes)),
        ("attributes of one", numbered("<p", bytes, |n| format!(" a{n}=b"), ">x")),
        (
            "attributes of many",
            repeated("", &format!("<p{}>x", (0..500).map(|n| format!(" a{n}")).collect::<String>()), bytes),
        ),
        (
            "attributes of 8 kB",
            repeated("", &format!("<p{}>x", (0..1400).map(|n| format!(" a{n}")).collect::<String>()), bytes),
        ),
        ("attributes of meta", numbered("<meta", bytes, |n| format!(" a{n}"), ">x")),
        ("long class", repeated("<p class='", "nav main ", bytes)),
        ("classes", repeated("", "<i class='content-main nav sidebar'>x</i>", bytes)),
        ("table of one row", repeated("<table><tr>", "<td>x", bytes)),
        ("table of one column", repeated("<table>", "<tr><td>x", bytes)),
        (
            "table of ragged rows",
            repeated(&format!("<table><tr>{}", "<td>x".repeat(1000)), "<tr><td>x", bytes),
        ),
        ("table of spans", repeated("<table><tr><td>a<td>b", "<tr><td colspan=99>x", bytes)),
        ("foster parents", repeated("<table>", "x<b>", bytes)),
        ("tables in cells", repeated("", "<table><tr><td>x", bytes)),
        ("headings", repeated("", "<h1>x</h1><h2>y</h2>", bytes)),
        ("empty headings", repeated("", "<h2></h2>", bytes)),
        ("headings removed", repeated("", "<div><h2>x</h2></div><a href=y>zzzzzzzzzzzzzzzz</a>", bytes)),
    ]
}

/// Much inside what is deep.
fn below(bytes: usize) -> Vec<Built> {
    vec![
        ("h1 over all", inside("<h1><div>", 90, "x<br>", bytes)),
        ("unknown ends", inside("<y>", 400, "</x>", bytes)),
        ("wrong ends", inside("<div>", 190, "</b></p></li>", bytes)),
        ("p in spans", inside("<span>", 195, "<p>x", bytes)),
        ("div in spans", inside("<span>", 195, "<div></div>", bytes)),
        ("br in divs", inside("<div>", 190, "<br>", bytes)),
        ("br in summaries", inside("<details><summary>", 95, "<br>", bytes) + "x"),
        ("br in kbd", inside("<kbd>", 195, "<br>", bytes) + "<div>x"),
        ("text in math", inside("<math>", 195, "<mi>x</mi>", bytes)),
        ("text in links", inside("<a href=#><table><tr><td>", 45, " <br>", bytes)),
        ("li in spans", inside("<span>", 195, "<li>x", bytes)),
        ("formatted paragraphs", inside("<b><i><u><s><em><tt><big><code>", 3, "<p>x", bytes)),
    ]
}

/// Small things in great number, and what the tokenizer reads in a way of its own.
fn lengths(bytes: usize) -> Vec<Built> {
    vec![
        ("paragraphs", repeated("", "<p>x", bytes)),
        ("breaks", repeated("", "x<br>", bytes)),
        ("pre of spans", repeated("<pre>", "<span>x</span>\n", bytes)),
        ("definitions", repeated("<dl>", "<dt>x<dd>y", bytes)),
        ("select", repeated("<select>", "<option>x", bytes)),
        ("svg", repeated("<svg>", "<g><path d=x>", bytes)),
        ("templates", repeated("", "<template>", bytes)),
        ("comments", repeated("", "<!---->", bytes)),
        ("open comments", repeated("", "<!-", bytes)),
        ("open script", repeated("<script>", "</scrip", bytes)),
        ("open title", repeated("<title>", "</", bytes)),
        ("escaped script", repeated("<script><!--", "<script", bytes)),
        ("cdata", repeated("<svg>", "<![CDATA[x]]>", bytes)),
        ("frames", repeated("", "<frameset>", bytes)),
        ("bodies", numbered("", bytes, |n| format!("<body a{n}=b>"), "")),
        ("htmls", numbered("", bytes, |n| format!("<html a{n}=b>"), "")),
        ("quotes", repeated("<p>", "<q>x", bytes)),
        ("carriage returns", repeated("<pre>", "\r", bytes)),
        ("zero bytes", repeated("<p>", "text \0", bytes)),
        ("ampersands", repeated("<p>", "&", bytes)),
        ("less-than", repeated("<p>", "<", bytes)),
        ("wide", repeated("<p>", "漢字，かな。", bytes)),
    ]
}

fn built(stage: &dyn Stage, bytes: usize, only: &str) -> Result<(), Box<dyn Error>> {
    let mut worst = 0.0_f64;
    for (name, html) in pages(bytes).into_iter().filter(|(name, _)| name.contains(only)) {
        let mut best = (0, f64::MAX);
        for _ in 0..3 {
            let found = extract(stage, html.as_bytes())?;
            best = if found.1 < best.1 { found } else { best };
        }
        let (text, seconds) = best;
        println!("{:8.1} ms  {:9} bytes → {text:8}  {name}", seconds * 1e3, html.len());
        worst = worst.max(seconds);
    }
    println!("{:8.1} ms  worst", worst * 1e3);
    Ok(())
}

/// Changes a page: flips, cuts, doubles, swaps.
fn mutated_page(html: &[u8], rng: &mut Rng) -> Vec<u8> {
    let place = |rng: &mut Rng, length: usize| rng.below(length as u64 + 1) as usize;
    let mut bytes = html.to_vec();
    for _ in 0..=rng.below(4) {
        let (a, b) = (place(rng, bytes.len()), place(rng, bytes.len()));
        let (low, high) = (a.min(b), a.max(b));
        match rng.below(8) {
            0 => {
                for _ in 0..=rng.below(200) {
                    if !bytes.is_empty() {
                        let at = rng.below(bytes.len() as u64) as usize;
                        bytes[at] ^= 1 << rng.below(8);
                    }
                }
            }
            1 => {
                for _ in 0..=bytes.len() / 100 {
                    if !bytes.is_empty() {
                        let at = rng.below(bytes.len() as u64) as usize;
                        bytes[at] = b"<>/\"'= \0\xff&;!-`*_#|"[rng.below(18) as usize];
                    }
                }
            }
            2 => bytes.truncate(high),
            3 => drop(bytes.drain(low..high.min(low + 5000))),
            // A run of tags again and again.
            4 | 5 => {
                let run = bytes[low..high.min(low + 300)].to_vec();
                let times = rng.below(200) as usize;
                bytes.splice(low..low, run.repeat(times));
            }
            6 => {
                let tags: [&[u8]; 8] = [
                    b"<table><tr><td>",
                    b"<b><i><a href=x>",
                    b"</div></p>",
                    b"<svg><math>",
                    b"<select><option>",
                    b"<pre><code>",
                    b"<template>",
                    b"<!--",
                ];
                for _ in 0..rng.below(50) {
                    let at = place(rng, bytes.len());
                    let tag = tags[rng.below(8) as usize];
                    bytes.splice(at..at, tag.iter().copied());
                }
            }
            _ => {
                // End tags become start tags.
                for at in low..high.saturating_sub(1) {
                    if bytes[at] == b'<' && bytes[at + 1] == b'/' && rng.below(3) == 0 {
                        bytes[at + 1] = b' ';
                    }
                }
            }
        }
    }
    bytes
}

/// The pages of gzipped JSON lines.
fn read(files: &[&str]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut pages = Vec::new();
    for file in files {
        for line in BufReader::new(MultiGzDecoder::new(File::open(file)?)).lines() {
            let page: serde_json::Value = serde_json::from_str(&line?)?;
            pages.extend(page["html"].as_str().map(|html| html.as_bytes().to_vec()));
        }
    }
    if pages.is_empty() { Err("no page".into()) } else { Ok(pages) }
}

fn mutation(pages: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(schemas::hash::seed(seed, "extract_worst", number));
    let page = &pages[rng.below(pages.len() as u64) as usize];
    mutated_page(page, &mut rng)
}

fn mutated(stage: &dyn Stage, count: u64, seed: u64, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let pages = read(files)?;
    let (mut panics, mut bytes, mut total) = (0_u64, 0, 0.0);
    // Seconds for each MB, with at least 100 kB, so that a small page is not all fixed cost.
    let mut slowest: Vec<(f64, u64, usize, f64)> = Vec::new();
    for number in 0..count {
        let html = mutation(&pages, seed, number);
        bytes += html.len();
        match catch_unwind(AssertUnwindSafe(|| extract(stage, &html))) {
            Ok(found) => {
                let mut seconds = found?.1;
                total += seconds;
                // A slow one is timed again: what the machine did meanwhile is not the page's.
                for _ in 0..if seconds > SLOW_S { 2 } else { 0 } {
                    seconds = seconds.min(extract(stage, &html)?.1);
                }
                slowest.push((seconds / (html.len().max(100_000) as f64 / 1e6), number, html.len(), seconds));
                slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
                slowest.truncate(SLOWEST);
            }
            Err(_) => {
                panics += 1;
                std::fs::write(format!("panic-{seed}-{number}.html"), &html)?;
            }
        }
    }
    println!("{count} mutations of {} pages, {:.1} MB: {panics} panics", pages.len(), bytes as f64 / 1e6);
    println!("{total:.1} s, {:.1} ms for each MB on average; slowest:", total / bytes as f64 * 1e9);
    for (rate, number, length, seconds) in slowest {
        println!(
            "{:8.1} ms for each MB  {:8.1} ms  {length:8} bytes  mutation {number}",
            rate * 1e3,
            seconds * 1e3
        );
    }
    if panics > 0 { Err("a page made extraction panic".into()) } else { Ok(()) }
}
