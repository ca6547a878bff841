//! Small summaries of columns of any length: how many distinct values, and which are frequent.
//!
//! Both are functions of the values in order, so the same files give the same answers.

use schemas::hash::FastMap;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// Hashes kept: exact below that many distinct values, else off by 1/√(k−2) = 1.6 % (one standard deviation).
const HASHES: usize = 4096;
/// Values counted together. A value in more than one of half that many rows is never missed.
const COUNTERS: usize = 4096;
/// Bytes of a value that are kept to be shown.
const SHOWN_BYTES: usize = 160;

/// Counts distinct values by the k smallest hashes (KMV: Bar-Yossef et al. 2002; estimator (k−1)/max of Beyer et al.,
/// "On synopses for distinct-value estimation under multiset operations", SIGMOD 2007).
#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct(BTreeSet<u64>);

impl Distinct {
    pub(crate) fn add(&mut self, hash: u64) {
        if self.0.len() < HASHES {
            self.0.insert(hash);
        } else if self.0.last().is_some_and(|last| hash < *last) && self.0.insert(hash) {
            self.0.pop_last();
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|hash| self.add(*hash));
    }

    /// The count, and whether it is exact.
    pub(crate) fn count(&self) -> (u64, bool) {
        match self.0.last() {
            Some(last) if self.0.len() == HASHES => {
                let covered = (*last as f64 + 1.0) / 2_f64.powi(64);
                (((HASHES - 1) as f64 / covered).round() as u64, false)
            }
            _ => (self.0.len() as u64, true),
        }
    }
}

/// Finds frequent values (Misra and Gries, "Finding repeated elements", 1982): a count is too low by at most
/// `2 · rows / COUNTERS`, and exact while there are no more than `COUNTERS` distinct values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frequent {
    counters: FastMap<u64, (String, u64)>,
    /// How much too low counts can be.
    lost: u64,
}

impl Frequent {
    pub(crate) fn add(&mut self, hash: u64, value: &str) {
        self.add_many(hash, value, 1);
    }

    fn add_many(&mut self, hash: u64, value: &str, count: u64) {
        if let Some((_, known)) = self.counters.get_mut(&hash) {
            *known += count;
            return;
        }
        if self.counters.len() >= COUNTERS {
            self.shrink();
        }
        self.counters.insert(hash, (cut(value).to_owned(), count));
    }

    /// Makes room by taking the median count from every counter: half of them go, at amortised constant cost.
    fn shrink(&mut self) {
        let mut counts: Vec<u64> = self.counters.values().map(|(_, n)| *n).collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        self.lost += median;
        self.counters.retain(|_, (_, n)| {
            *n = n.saturating_sub(median);
            *n > 0
        });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let mut theirs: Vec<_> = other.counters.iter().collect();
        theirs.sort_unstable_by_key(|(hash, _)| **hash);
        self.lost += other.lost;
        for (hash, (value, count)) in theirs {
            self.add_many(*hash, value, *count);
        }
    }

    /// The most frequent values that are more than noise, with the least count of each; equal counts by value.
    pub(crate) fn top(&self, n: usize) -> Vec<(String, u64)> {
        let mut top: Vec<_> = self.counters.values().filter(|(_, count)| *count > 1).cloned().collect();
        top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        top.truncate(n);
        top
    }

    /// Whether the counts are exact.
    pub(crate) const fn is_exact(&self) -> bool {
        self.lost == 0
    }
}

/// The hash of a value, for both.
pub(crate) fn hash(value: &[u8]) -> u64 {
    xxh3_64(value)
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(SHOWN_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distinct(n: u64) -> (u64, bool) {
        let (mut even, mut odd) = (Distinct::default(), Distinct::default());
        for i in 0..n {
            let part = if i % 2 == 0 { &mut even } else { &mut odd };
            part.add(hash(&i.to_le_bytes()));
            part.add(hash(&i.to_le_bytes()));
        }
        even.merge(&odd);
        even.count()
    }

    #[test]
    fn few_are_counted_and_many_estimated() {
        assert_eq!(distinct(0), (0, true));
        assert_eq!(distinct(4_000), (4_000, true));
        let (estimate, exact) = distinct(100_000);
        assert!(!exact && (95_000..105_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_frequent_value_is_never_missed() {
        let mut frequent = Frequent::default();
        for i in 0..60_000_u64 {
            let value = if i % 3 == 0 { "often".to_owned() } else { format!("once {i}") };
            frequent.add(hash(value.as_bytes()), &value);
        }
        let top = frequent.top(1);
        assert_eq!(top[0].0, "often");
        assert!(top[0].1 <= 20_000 && top[0].1 >= 20_000 - 60_000 / 2_048, "{top:?}");
        assert!(!frequent.is_exact());
    }
}
