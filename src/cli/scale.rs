//! `gristmill scale DATASET --out DIR`: a scaling law from small trainings, and what it says of a larger model.

use super::folders::{self, Given};
use super::output::emit_json;
use super::progress::{Progress, Trials};
use super::wrong;
use model::scale::{Run, Scale, ScaleReport};
use pipeline::dag::Kinds;
use pipeline::inspect::layout::thousands;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Parameters are counted without embedding and head. Unless `parametrization` is set, all sizes train under muP, in which one\n\
                  learning rate serves every width; `learning_rate` is tried out unless `--set` gives it. Trainings are folders below `runs`: a killed ladder goes on.\n\
                  Example: gristmill scale gristmill-demo/dataset --largest 200000 --tokens 2000000 --out scaling"
)]
pub(crate) struct Args {
    /// A dataset folder, the working folder of a build, or a recipe whose dataset is built.
    dataset: PathBuf,
    /// Sizes of the ladder, evenly spread from a sixteenth of the largest to the largest; two that come to one shape are one.
    #[arg(long, default_value_t = 9)]
    sizes: u64,
    /// Parameters of the largest model of the ladder.
    #[arg(long, default_value_t = 200_000)]
    largest: u64,
    /// How many times larger the model is that is asked for.
    #[arg(long, default_value_t = 8.0)]
    factor: f64,
    /// Tokens of the larger model; each size is trained on as many (0: those of the dataset, once).
    #[arg(long, default_value_t = 0)]
    tokens: u64,
    /// Trains each size on so many tokens a parameter, in place of `--tokens`.
    #[arg(long, conflicts_with = "tokens")]
    tokens_per_parameter: Option<f64>,
    #[command(flatten)]
    given: Given,
    /// Trainings at once; the threads are shared out among them.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Trains the larger model too, and tells how far the prediction was off.
    #[arg(long)]
    check: bool,
    /// Folder of the trainings, the law and its plot.
    #[arg(long)]
    out: PathBuf,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// Trainings, law and prediction as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    let mut found = match folders::found(&args.dataset, &args.given, kinds) {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    // A recipe describes one model: what the ladder decides on is not taken from it, and the rate is tried out.
    found.recipe.retain(|(key, _)| !model::scale::decides(key));
    if let Err(trouble) = folders::assert_for(&args.out, ("scale", "ladder"), &["asked.json", "scale.json"]) {
        return trouble.tell();
    }
    let (dataset, base) = found.settled();
    let scale = Scale {
        base,
        sizes: args.sizes,
        largest: args.largest,
        factor: args.factor,
        tokens: args.tokens,
        tokens_per_parameter: args.tokens_per_parameter,
        jobs: args.jobs,
        check: args.check,
    };
    let listener = Trials::start(args.progress);
    let result = scale.run(&dataset, &args.out, &listener);
    listener.end();
    match result {
        Ok(report) if args.json => emit_json(&report, ExitCode::SUCCESS),
        Ok(report) => {
            show(&report, args);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::stopped(error),
    }
}

fn show(report: &ScaleReport, args: &Args) {
    println!(
        "{:>11}  {:>5}  {:>6}  {:>11}  {:>7}  {:>9}  {:>8}  {:>9}  {:>7}",
        "parameters", "width", "layers", "tokens", "steps", "rate", "held out", "bits/byte", "law"
    );
    let row = |run: &Run| {
        let Run { point, width, layers, steps, learning_rate, bits_per_byte, .. } = run;
        let law = report.law.loss(point.parameters);
        let bits_per_byte = bits_per_byte.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"));
        let (parameters, tokens) = (thousands(point.parameters as u64), thousands(point.tokens as u64));
        println!(
            "{parameters:>11}  {width:>5}  {layers:>6}  {tokens:>11}  {steps:>7}  {learning_rate:>9.2e}  {:>8.4}  {bits_per_byte:>9}  {law:>7.4}",
            point.loss
        );
    };
    report.runs.iter().for_each(row);
    let (law, prediction) = (&report.law, &report.prediction);
    print!("\nL = {:.3} + {:.4e} ÷ N^{:.3}", law.e, law.a, law.alpha);
    let [rate, exponent] = report.learning_rate;
    match exponent {
        0.0 => println!("      learning rate = {rate:.2e} at every size"),
        exponent => println!("      learning rate = {rate:.2e} · (N ÷ 10⁶)^−{exponent:.2}"),
    }
    // An objective that sees more than what stands before a token has none.
    let bits = report.bits_per_byte.map(|bits| format!(", {bits:.3} bits per byte")).unwrap_or_default();
    println!(
        "{} parameters, {} tokens: held-out loss {:.3} ({:.3} to {:.3} in 9 of 10 draws){bits}",
        thousands(prediction.parameters as u64),
        thousands(prediction.tokens as u64),
        prediction.loss,
        prediction.interval[0],
        prediction.interval[1]
    );
    if let Some(miss) = prediction.backtest {
        println!(
            "models about four times smaller and more predict the largest of the ladder within {:.1} %",
            miss.abs() * 100.0
        );
    }
    report.doubts.iter().for_each(|doubt| eprintln!("warning: {doubt}"));
    if let (Some(check), Some(miss)) = (&report.check, report.miss) {
        println!("trained, it reached {:.3}: {:+.2} % from the prediction", check.point.loss, miss * 100.0);
    }
    // Beside the figures, for whoever keeps them alone.
    match report.doubts.len() {
        0 => println!("nothing that was looked at speaks against the law"),
        count => println!(
            "{count} of the things that were looked at speak against the law (warnings above): its prediction is no ground to decide on"
        ),
    }
    println!(
        "\nSettings of the larger model ({}, for `gristmill train DATASET --with`):\n\n{}",
        args.out.join("larger.toml").display(),
        report.settings
    );
    println!("Plot: {}", args.out.join("scale.svg").display());
}
