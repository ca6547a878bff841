//! Where a stage works beside its output, and what goes when it ends, be it by a signal.

use stages::sink::beside;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The name of the output that means standard output.
pub(super) const STANDARD_OUTPUT: &str = "-";
/// Rows for standard output, until all are there.
const ROWS: &str = "rows.jsonl";
/// How often a folder is removed that is still written to.
const SWEEPS_MAX: usize = 1000;

/// The files of a run.
pub(super) struct Place {
    /// Where the engine works.
    pub(super) folder: PathBuf,
    /// The file that the kept rows go to.
    pub(super) out: PathBuf,
    /// What is there only until all is done.
    unfinished: Vec<PathBuf>,
    /// The signal that ends the program.
    signal: Arc<AtomicUsize>,
}

impl Place {
    /// The files of a run with this output. `None` where it names no file.
    pub(super) fn of(out: &Path, dropped: Option<&Path>) -> Option<Self> {
        let process = std::process::id();
        let is_standard = out == Path::new(STANDARD_OUTPUT);
        let folder = match is_standard {
            true => std::env::temp_dir().join(format!("gristmill-stage.{process}.work")),
            false => {
                let mut name = out.file_name()?.to_owned();
                name.push(format!(".{process}.work"));
                out.with_file_name(name)
            }
        };
        let out = if is_standard { folder.join(ROWS) } else { out.to_owned() };
        let parts = [Some(out.as_path()), dropped].into_iter().flatten().map(beside);
        let unfinished = [folder.clone()].into_iter().chain(parts).collect();
        Some(Self { folder, out, unfinished, signal: Arc::default() })
    }

    /// Lets Ctrl-C and `kill` remove what is unfinished before they end the program.
    #[cfg(unix)]
    pub(super) fn watch(&self) -> io::Result<()> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::{flag, low_level};
        let (mut woken, waker) = std::os::unix::net::UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&self.signal), signal.unsigned_abs() as usize)?;
            low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        let (signal, unfinished) = (Arc::clone(&self.signal), self.unfinished.clone());
        std::thread::spawn(move || {
            if io::Read::read_exact(&mut woken, &mut [0]).is_ok() {
                // Threads work on until the program ends: what they make meanwhile goes too. Nobody is left to hear of an error.
                let is_there = || unfinished.iter().any(|path| path.exists());
                (0..SWEEPS_MAX).take_while(|_| is_there()).for_each(|_| drop(remove(&unfinished)));
                let signal = i32::try_from(signal.load(Ordering::SeqCst)).unwrap_or(SIGTERM);
                drop(low_level::emulate_default_handler(signal));
            }
        });
        Ok(())
    }

    /// There are no such signals.
    #[cfg(not(unix))]
    pub(super) fn watch(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes what is left over. Where a signal does so, this waits for the end of the program.
    pub(super) fn sweep(&self) -> io::Result<()> {
        while self.signal.load(Ordering::SeqCst) != 0 {
            std::thread::park();
        }
        remove(&self.unfinished)
    }
}

/// Removes files and folders that are there.
fn remove(paths: &[PathBuf]) -> io::Result<()> {
    paths.iter().try_for_each(|path| {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    })
}
