//! The front door: joins the kinds of `stages` and the trainer of `model` with the command line.

mod cli;

use pipeline::dag::{Kinds, TrainKeys};
use std::process::ExitCode;

/// Largest block that glibc keeps for itself when it is freed. It would raise this bound with each larger block, up to 32 MiB,
/// and the memory of a build with it: batches and sorters of a build are such blocks.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: i32 = 1 << 20;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc has no other door; nothing else runs yet")]
    // SAFETY: `mallopt` takes two numbers and is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    }
    let train = TrainKeys { keys: model::Config::KEYS, check: model::config::check };
    cli::run(&Kinds { all: stages::ALL, train: Some(train) })
}
