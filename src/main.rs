//! The front door: joins the list of stages with the command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(stages::ALL)
}
