//! The front door: joins the kinds of `stages` and the trainer of `model` with the command line.

mod cli;

use pipeline::dag::{Kinds, TrainKeys};
use std::process::ExitCode;

/// Largest block that glibc keeps for itself when it is freed. It would raise this bound with each larger block, up to 32 MiB,
/// and the memory of a build with it: batches and sorters of a build are such blocks.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: i32 = 1 << 20;

/// The same for a build, whose batches and shards are blocks of one to eight MiB: given back to the system and taken again, they
/// cost an eighth of its time in fresh pages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const BUILD_MMAP_THRESHOLD_BYTES: i32 = 8 << 20;
/// Free memory at the end of the heap that a build keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const BUILD_TRIM_THRESHOLD_BYTES: i32 = 64 << 20;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let is_build = std::env::args_os().nth(1).is_some_and(|command| command == "build");
        let mmap = if is_build { BUILD_MMAP_THRESHOLD_BYTES } else { MMAP_THRESHOLD_BYTES };
        #[expect(unsafe_code, reason = "glibc has no other door; nothing else runs yet")]
        // SAFETY: `mallopt` takes two numbers and is called before there is a second thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, mmap);
            if is_build {
                libc::mallopt(libc::M_TRIM_THRESHOLD, BUILD_TRIM_THRESHOLD_BYTES);
            }
        }
    }
    let train = TrainKeys { keys: model::Config::KEYS, check: model::config::check };
    cli::run(&Kinds { all: stages::ALL, train: Some(train) })
}
