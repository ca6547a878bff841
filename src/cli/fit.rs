//! `gristmill fit KIND`: makes the weights of a kind that learns.

use super::stage::setting;
use super::wrong;
use schemas::{Fitting, Settings, Value, near::closest};
use stages::source::files;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What names of files in folders end in that kinds learn from; weights that lie beside them can be made again.
const DATA: &[&str] = &[".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".gz", ".zst"];

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill fit filter.toxicity --set data=toxicity --set benign=text --out toxicity.bin"
)]
pub(crate) struct Args {
    /// The kind; without one, all kinds that learn are listed with their keys.
    kind: Option<String>,
    /// A setting, `key=value`; paths start at the current folder.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Weights to write, for the key `weights` of the kind. Appears only when complete.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The list, or what was learned, as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let Some(kind) = &args.kind else {
        list(args.json);
        return ExitCode::SUCCESS;
    };
    let Some(fitting) = stages::FITS.iter().find(|f| f.kind == kind) else {
        let near = closest(kind, stages::FITS.iter().map(|f| f.kind));
        let help = near.map_or("`gristmill fit` lists them".into(), |n| format!("did you mean `{n}`?"));
        return wrong::misused(format!("no kind that learns is called `{kind}`; {help}"));
    };
    let Some(out) = &args.out else {
        return wrong::misused("name the weights to write: `--out weights.bin`");
    };
    let pairs: Result<Vec<_>, String> = args.settings.iter().map(|s| setting(s)).collect();
    if let Some((key, _)) = pairs.iter().flatten().find(|(_, value)| reads(value, out)) {
        let message = format!("`--out` is a file that `{key}` reads, {}; name another one", out.display());
        return wrong::misused(message);
    }
    let fitted = match pairs.map(|pairs| (fitting.fit)(&Settings::new(pairs))) {
        Err(error) => return wrong::misused(error),
        Ok(Err(errors)) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return ExitCode::from(2);
        }
        Ok(Ok(fitted)) => fitted,
    };
    if let Err(error) = write(out, &fitted.bytes) {
        return wrong::failed(format!("{}: {error}", out.display()));
    }
    let mut facts = fitted.facts;
    facts.extend([("bytes", fitted.bytes.len().to_string()), ("out", out.display().to_string())]);
    if args.json {
        let told = facts.iter().map(|(name, value)| ((*name).to_owned(), number_or_text(value)));
        println!("{}", serde_json::Value::Object(told.collect()));
    } else {
        facts.iter().for_each(|(name, value)| println!("{name:<12} {value}"));
    }
    ExitCode::SUCCESS
}

/// Whether a setting names the file, or files among which it is.
fn reads(value: &Value, out: &Path) -> bool {
    match value {
        Value::String(path) => {
            let found = files::list(Path::new("."), std::slice::from_ref(path), DATA);
            let place = out.canonicalize().ok();
            let is_out = |found: &files::Found| found.path.canonicalize().ok() == place;
            place.is_some() && found.is_ok_and(|found| found.iter().any(is_out))
        }
        Value::Array(values) => values.iter().any(|value| reads(value, out)),
        _ => false,
    }
}

fn number_or_text(value: &str) -> serde_json::Value {
    serde_json::from_str(value).ok().filter(serde_json::Value::is_number).unwrap_or_else(|| value.into())
}

fn write(out: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, bytes)?;
    fs::rename(&part, out)
}

fn list(json: bool) {
    if json {
        let keys = |f: &Fitting| {
            let key = |k: &schemas::Key| serde_json::json!({ "name": k.name, "type": k.kind, "default": (k.default)(), "doc": k.doc.trim() });
            f.keys.iter().map(key).collect::<Vec<_>>()
        };
        let row = |f: &Fitting| serde_json::json!({ "kind": f.kind, "summary": f.summary, "keys": keys(f) });
        println!("{}", stages::FITS.iter().map(row).collect::<serde_json::Value>());
        return;
    }
    for fitting in stages::FITS {
        println!("{}\n  {}", fitting.kind, fitting.summary);
        for key in fitting.keys {
            println!("    {:<12} {} Default {}.", key.name, key.doc.trim(), (key.default)());
        }
    }
}
