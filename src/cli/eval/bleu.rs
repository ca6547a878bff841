//! `gristmill eval --bleu`: BLEU of outputs against references, or of many cases at once.

use crate::cli::output::{emit, emit_json};
use crate::cli::wrong::{self, Trouble};
use model::eval::bleu::{Bleu, Settings, Smooth, Tokenize, bleu};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Outputs, one a line, for `--refs`; or cases as JSON lines: `id`, `mode`, `tok`, `smooth`, `lc`, `hyps`, `refs`.
    #[arg(long)]
    bleu: Option<PathBuf>,
    /// References, one a line; once for each set of them. An empty line is an empty reference.
    #[arg(long, requires = "bleu")]
    refs: Vec<PathBuf>,
    /// How lines are cut into words: 13a, intl, char or none.
    #[arg(long, default_value = "13a", requires = "bleu")]
    tok: String,
    /// What orders without a match count: exp, floor, add-k or none.
    #[arg(long, default_value = "exp", requires = "bleu")]
    smooth: String,
    /// Case is ignored.
    #[arg(long, requires = "bleu")]
    lowercase: bool,
    /// A score for each line instead of one for all.
    #[arg(long, requires = "bleu")]
    sentences: bool,
}

impl Args {
    pub(super) const fn asked(&self) -> bool {
        self.bleu.is_some()
    }
}

/// A case of a file of them, as sacreBLEU's users write it.
#[derive(Deserialize)]
struct Case {
    id: serde_json::Value,
    mode: String,
    tok: String,
    smooth: String,
    lc: bool,
    hyps: Vec<String>,
    refs: Vec<Vec<Option<String>>>,
}

pub(super) fn run(args: &Args, json: bool) -> ExitCode {
    let Some(path) = &args.bleu else { return ExitCode::from(2) };
    let done = if args.refs.is_empty() { cases(path) } else { lines(args, path, json) };
    done.unwrap_or_else(Trouble::tell)
}

fn settings(tok: &str, smooth: &str, lowercase: bool, sentence: bool) -> Result<Settings, String> {
    let tokenize = Tokenize::named(tok).ok_or_else(|| format!("`{tok}` is none of 13a, intl, char, none"))?;
    let smooth =
        Smooth::named(smooth).ok_or_else(|| format!("`{smooth}` is none of exp, floor, add-k, none"))?;
    Ok(Settings { tokenize, smooth, lowercase, effective_order: sentence })
}

/// A row with the score of each case.
fn cases(path: &Path) -> Result<ExitCode, Trouble> {
    wrong::there(path)?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut out = String::new();
    for (at, line) in text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let told = |error: String| {
            format!("{}: line {}: {error}; for lines of text give `--refs`", path.display(), at + 1)
        };
        let case: Case = serde_json::from_str(line).map_err(|error| told(error.to_string()))?;
        let found = score(&case).map_err(told)?;
        let mut row = serde_json::to_value(&found).map_err(|error| told(error.to_string()))?;
        row["id"] = case.id;
        out += &format!("{row}\n");
    }
    Ok(emit(&out, ExitCode::SUCCESS))
}

fn score(case: &Case) -> Result<Bleu, String> {
    let sentence = match case.mode.as_str() {
        "sentence" => true,
        "corpus" => false,
        other => return Err(format!("`mode` {other:?} is neither corpus nor sentence")),
    };
    let settings = settings(&case.tok, &case.smooth, case.lc, sentence)?;
    let count = if sentence { case.hyps.len().min(1) } else { case.hyps.len() };
    let refs: Vec<Vec<String>> =
        case.refs.iter().map(|refs| refs.iter().flatten().cloned().collect()).collect();
    bleu(&case.hyps[..count], &refs[..count.min(refs.len())], &settings)
}

/// The score of a file of lines.
fn lines(args: &Args, path: &Path, json: bool) -> Result<ExitCode, Trouble> {
    let settings = settings(&args.tok, &args.smooth, args.lowercase, args.sentences).map_err(Trouble::Use)?;
    let read = |path: &PathBuf| {
        wrong::there(path)?;
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut lines: Vec<String> =
            text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect();
        lines.pop_if(|line| line.is_empty());
        Ok::<_, Trouble>(lines)
    };
    let outputs = read(&path.to_owned())?;
    let sets = args.refs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if let Some((set, path)) = sets.iter().zip(&args.refs).find(|(set, _)| set.len() != outputs.len()) {
        let told = format!("{} has {} lines, the outputs {}", path.display(), set.len(), outputs.len());
        return Err(Trouble::Work(told));
    }
    let refs: Vec<Vec<String>> =
        (0..outputs.len()).map(|at| sets.iter().map(|set| set[at].clone()).collect()).collect();
    let scores = if args.sentences {
        outputs
            .iter()
            .zip(&refs)
            .map(|(output, refs)| bleu(std::slice::from_ref(output), std::slice::from_ref(refs), &settings))
            .collect::<Result<Vec<_>, _>>()?
    } else {
        vec![bleu(&outputs, &refs, &settings)?]
    };
    let signature = settings.signature(Some(sets.len()));
    if json {
        return Ok(emit_json(
            &serde_json::json!({"signature": signature, "scores": scores}),
            ExitCode::SUCCESS,
        ));
    }
    for found in scores {
        let precisions = found.precisions.map(|p| format!("{p:.1}")).join("/");
        println!(
            "BLEU {:.2}  {precisions}  (BP {:.3}, lengths {} and {})",
            found.score, found.bp, found.sys_len, found.ref_len
        );
    }
    println!("{signature}");
    Ok(ExitCode::SUCCESS)
}
