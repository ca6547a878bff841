//! Who wrote a page and when it was published, by what the page says for machines first and for readers then.
//!
//! Linked data (`datePublished`, `author`), `meta`, `itemprop` and `rel`, `<time>`; then short lines whose class says byline or date.
//! For the date, last, the address, when the page was changed, and the first short line with a date in it. A date is given as
//! `2024-05-31`, or not at all; several authors of linked data stand in their order, with commas.
//!
//! ```text
//! <meta property=article:published_time content=2024-05-31T08:00:00Z>   → 2024-05-31
//! <span class=byline>By Ann Lee</span> <time>31 May 2024</time>         → Ann Lee, 2024-05-31
//! ```

use super::page::{Page, collapsed};
use super::tag::Tag;
use super::words::{Hint, Hints};
use serde_json::Value;

/// Longest name of an author, in bytes.
const AUTHOR_BYTES_MAX: usize = 100;
/// Most bytes of a script that are looked through.
const SCRIPT_BYTES_MAX: usize = 100_000;
/// Most bytes behind `"author"` in which its name stands.
const NAME_BYTES_MAX: usize = 400;
/// Most bytes of a list of authors in linked data; of a longer one the first counts.
const NAMES_BYTES_MAX: usize = 4000;
/// Most bytes of a line that is read for a date.
const DATED_BYTES_MAX: usize = 80;
/// What stands where a name would, and is none.
const NO_NAMES: [&str; 5] = ["posted", "author", "autor", "by", "admin"];
/// Most nodes of an element that is read for a name or a date.
const NODES_MAX: usize = 40;
/// What a line of the author begins with.
const BY: [&str; 10] =
    ["by ", "von ", "par ", "por ", "di ", "written by ", "posted by ", "author: ", "autor: ", "text: "];
/// Months by name and as they are shortened, in English, German, French, Spanish, Italian, Portuguese and Dutch.
const MONTHS: [&str; 12] = [
    "january jan januar jänner jän janvier janv enero ene gennaio janeiro januari",
    "february feb februar février fév febrero febbraio fevereiro fev februari",
    "march mar märz mär mrz mars marzo março maart",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio maio mei",
    "june jun juni juin junio giugno junho",
    "july jul juli juillet juil julio luglio julho",
    "august aug août aoû aout agosto ago augustus",
    "september sep sept septembre septiembre settembre setembro",
    "october oct oktober okt octobre octubre ottobre outubro",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
];
/// Years that a page is written in.
const YEARS: std::ops::RangeInclusive<u32> = 1990..=2100;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// The name of who wrote it.
    pub(crate) author: Option<String>,
    /// When it was published.
    pub(crate) date: Option<String>,
}

/// Places of a date that are less sure than all others.
const IN_ADDRESS: u8 = 6;
const CHANGED: u8 = 7;
const IN_A_LINE: u8 = 8;

/// A candidate with how sure its place is: less is better.
type Found = Option<(u8, String)>;

fn better(found: &mut Found, rank: u8, value: Option<String>) {
    if let Some(value) = value
        && found.as_ref().is_none_or(|(best, _)| rank < *best)
    {
        *found = Some((rank, value));
    }
}

impl About {
    /// Reads a page; `hints` are those of its nodes.
    pub(crate) fn new(page: &Page<'_>, hints: &[Hints], url: &str) -> Self {
        let (mut author, mut date): (Found, Found) = (None, None);
        let mut comments_end = 0;
        for (at, node) in page.nodes.iter().enumerate() {
            if hints[at].has(Hint::Comment) && node.tag != Tag::Body {
                comments_end = comments_end.max(node.end as usize);
            }
            match node.tag {
                Tag::Text => {
                    let is_shown = !matches!(
                        page.nodes[node.parent as usize].tag,
                        Tag::Script | Tag::Style | Tag::Title | Tag::Option | Tag::Noscript | Tag::Textarea
                    );
                    let is_short = node.text.len() <= DATED_BYTES_MAX;
                    if date.is_none() && is_shown && is_short && at >= comments_end {
                        better(&mut date, IN_A_LINE, day(node.text));
                    }
                }
                Tag::Meta => meta(page, at, &mut author, &mut date),
                Tag::Script if node.attribute("type").is_some_and(|t| t.contains("ld+json")) => {
                    if let Some(text) = page.nodes.get(at + 1).filter(|t| t.parent as usize == at) {
                        let text = &text.text[..text.text.floor_char_boundary(SCRIPT_BYTES_MAX)];
                        better(&mut date, 0, value(text, "datePublished").and_then(|d| day(&d)));
                        better(&mut date, CHANGED, value(text, "dateModified").and_then(|d| day(&d)));
                        better(&mut author, 1, written(text));
                    }
                }
                _ => said(page, at, hints[at], &mut author, &mut date),
            }
        }
        better(&mut date, IN_ADDRESS, in_address(url));
        Self { author: author.map(|(_, name)| name), date: date.map(|(_, day)| day) }
    }
}

fn meta(page: &Page<'_>, at: usize, author: &mut Found, date: &mut Found) {
    let node = &page.nodes[at];
    let content = node.attribute("content").unwrap_or_default();
    let name = node.attribute("property").or_else(|| node.attribute("name"));
    let name = name.or_else(|| node.attribute("itemprop")).unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "article:published_time" | "datepublished" | "og:published_time" => better(date, 1, day(content)),
        "date"
        | "dc.date"
        | "dc.date.issued"
        | "dcterms.date"
        | "pubdate"
        | "publishdate"
        | "publish-date"
        | "sailthru.date"
        | "parsely-pub-date"
        | "citation_publication_date"
        | "cxenseparse:recs:publishtime" => {
            better(date, 2, day(content));
        }
        "article:modified_time" | "og:updated_time" | "datemodified" => better(date, CHANGED, day(content)),
        "author" | "dc.creator" | "byl" | "article:author" | "parsely-author" | "sailthru.author"
        | "citation_author" => better(author, 2, person(content)),
        _ => {}
    }
}

/// What an element that readers see says.
fn said(page: &Page<'_>, at: usize, hints: Hints, author: &mut Found, date: &mut Found) {
    let node = &page.nodes[at];
    let property = node.attribute("itemprop").unwrap_or_default();
    let is_short = node.end as usize - at <= NODES_MAX;
    let line = || page.line(at);
    if node.tag == Tag::Time {
        let told =
            node.attribute("datetime").and_then(day).or_else(|| is_short.then(line).and_then(|l| day(&l)));
        better(date, if property == "datePublished" { 2 } else { 4 }, told);
    } else if property == "datePublished" && is_short {
        let told = node.attribute("content").or_else(|| node.attribute("datetime")).and_then(day);
        better(date, 3, told.or_else(|| day(&line())));
    }
    if !is_short || hints.has(Hint::Comment) {
        return;
    }
    if property == "author" || node.attribute("rel") == Some("author") {
        better(author, 3, person(&line()));
    }
    if hints.has(Hint::Meta) && node.tag != Tag::Body {
        let line = line();
        let name = node.attribute("class").unwrap_or_default();
        if author.as_ref().is_none_or(|(rank, _)| *rank > 4)
            && (name.contains("author") || name.contains("byline"))
        {
            better(author, 4, person(&line));
        }
        if date.as_ref().is_none_or(|(rank, _)| *rank > 5) {
            better(date, 5, day(&line));
        }
    }
}

/// The string behind a key of linked data.
fn value(text: &str, key: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let at = rest.find(key)?;
        let quoted = rest[..at].ends_with('"');
        rest = &rest[at + key.len()..];
        let behind = rest.strip_prefix('"').map(|r| r.trim_start()).and_then(|r| r.strip_prefix(':'));
        if let Some(behind) = behind.filter(|_| quoted) {
            return string(behind.trim_start());
        }
    }
}

/// A string of linked data that begins here.
fn string(text: &str) -> Option<String> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.bytes().position(|b| {
        let is_end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        is_end
    })?;
    serde_json::from_str(&text[..end + 2]).ok()
}

/// The author of linked data: a name, a thing with one, or a list of these.
fn written(text: &str) -> Option<String> {
    let at = text.find("\"author\"")?;
    let behind = text[at + 8..].trim_start().strip_prefix(':')?.trim_start();
    let near = &behind[..behind.floor_char_boundary(NAME_BYTES_MAX)];
    let one = |near: &str| string(near).or_else(|| value(near, "name"));
    if !behind.starts_with('[') {
        return one(near).and_then(|name| person(&name));
    }
    let list = &behind[..behind.floor_char_boundary(NAMES_BYTES_MAX)];
    let list = serde_json::Deserializer::from_str(list).into_iter::<Vec<Value>>().next()?.ok();
    let Some(list) = list else { return value(near, "name").and_then(|name| person(&name)) };
    let names =
        list.iter().filter_map(|author| author.as_str().or_else(|| author["name"].as_str()).and_then(person));
    Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
}

/// A line as a name, if it can be one.
fn person(line: &str) -> Option<String> {
    let mut line = collapsed(line);
    let low = line.to_lowercase();
    if let Some(by) = BY.iter().find(|by| low.starts_with(**by)) {
        line.drain(..by.len());
    }
    let end = line
        .find([',', '|', '(', '•', '·', '\u{2013}'])
        .into_iter()
        .chain(line.find(" - "))
        .chain(line.find(" @"))
        .chain(line.find(" on "))
        .min();
    let end = end.unwrap_or(line.len());
    let name = line[..end].trim_matches(|c: char| !c.is_alphanumeric() && c != '.' && c != ')');
    let is_name = !name.is_empty()
        && name.len() <= AUTHOR_BYTES_MAX
        && !NO_NAMES.contains(&name.to_lowercase().as_str())
        && !name.contains("://")
        && !name.contains('@')
        && name.split(' ').count() <= 6
        && name.chars().filter(char::is_ascii_digit).count() <= 4;
    is_name.then(|| name.to_owned())
}

/// The first date of a line as `2024-05-31`.
fn day(line: &str) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    let split = |c: char| !c.is_alphanumeric();
    let line = &line[..line.floor_char_boundary(200)];
    for word in line.split(split).filter(|word| !word.is_empty()) {
        // `31T08` and `1st` are numbers with something behind.
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        words.push(if digits == 8 && digits == word.len() {
            return date(word[..4].parse().ok()?, word[4..6].parse().ok()?, word[6..].parse().ok()?);
        } else if digits > 0 {
            &word[..digits]
        } else {
            word
        });
    }
    let numbers: Vec<Option<u32>> = words.iter().map(|word| word.parse().ok()).collect();
    // Names of months are looked up only where numbers stand as in a date.
    numbers.windows(3).zip(words.windows(3)).find_map(|(numbers, words)| match *numbers {
        [Some(year), Some(month), Some(day)] if YEARS.contains(&year) => date(year, month, day),
        [Some(day), Some(month), Some(year)] if words[2].len() == 4 => {
            date(year, month, day).or_else(|| date(year, day, month))
        }
        [Some(day), None, Some(year)] => date(year, month(words[1])?, day),
        [None, Some(day), Some(year)] => date(year, month(words[0])?, day),
        _ => None,
    })
}

fn month(word: &str) -> Option<u32> {
    let low = word.to_lowercase();
    let found = MONTHS.iter().position(|names| names.split(' ').any(|name| name == low))?;
    Some(found as u32 + 1)
}

fn date(year: u32, month: u32, day: u32) -> Option<String> {
    let is_date = YEARS.contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// The date in an address: `/2024/05/31/`, `/2024-05-31-`.
fn in_address(url: &str) -> Option<String> {
    let numbers: Vec<&str> = url.split(['/', '-', '_']).collect();
    numbers.windows(3).find_map(|three| {
        let plain = three.iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let fits = plain && three[0].len() == 4 && three[1].len() <= 2 && three[2].len() <= 2;
        fits.then(|| date(three[0].parse().ok()?, three[1].parse().ok()?, three[2].parse().ok()?)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_page;
    use super::super::words::Hints;
    use super::About;

    fn check(html: &str, author: Option<&str>, date: Option<&str>) {
        let found = with_page(html, |page| {
            let hints = Hints::of_all(&page.nodes);
            About::new(page, &hints, "")
        });
        assert_eq!((found.author.as_deref(), found.date.as_deref()), (author, date), "{html}");
    }

    #[test]
    fn what_is_said_for_machines_goes_first() {
        let both = (Some("Ann Lee"), Some("2024-05-31"));
        for html in [
            "<script type=application/ld+json>{\"author\": {\"@type\": \"Person\", \"name\": \"Ann Lee\"},
             \"datePublished\":\"2024-05-31T08:00:00Z\"}</script><time>1 May 2020</time>",
            "<script type=application/ld+json>{\"author\":[{\"name\":\"Ann \\u004cee\"}],\"datePublished\" : \"2024-05-31\"}</script>",
            "<meta name=author content='Ann Lee'><meta property=article:published_time content=2024-05-31>",
            "<span itemprop=author>Ann Lee</span><time itemprop=datePublished datetime=20240531>x</time>",
            "<p class=byline>By Ann Lee, New York <time>May 31st, 2024</time>",
            "<a rel=author>Ann Lee</a> <span class=date>31. Mai 2024</span>",
            "<a rel=author>von Ann Lee</a> <time>31.05.2024</time>",
            "<meta name=author content='Ann Lee @ann'><div>31 May 2024</div><div>1 June 2024</div>",
            "<meta property=og:updated_time content=2024-05-31><span class=author>Ann Lee - Reporter</span><b>June 7, 2020</b>",
        ] {
            check(html, both.0, both.1);
        }
        let list = r#"{"author": [{"name": "Ann Lee"}, "Bo Li"]}"#;
        check(&format!("<script type=application/ld+json>{list}</script>"), Some("Ann Lee, Bo Li"), None);
        check("<div class=comment><p>31 May 2024</div><meta name=author content=Posted>", None, None);
        for line in ["Mario 3 1990", "Market 12, 2020", "Junior 10 2015", "<option>1 May 2020</option>"] {
            check(&format!("<h2>{line}</h2>"), None, None);
        }
        check("<p class=byline>By Ann Lee on March 5, 2021", Some("Ann Lee"), Some("2021-03-05"));
        check("<p class=author>ann@example.org", None, None);
        check("<p>In May 2024 there were 31 of them.", None, None);
        check("<time>no date</time><meta name=author content='https://x.y/z'>", None, None);
    }

    #[test]
    fn dates_in_addresses() {
        assert_eq!(super::in_address("https://a.b/2024/5/31/x").as_deref(), Some("2024-05-31"));
        assert_eq!(super::in_address("https://a.b/2024/05/x"), None);
        assert_eq!(super::in_address("https://a.b/news-2024-05-31-x").as_deref(), Some("2024-05-31"));
    }
}
