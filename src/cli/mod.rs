//! The command line: the only room that prints, exits or reads the environment.
//!
//! Exit codes, by one rule for every command ([`wrong::Trouble`]): 0 done; 1 not done (or not found, or not equal); 2 wrong use: flags,
//! settings, mistakes of a recipe, a path that is not what the command takes.

/// Writes to standard output; where that of `std` panics, a reader that has gone away (`… | head`) is no failure.
macro_rules! print {
    ($($words:tt)*) => { $crate::cli::output::write(&mut std::io::stdout(), format_args!($($words)*), "") };
}
/// [`print!`] with the end of a line.
macro_rules! println {
    () => { $crate::cli::output::write(&mut std::io::stdout(), format_args!(""), "\n") };
    ($($words:tt)*) => { $crate::cli::output::write(&mut std::io::stdout(), format_args!($($words)*), "\n") };
}
/// As [`println!`], to standard error, and never a failure.
macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::output::tell(format_args!($($words)*)) };
}

mod align;
mod batch;
mod build;
mod cells;
mod check;
mod curve;
mod demo;
mod eval;
mod explain;
mod export;
mod fit;
mod folders;
mod forget;
mod funnel;
mod generate;
mod history;
mod inspect;
mod mup;
mod new;
mod output;
mod presets;
mod progress;
mod scale;
mod schema;
mod stage;
mod stages;
mod sweep;
mod tables;
mod tokenizer;
mod trace;
mod train;
mod verify;
mod wrong;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pipeline::dag::Kinds;
use std::process::ExitCode;

/// Stands under the help of every command.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 not done, not found or not equal; 2 wrong use: flags, settings, a recipe, or a path that is not what the command takes; 130 a training stopped by Ctrl-C.";

#[derive(Parser)]
#[command(version, about = "Data preparation for language models: from web addresses to a trained model")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Crawls, cleans, deduplicates, tokenizes and trains on an example, in about a minute.
    Demo(demo::Args),
    /// Writes a recipe with comments into a new folder.
    New(new::Args),
    /// Finds all mistakes of a recipe at once.
    Check(check::Args),
    /// Shows what a build would do, what is cached and why not.
    Plan(check::PlanArgs),
    /// Builds the dataset of a recipe; goes on where a killed build stopped.
    Build(build::Args),
    /// Builds, trains and evaluates.
    Run(build::RunArgs),
    /// Trains on a committed dataset; goes on where a killed training stopped.
    Train(train::Args),
    /// Teaches a trained model answers, preferences, or what earns rewards.
    Align(align::Args),
    /// Trains published models at a small size and holds each against its untrained self and a bigram model.
    Presets(presets::Args),
    /// Shows whether learning rates carry over widths, by the standard parametrisation and by muP.
    Mup(mup::Args),
    /// Trains a grid of settings side by side, and ranks them.
    Sweep(sweep::Args),
    /// Fits a scaling law to small trainings, and predicts a larger one.
    Scale(scale::Args),
    /// Tells the documents that a training read at given steps.
    Trace(trace::Args),
    /// Held-out perplexity and bits per byte of a model.
    Eval(Box<eval::Args>),
    /// Continues a text with a trained model.
    Generate(generate::Args),
    /// Shows what is in a Parquet or JSON-lines file, a folder of them, or a dataset.
    Inspect(inspect::Args),
    /// Tells the life of one document: every node, what it said and why.
    #[command(visible_alias = "why")]
    Explain(explain::Args),
    /// Checks every file, count and sum of a dataset against its manifest.
    Verify(verify::Args),
    /// Writes the tokens of a dataset, or a model, in the formats of other programs.
    Export(export::Args),
    /// Takes documents out of a dataset on request, and keeps them out.
    Forget(forget::Args),
    /// Runs one stage alone over JSON lines or Parquet.
    Stage(stage::Args),
    /// Makes the weights of a kind that learns.
    Fit(fit::Args),
    /// Lists every kind with its keys and reasons.
    Stages(stages::Args),
    /// Trains a tokenizer on files, or tells how one cuts texts.
    Tokenizer(tokenizer::Args),
}

/// Most threads that can be asked for: more would be busy with each other.
const THREADS_MAX: u64 = 1024;

/// A count of threads; 0 for one a core.
fn threads(text: &str) -> Result<usize, String> {
    let count: u64 = text.parse().map_err(|_| "a whole number".to_owned())?;
    match count {
        0..=THREADS_MAX => Ok(count as usize),
        _ => Err(format!("at most {THREADS_MAX}; 0 takes one for each core")),
    }
}

/// Runs the command that the arguments name.
pub(crate) fn run(kinds: &Kinds) -> ExitCode {
    let told = |command: clap::Command| {
        let own = command.get_after_help().map(|words| format!("{words}\n")).unwrap_or_default();
        command.after_help(format!("{own}{EXIT_CODES}"))
    };
    let matches = Cli::command().mut_subcommands(told).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Demo(args) => demo::run(&args, kinds),
        Command::New(args) => new::run(&args),
        Command::Check(args) => check::run(&args, kinds),
        Command::Plan(args) => check::plan(&args, kinds),
        Command::Build(args) => build::run(&args, kinds),
        Command::Run(args) => build::run_all(&args, kinds),
        Command::Train(args) => train::run(&args, kinds),
        Command::Align(args) => align::run(&args, kinds),
        Command::Presets(args) => presets::run(&args),
        Command::Mup(args) => mup::run(&args),
        Command::Sweep(args) => sweep::run(&args, kinds),
        Command::Scale(args) => scale::run(&args, kinds),
        Command::Trace(args) => trace::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Stage(args) => stage::run(&args, kinds),
        Command::Fit(args) => fit::run(&args),
        Command::Stages(args) => stages::run(&args, kinds),
        Command::Tokenizer(args) => tokenizer::run(&args),
        Command::Inspect(args) => inspect::run(&args, kinds),
        Command::Explain(args) => explain::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Forget(args) => forget::run(&args),
    }
}

/// The environment, for `${VAR}` in recipes.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
