//! One run at a time in a working folder.

use super::error::RunError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// What a run writes and removes in its working folder. Where there is no lock yet, no run has made them.
const OURS: [&str; 6] = ["archive", "cache", "dataset", "dataset.old", "dataset.part", "scratch"];

/// Held until dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(workdir: &Path) -> Result<Self, RunError> {
        std::fs::create_dir_all(workdir).map_err(RunError::io(workdir))?;
        let path = workdir.join("lock");
        if !path.exists()
            && let Some(path) = OURS.iter().map(|name| workdir.join(name)).find(|path| path.exists())
        {
            return Err(RunError::Foreign { path });
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(RunError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(RunError::io(&path))?;
                let holder = if holder.is_empty() { "another run".into() } else { holder };
                return Err(RunError::Locked { path: workdir.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(RunError::io(&path)(error)),
        }
        file.set_len(0).map_err(RunError::io(&path))?;
        file.rewind().map_err(RunError::io(&path))?;
        write!(file, "process {}", std::process::id()).map_err(RunError::io(&path))?;
        Ok(Self { _file: file })
    }
}
