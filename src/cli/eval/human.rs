//! `gristmill eval --human A --human B …`: a blind sheet for people to rate, and `--ratings` with `--key`: what filled sheets say.

use crate::cli::folders;
use crate::cli::output::emit_json;
use crate::cli::wrong::{self, Trouble};
use model::eval::human::{self, Key, Pair, Row, Verdicts};
use model::eval::prompts;
use model::generate::{Sampler, Sampling};
use schemas::hash::seed;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// A model whose answers people compare; twice or more.
    #[arg(long, requires_all = ["prompts", "out"])]
    human: Vec<PathBuf>,
    /// Prompts, one a line, or JSON lines with `prompt`.
    #[arg(long, requires = "human")]
    prompts: Option<PathBuf>,
    /// The sheet: `.csv` for a spreadsheet, `.jsonl`, or `.html` for a browser. Its key goes beside it as `.key.json`.
    #[arg(long, requires = "human")]
    out: Option<PathBuf>,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 128, requires = "human")]
    answer_tokens: u64,
    /// Divides logits; 0 takes the most likely tokens.
    #[arg(long, default_value_t = 0.8, requires = "human")]
    temperature: f64,
    /// Seed of the draws and of the order.
    #[arg(long, default_value_t = 0, requires = "human")]
    seed: u64,
    /// A sheet that a rater has filled; once for each rater.
    #[arg(long, requires = "key", conflicts_with = "human")]
    ratings: Vec<PathBuf>,
    /// The key of the sheets.
    #[arg(long, requires = "ratings")]
    key: Option<PathBuf>,
    /// Rows without a choice are left out instead of refused.
    #[arg(long, requires = "ratings")]
    partly: bool,
}

impl Args {
    pub(super) const fn asked(&self) -> bool {
        !self.human.is_empty() || !self.ratings.is_empty()
    }
}

pub(super) fn run(args: &Args, json: bool) -> ExitCode {
    if let Some(key) = &args.key {
        return read(args, key, json);
    }
    let (Some(prompts), Some(out), true) = (&args.prompts, &args.out, args.human.len() > 1) else {
        return wrong::misused("give `--human` twice or more, `--prompts FILE` and `--out SHEET`");
    };
    match write(args, prompts, out) {
        Ok((rows, key)) if json => {
            emit_json(&serde_json::json!({"sheet": out, "key": key, "rows": rows}), ExitCode::SUCCESS)
        }
        Ok((rows, key)) => {
            println!("{}: {rows} rows; a rater writes 1, 2 or = into `choice`", out.display());
            println!("{}: whose answers they are; keep it from raters", key.display());
            println!("then: gristmill eval --ratings FILLED --key {}", key.display());
            ExitCode::SUCCESS
        }
        Err(trouble) => trouble.tell(),
    }
}

fn write(args: &Args, prompts: &Path, out: &Path) -> Result<(usize, PathBuf), Trouble> {
    wrong::there(prompts)?;
    let prompts = prompts::read(prompts)?;
    let mut answers = Vec::new();
    for path in &args.human {
        let sampler = Sampler::open(&folders::model(path)?)?;
        let of = |(number, prompt): (usize, &String)| {
            let sampling = Sampling {
                tokens_max: args.answer_tokens,
                temperature: args.temperature,
                seed: seed(args.seed, "eval.human.answer", number as u64),
                ..Sampling::default()
            };
            Ok::<_, Trouble>(sampler.generate(prompt, &sampling)?)
        };
        answers.push(prompts.iter().enumerate().map(of).collect::<Result<Vec<_>, _>>()?);
    }
    let mut pairs = Vec::new();
    for (a, first) in answers.iter().enumerate() {
        for (b, second) in answers.iter().enumerate().skip(a + 1) {
            let of = |at: usize| Pair {
                prompt: prompts[at].clone(),
                answers: [first[at].clone(), second[at].clone()],
                models: [a, b],
            };
            pairs.extend((0..prompts.len()).map(of));
        }
    }
    let names: Vec<String> = args.human.iter().map(|path| path.display().to_string()).collect();
    let (rows, key) = human::sheet(&names, &pairs, args.seed);
    let text = match out.extension().and_then(|ending| ending.to_str()) {
        Some("html") => human::page(&rows),
        Some("jsonl") => human::json_lines(&rows),
        Some("csv") => human::csv(&rows),
        _ => return Err(Trouble::Use(format!("{}: a sheet ends in .csv, .jsonl or .html", out.display()))),
    };
    let key_path = out.with_extension("key.json");
    let key_text = serde_json::to_string_pretty(&key)? + "\n";
    // A sheet of the same answers in another form has the same key.
    let is_other = |path: &Path| std::fs::read(path).is_ok_and(|there| there != key_text.as_bytes());
    if out.exists() || is_other(&key_path) {
        let there = if out.exists() { out } else { &key_path };
        return Err(Trouble::Use(format!(
            "{} is there already, and may hold what people said; name another",
            there.display()
        )));
    }
    let save = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    save(out, &text)?;
    save(&key_path, &key_text)?;
    Ok((rows.len(), key_path))
}

fn read(args: &Args, key: &Path, json: bool) -> ExitCode {
    let text = |path: &Path| {
        wrong::there(path)?;
        std::fs::read_to_string(path).map_err(|error| Trouble::Work(format!("{}: {error}", path.display())))
    };
    let sheet = |path: &PathBuf| {
        let rows = human::read(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<(String, Vec<Row>), Trouble>((path.display().to_string(), rows))
    };
    let known = text(key).and_then(|text| {
        let read = serde_json::from_str::<Key>(&text);
        read.map_err(|error| Trouble::Use(format!("{}: is no key: {error}", key.display())))
    });
    let sheets = args.ratings.iter().map(sheet).collect::<Result<Vec<_>, _>>();
    let (known, sheets) = match (known, sheets) {
        (Ok(known), Ok(sheets)) => (known, sheets),
        (Err(trouble), _) | (_, Err(trouble)) => return trouble.tell(),
    };
    match human::verdicts(&known, &sheets, args.partly) {
        Ok(found) if json => emit_json(&found, ExitCode::SUCCESS),
        Ok(found) => show(&found),
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn show(found: &Verdicts) -> ExitCode {
    for pair in &found.pairs {
        let [a, b] = &pair.models;
        println!("{a} against {b}");
        let told = |what: &str, [first, second, neither]: [usize; 3]| {
            println!("  {what:<8} {first} to {second}, {neither} to neither");
        };
        told("ratings", pair.ratings);
        told("rows", pair.rows);
        if let (Some(share), Some([low, high])) = (pair.share, pair.interval) {
            let [share, low, high] = [share, low, high].map(|x| 100.0 * x);
            println!(
                "  {a} wins {share:.1} % of decided rows, 95 % interval {low:.1} to {high:.1}; sign test p = {:.4}",
                pair.p
            );
        }
    }
    let told = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            println!("{name:<15} {value:.3}");
        }
    };
    println!("raters          {}", found.raters);
    told("Cohen's κ", found.cohen);
    told("Fleiss' κ", found.fleiss);
    told("Krippendorff's α", found.krippendorff);
    ExitCode::SUCCESS
}
