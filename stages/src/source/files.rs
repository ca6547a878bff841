//! Finds the files that `paths` name, and what identifies their bytes.
//!
//! A path is a file, a folder (searched to its depth) or a pattern: `*` and `?` within a name, `**` for any number of
//! folders. Files come sorted by name and each once. The name of a file is what documents are identified by, so it
//! holds no more of the machine than the recipe wrote: below the recipe it is the path as written there, elsewhere
//! it starts at the folder or file that was named. Where two paths lead to files of one name, that of the first path
//! keeps it and the others are numbered in the order of `paths`.
//!
//! ```text
//! paths = ["data", "/mnt/dump/*.gz", "/old/dump"]   →   data/a.jsonl  data/b/c.jsonl  dump/x.gz  dump/x.gz (2)
//! ```

use schemas::{KeyError, SourceError};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Deepest folder searched below the one that is named.
const DEPTH_MAX: usize = 64;
/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Stable name with `/` between its parts.
    pub name: String,
    /// The part of the name below the folder that `paths` names.
    pub below: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Lists the files that `paths` name; in folders, only those whose name ends with one of `endings` (in lower case).
///
/// # Errors
/// A path that is not there or cannot be read; a pattern or a folder that holds no file.
pub fn list(base: &Path, paths: &[String], endings: &[&str]) -> Result<Vec<Found>, SourceError> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    for written in paths {
        let found = expand(base, written, endings)?;
        if found.is_empty() {
            let message = match endings {
                [] => "no such file".to_owned(),
                _ if written.contains(['*', '?', '[']) => "no file has such a name".to_owned(),
                _ => format!("no file in it ends in {}", endings.join(", ")),
            };
            return Err(SourceError::Format { path: base.join(written), message });
        }
        for (found, place) in found {
            if known.insert(place) {
                all.push(found);
            }
        }
    }
    Ok(named(all))
}

/// Refuses an empty list of paths.
///
/// # Errors
/// The mistake, for the recipe's author.
pub fn require(paths: &[String]) -> Result<(), Vec<KeyError>> {
    if !paths.iter().any(String::is_empty) && !paths.is_empty() {
        return Ok(());
    }
    let help = Some("write `paths = [\"folder\"]`; files, folders and patterns with `*` are known".into());
    Err(vec![KeyError { key: "paths".into(), message: "names no file".into(), help }])
}

/// Numbers the files of one name from the second on, and sorts all by name.
///
/// The number follows from the order of `paths` alone: where the files lie is another matter on each machine.
fn named(mut all: Vec<Found>) -> Vec<Found> {
    let first: BTreeSet<String> = all.iter().map(|found| found.name.clone()).collect();
    let mut taken = BTreeSet::new();
    for found in &mut all {
        let mut name = found.name.clone();
        let mut number = 1;
        while taken.contains(&name) || (number > 1 && first.contains(&name)) {
            number += 1;
            name = format!("{} ({number})", found.name);
        }
        taken.insert(name.clone());
        found.name = name;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The files of one path, each with the place that tells it from all others however it was written.
fn expand(base: &Path, written: &str, endings: &[&str]) -> Result<Vec<(Found, PathBuf)>, SourceError> {
    let parts: Vec<Component<'_>> = Path::new(written).components().collect();
    let is_pattern = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?']);
    let literal = parts.iter().take_while(|part| !is_pattern(part)).count();
    let prefix: PathBuf = parts[..literal].iter().collect();
    let pattern: Vec<String> =
        parts[literal..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let root = base.join(&prefix);
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let root_name = root_name(&prefix);
    let meta = fs::metadata(&root).map_err(SourceError::io(&root))?;
    let place = root.canonicalize().map_err(SourceError::io(&root))?;
    if meta.is_file() {
        let below = root_name.rsplit('/').next().unwrap_or_default().to_owned();
        let found = Found { name: root_name, below, path: root };
        return Ok(if pattern.is_empty() { vec![(found, place)] } else { Vec::new() });
    }
    let mut inside = Vec::new();
    walk(&root, "", DEPTH_MAX, &mut inside)?;
    inside.retain(|(_, name)| {
        if pattern.is_empty() {
            let lower = name.to_ascii_lowercase();
            return endings.is_empty() || endings.iter().any(|e| lower.ends_with(e));
        }
        let names: Vec<&str> = name.split('/').collect();
        matches_path(&pattern, &names)
    });
    let found = |(path, below): (PathBuf, String)| {
        let name = if root_name.is_empty() { below.clone() } else { format!("{root_name}/{below}") };
        let place = place.join(&below);
        (Found { name, below, path }, place)
    };
    Ok(inside.into_iter().map(found).collect())
}

/// A path below the recipe keeps its name; of any other only the last part is stable, and none where it ends in `..`.
fn root_name(prefix: &Path) -> String {
    let below = prefix.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if below {
        return slashed(prefix);
    }
    prefix.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// The normal parts of a path with `/` between them.
fn slashed(path: &Path) -> String {
    let parts = path.components().filter_map(|c| match c {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Links to files are followed, links to folders are not: they could lead in a circle.
fn walk(
    folder: &Path,
    name: &str,
    depth: usize,
    out: &mut Vec<(PathBuf, String)>,
) -> Result<(), SourceError> {
    if depth == 0 {
        return Err(SourceError::Format {
            path: folder.into(),
            message: "folders are nested too deep".into(),
        });
    }
    for entry in fs::read_dir(folder).map_err(SourceError::io(folder))? {
        let entry = entry.map_err(SourceError::io(folder))?;
        let path = entry.path();
        let part = entry.file_name().to_string_lossy().into_owned();
        let inner = if name.is_empty() { part } else { format!("{name}/{part}") };
        let kind = entry.file_type().map_err(SourceError::io(&path))?;
        if kind.is_dir() {
            walk(&path, &inner, depth - 1, out)?;
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            out.push((path, inner));
        }
    }
    Ok(())
}

fn matches_path(pattern: &[String], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches_path(rest, names) || names.split_first().is_some_and(|(_, n)| matches_path(pattern, n))
        }
        (Some((first, rest)), Some((name, names))) => {
            matches_name(first.as_bytes(), name.as_bytes()) && matches_path(rest, names)
        }
        _ => false,
    }
}

/// Greedy matching that goes back to the last star only, so it takes at most pattern × name steps.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// blake3 of a file, read in pieces.
///
/// # Errors
/// `Io`.
pub fn content(path: &Path) -> Result<[u8; 32], SourceError> {
    let mut hasher = blake3::Hasher::new();
    each_piece(path, |piece| {
        hasher.update(piece);
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Hands the bytes of a file to `take`, piece by piece.
///
/// # Errors
/// `Io`.
pub fn each_piece(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), SourceError> {
    let mut file = File::open(path).map_err(SourceError::io(path))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(SourceError::io(path)(e)),
        }
    }
}

/// One split for each file, hashed in parallel.
///
/// # Errors
/// `Io`.
pub fn whole(found: Vec<Found>) -> Result<Vec<schemas::Split>, SourceError> {
    use rayon::prelude::*;
    let split = |Found { name, path, .. }: Found| {
        let stamp = schemas::Stamp::of(&path)?;
        let end = fs::metadata(&path).map_err(SourceError::io(&path))?.len();
        let content = content(&path)?;
        Ok(schemas::Split { name, path, start: 0, end, content, stamp })
    };
    found.into_par_iter().map(split).collect()
}

/// What tells the splits of one file apart, behind its name.
pub(super) fn range_suffix(start: u64, end: u64) -> String {
    format!("#{start}-{end}")
}

/// A folder of this test alone, empty.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("gristmill-{}-{count}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where a source works in tests.
#[cfg(test)]
pub(crate) fn context(base: &Path) -> schemas::Context<'_> {
    schemas::Context { base, archive: base, observer: &schemas::observe::Silent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &Path, paths: &[&str], expected: &[&str]) {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let names: Vec<String> =
            list(base, &paths, &[".jsonl"]).unwrap().into_iter().map(|f| f.name).collect();
        assert_eq!(names, expected, "{paths:?}");
    }

    #[test]
    fn files_folders_and_patterns() {
        let base = scratch("files");
        fs::create_dir_all(base.join("d/e")).unwrap();
        for name in ["a.jsonl", "d/b.jsonl", "d/e/c.JSONL", "d/x.txt"] {
            fs::write(base.join(name), name).unwrap();
        }
        check(&base, &["a.jsonl"], &["a.jsonl"]);
        check(&base, &["./d"], &["d/b.jsonl", "d/e/c.JSONL"]);
        check(&base, &["."], &["a.jsonl", "d/b.jsonl", "d/e/c.JSONL"]);
        check(&base, &["d/*"], &["d/b.jsonl", "d/x.txt"]);
        check(&base, &["**/?.jsonl"], &["a.jsonl", "d/b.jsonl"]);
        check(&base, &["d", "d/b.jsonl", "a.jsonl"], &["a.jsonl", "d/b.jsonl", "d/e/c.JSONL"]);
        let absolute = base.join("d").display().to_string();
        check(&base, &[&absolute], &["d/b.jsonl", "d/e/c.JSONL"]);
        check(&base, &["d", &absolute, "d/../d", "d/e/../b.jsonl"], &["d/b.jsonl", "d/e/c.JSONL"]);
        for missing in ["nowhere", "d/*.gz"] {
            assert!(list(&base, &[missing.into()], &[]).is_err(), "{missing}");
        }
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn files_of_one_name_are_numbered_in_the_order_of_the_paths() {
        let base = scratch("one-name");
        for name in ["r/x/a.jsonl", "x/a.jsonl", "y/x/a.jsonl", "y/x/a.jsonl (2)"] {
            fs::create_dir_all(base.join(name).parent().unwrap()).unwrap();
            fs::write(base.join(name), name).unwrap();
        }
        let recipe = base.join("r");
        let two = ["x/a.jsonl", "x/a.jsonl (2)"];
        check(&recipe, &["x", "../x"], &two);
        check(&recipe.join("../r"), &["../x", "x"], &two);
        check(
            &recipe,
            &["x", "../x", "../y/x/*"],
            &["x/a.jsonl", "x/a.jsonl (2)", "x/a.jsonl (3)", "x/a.jsonl (4)"],
        );
        let numbered = |paths: [&str; 2]| {
            let found = list(&recipe, &paths.map(str::to_owned), &[]).unwrap();
            found.iter().map(|f| (f.name.clone(), fs::read_to_string(&f.path).unwrap())).collect::<Vec<_>>()
        };
        let own = |at: usize, bytes: &str| (two[at].to_owned(), bytes.to_owned());
        assert_eq!(numbered(["x", "../x"]), [own(0, "r/x/a.jsonl"), own(1, "x/a.jsonl")]);
        assert_eq!(numbered(["../x", "x"]), [own(0, "x/a.jsonl"), own(1, "r/x/a.jsonl")]);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn names_match_patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*a*b", "xaab", true),
            ("?", "é", false),
            ("**x", "yx", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches_name(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
