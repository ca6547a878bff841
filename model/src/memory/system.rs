//! How much memory this process may use and does use, as Linux tells it; elsewhere nothing is known and nothing refused.

use std::path::{Path, PathBuf};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Bytes that this process may use: the memory of the machine, or less where a control group of either version says so.
pub(crate) fn limit_bytes() -> Option<u64> {
    let machine = field("/proc/meminfo", "MemTotal:");
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    group_files(&groups, Path::new(CGROUPS)).iter().filter_map(|file| group_limit(file)).chain(machine).min()
}

/// Bytes in memory at this moment.
pub(crate) fn resident_bytes() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Most bytes in memory since the start, or since [`forget_peak`].
pub(crate) fn peak_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Lets [`peak_bytes`] begin anew; whether the system allows it.
pub(crate) fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// A line of a file of `/proc` that counts kilobytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// Files that may hold a limit: of the group of the process and of those above it, and of the root, which is all that a container sees.
fn group_files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        // `4:memory:/a/b` in version 1, `0::/a/b` in version 2.
        let mut parts = line.splitn(3, ':').skip(1);
        let (folder, file) = match parts.next() {
            Some("") => (root.to_owned(), "memory.max"),
            Some(kinds) if kinds.split(',').any(|kind| kind == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = Path::new(parts.next().unwrap_or_default().trim_start_matches('/'));
        files.extend(path.ancestors().map(|path| folder.join(path).join(file)));
    }
    files
}

/// The limit in such a file; `max`, or the greatest number of version 1, is none.
fn group_limit(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok().filter(|limit| *limit < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn limits_of_groups_above_count() {
        let folder = Folder::new("cgroup");
        let root = &folder.0;
        let limits = |groups: &str| -> Vec<u64> {
            group_files(groups, root).iter().filter_map(|file| group_limit(file)).collect()
        };
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "4096\n");
        write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.limit_in_bytes", "8192\n");
        assert_eq!(limits("0::/a/b\n"), [4096]);
        assert_eq!(limits("7:pids:/x\n4:memory:/c/d\n0::/\n"), [8192]);
        assert!(limits("").is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_large_vector_is_seen() {
        let before = resident_bytes().unwrap();
        let vector = vec![1_u8; 200 << 20];
        let grown = resident_bytes().unwrap() - before;
        assert!(grown > 150 << 20, "{grown} {}", vector[5]);
        assert!(peak_bytes().unwrap() >= grown && limit_bytes().unwrap() > 200 << 20);
    }
}
