//! The front door: joins the kinds of `stages` and the trainer of `model` with the command line.

mod cli;

use pipeline::dag::{Kinds, TrainKeys};
use std::process::ExitCode;

fn main() -> ExitCode {
    let train = TrainKeys { keys: model::Config::KEYS, check: model::config::check };
    cli::run(&Kinds { all: stages::ALL, train: Some(train) })
}
