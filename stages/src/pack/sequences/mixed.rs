//! A mix at work: what is counted of all documents, and how often each is read for that.
//!
//! Counted are the tokens of the training documents of each source in each of up to 65,536 slices by a hash of the id, so memory
//! does not grow with documents, and the last pass over a source takes the first slices that fill its rows.

use super::documents::Document;
use super::{Config, Drop, TRAIN};
use crate::mix::quota::{Taken, Wanted, plan, slices};
use crate::mix::share::Shares;
use schemas::hash::seed;
use schemas::near::closest;
use schemas::{Tally, Verdict};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Most names of sources outside of the mix that are remembered, to say which was meant.
const NAMES_MAX: usize = 200;
/// First bytes of the names in a tally.
const SLICE: u8 = 0;
const HELD_OUT: u8 = 1;
const DOCUMENTS: u8 = 2;
const OTHER: u8 = 3;

/// What the counts came to.
#[derive(Debug, Clone)]
pub(super) struct Mixed {
    taken: Vec<Taken>,
    /// Held-out tokens of each source.
    pub(super) held_out: Vec<u64>,
    /// Training tokens, and documents, of each source.
    there: Vec<[u64; 2]>,
    pub(super) notes: Vec<String>,
}

fn slice(run: u64, sources: usize, document: &str) -> usize {
    // A hash of its own: the order must not tell which documents are read once more.
    let hash = xxh3_64_with_seed(document.as_bytes(), seed(run, "pack.sequences quota", 0));
    (hash >> (64 - slices(sources).trailing_zeros())) as usize
}

fn name(what: u8, source: usize, slice: usize) -> Vec<u8> {
    [&[what][..], &(source as u16).to_be_bytes(), &(slice as u16).to_be_bytes()].concat()
}

/// Counts a document that can be packed, in a folder, of one of so many sources.
pub(super) fn count(
    run: u64,
    folder: u8,
    (source, sources): (Option<usize>, usize),
    document: &Document<'_>,
    tally: &mut Tally,
) {
    let tokens = document.tokens() as u64;
    let Some(source) = source else {
        // The least names are kept, so that it does not matter which came first.
        let fresh = tally.insert([&[OTHER], document.source.as_bytes()].concat(), 1).is_none();
        if fresh && tally.range(vec![OTHER]..).count() > NAMES_MAX {
            tally.pop_last();
        }
        return;
    };
    let slice = match folder {
        TRAIN => name(SLICE, source, slice(run, sources, document.id)),
        _ => name(HELD_OUT, source, 0),
    };
    *tally.entry(slice).or_default() += tokens;
    *tally.entry(name(DOCUMENTS, source, 0)).or_default() += u64::from(folder == TRAIN);
}

impl Mixed {
    /// Plans by the counts of all documents.
    ///
    /// # Errors
    /// A source has no documents, with the name that was perhaps meant; see [`plan`].
    pub(super) fn plan(config: &Config, shares: &Shares, tally: &Tally) -> Result<Self, String> {
        let sources = shares.names.len();
        let get = |what, source| tally.get(&name(what, source, 0)).copied().unwrap_or(0);
        let mut counted = vec![vec![0; slices(sources)]; sources];
        for (key, tokens) in tally.range(vec![SLICE]..vec![HELD_OUT]) {
            let &[_, a, b, c, d] = key.as_slice() else { continue };
            counted[usize::from(u16::from_be_bytes([a, b]))][usize::from(u16::from_be_bytes([c, d]))] =
                *tokens;
        }
        let documents: Vec<u64> = (0..sources).map(|source| get(DOCUMENTS, source)).collect();
        if let Some(source) = documents.iter().position(|documents| *documents == 0) {
            return Err(missing(&shares.names[source], config, tally));
        }
        let wanted = Wanted {
            length: config.length,
            budget_tokens: config.budget_tokens,
            epochs_max: config.epochs_max,
        };
        let plan = plan(&shares.names, &shares.weights, &counted, wanted)?;
        let tokens = counted.iter().map(|slices| slices.iter().sum());
        Ok(Self {
            taken: plan.taken,
            held_out: (0..sources).map(|source| get(HELD_OUT, source)).collect(),
            there: tokens.zip(documents).map(|(tokens, documents)| [tokens, documents]).collect(),
            notes: plan.notes,
        })
    }

    /// Rows of each source.
    pub(super) fn quotas(&self) -> Vec<u64> {
        self.taken.iter().map(|taken| taken.rows).collect()
    }

    /// How often a training document is read, or that it is not.
    pub(super) fn passes(&self, run: u64, source: usize, document: &str) -> Result<u16, Verdict> {
        let (taken, slice) = (&self.taken[source], slice(run, self.taken.len(), document));
        match taken.passes + u16::from(slice < taken.slices) {
            0 => {
                let share = |number: usize| number as f64 / slices(self.taken.len()) as f64;
                Err(Drop::OverQuota.verdict(share(slice), share(taken.slices)))
            }
            passes => Ok(passes),
        }
    }

    /// `mix.json`.
    pub(super) fn file(&self, config: &Config, shares: &Shares) -> Vec<u8> {
        let whole: u64 = shares.weights.iter().sum();
        let sources = self.taken.iter().zip(&self.there).enumerate().map(|(at, (taken, there))| {
            json!({
                "name": shares.names[at],
                "share": shares.weights[at] as f64 / whole as f64,
                "documents": there[1],
                "tokens": there[0],
                "rows": taken.rows,
                "epochs": taken.epochs,
                "held_out_tokens": self.held_out[at],
            })
        });
        let rows: u64 = self.quotas().iter().sum();
        let file = json!({
            "budget_tokens": config.budget_tokens,
            "sequence_length": config.length,
            "rows": rows,
            "epochs_max": config.epochs_max,
            "seed": config.seed,
            "sources": sources.collect::<Vec<_>>(),
        });
        let mut bytes = serde_json::to_vec_pretty(&file).expect("numbers and text are JSON");
        bytes.push(b'\n');
        bytes
    }
}

fn missing(name: &str, config: &Config, tally: &Tally) -> String {
    let others = tally.range(vec![OTHER]..).map(|(key, _)| String::from_utf8_lossy(&key[1..]).into_owned());
    let others: Vec<String> = others.take(NAMES_MAX).collect();
    let help = match closest(name, others.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if others.is_empty() => "every document falls under another name of the mix".to_owned(),
        None => {
            let shown: Vec<String> = others.iter().take(10).map(|name| format!("`{name}`")).collect();
            format!("there are {}", shown.join(", "))
        }
    };
    format!("no training document has the source `{name}` in `{}`; {help}", config.mix_column)
}
