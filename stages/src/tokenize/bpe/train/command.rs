//! Training on files, for the command line: the files of a tokenizer and what it was made from.

use super::super::{json, transformers_config};
use super::files::{Reading, Tally, count};
use super::{Plan, Sizes, learn};
use schemas::{Event, StageError, manifest};
use std::collections::BTreeMap;

/// Tokens between two words of progress.
const TOLD_TOKENS: usize = 128;

/// A tokenizer to be trained.
pub struct Order<'a> {
    /// What it is trained on.
    pub reading: Reading<'a>,
    /// Most tokens, with the 256 bytes and the special ones.
    pub vocab_size: usize,
    /// Fewest times that a pair must be seen to become a token.
    pub min_frequency: u64,
    /// Special tokens; they get the first ids. The first ends a document.
    pub specials: &'a [&'a str],
    /// Memory for the merges, in bytes.
    pub memory_bytes: usize,
}

/// A trained tokenizer.
pub struct Delivery {
    /// `tokenizer.json` and what `transformers` reads beside it.
    pub files: BTreeMap<&'static str, Vec<u8>>,
    /// What was read.
    pub tally: Tally,
    /// Tokens.
    pub vocab_size: usize,
    /// Merges.
    pub merges: usize,
    /// Distinct words.
    pub words_distinct: u64,
    /// Distinct words that there was no memory for, the rarest.
    pub words_left_out: u64,
    /// Whether words went to disk.
    pub spilled: bool,
}

/// Counts and trains.
///
/// # Errors
/// A file that cannot be read, by name; no text in any of them; `Io` of the folder for runs.
pub fn fulfil(order: &Order<'_>) -> Result<Delivery, StageError> {
    let reading = &order.reading;
    let (counted, tally) = count(reading)?;
    if tally.words == 0 {
        let Tally { files, rows_bad, .. } = tally;
        let field = reading.text_field;
        let told =
            format!("there is no text in {files} files ({rows_bad} rows without a string in `{field}`)");
        return Err(StageError::Invalid(told));
    }
    let mut sizes = Sizes::default();
    counted.each(&mut |word, count| sizes.add(word, count))?;
    let spilled = counted.is_spilled();
    let plan = Plan::new(order.vocab_size, order.min_frequency, order.specials);
    let plan = Plan { split: reading.split, ..plan.within(order.memory_bytes) };
    let units = |tokens: usize| (tokens / TOLD_TOKENS) as u64;
    reading.observer.event(Event::Phase { name: "merge pairs", total: units(order.vocab_size) });
    let mut told = |tokens: usize| {
        if tokens.is_multiple_of(TOLD_TOKENS) {
            reading.observer.event(Event::Advance { units: 1 });
        }
    };
    // The counts go as soon as they are placed.
    let give = move |take: &mut dyn FnMut(&[u8], u64)| counted.each(take);
    let trained = learn(&plan, &sizes, give, &mut told)?;
    let json = json::write(&trained);
    let files = [
        (manifest::TOKENIZER, json),
        (manifest::TOKENIZER_CONFIG, transformers_config(order.specials.first().copied())),
    ];
    Ok(Delivery {
        files: files.into(),
        tally,
        vocab_size: trained.tokens.len(),
        merges: trained.merges.len(),
        words_distinct: sizes.words(),
        words_left_out: trained.words_left_out,
        spilled,
    })
}
