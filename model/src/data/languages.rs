//! The language of each piece of the token shards: that of its document, from the column `language` of the documents.
//!
//! A pair of translations is one document whose language names both, `eng+fra`, in the order of its texts. Read only where the
//! objective asks for it, once; kept are four bytes a piece.

use super::rows::Rows;
use super::{Dataset, check, read};
use crate::error::TrainError;
use crate::objective::Languages;
use arrow::array::AsArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::column::{ID, LANGUAGE};
use schemas::hash::FastMap;
use schemas::manifest::{self, Manifest};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Stands between the languages of a pair.
const PAIR: char = '+';
/// The language of a document that has none (ISO 639-3, undetermined).
const UNDETERMINED: &str = "und";
/// Most languages of a dataset.
const LANGUAGES_MAX: usize = u16::MAX as usize;

/// Languages of pieces, by the hash of the document's id.
pub(super) type OfDocuments = FastMap<u64, (u16, Option<u16>)>;

/// Languages of all pieces of a split.
#[derive(Debug, Default)]
pub(super) struct OfPieces {
    /// Pieces before each row, and of all.
    pub(super) before: Vec<u64>,
    pub(super) languages: Vec<(u16, Option<u16>)>,
}

impl OfPieces {
    /// Those of the pieces of a row.
    pub(super) fn row(&self, number: u64) -> Vec<Languages> {
        let number = number as usize;
        let pieces = self.before[number] as usize..self.before[number + 1] as usize;
        let of = |&(first, second): &(u16, Option<u16>)| Languages {
            first: first.into(),
            second: second.map(u32::from),
        };
        self.languages[pieces].iter().map(of).collect()
    }
}

/// The hash by which a document is looked up.
pub(super) fn key(document: &str) -> u64 {
    xxh3_64(document.as_bytes())
}

impl Dataset {
    /// Names of the languages of its documents, sorted; from then on its samples come with the languages of their pieces.
    ///
    /// # Errors
    /// A file of documents that is missing, altered or damaged.
    pub(crate) fn languages(&self) -> Result<&[String], TrainError> {
        if let Some(names) = self.languages.get() {
            return Ok(names);
        }
        let told = self.told_languages()?;
        let parts = |told: &str| told.split(PAIR).map(str::to_owned).collect::<Vec<_>>();
        let mut names: BTreeSet<String> = told.iter().flat_map(|(_, told)| parts(told)).collect();
        names.insert(UNDETERMINED.to_owned());
        let names: Vec<String> = names.into_iter().collect();
        if names.len() > LANGUAGES_MAX {
            let message =
                format!("its documents are in {} languages, at most {LANGUAGES_MAX} are known", names.len());
            return Err(TrainError::file(&self.folder)(message));
        }
        let index = |name: &str| {
            let at = names.binary_search_by(|known| known.as_str().cmp(name));
            at.expect("every name was collected") as u16
        };
        let of = |(key, told): (u64, String)| {
            let (first, second) = told.split_once(PAIR).map_or((told.as_str(), None), |(a, b)| (a, Some(b)));
            (key, (index(first), second.map(|second| index(second.split(PAIR).next().unwrap_or(second)))))
        };
        let documents: OfDocuments = told.into_iter().map(of).collect();
        let none = index(UNDETERMINED);
        for rows in [&self.train, &self.validation] {
            rows.tell_languages(&documents, none)?;
        }
        Ok(self.languages.get_or_init(|| names))
    }

    /// What each document says of its language.
    fn told_languages(&self) -> Result<Vec<(u64, String)>, TrainError> {
        let path = self.folder.join(manifest::FILE);
        let parsed: Manifest = serde_json::from_slice(&read(&path)?).map_err(TrainError::file(&path))?;
        let folders: Vec<String> = (parsed.nodes.iter())
            .filter_map(|node| node.folder.as_ref().filter(|folder| **folder != self.tokens.folder))
            .map(|folder| format!("{folder}/"))
            .collect();
        let mut all = Vec::new();
        for (name, file) in &parsed.files {
            if name.ends_with(".parquet") && folders.iter().any(|folder| name.starts_with(folder)) {
                let path = self.folder.join(name);
                check(&path, file)?;
                told(&path, &mut all)?;
            }
        }
        Ok(all)
    }
}

/// Adds what the documents of a file say of their language; nothing where it has no such column.
fn told(path: &Path, all: &mut Vec<(u64, String)>) -> Result<(), TrainError> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(TrainError::file(path))?;
    if [ID, LANGUAGE].iter().any(|name| builder.schema().column_with_name(name).is_none()) {
        return Ok(());
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), [ID, LANGUAGE]);
    let reader = builder.with_projection(mask).build().map_err(TrainError::file(path))?;
    for batch in reader {
        let batch = batch.map_err(TrainError::file(path))?;
        let text = |name: &str| {
            let found = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            found.ok_or_else(|| TrainError::file(path)(format!("column `{name}` is no text")))
        };
        let (ids, languages) = (text(ID)?, text(LANGUAGE)?);
        let rows =
            ids.iter().zip(languages).filter_map(|(id, language)| Some((key(id?), language?.to_owned())));
        all.extend(rows.filter(|(_, language)| !language.is_empty()));
    }
    Ok(())
}

impl Rows {
    /// Reads the documents of all pieces and keeps their languages.
    fn tell_languages(&self, documents: &OfDocuments, none: u16) -> Result<(), TrainError> {
        let mut found = OfPieces { before: vec![0], languages: Vec::new() };
        self.each_document_list(|ids| {
            let language = |id: Option<&str>| documents.get(&key(id?)).copied();
            found.languages.extend(ids.iter().map(|id| language(id).unwrap_or((none, None))));
            found.before.push(found.languages.len() as u64);
        })?;
        // Another thread may have read the same meanwhile.
        drop(self.languages.set(found));
        Ok(())
    }
}
