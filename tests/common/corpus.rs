//! Documents made from a seed: sentences of plain English with names, numbers, addresses and emoji; some twice, some
//! nearly twice, some junk; as JSON lines (also gzip), folders of HTML and WARC files.

use super::write;
use flate2::Compression;
use flate2::write::GzEncoder;
use schemas::hash::{Rng, seed};
use std::io::Write;
use std::path::Path;

const SUBJECTS: [&str; 16] = [
    "the old miller",
    "my sister",
    "a careful reader",
    "the river",
    "this small town",
    "the council",
    "every child in the school",
    "our neighbour",
    "the teacher",
    "a stranger from the coast",
    "the librarian",
    "the train to the north",
    "her grandfather",
    "the first winter storm",
    "an engineer",
    "the market",
];
const VERBS: [&str; 16] = [
    "remembers",
    "wanted to change",
    "has never seen",
    "carried",
    "wrote about",
    "was afraid of",
    "is looking for",
    "could not forget",
    "built",
    "often speaks of",
    "paid for",
    "will repair",
    "had to leave",
    "measured",
    "slowly crossed",
    "found",
];
const OBJECTS: [&str; 16] = [
    "the broken wheel",
    "a field of barley",
    "the letters that were kept in the attic",
    "seven bridges",
    "the long road over the hills",
    "an unfinished map",
    "the price of bread",
    "a garden with apple trees",
    "the weather report",
    "a quiet harbour",
    "the history of the mill",
    "those narrow stairs",
    "a book with blue covers",
    "the light in the window",
    "a machine for grinding corn",
    "the last ferry",
];
const TAILS: [&str; 16] = [
    "when the rain came",
    "because of the noise",
    "with great patience",
    "before the harvest was over",
    "and told nobody",
    "as it had been for many years",
    "without a single word",
    "in the early morning",
    "after the war",
    "to the surprise of everyone",
    "for the third time this year",
    "although it was late",
    "at the edge of the forest",
    "while the others were asleep",
    "on the way home",
    "if the papers are to be believed",
];

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.below(words.len() as u64) as usize]
}

fn sentence(rng: &mut Rng) -> String {
    let (subject, verb) = (pick(rng, &SUBJECTS), pick(rng, &VERBS));
    let (object, tail) = (pick(rng, &OBJECTS), pick(rng, &TAILS));
    let number = rng.below(900) + 100;
    let mut words = match rng.below(4) {
        0 => format!("in {} {subject} {verb} {object} {tail}.", 1000 + number),
        1 => format!("{tail}, {subject} {verb} {object}."),
        2 => format!("{subject} {verb} {object}, and {} {number} of them {tail}.", pick(rng, &VERBS)),
        _ => format!("{subject} {verb} {object} {tail}."),
    };
    words[..1].make_ascii_uppercase();
    words
}

/// A text of so many sentences, in paragraphs.
pub fn prose(rng: &mut Rng, sentences: u64) -> String {
    let mut text = String::new();
    for n in 0..sentences {
        text += &sentence(rng);
        text += if n % 4 == 3 { "\n\n" } else { " " };
    }
    text.trim_end().to_owned()
}

/// Document number `n` of a corpus. One in twelve is a copy of an earlier one, one in twelve is nearly one, one in
/// sixteen is junk; others have an e-mail address, a phone number, an emoji or a foreign language in them.
pub fn document(corpus: u64, n: u64) -> String {
    let mut rng = Rng::new(seed(corpus, "document", n));
    let earlier = |rng: &mut Rng| Rng::new(seed(corpus, "document", 12 * rng.below(n / 12 + 1) + 5));
    let plain = |rng: &mut Rng| {
        let length = 8 + rng.below(14);
        prose(rng, length)
    };
    match n % 48 {
        3 | 15 | 27 | 39 if n > 12 => plain(&mut earlier(&mut rng)),
        7 | 19 | 31 | 43 if n > 12 => plain(&mut earlier(&mut rng)) + " That is all that is known.",
        9 => "# # # ... ... @@ 123 456".to_owned(),
        21 => "buy now ".repeat(120),
        // Too short for any use, and all the same English.
        33 => "That is all that is known of the old mill.".to_owned(),
        45 => "Le meunier se souvient de la roue cassée et de la longue route, parce que la pluie est venue très tôt \
               cette année et que personne ne voulait partir sans dire un mot de plus aux voisins du village. "
            .repeat(3),
        other => {
            let mut text = plain(&mut rng);
            if other % 5 == 0 {
                text += &format!(" Write to miller{n}@mail{}.org for more.", rng.below(50));
            }
            if other % 7 == 0 {
                text += &format!(" Call +1-984-{}-{:04}.", 200 + rng.below(700), rng.below(10_000));
            }
            if other % 11 == 0 {
                text += " That was good 👍🏽 and it is cafÃ© time \u{200b}☕.";
            }
            if other % 4 == 1 {
                text = text.replace(". ", ".\u{a0}\r\n\r\n\r\n ");
            }
            text
        }
    }
}

/// A document as a web page.
pub fn page(corpus: u64, n: u64) -> String {
    let paragraphs: String = document(corpus, n).split("\n\n").map(|p| format!("<p>{p}</p>\n")).collect();
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Page {n}</title></head><body><nav><a \
         href=/>Home</a> <a href=/about>About</a></nav><main><h1>Chapter {n}</h1>\n{paragraphs}</main><footer>All \
         rights reserved</footer></body></html>\n"
    )
}

/// Lines of a JSON-lines file.
pub fn json_lines(corpus: u64, numbers: impl Iterator<Item = u64>) -> String {
    let line = |n: u64| {
        let url = format!("https://words.example/{}", if n % 30 == 21 { n - 1 } else { n });
        serde_json::json!({ "id": n, "url": url, "text": document(corpus, n), "likes": n % 17 }).to_string()
            + "\n"
    };
    numbers.map(line).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A WARC response record, not compressed.
pub fn warc_response(url: &str, day: u64, body: &str) -> Vec<u8> {
    let http = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    warc_record(url, day, http.as_bytes(), http.len())
}

/// A WARC response record that tells the length `told`.
pub fn warc_record(url: &str, day: u64, block: &[u8], told: usize) -> Vec<u8> {
    let head = format!(
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-{:02}T00:00:00Z\r\n\
         WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{day:012x}>\r\nContent-Type: application/http; \
         msgtype=response\r\nContent-Length: {told}\r\n\r\n",
        day % 28 + 1
    );
    [head.as_bytes(), block, b"\r\n\r\n"].concat()
}

/// A whole recipe over what [`write_all`] writes; `@WORDS_MIN@` is the limit that tests change.
pub const RECIPE: &str = r#"
name = "whole"

[sources.lines]
kind = "source.jsonl"
paths = ["input/lines"]

[sources.pages]
kind = "source.html"
paths = ["input/pages"]
base_url = "https://pages.example/"

[sources.archive]
kind = "source.warc"
paths = ["input/archive"]

[[stages]]
kind = "dedup.url"

[[stages]]
kind = "extract.html"

[[stages]]
kind = "clean.unicode"

[[stages]]
kind = "clean.whitespace"

[[stages]]
kind = "clean.emoji"

[[stages]]
kind = "filter.language"
languages = ["eng"]
score_min = 0.3

[[stages]]
kind = "filter.length"
words_min = @WORDS_MIN@

[[stages]]
kind = "filter.gopher"

[[stages]]
kind = "filter.repetition"

[[stages]]
kind = "filter.toxicity"

[[stages]]
kind = "dedup.exact"

[[stages]]
kind = "dedup.minhash"

[[stages]]
kind = "clean.pii"

[tokenizer]
vocab_size = 400

[dataset]
length = 64
validation = 0.1
"#;

pub fn recipe(words_min: u32) -> String {
    RECIPE.replace("@WORDS_MIN@", &words_min.to_string())
}

/// Writes about `documents` documents below `input/` in five files and folders, and the recipe.
pub fn write_all(folder: &Path, corpus: u64, documents: u64) {
    let part = |of: u64| (0..documents).filter(move |n| n % 5 == of);
    write(folder, "input/lines/a.jsonl", json_lines(corpus, part(0)));
    write(folder, "input/lines/b.jsonl.gz", gzip(json_lines(corpus, part(1)).as_bytes()));
    write(folder, "input/lines/deep/c.ndjson", json_lines(corpus, part(2)));
    for n in part(3) {
        write(folder, &format!("input/pages/{}/{n}.html", n % 3), page(corpus, n));
    }
    let records = |numbers: Vec<u64>| -> Vec<u8> {
        let record = |&n: &u64| {
            gzip(&warc_response(&format!("https://archive.example/{n}?utm_source=x"), n, &page(corpus, n)))
        };
        numbers.iter().flat_map(record).collect()
    };
    let (first, second): (Vec<u64>, Vec<u64>) = part(4).partition(|n| n % 2 == 0);
    write(folder, "input/archive/one.warc.gz", records(first));
    write(folder, "input/archive/two.warc.gz", records(second));
    write(folder, "recipe.toml", recipe(30));
}
