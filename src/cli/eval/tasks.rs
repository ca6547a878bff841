//! `gristmill eval MODEL --tasks …`: asks a model the tasks of lm-evaluation-harness.

use super::contamination::{self, Contamination};
use crate::cli::output::emit_json;
use crate::cli::wrong::{self, Trouble};
use model::eval::task::{self, Chosen, Options, Outcome, Shots, Summary};
use model::score::Scorer;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Tasks to ask, by the names of lm-evaluation-harness; `--list` names them.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Folder of the rows of tasks.
    #[arg(long, requires = "tasks")]
    rows: Option<PathBuf>,
    /// Solved examples before each question.
    #[arg(long, default_value_t = 0, requires = "tasks")]
    shots: usize,
    /// At most so many rows of a task, and of each subject of mmlu; 0 for all.
    #[arg(long, default_value_t = 0, requires = "tasks")]
    limit: usize,
    /// The model reads at most so many tokens at once (default: its context).
    #[arg(long, requires = "tasks")]
    max_length: Option<usize>,
    /// Looks for the rows in the documents of the dataset, and scores without those that stand there.
    #[arg(long, requires = "tasks")]
    contamination: bool,
}

impl Args {
    pub(super) const fn asked(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether what is asked needs a dataset: the held-out loss without tasks, or the look for their rows.
    pub(super) const fn reads_dataset(&self) -> bool {
        self.tasks.is_empty() || self.contamination
    }
}

/// Names every task.
pub(super) fn list(json: bool) -> ExitCode {
    if json {
        let row = |spec: &task::Spec| json!({"task": spec.name, "summary": spec.summary, "rows": spec.rows});
        return emit_json(&task::ALL.iter().map(row).collect::<Vec<_>>(), ExitCode::SUCCESS);
    }
    for spec in task::ALL {
        println!("{:<17} {} (rows: {})", spec.name, spec.summary, spec.rows.join(" or "));
        if let Shots::Drawn { from, .. } | Shots::First { from } = spec.shots {
            println!("{:<17} examples: {}", "", from.join(" or "));
        }
    }
    ExitCode::SUCCESS
}

/// Asks all tasks that were named.
pub(super) fn run(
    args: &Args,
    model: &Path,
    dataset: Option<&Path>,
    out: Option<&PathBuf>,
    json: bool,
) -> ExitCode {
    let Some(rows) = &args.rows else {
        return wrong::misused("`--tasks` needs `--rows FOLDER`, where the rows of the tasks lie");
    };
    if !rows.is_dir() {
        return wrong::misused(format!("{}: `--rows` names a folder, and there is none", rows.display()));
    }
    let mut chosen = Vec::new();
    for name in &args.tasks {
        match task::find(name) {
            Ok(found) => chosen.push(found),
            Err(error) => return wrong::misused(error),
        }
    }
    // Before all the work, whose result would have no place.
    let file = match out.map(|path| created(path)).transpose() {
        Ok(file) => file,
        Err(trouble) => return trouble.tell(),
    };
    match answers(args, &chosen, model, rows) {
        Ok((asked, seconds)) => {
            let written = file.map_or(Ok(()), |file| samples(file, &asked));
            let found = written.and_then(|()| match args.contamination {
                true => contamination::look(dataset.expect("a dataset that is read was asked for"), &asked),
                false => Ok(Vec::new()),
            });
            match found {
                Ok(found) => show(&asked, &seconds, &found, json),
                Err(error) => wrong::failed(error),
            }
        }
        Err(error) => wrong::stopped(error),
    }
}

/// Each task with what came out, and its seconds.
type Answers = (Vec<(Chosen, Outcome)>, Vec<f64>);

fn answers(args: &Args, chosen: &[Chosen], model: &Path, rows: &Path) -> Result<Answers, model::TrainError> {
    let mut scorer = Scorer::open(model)?;
    if let Some(length_max) = args.max_length {
        scorer = scorer.with_length_max(length_max)?;
    }
    let options = Options { shots: args.shots, limit: args.limit };
    let mut seconds = Vec::new();
    let mut outcomes = Vec::new();
    for chosen in chosen {
        let begun = Instant::now();
        let outcome = task::run(&scorer, chosen, rows, options)?;
        let (cut, length_max) = (scorer.take_cut(), scorer.length_max());
        if cut > 0 {
            eprintln!(
                "warning: {}: {cut} texts are longer than the {length_max} tokens that the model reads at once; it did not see their beginning",
                outcome.task
            );
        }
        outcomes.push((*chosen, outcome));
        seconds.push(begun.elapsed().as_secs_f64());
    }
    Ok((outcomes, seconds))
}

/// Makes the file of the answers.
pub(super) fn created(path: &Path) -> Result<std::fs::File, Trouble> {
    std::fs::File::create(path).map_err(|error| Trouble::Use(format!("{}: {error}", path.display())))
}

/// Writes each row with its answer.
fn samples(file: std::fs::File, asked: &[(Chosen, Outcome)]) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("the answers cannot be written: {error}");
    let mut file = std::io::BufWriter::new(file);
    for row in asked.iter().flat_map(|(_, outcome)| &outcome.answered) {
        let line = serde_json::to_string(row).map_err(|error| error.to_string())?;
        writeln!(file, "{line}").map_err(wrong)?;
    }
    file.flush().map_err(wrong)
}

fn show(asked: &[(Chosen, Outcome)], seconds: &[f64], found: &[Contamination], json: bool) -> ExitCode {
    if json {
        let row = |(at, (_, outcome)): (usize, &(Chosen, Outcome))| {
            json!({
                "task": outcome.task, "rows": outcome.path, "shots": outcome.shots, "seconds": seconds[at],
                "results": outcome.summaries.iter().map(figures).collect::<Vec<_>>(),
                "contamination": found.get(at),
            })
        };
        return emit_json(&asked.iter().enumerate().map(row).collect::<Vec<_>>(), ExitCode::SUCCESS);
    }
    println!("{:<40} {:>6} {:>5}  {:<16} {:>10}", "task", "rows", "shots", "measure", "value");
    for (_, outcome) in asked {
        for Summary { task, rows, figures } in &outcome.summaries {
            for (at, (measure, figure)) in figures.iter().enumerate() {
                let (task, rows) =
                    if at == 0 { (task.as_str(), rows.to_string()) } else { ("", String::new()) };
                let shots = if at == 0 { outcome.shots.to_string() } else { String::new() };
                let error = figure.error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
                println!("{task:<40} {rows:>6} {shots:>5}  {measure:<16} {:>10.4}{error}", figure.value);
            }
        }
    }
    contamination::show(found);
    ExitCode::SUCCESS
}

/// A summary as JSON: figures by name, each with its error.
fn figures(summary: &Summary) -> Value {
    let figures = summary.figures.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure)));
    json!({
        "task": summary.task, "rows": summary.rows,
        "figures": figures.collect::<serde_json::Map<_, _>>(),
    })
}
