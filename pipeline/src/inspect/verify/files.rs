//! The bytes of every file: length, blake3, SHA-256 and rows; and no file that the manifest does not name.

use super::{Dataset, Finding, Findings, InspectError, reading};
use crate::digest::{Digest, digest};
use crate::inspect::table::Part;
use crate::inspect::target::has_rows;
use rayon::prelude::*;
use schemas::manifest::{self, File};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn check(dataset: &Dataset, findings: &mut Findings) -> Result<(), InspectError> {
    let files: Vec<_> = dataset.manifest.files.iter().collect();
    let found: Vec<Option<Finding>> = files.par_iter().map(|(name, file)| one(dataset, name, file)).collect();
    findings.all.extend(found.into_iter().flatten());
    let mut here = BTreeSet::new();
    list(&dataset.root, "", &mut here)?;
    for name in
        here.iter().filter(|name| *name != manifest::FILE && !dataset.manifest.files.contains_key(*name))
    {
        findings.add(name, "is not in the manifest".to_owned());
    }
    if let Some(tokens) = &dataset.manifest.tokens {
        match dataset.manifest.files.get(manifest::TOKENIZER) {
            Some(file) if file.blake3 == tokens.tokenizer => {}
            Some(file) => findings.add(
                manifest::TOKENIZER,
                format!(
                    "is not the tokenizer of the token shards: blake3 {}, expected {}",
                    file.blake3, tokens.tokenizer
                ),
            ),
            None => findings
                .add(manifest::TOKENIZER, "is not in the manifest, but there are token shards".to_owned()),
        }
    }
    Ok(())
}

/// The first thing that is wrong with a file.
fn one(dataset: &Dataset, name: &str, file: &File) -> Option<Finding> {
    let wrong = |what: String| Some(Finding { file: name.to_owned(), what });
    if name.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains('\\')) {
        return wrong("is no path inside the folder".to_owned());
    }
    let path = dataset.root.join(name);
    let Digest { bytes, blake3, sha256 } = match std::fs::File::open(&path).and_then(|mut f| digest(&mut f)) {
        Ok(digest) => digest,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return wrong("is missing".to_owned()),
        Err(error) => return wrong(error.to_string()),
    };
    let differs =
        |what: &str, found: &str, expected: &str| wrong(format!("{what} is {found}, expected {expected}"));
    if bytes != file.bytes {
        return differs("length", &bytes.to_string(), &file.bytes.to_string());
    }
    if blake3 != file.blake3 {
        return differs("blake3", &blake3, &file.blake3);
    }
    if sha256 != file.sha256 {
        return differs("SHA-256", &sha256, &file.sha256);
    }
    let expected = file.rows.filter(|_| has_rows(name))?;
    match Part::open(&path) {
        Ok(part) if part.rows() == expected => None,
        Ok(part) => differs("rows", &part.rows().to_string(), &expected.to_string()),
        Err(error) => wrong(reading(&error)),
    }
}

/// Every file under a folder, by its path from the root with `/` between names.
fn list(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) -> Result<(), InspectError> {
    for entry in std::fs::read_dir(folder).map_err(InspectError::io(folder))? {
        let entry = entry.map_err(InspectError::io(folder))?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(InspectError::io(folder))?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.insert(name);
        }
    }
    Ok(())
}
