//! Which documents of a dataset are meant: those that are asked for, and what was dropped as a copy of them.

use super::record::{Record, url_hash};
use super::{Request, Twin, lines};
use crate::inspect::dataset::{DROPPED, LEDGER};
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use schemas::{DocId, column, ledger};
use std::collections::{BTreeMap, BTreeSet};

/// An address or id that is to go.
#[derive(Debug, Clone, Default)]
struct Asked {
    /// As it was given.
    told: String,
    reason: Option<String>,
    date: Option<String>,
    /// As an earlier record has it.
    copy_of: Option<DocId>,
    found: bool,
    /// Whether it had been forgotten before.
    before: bool,
    /// Whether it is an address that was named, not the hash in a record.
    by_name: bool,
}

/// A document that goes.
#[derive(Debug, Clone, Default)]
struct Gone {
    url: Option<String>,
    copy_of: Option<DocId>,
    reason: Option<String>,
    date: Option<String>,
}

/// Everything that goes.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// By the hash of the address.
    urls: BTreeMap<String, Asked>,
    ids: BTreeMap<DocId, Asked>,
    gone: BTreeMap<DocId, Gone>,
    keep_urls: bool,
}

impl Targets {
    pub(super) fn of_request(request: &Request, before: &[Record]) -> Self {
        let mut targets = Self::of_records(&request.records);
        targets.keep_urls = request.keep_urls;
        let known_urls: BTreeSet<&str> = before.iter().filter_map(|r| r.url_blake3.as_deref()).collect();
        let known_ids: BTreeSet<DocId> = before.iter().filter_map(|r| DocId::parse(&r.id)).collect();
        targets.ids.iter_mut().for_each(|(id, asked)| asked.before = known_ids.contains(id));
        targets.urls.iter_mut().for_each(|(hash, asked)| asked.before = known_urls.contains(hash.as_str()));
        let asked = |told: &String, before| Asked {
            told: told.clone(),
            reason: request.reason.clone(),
            date: request.date.clone(),
            before,
            ..Asked::default()
        };
        for url in &request.urls {
            let hash = url_hash(url);
            let before = known_urls.contains(hash.as_str());
            targets.urls.insert(hash, Asked { by_name: true, ..asked(url, before) });
        }
        for (told, id) in request.ids.iter().filter_map(|id| Some((id, DocId::parse(id)?))) {
            targets.ids.insert(id, asked(told, known_ids.contains(&id)));
        }
        targets
    }

    pub(super) fn of_records(records: &[Record]) -> Self {
        let mut targets = Self::default();
        for record in records {
            let asked = Asked {
                told: record.id.clone(),
                reason: record.reason.clone(),
                date: record.date.clone(),
                ..Asked::default()
            };
            if let Some(id) = DocId::parse(&record.id) {
                let copy_of = record.copy_of.as_deref().and_then(DocId::parse);
                targets.ids.insert(id, Asked { copy_of, ..asked.clone() });
            }
            // A copy had an address of its own that nobody asked to forget; it goes again by its twin, or by its id where
            // its twin is not there: it has the text, or nearly, that was asked to go.
            if let Some(hash) = record.url_blake3.clone().filter(|_| record.copy_of.is_none()) {
                targets.urls.insert(hash, asked);
            }
        }
        targets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty()
    }

    /// Whether a document goes.
    pub(super) fn has(&self, id: DocId) -> bool {
        self.gone.contains_key(&id)
    }

    /// Whether the document with these digits goes.
    pub(super) fn has_text(&self, id: Option<&str>) -> bool {
        id.and_then(DocId::parse).is_some_and(|id| self.has(id))
    }

    /// What was asked, not found, and not forgotten before.
    pub(super) fn missing(&self) -> Vec<String> {
        let before = self.asked(|asked| asked.before);
        self.not_found().difference(&before).map(|told| (*told).to_owned()).collect()
    }

    /// What was asked, not found, for it had been forgotten before.
    pub(super) fn before(&self) -> Vec<String> {
        let before = self.asked(|asked| asked.before);
        self.not_found().intersection(&before).map(|told| (*told).to_owned()).collect()
    }

    /// An address that was named, not found, and not forgotten before.
    pub(super) fn missing_url(&self) -> Option<&str> {
        let is_it = |asked: &&Asked| asked.by_name && !asked.found && !asked.before;
        self.urls.values().find(is_it).map(|asked| asked.told.as_str())
    }

    /// A record asks by id and by address: one is enough.
    fn not_found(&self) -> BTreeSet<&str> {
        let found = self.asked(|asked| asked.found);
        self.asked(|_| true).difference(&found).copied().collect()
    }

    fn asked(&self, which: impl Fn(&Asked) -> bool) -> BTreeSet<&str> {
        let all = self.urls.values().chain(self.ids.values()).filter(|asked| which(asked));
        all.map(|asked| asked.told.as_str()).collect()
    }

    pub(super) fn records(&self) -> Vec<Record> {
        let record = |(id, gone): (&DocId, &Gone)| Record {
            id: id.to_string(),
            url_blake3: gone.url.as_deref().map(url_hash),
            url: gone.url.clone().filter(|_| self.keep_urls),
            copy_of: gone.copy_of.map(|id| id.to_string()),
            reason: gone.reason.clone(),
            date: gone.date.clone(),
        };
        self.gone.iter().map(record).collect()
    }

    /// Looks for what is asked: among documents and dropped rows, then in the ledgers; then for copies, and copies of these.
    pub(super) fn resolve(&mut self, dataset: &Dataset) -> Result<(), InspectError> {
        documents(dataset, column::URL, &mut |id, url| self.see(id, url))?;
        if self.ids.values().any(|asked| !asked.found) {
            ledgers(dataset, &mut |id, _| self.see(id, None))?;
        }
        let found = self.gone.len();
        loop {
            let known = self.gone.len();
            ledgers(dataset, &mut |id, twin| self.see_copy(id, twin))?;
            if self.gone.len() == known {
                break;
            }
        }
        if self.gone.len() > found {
            documents(dataset, column::URL, &mut |id, url| {
                if let Some(gone) = self.gone.get_mut(&id) {
                    gone.url = gone.url.take().or_else(|| url.map(str::to_owned));
                }
            })?;
        }
        Ok(())
    }

    fn see(&mut self, id: DocId, url: Option<&str>) {
        let by_url =
            if self.urls.is_empty() { None } else { url.and_then(|u| self.urls.get_mut(&url_hash(u))) };
        let by_id = self.ids.get_mut(&id);
        for asked in [by_id, by_url].into_iter().flatten() {
            asked.found = true;
            let gone = self.gone.entry(id).or_default();
            gone.reason = gone.reason.take().or_else(|| asked.reason.clone());
            gone.date = gone.date.take().or_else(|| asked.date.clone());
            gone.url = gone.url.take().or_else(|| url.map(str::to_owned));
            gone.copy_of = gone.copy_of.or(asked.copy_of);
        }
    }

    fn see_copy(&mut self, id: DocId, twin: Option<DocId>) {
        let Some(twin) = twin else { return };
        if let Some(Gone { reason, date, .. }) = self.gone.get(&twin).filter(|_| !self.has(id)) {
            let gone = Gone { url: None, copy_of: Some(twin), reason: reason.clone(), date: date.clone() };
            self.gone.insert(id, gone);
        }
    }
}

/// The documents that have one of these identities from their sources, each with the identity.
pub(super) fn of_record_ids(
    dataset: &Dataset,
    record_ids: &[String],
) -> Result<BTreeSet<(DocId, String)>, InspectError> {
    let asked: BTreeSet<&str> = record_ids.iter().map(String::as_str).collect();
    let mut found = BTreeSet::new();
    if !asked.is_empty() {
        documents(dataset, column::RECORD_ID, &mut |id, given| {
            found.extend(given.filter(|given| asked.contains(given)).map(|given| (id, given.to_owned())));
        })?;
    }
    Ok(found)
}

/// Calls `visit` with the id of every document, and of every dropped row, and its `url` or `record_id`.
fn documents(
    dataset: &Dataset,
    name: &str,
    visit: &mut dyn FnMut(DocId, Option<&str>),
) -> Result<(), InspectError> {
    let dropped = dataset.files(DROPPED);
    let parquet = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "parquet");
    for path in dataset.documents().into_iter().filter(parquet).chain(dropped) {
        for batch in Part::open(&path)?.read(None, Some(&[column::ID, name]))? {
            let batch = batch?;
            let named = texts(&batch, name);
            for (id, named) in texts(&batch, column::ID).into_iter().zip(named) {
                if let Some(id) = id.and_then(DocId::parse) {
                    visit(id, named);
                }
            }
        }
    }
    for node in lines::sinks(dataset) {
        lines::visit(dataset, node, &mut |line| {
            visit(line.id, if name == column::URL { line.url.as_deref() } else { line.record_id.as_deref() });
            Ok(())
        })?;
    }
    Ok(())
}

/// Documents that stay and in whose favour a target was dropped.
pub(super) fn twins(dataset: &Dataset, targets: &Targets) -> Result<Vec<Twin>, InspectError> {
    let mut found = BTreeSet::new();
    ledgers(dataset, &mut |id, twin| {
        if let Some(twin) = twin.filter(|twin| targets.has(id) && !targets.has(*twin)) {
            found.insert(Twin { forgotten: id.to_string(), id: twin.to_string() });
        }
    })?;
    Ok(found.into_iter().collect())
}

/// Calls `visit` with the id of every row of every ledger, and its twin.
fn ledgers(dataset: &Dataset, visit: &mut dyn FnMut(DocId, Option<DocId>)) -> Result<(), InspectError> {
    for path in dataset.files(LEDGER) {
        for batch in Part::open(&path)?.read(None, Some(&[column::ID, ledger::TWIN]))? {
            let batch = batch?;
            let twins = texts(&batch, ledger::TWIN);
            for (id, twin) in texts(&batch, column::ID).into_iter().zip(twins) {
                if let Some(id) = id.and_then(DocId::parse) {
                    visit(id, twin.and_then(DocId::parse));
                }
            }
        }
    }
    Ok(())
}
