//! Whether an address that is found nowhere is an address that is not there: training sequences have no addresses, and
//! documents may be written without theirs.

use super::lines;
use crate::inspect::dataset::TOKENS;
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use arrow::array::AsArray;
use schemas::{DocId, column, token};
use std::path::{Path, PathBuf};

/// A file with a document whose address no file tells; `None` where the addresses of all are told. Memory: 16 bytes a document.
pub(super) fn uncovered(dataset: &Dataset) -> Result<Option<PathBuf>, InspectError> {
    let (mut told, mut bare) = (Vec::new(), Vec::new());
    for path in dataset.documents() {
        if path.extension().is_some_and(|end| end == "parquet") {
            let part = Part::open(&path)?;
            let has_urls = part.schema().field_with_name(column::URL).is_ok();
            if has_urls { ids(&part, &mut |id| told.push(id))? } else { bare.push(path) }
        }
    }
    // A line of the house without an address is of a document that has none.
    let of_the_user = lines::objects_of_the_user(dataset);
    for sink in lines::sinks(dataset) {
        lines::visit(dataset, sink, &mut |line| {
            if line.url.is_some() || !of_the_user {
                told.push(line.id);
            }
            Ok(())
        })?;
    }
    told.sort_unstable();
    told.dedup();
    for path in bare.into_iter().chain(dataset.files(TOKENS)) {
        let mut found = false;
        let mut see = |id| found |= told.binary_search(&id).is_err();
        pieces(&path, &mut see)?;
        if found {
            return Ok(Some(path));
        }
    }
    let mut first = None;
    for sink in lines::sinks(dataset).into_iter().filter(|_| of_the_user) {
        lines::visit(dataset, sink, &mut |line| {
            if first.is_none() && told.binary_search(&line.id).is_err() {
                first = Some(dataset.root.join(line.file));
            }
            Ok(())
        })?;
    }
    Ok(first)
}

/// Calls `see` with the id of every document of a table, be it of documents or of training sequences.
fn pieces(path: &Path, see: &mut dyn FnMut(DocId)) -> Result<(), InspectError> {
    let part = Part::open(path)?;
    if part.schema().field_with_name(token::DOC_IDS).is_err() {
        return ids(&part, see);
    }
    for batch in part.read(None, Some(&[token::DOC_IDS]))? {
        let batch = batch?;
        let lists = batch.column_by_name(token::DOC_IDS).and_then(|lists| lists.as_list_opt::<i32>());
        let names = lists.and_then(|lists| lists.values().as_string_opt::<i32>());
        names.into_iter().flatten().flatten().filter_map(DocId::parse).for_each(&mut *see);
    }
    Ok(())
}

fn ids(part: &Part, see: &mut dyn FnMut(DocId)) -> Result<(), InspectError> {
    for batch in part.read(None, Some(&[column::ID]))? {
        texts(&batch?, column::ID).into_iter().flatten().filter_map(DocId::parse).for_each(&mut *see);
    }
    Ok(())
}
