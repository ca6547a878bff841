//! Extracts pages from gzipped JSON lines for a scorer: `extract_pages [--folds DATA] IN.jsonl.gz... > PRED.jsonl`.
//!
//! Each line in has `id`, `html` and perhaps `url`; each line out has `id`, `text` (plain), `markdown`, `title`,
//! `confidence`, `page_type`, `author`, `date` and `cpu_s`, the seconds of one extraction. Folders are read as their `.html` files, for speed.
//!
//! With `--folds`, the pages are cut into five parts by host, and each part is extracted with weights learned from the
//! other four of the folder DATA, as `gristmill fit extract.html --set folds=5 --set fold=N` makes them: what is to be
//! expected of pages that nothing was learned from.

use flate2::read::MultiGzDecoder;
use gristmill_stages::extract::html::{Config, Extractor, FIT, Format, PageType, fold};
use schemas::Settings;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Parts of a cross-validation.
const FOLDS: u64 = 5;

/// One model in both formats.
struct Model {
    marked: Extractor,
    plain: Extractor,
}

impl Model {
    fn new(weights: Option<&[u8]>) -> Option<Self> {
        let of = |config: Config| match weights {
            Some(bytes) => Extractor::with_weights(config, bytes),
            None => Some(Extractor::new(config)),
        };
        let plain = Config { format: Format::Plain, ..Config::default() };
        Some(Self { marked: of(Config { facts: true, ..Config::default() })?, plain: of(plain)? })
    }

    /// Learned from all parts of a folder but one.
    fn without(data: &str, part: u64) -> std::io::Result<Self> {
        let pairs = vec![
            ("data".to_owned(), data.into()),
            ("folds".to_owned(), (FOLDS as i64).into()),
            ("fold".to_owned(), (part as i64).into()),
        ];
        let fitted = (FIT.fit)(&Settings::new(pairs)).map_err(|errors| {
            std::io::Error::other(errors.iter().map(ToString::to_string).collect::<String>())
        })?;
        Self::new(Some(&fitted.bytes)).ok_or_else(|| std::io::Error::other("no weights were made"))
    }
}

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (data, paths) = match args.split_first() {
        Some((flag, rest)) if flag == "--folds" => (rest.first(), rest.get(1..).unwrap_or_default()),
        _ => (None, args.as_slice()),
    };
    let models = match data {
        Some(data) => (0..FOLDS).map(|part| Model::without(data, part)).collect::<Result<Vec<_>, _>>()?,
        None => vec![Model::new(None).ok_or_else(|| std::io::Error::other("no weights"))?],
    };
    for path in paths.iter().map(Path::new) {
        if path.is_dir() {
            folder(path, &models[0], &mut out)?;
            continue;
        }
        for line in BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines() {
            let page: Value = serde_json::from_str(&line?)?;
            let html = page["html"].as_str().unwrap_or_default();
            let model = &models[fold(&page, models.len() as u64) as usize];
            record(&page["id"], html, page["url"].as_str(), model, &mut out)?;
        }
    }
    Ok(())
}

fn folder(path: &Path, model: &Model, out: &mut impl Write) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let file = entry.path();
        if file.is_dir() {
            folder(&file, model, out)?;
        } else if file.extension().is_some_and(|e| e == "html") {
            let html = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
            record(&json!(file.display().to_string()), &html, None, model, out)?;
        }
    }
    Ok(())
}

fn record(
    id: &Value,
    html: &str,
    url: Option<&str>,
    model: &Model,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let begun = Instant::now();
    let marked = model.marked.extract(html, url);
    let cpu_s = begun.elapsed().as_secs_f64();
    let plain = model.plain.extract(html, url);
    let row = json!({
        "id": id, "text": plain.text, "markdown": marked.text, "title": marked.title,
        "confidence": marked.confidence, "link_density": marked.link_density, "cpu_s": cpu_s,
        "page_type": marked.page_type.map(PageType::name), "author": marked.author, "date": marked.date,
    });
    writeln!(out, "{row}")
}
