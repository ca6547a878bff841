//! `gristmill sweep DATASET|RECIPE --grid KEY=A,B`: many trainings side by side, ranked by held-out bits per byte (or loss, where the objective
//! has none).

use super::folders::{self, Given};
use super::output::emit_json;
use super::progress::{Progress, Trials};
use super::wrong;
use model::sweep::{Axis, Sweep, SweepReport, TrialReport};
use pipeline::dag::Kinds;
use pipeline::inspect::layout::one_line;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trials that the table on the terminal shows.
const SHOWN: usize = 40;

#[derive(clap::Args)]
#[command(
    after_help = "Every trial is a training in a folder of its own: a killed sweep goes on, and what has ended is not trained again. The result \
                  does not depend on `--jobs`.\n\
                  Example: gristmill sweep gristmill-demo/dataset --grid learning_rate=1e-3,2e-3,4e-3 --grid width=128,192 --halving --out sweep"
)]
pub(crate) struct Args {
    /// A dataset folder, the working folder of a build, or a recipe whose dataset is built.
    dataset: PathBuf,
    /// A setting with the values that are tried, `key=value,value`; every combination is a trial.
    #[arg(long, required = true)]
    grid: Vec<String>,
    #[command(flatten)]
    given: Given,
    /// Trains all trials briefly and the best ones longer, in rungs (successive halving).
    #[arg(long)]
    halving: bool,
    /// One in so many trials goes on to the next rung, which is so many times longer.
    #[arg(long, default_value_t = 3)]
    eta: u64,
    /// Trainings at once; the threads are shared out among them.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Folder of the trials and their table.
    #[arg(long)]
    out: PathBuf,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// All trials as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    let found = match folders::found(&args.dataset, &args.given, kinds) {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    let (dataset, base) = found.settled();
    let axes = match args.grid.iter().map(|text| axis(text)).collect::<Result<_, _>>() {
        Ok(axes) => axes,
        Err(error) => return wrong::misused(error),
    };
    if let Err(trouble) = folders::assert_for(&args.out, ("sweep", "sweep"), &["asked.json", "sweep.json"]) {
        return trouble.tell();
    }
    let sweep = Sweep { base, axes, halving: args.halving.then_some(args.eta), jobs: args.jobs };
    let listener = Trials::start(args.progress);
    let result = sweep.run(&dataset, &args.out, &listener);
    listener.end();
    let report = match result {
        Ok(report) => report,
        Err(error) => return wrong::stopped(error),
    };
    let code = if report.best.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let lost = report.trials.iter().filter(|trial| trial.figure().is_none()).count();
    if lost > 0 {
        eprintln!(
            "warning: {lost} of {} trials have no result; {} says why",
            report.trials.len(),
            args.out.join("trials.parquet").display()
        );
    }
    if args.json {
        return emit_json(&report, code);
    }
    show(&report, args);
    code
}

/// `key=value,value`.
fn axis(text: &str) -> Result<Axis, String> {
    let (key, values) = text.split_once('=').ok_or_else(|| format!("`{text}` is no `key=value,value`"))?;
    let values = values.split(',').map(|value| super::stage::setting(&format!("{key}={}", value.trim())));
    let values = values.map(|pair| pair.map(|(_, value)| value)).collect::<Result<_, _>>()?;
    Ok(Axis { key: key.trim().to_owned(), values })
}

fn show(report: &SweepReport, args: &Args) {
    let width = report.trials.iter().map(|trial| trial.name.chars().count()).max().unwrap_or(0).max(5);
    let rung = |trial: &TrialReport| {
        if args.halving { format!("{:>4}  ", trial.rung) } else { String::new() }
    };
    let head = if args.halving { "rung  " } else { "" };
    println!(
        "{head}{:width$}  {:>7}  {:>9}  {:>8}  {:>10}",
        "trial", "steps", "training", "held out", "bits/byte"
    );
    for trial in report.trials.iter().take(SHOWN) {
        let name = one_line(&trial.name);
        match (
            trial.reason(),
            trial.steps,
            trial.loss,
            trial.validation_loss.filter(|_| trial.figure().is_some()),
        ) {
            (None, Some(steps), Some(loss), Some(held)) => {
                let bits = trial.bits_per_byte.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"));
                println!("{}{name:width$}  {steps:>7}  {loss:>9.4}  {held:>8.4}  {bits:>10}", rung(trial));
            }
            (reason, ..) => {
                let reason = reason.unwrap_or("its held-out loss is not a number");
                println!("{}{name:width$}  {}", rung(trial), one_line(reason));
            }
        }
    }
    if report.trials.len() > SHOWN {
        println!("… {} more in {}", report.trials.len() - SHOWN, args.out.join("trials.parquet").display());
    }
    match &report.best {
        Some(best) => println!(
            "\nThe best settings ({}, for `gristmill train DATASET --with`):\n\n{best}",
            args.out.join("best.toml").display()
        ),
        None if args.halving => println!("\nno trial of the last rung has a result"),
        None => println!("\nno trial has a result"),
    }
}
