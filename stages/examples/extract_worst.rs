//! Times `extract.html` on pages built to be slow, and looks for panics in mutated real ones.
//!
//! ```text
//! extract_worst built [BYTES] [NAME]            each built page of about BYTES (1,000,000): best of three runs
//! extract_worst mutated COUNT SEED IN.jsonl.gz… COUNT mutations of the pages (`html` of each line): panics, slowest
//! extract_worst mutation N SEED IN.jsonl.gz…    writes one of them
//! ```

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod clock;

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

/// Extracts one page; bytes of text and seconds of the processor.
fn extract(stage: &dyn Stage, html: &[u8]) -> Result<(usize, f64), Box<dyn Error>> {
    let null: ArrayRef = Arc::new(StringArray::new_null(1));
    let columns =
        [(column::HTML, Arc::new(BinaryArray::from_vec(vec![html])) as ArrayRef), (column::TEXT, null)];
    let batch = RecordBatch::try_from_iter(columns)?;
    let begun = clock::seconds();
    let outcome = stage.apply(&batch)?;
    let seconds = clock::seconds() - begun;
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
    [nesting(bytes), contents(bytes), below(bytes), lengths(bytes), again(bytes), groups(bytes)].concat()
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

/// What is opened, found or looked for again and again.
fn again(bytes: usize) -> Vec<Built> {
    let attributes = |count: usize| (0..count).map(|n| format!(" a{n}")).collect::<String>();
    let marked = |count: usize| format!("<b{}>", attributes(count));
    vec![
        ("hr in spans", inside("<span>", 195, "<hr>", bytes)),
        ("ends of p in spans", inside("<span>", 195, "</p>", bytes)),
        ("buttons in spans", inside("<span>", 195, "<button></button>", bytes)),
        ("links in spans", inside("<span>", 195, "<a href=x>y", bytes)),
        ("ends of b in spans", inside("<span>", 195, "</b>", bytes)),
        ("text below b", inside("<b><span>", 60, "x<br>", bytes)),
        ("paragraphs and a zero byte", repeated("\0", "<p>x", bytes)),
        ("td in spans", inside("<table><tr><td><span>", 40, "<td>x", bytes)),
        ("li under a wall", inside(&format!("<li><ul>{}", "<span>".repeat(190)), 1, "<li></li>", bytes)),
        (
            "div under a cell",
            inside(&format!("<div><table><tr><td>{}", "<span>".repeat(90)), 1, "</div>", bytes),
        ),
        ("b of many attributes", repeated(&marked(60).repeat(22), &format!("{}x</b>", marked(60)), bytes)),
        ("b of known attributes", {
            let known = "<b alt class color content datetime display encoding face href id name property rel role \
                 rowspan size start style title type value hidden charset colspan itemprop itemtype>";
            repeated(&known.repeat(22), &format!("{known}x</b>"), bytes)
        }),
        (
            "b i u over paragraphs",
            inside("<b><i><u><s><em><tt><big><code><small><strong>", 2, "<p>x</p>", bytes),
        ),
        ("anchors over blocks", repeated("", "<a href=x><p>y<div>z", bytes)),
        ("b in cells", repeated("<table><tr>", "<td><b><i>x", bytes)),
        ("nobr", repeated("", "<nobr>x<p>", bytes)),
        ("forms", repeated("", "<form><input></form>", bytes)),
        ("nested buttons", repeated("", "<button>x<div>", bytes)),
        ("nested svg", nested("<svg><title>", "</title></svg>", bytes)),
        ("nested templates", nested("<template><div>", "</div></template>", bytes)),
        ("nested quotes, lists, tables", {
            nested(
                "<blockquote><ul><li><table><tr><td>x<p>",
                "</p></td></tr></table></li></ul></blockquote>",
                bytes,
            )
        }),
        ("doctypes", repeated("", "<!doctype html>", bytes)),
        ("rare entities", repeated("", "<p>&copy;", bytes)),
        ("numbered entities", repeated("<p>", "&#xe4;&#228;", bytes)),
        ("broken entities", repeated("<p>", "&#&#x&#x110000;&#1", bytes)),
        ("rare entities in values", repeated("", "<p title='&copy'>", bytes)),
        ("long style", repeated("<p style='", "display : block ; ", bytes)),
        ("long href", repeated("<p>x<a href='", "/a(b) c", bytes)),
        ("metas", repeated("", "<meta name=description content=x>", bytes)),
        ("titles", repeated("", "<svg><title>x</title></svg>", bytes)),
        ("first headings", repeated("<title>x - y</title>", "<nav><h1>y</h1></nav>", bytes)),
    ]
}

/// Groups that are as large as is looked through at once, in elements that each look.
fn groups(bytes: usize) -> Vec<Built> {
    let group = |open: &str, close: &str, times: usize, unit: &str, units: usize, last: &str| {
        let unit = format!("{}{}{last}{}", open.repeat(times), unit.repeat(units), close.repeat(times));
        repeated("", &unit, bytes)
    };
    vec![
        ("empty formulas", group("<math>", "</math>", 90, "<mi></mi>", 3900, "")),
        ("deep formulas", group("<math>", "</math>", 90, "<mi>x</mi>", 3900, "")),
        (
            "one long formula",
            inside("<mrow>", 60, "", 0).replacen("<mrow>", "<math><mrow>", 1) + "<mi>" + &"x".repeat(bytes),
        ),
        ("kbd before a block", group("<kbd>", "</kbd>", 90, "<br>", 3900, "<div>x</div>")),
        ("hidden before a block", group("<span hidden>", "</span>", 90, "<br>", bytes / 4, "<div>x</div>")),
        ("gutters before a letter", group("<i class=gutter>", "</i>", 20, "<u>1</u>", 4000, "x")),
        (
            "summaries around spaces",
            group("<details><summary>", "</summary></details>", 45, " ", 10_000, "x"),
        ),
        ("cells in a formula", {
            let cells = format!("<table><tr><td><td><math>{}", "<td>".repeat(90));
            repeated(&cells, "<mi></mi>", bytes)
        }),
        ("rows of spans", repeated("<table>", "<tr><td rowspan=100 colspan=99>x<td>y", bytes)),
        ("lines in quotes", repeated(&"<blockquote>".repeat(12), "x<br><br>", bytes)),
        ("lines in lists", repeated(&"<ol start=999999999><li>".repeat(12), "x<br><br>", bytes)),
        ("code in quotes", repeated(&("<blockquote>".repeat(12) + "<pre>"), "x\n", bytes)),
        ("code in lists", repeated(&("<ol start=999999999><li>".repeat(12) + "<pre>"), "x\n", bytes)),
        ("underscores", repeated("<p>", "_a", bytes)),
        ("spaces", repeated("<p>", " \n", bytes) + "x"),
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
