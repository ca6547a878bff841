//! A lock beside a folder that is not in a working folder of a build: a file that is there while it is held.

use crate::inspect::InspectError;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Held until dropped, or until the process ends in whatever way; the file goes with it.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// `None` where another process holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, InspectError> {
        let wrong = || InspectError::io(path);
        loop {
            let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
            let file = open.map_err(wrong())?;
            match file.try_lock() {
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                other => other.map_err(|error| wrong()(error.into()))?,
            }
            // Between opening and locking its last holder may have removed it: a lock on that one keeps nobody out.
            let of = |found: fs::Metadata| (found.dev(), found.ino());
            let held = file.metadata().map(of).map_err(wrong())?;
            if fs::metadata(path).map(of).is_ok_and(|named| named == held) {
                return Ok(Some(Self { path: path.to_owned(), _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held, so that nobody's is removed but this one.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_holds_it_and_nothing_stays() {
        let folder = crate::inspect::fixture::folder("lock");
        let path = folder.0.join(".lock");
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut taken = 0;
                    while taken < 200 {
                        let Some(lock) = Lock::take(&path).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken += 1;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(!path.exists());
    }
}
