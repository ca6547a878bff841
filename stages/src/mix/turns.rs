//! Whose row is next in a mix: at every prefix of the order each source has its share to within one row.
//!
//! Row j of a source with the share w is due in the places from ⌊j/w⌋ to ⌈(j+1)/w⌉ − 1. Of the sources that may have a place,
//! the one whose row is due first gets it (Tijdeman, "The chairman assignment problem", 1980: unit tasks with release times
//! and deadlines on one machine, which earliest deadline first always meets). So ⌊w n⌋ ≤ rows after n places ≤ ⌈w n⌉. A quota
//! cuts the last deadline to the end; the bounds hold as long as every quota is ⌊w N⌋ or ⌈w N⌉ of the N rows.
//!
//! ```text
//! shares 1/2 1/3 1/6  →  0 1 0 1 0 2  0 1 0 1 0 2  …
//! ```

/// Gives the places of an order to sources.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Weights of the sources: whole numbers, so that shares are exact.
    weights: Vec<u64>,
    /// Their sum.
    whole: u128,
    quotas: Option<Vec<u64>>,
    /// Places that each source has.
    given: Vec<u64>,
    /// Places that are given.
    places: u64,
}

impl Turns {
    /// A source's share is its weight in the sum of all; `quotas` are the rows that each source has in all.
    pub fn new(weights: &[u64], quotas: Option<Vec<u64>>) -> Self {
        let whole = weights.iter().map(|&w| u128::from(w)).sum();
        Self { given: vec![0; weights.len()], weights: weights.to_vec(), whole, quotas, places: 0 }
    }

    /// Places that each source has so far.
    pub fn given(&self) -> &[u64] {
        &self.given
    }

    /// The source of the next place, of those that have a row; `None` when none has.
    pub fn next(&mut self, has_row: &[bool]) -> Option<usize> {
        let total = self.quotas.as_ref().map_or(u64::MAX, |quotas| quotas.iter().sum());
        let open = |source: &usize| {
            let left = self.quotas.as_ref().is_none_or(|quotas| self.given[*source] < quotas[*source]);
            has_row[*source] && left
        };
        let due = |source: usize| {
            let (rows, weight) = (u128::from(self.given[source]), u128::from(self.weights[source].max(1)));
            let release = rows * self.whole / weight;
            let deadline = ((rows + 1) * self.whole).div_ceil(weight);
            // Where sources ended early the others come before their time.
            (release > u128::from(self.places), deadline.min(u128::from(total)), source)
        };
        let (.., source) = (0..self.weights.len()).filter(open).map(due).min()?;
        self.given[source] += 1;
        self.places += 1;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::super::quota::largest_remainder;
    use super::*;
    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn shares_interleave() {
        let mut turns = Turns::new(&[3, 2, 1], None);
        let order: Vec<usize> = (0..12).filter_map(|_| turns.next(&[true; 3])).collect();
        assert_eq!(order, [0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 2]);
    }

    #[test]
    fn a_source_that_ends_leaves_its_places_to_the_others() {
        let mut turns = Turns::new(&[1, 1], None);
        let order: Vec<usize> = (0..4).filter_map(|n| turns.next(&[n < 1, n < 3])).collect();
        assert_eq!(order, [0, 1, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_prefix_is_within_one_row_and_the_end_is_the_quota(
            weights in prop::collection::vec(1_u64..1000, 1..12),
            rows in 1_u64..3000,
            quota: bool,
        ) {
            let sum: u64 = weights.iter().sum();
            let quotas = largest_remainder(&weights, rows);
            let mut turns = Turns::new(&weights, quota.then(|| quotas.clone()));
            for places in 1..=rows {
                prop_assert!(turns.next(&vec![true; weights.len()]).is_some());
                for (given, weight) in turns.given().iter().zip(&weights) {
                    let error = (given * sum).abs_diff(weight * places);
                    prop_assert!(error < sum, "{error} of {sum} after {places} of {weights:?}");
                }
            }
            if quota {
                prop_assert_eq!(turns.given(), quotas);
                prop_assert_eq!(turns.next(&vec![true; weights.len()]), None);
            }
        }
    }
}
