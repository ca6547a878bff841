//! Where a stage works, and what goes when it ends, be it by a signal.

use crate::cli::output::emit_file;
use crate::cli::wrong::Trouble;
use stages::sink::beside;
use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The name of an input or output that means the standard one.
pub(super) const STANDARD: &str = "-";
/// Rows for standard output, until all are there.
const ROWS: &str = "rows.jsonl";
/// Where the engine works, and where the kept rows lie: names in one are none in the other.
const WORK: &str = "work";
const OUT: &str = "out";
/// How often a folder is removed that is still written to.
const SWEEPS_MAX: usize = 1000;
/// How many names of folders are tried.
const NAMES_MAX: usize = 1000;

/// The files of a run.
pub(super) struct Place {
    /// Holds all that the run makes; nobody else may look into it.
    pub(super) folder: PathBuf,
    /// Where the engine works.
    pub(super) work: PathBuf,
    /// The file that the kept rows go to.
    pub(super) rows: PathBuf,
    /// What they become in the end; `None` for standard output.
    out: Option<PathBuf>,
    /// What is there only until all is done.
    unfinished: Vec<PathBuf>,
    /// The signal that ends the program.
    signal: Arc<AtomicUsize>,
}

impl Place {
    /// Makes the folder of a run with this output: beside it, so that its rows can be given their name there.
    ///
    /// # Errors
    /// The output names no file; the system refuses.
    pub(super) fn make(out: &Path, dropped: Option<&Path>) -> Result<Self, Trouble> {
        let process = std::process::id();
        let (beside_it, rows) = match out.file_name() {
            _ if out == Path::new(STANDARD) => (std::env::temp_dir().join("gristmill-stage"), ROWS.into()),
            Some(name) => (out.to_owned(), name.to_owned()),
            None => return Err(Trouble::Use("`--out` names no file".into())),
        };
        let name = |number: usize| {
            let mut name = beside_it.clone().into_os_string();
            name.push(if number == 0 {
                format!(".{process}.work")
            } else {
                format!(".{process}-{number}.work")
            });
            PathBuf::from(name)
        };
        let failed = |error: io::Error| Trouble::Work(format!("{}: {error}", out.display()));
        beside_it.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        let folder = (0..NAMES_MAX).map(name).find_map(|folder| match create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            made => Some(made.and_then(|()| create(&folder.join(OUT))).map(|()| folder)),
        });
        let folder = folder.unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into())).map_err(failed)?;
        let unfinished = [folder.clone()].into_iter().chain(dropped.map(beside)).collect();
        let rows = folder.join(OUT).join(rows);
        let out = (out != Path::new(STANDARD)).then(|| out.to_owned());
        Ok(Self { work: folder.join(WORK), folder, rows, out, unfinished, signal: Arc::default() })
    }

    /// Gives the rows their name, or to standard output.
    pub(super) fn publish(&self) -> Result<(), Trouble> {
        let Some(out) = &self.out else { return Ok(emit_file(&self.rows)?) };
        std::fs::rename(&self.rows, out).map_err(|error| Trouble::Work(format!("{}: {error}", out.display())))
    }

    /// Lets Ctrl-C, `kill` and the end of the terminal remove what is unfinished before they end the program.
    #[cfg(unix)]
    pub(super) fn watch(&self) -> io::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::{flag, low_level};
        let (mut woken, waker) = std::os::unix::net::UnixStream::pair()?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
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

/// Makes a folder that was not there, for this user alone.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
