//! The command line: the only room that prints, exits or reads the environment.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this room is for")]

mod explain;
mod inspect;
mod output;
mod stage;
mod verify;

use clap::{Parser, Subcommand};
use schemas::Spec;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Data preparation for language models")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what is in a Parquet or JSON-lines file, a folder of them, or a dataset.
    Inspect(inspect::Args),
    /// Tells the life of one document: every node, what it said and why.
    Explain(explain::Args),
    /// Checks every file, count and sum of a dataset against its manifest.
    Verify(verify::Args),
    /// Runs one stage alone over JSON lines.
    Stage(stage::Args),
    /// Lists every stage with its keys and reasons.
    Stages,
}

/// Runs the command that the arguments name. Exit code 0: done; 1: not done; 2: wrong use.
pub(crate) fn run(all: &[Spec]) -> ExitCode {
    match Cli::parse().command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Stage(args) => stage::run(&args, all),
        Command::Stages => {
            all.iter().for_each(list);
            ExitCode::SUCCESS
        }
    }
}

fn list(spec: &Spec) {
    println!("{}  {}", spec.kind, spec.summary);
    for key in spec.keys {
        println!("    {} ({}, default {})  {}", key.name, key.kind, (key.default)(), key.doc.trim());
    }
    for reason in spec.reasons {
        println!("    drops {}  {}", reason.name, reason.doc);
    }
}
