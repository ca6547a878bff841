//! BLEU (Papineni et al. 2002) with the numbers of sacreBLEU 2.6.0.
//!
//! ```text
//! BLEU = 100 · min(1, e^(1 − r ÷ c)) · (p₁·p₂·p₃·p₄)^¼
//! ```
//! pₙ is the share of n-grams of the outputs that stand in a reference, none counted more often than the reference that has it most often has it;
//! c the length of all outputs, r that of the references nearest in length, the shorter of two equally near. Counts are summed over all
//! segments first. Where no n-gram of an order matches, *smoothing* (Chen and Cherry 2014) says what its precision is.

mod tokenize;

pub use tokenize::Tokenize;

use schemas::hash::FastMap;
use serde::{Deserialize, Serialize};

/// Longest n-gram.
const ORDER: usize = 4;

/// What the precision of an order without a match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smooth {
    /// 100 ÷ (2ᵏ · n-grams) for the k-th such order (mteval-v13a).
    Exp,
    /// 0.1 matches.
    Floor,
    /// One match and one n-gram more in every order but the first.
    AddK,
    /// 0, and with it the score.
    None,
}

impl Smooth {
    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Floor => "floor",
            Self::AddK => "add-k",
            Self::None => "none",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Exp, Self::Floor, Self::AddK, Self::None].into_iter().find(|one| one.name() == name)
    }
}

/// How BLEU is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How lines are cut into words.
    pub tokenize: Tokenize,
    /// What the precision of an order without a match is.
    pub smooth: Smooth,
    /// Whether case is ignored.
    pub lowercase: bool,
    /// Whether orders longer than the output are left out: for single sentences.
    pub effective_order: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tokenize: Tokenize::Mteval13a, smooth: Smooth::Exp, lowercase: false, effective_order: false }
    }
}

impl Settings {
    /// The signature by which others can repeat a score; `references` is `None` where segments have different numbers of them.
    pub fn signature(&self, references: Option<usize>) -> String {
        format!(
            "nrefs:{}|case:{}|eff:{}|tok:{}|smooth:{}|version:2.6.0",
            references.map_or_else(|| "var".to_owned(), |count| count.to_string()),
            if self.lowercase { "lc" } else { "mixed" },
            if self.effective_order { "yes" } else { "no" },
            self.tokenize.name(),
            self.smooth.name(),
        )
    }
}

/// A score with what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bleu {
    /// 0 to 100.
    pub score: f64,
    /// Matching n-grams of each order.
    pub counts: [u64; ORDER],
    /// All n-grams of each order.
    pub totals: [u64; ORDER],
    /// Precision of each order in percent, smoothed.
    pub precisions: [f64; ORDER],
    /// Brevity penalty.
    pub bp: f64,
    /// Words of the outputs.
    pub sys_len: u64,
    /// Words of the nearest references.
    pub ref_len: u64,
}

/// Scores outputs against references: a list for each output, which may be of different lengths.
///
/// # Errors
/// As many lists as outputs are needed, and a reference for each output.
pub fn bleu(outputs: &[String], references: &[Vec<String>], settings: &Settings) -> Result<Bleu, String> {
    if outputs.len() != references.len() {
        return Err(format!("{} outputs and references for {}", outputs.len(), references.len()));
    }
    let mut sums = Bleu::default();
    for (number, (output, references)) in outputs.iter().zip(references).enumerate() {
        if references.is_empty() {
            return Err(format!("output {} has no reference", number + 1));
        }
        count(output, references, settings, &mut sums);
    }
    Ok(settle(sums, settings))
}

/// n-grams of all orders with how often they stand in a line.
fn ngrams(words: &[String]) -> FastMap<&[String], u64> {
    let mut counts = FastMap::default();
    for order in 1..=ORDER {
        words.windows(order).for_each(|ngram| *counts.entry(ngram).or_insert(0) += 1);
    }
    counts
}

/// Adds the counts of a segment.
fn count(output: &str, references: &[String], settings: &Settings, sums: &mut Bleu) {
    let words = |line: &String| tokenize::words(line, settings.tokenize, settings.lowercase);
    let references: Vec<Vec<String>> = references.iter().map(words).collect();
    let output = words(&output.to_owned());
    let mut most = FastMap::default();
    for reference in &references {
        for (ngram, count) in sorted(ngrams(reference)) {
            let best = most.entry(ngram).or_insert(0);
            *best = count.max(*best);
        }
    }
    for (ngram, count) in sorted(ngrams(&output)) {
        sums.totals[ngram.len() - 1] += count;
        sums.counts[ngram.len() - 1] += most.get(ngram).map_or(0, |&most| count.min(most));
    }
    let nearest =
        references.iter().map(Vec::len).min_by_key(|length| (length.abs_diff(output.len()), *length));
    sums.sys_len += output.len() as u64;
    sums.ref_len += nearest.unwrap_or(0) as u64;
}

/// The entries of a table in an order of their own.
fn sorted(table: FastMap<&[String], u64>) -> Vec<(&[String], u64)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_unstable();
    entries
}

/// The score of summed counts.
fn settle(mut sums: Bleu, settings: &Settings) -> Bleu {
    let (system, reference) = (sums.sys_len as f64, sums.ref_len as f64);
    sums.bp = match (sums.sys_len < sums.ref_len, sums.sys_len) {
        (false, _) => 1.0,
        (true, 0) => 0.0,
        (true, _) => (1.0 - reference / system).exp(),
    };
    if sums.counts == [0; ORDER] {
        return sums;
    }
    let mut orders = ORDER;
    let mut halved = 1.0;
    for n in 0..ORDER {
        if settings.smooth == Smooth::AddK && n > 0 {
            sums.counts[n] += 1;
            sums.totals[n] += 1;
        }
        let (count, total) = (sums.counts[n] as f64, sums.totals[n] as f64);
        if sums.totals[n] == 0 {
            break;
        }
        if settings.effective_order {
            orders = n + 1;
        }
        sums.precisions[n] = match settings.smooth {
            _ if sums.counts[n] > 0 => 100.0 * count / total,
            Smooth::Exp => {
                halved *= 2.0;
                100.0 / (halved * total)
            }
            Smooth::Floor => 100.0 * 0.1 / total,
            Smooth::AddK | Smooth::None => 0.0,
        };
    }
    // The logarithm of 0 is a number so low that its power is 0.
    let logarithm = |p: &f64| if *p == 0.0 { -9_999_999_999.0 } else { p.ln() };
    let mean = sums.precisions[..orders].iter().map(logarithm).sum::<f64>() / orders as f64;
    sums.score = sums.bp * mean.exp();
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    fn check(outputs: &[&str], references: &[&[&str]], settings: &Settings, expected: &str) {
        let references: Vec<Vec<String>> = references.iter().map(|r| lines(r)).collect();
        let found = bleu(&lines(outputs), &references, settings).unwrap();
        let told = format!(
            "{:.6} {:?} {:?} {:.4} {} {}",
            found.score, found.counts, found.totals, found.bp, found.sys_len, found.ref_len
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn scores_are_those_of_sacrebleu() {
        // Figures printed by sacreBLEU 2.6.0.
        let plain = Settings::default();
        let sentence = Settings { effective_order: true, ..plain };
        let outputs = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."];
        let references: [&[&str]; 3] = [
            &["The dog bit the man.", "The dog had bit the man."],
            &["It was not unexpected.", "No one was surprised."],
            &["The man bit him first.", "The man had bitten the dog."],
        ];
        check(&outputs, &references, &plain, "48.530827 [14, 7, 5, 3] [17, 14, 11, 8] 0.9429 17 18");
        check(&[""], &[&["a"]], &plain, "0.000000 [0, 0, 0, 0] [0, 0, 0, 0] 0.0000 0 1");
        check(&["a b"], &[&["a b"]], &plain, "0.000000 [2, 1, 0, 0] [2, 1, 0, 0] 1.0000 2 2");
        check(&["a b"], &[&["a b"]], &sentence, "100.000000 [2, 1, 0, 0] [2, 1, 0, 0] 1.0000 2 2");
        let floor = Settings { smooth: Smooth::Floor, ..sentence };
        check(&["a b c d"], &[&["a x c y"]], &sentence, "18.995892 [2, 0, 0, 0] [4, 3, 2, 1] 1.0000 4 4");
        check(&["a b c d"], &[&["a x c y"]], &floor, "9.554428 [2, 0, 0, 0] [4, 3, 2, 1] 1.0000 4 4");
    }

    #[test]
    fn what_cannot_be_scored_is_told() {
        let told =
            |references: &[Vec<String>]| bleu(&lines(&["a"]), references, &Settings::default()).unwrap_err();
        assert_eq!(told(&[]), "1 outputs and references for 0");
        assert_eq!(told(&[vec![]]), "output 1 has no reference");
    }
}
