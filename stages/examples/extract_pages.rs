//! Extracts pages from gzipped JSON lines for a scorer: `extract_pages IN.jsonl.gz... > PRED.jsonl`.
//!
//! Each line in has `id`, `html` and perhaps `url`; each line out has `id`, `text` (plain), `markdown`, `title`,
//! `confidence` and `cpu_s`, the seconds of one extraction. Folders are read as their `.html` files, for speed.

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use stages_example::{Config, Format, extract};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use gristmill_stages::extract::html as stages_example;

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for path in std::env::args().skip(1) {
        let path = Path::new(&path);
        if path.is_dir() {
            folder(path, &mut out)?;
            continue;
        }
        for line in BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines() {
            let page: Value = serde_json::from_str(&line?)?;
            let html = page["html"].as_str().unwrap_or_default();
            record(&page["id"], html, page["url"].as_str(), &mut out)?;
        }
    }
    Ok(())
}

fn folder(path: &Path, out: &mut impl Write) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let file = entry.path();
        if file.is_dir() {
            folder(&file, out)?;
        } else if file.extension().is_some_and(|e| e == "html") {
            let html = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
            record(&json!(file.display().to_string()), &html, None, out)?;
        }
    }
    Ok(())
}

fn record(id: &Value, html: &str, url: Option<&str>, out: &mut impl Write) -> std::io::Result<()> {
    let begun = Instant::now();
    let marked = extract(html, url, &Config::default());
    let cpu_s = begun.elapsed().as_secs_f64();
    let plain = extract(html, url, &Config { format: Format::Plain, ..Config::default() });
    let row = json!({
        "id": id, "text": plain.text, "markdown": marked.text, "title": marked.title,
        "confidence": marked.confidence, "link_density": marked.link_density, "cpu_s": cpu_s,
    });
    writeln!(out, "{row}")
}
