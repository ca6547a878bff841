//! How many rows each source of a mix gives, and how often its documents are read for that.
//!
//! Rows in all are those of the token budget, fewer where a source would be read more than `epochs_max` times: the shares stay
//! exact, and the budget gives way. Repeating data up to four times is nearly as good as fresh data, and beyond that worth less
//! and less ("Scaling Data-Constrained Language Models", arXiv 2305.16264), so more than four is told.

/// Passes over the data up to which nothing is said.
const EPOCHS_TOLD: f64 = 4.0;
/// Most slices of a source.
const SLICES_MAX: usize = 1 << 16;
/// Most slices of all sources together: each is a number in memory.
const SLICES_OF_ALL_MAX: usize = 1 << 22;

/// Slices that the documents of each of so many sources fall into by a hash of their id; the last pass takes whole slices. A power
/// of two: 65,536 of up to 64 sources.
pub fn slices(sources: usize) -> usize {
    let each = (SLICES_OF_ALL_MAX / sources.max(1)).clamp(1, SLICES_MAX);
    1 << each.ilog2()
}

/// Shares of `total` by weight that sum to it: whole parts first, then one more to the largest remainders, the earlier of equal.
pub fn largest_remainder(weights: &[u64], total: u64) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let part = |&w: &u64| u128::from(w) * u128::from(total);
    let mut shares: Vec<u64> = weights.iter().map(|w| (part(w) / sum) as u64).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(part(&weights[at]) % sum), at));
    let left = total - shares.iter().sum::<u64>();
    order.into_iter().take(left as usize).for_each(|at| shares[at] += 1);
    shares
}

/// What is wanted of a mix.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Tokens in a row.
    pub length: u64,
    /// Tokens of training in all; `None` takes as many as all sources have.
    pub budget_tokens: Option<u64>,
    /// Most passes over a source.
    pub epochs_max: f64,
}

/// What one source gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Rows.
    pub rows: u64,
    /// Passes over all documents.
    pub passes: u16,
    /// Slices that are taken once more.
    pub slices: usize,
    /// Tokens in the rows, padding included, by the tokens of the source.
    pub epochs: f64,
}

/// What all sources give.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One for each source.
    pub taken: Vec<Taken>,
    /// What a person should be told.
    pub notes: Vec<String>,
}

/// Plans a mix of sources by name, weight and tokens in each slice.
///
/// # Errors
/// The budget, or what a source has, is below one row.
pub fn plan(names: &[String], weights: &[u64], slices: &[Vec<u64>], wanted: Wanted) -> Result<Plan, String> {
    let tokens: Vec<u64> = slices.iter().map(|slices| slices.iter().sum()).collect();
    let all: u64 = tokens.iter().sum();
    let asked = wanted.budget_tokens.unwrap_or(all) / wanted.length;
    if asked == 0 {
        let budget = wanted.budget_tokens.unwrap_or(all);
        return Err(format!("{budget} tokens are less than one sequence of {}", wanted.length));
    }
    let most = |at: usize| (tokens[at] as f64 * wanted.epochs_max) as u64 / wanted.length;
    let whole: u128 = weights.iter().map(|&w| u128::from(w)).sum();
    let bound = |at: usize| (u128::from(most(at)) * whole / u128::from(weights[at])) as u64;
    let (mut rows, mut scarce) = (asked, None);
    for at in 0..names.len() {
        if bound(at) < rows {
            (rows, scarce) = (bound(at), Some(at));
        }
    }
    // A remainder may ask for one row more than a source can give.
    let quotas = loop {
        let quotas = largest_remainder(weights, rows);
        match (0..names.len()).find(|&at| quotas[at] > most(at)) {
            Some(at) => (rows, scarce) = (rows - 1, Some(at)),
            None => break quotas,
        }
    };
    if rows == 0 {
        let name = scarce.map_or("", |at| &names[at]);
        let (length, epochs) = (wanted.length, wanted.epochs_max);
        return Err(format!(
            "the source `{name}` has too few tokens for its share: not one sequence of {length} in {epochs} epochs"
        ));
    }
    let taken: Vec<Taken> = (0..names.len())
        .map(|at| taken(quotas[at], quotas[at] * wanted.length, tokens[at], &slices[at]))
        .collect();
    let mut notes = Vec::new();
    if let Some(at) = scarce {
        notes.push(format!(
            "the mix ends after {} of {} tokens: more would read `{}` more than {} times (`epochs_max`)",
            rows * wanted.length,
            asked * wanted.length,
            names[at],
            wanted.epochs_max
        ));
    }
    let often = taken.iter().zip(names).filter(|(taken, _)| taken.epochs > EPOCHS_TOLD);
    notes.extend(often.map(|(taken, name)| {
        format!("the mix reads `{name}` {:.1} times; beyond {EPOCHS_TOLD} repeats teach little", taken.epochs)
    }));
    Ok(Plan { taken, notes })
}

/// Whole passes, and the first slices that bring the tokens to those of the rows.
fn taken(rows: u64, needed: u64, tokens: u64, slices: &[u64]) -> Taken {
    let passes = needed.checked_div(tokens).unwrap_or(0);
    let mut left = needed - passes * tokens;
    let slices = slices.iter().take_while(|&&slice| {
        let more = left > 0;
        left = left.saturating_sub(slice);
        more
    });
    let epochs = if tokens == 0 { 0.0 } else { needed as f64 / tokens as f64 };
    Taken { rows, passes: passes as u16, slices: slices.count(), epochs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

    fn mix(
        weights: &[u64],
        tokens: &[u64],
        budget_tokens: Option<u64>,
        epochs_max: f64,
    ) -> Result<Plan, String> {
        let names: Vec<String> = (0..weights.len()).map(|at| format!("s{at}")).collect();
        // Four slices of a quarter each.
        let slices: Vec<Vec<u64>> = tokens.iter().map(|tokens| vec![tokens / 4; 4]).collect();
        plan(&names, weights, &slices, Wanted { length: 10, budget_tokens, epochs_max })
    }

    #[test]
    fn more_sources_have_fewer_slices_each() {
        assert_eq!([0, 1, 64, 65, 128, 1000].map(slices), [65_536, 65_536, 65_536, 32_768, 32_768, 4096]);
    }

    #[test]
    fn remainders_go_to_the_largest() {
        assert_eq!(largest_remainder(&[1, 1, 1], 10), [4, 3, 3]);
        assert_eq!(largest_remainder(&[70, 30], 5), [4, 1]);
        assert_eq!(largest_remainder(&[21, 42, 37], 10), [2, 4, 4]);
        assert_eq!(largest_remainder(&[], 3), [0; 0]);
    }

    #[test]
    fn a_small_source_is_read_again_in_whole_passes_and_slices() {
        let plan = mix(&[1, 1], &[4000, 80], Some(400), 4.0).unwrap();
        let [large, small] = &plan.taken[..] else { panic!("two sources") };
        assert_eq!((large.rows, large.passes, large.slices), (20, 0, 1));
        assert_eq!((small.rows, small.passes, small.slices), (20, 2, 2));
        assert!((small.epochs - 2.5).abs() < 1e-9 && plan.notes.is_empty());
    }

    #[test]
    fn the_budget_gives_way_to_the_cap_and_both_are_told() {
        let plan = mix(&[1, 1], &[4000, 80], Some(4000), 4.0).unwrap();
        assert_eq!(plan.taken.iter().map(|taken| taken.rows).collect::<Vec<_>>(), [32, 32]);
        assert_eq!(
            plan.notes,
            ["the mix ends after 640 of 4000 tokens: more would read `s1` more than 4 times (`epochs_max`)"]
        );
        let plan = mix(&[1, 1], &[4000, 80], Some(1600), 10.0).unwrap();
        assert_eq!(plan.notes, ["the mix reads `s1` 10.0 times; beyond 4 repeats teach little"]);
    }

    #[test]
    fn too_little_is_an_error() {
        assert_eq!(mix(&[1], &[80], Some(9), 4.0).unwrap_err(), "9 tokens are less than one sequence of 10");
        assert_eq!(
            mix(&[1, 1], &[800, 8], None, 1.0).unwrap_err(),
            "the source `s1` has too few tokens for its share: not one sequence of 10 in 1 epochs"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn quotas_sum_and_tokens_are_enough(
            sources in prop::collection::vec((1_u64..100, 1_u64..50), 1..8),
            budget in 10_u64..20_000,
            epochs_max in 1_u32..9,
        ) {
            let weights: Vec<u64> = sources.iter().map(|(weight, _)| *weight).collect();
            let tokens: Vec<u64> = sources.iter().map(|(_, quarters)| quarters * 4).collect();
            let Ok(plan) = mix(&weights, &tokens, Some(budget), f64::from(epochs_max)) else { return Ok(()) };
            let rows: Vec<u64> = plan.taken.iter().map(|taken| taken.rows).collect();
            let all = rows.iter().sum::<u64>();
            prop_assert!(all <= budget / 10);
            prop_assert_eq!(all < budget / 10, plan.notes.iter().any(|note| note.contains("ends after")));
            prop_assert_eq!(&rows, &largest_remainder(&weights, all));
            for (taken, tokens) in plan.taken.iter().zip(&tokens) {
                let there = u64::from(taken.passes) * tokens + taken.slices as u64 * tokens / 4;
                prop_assert!(there >= taken.rows * 10 && there < taken.rows * 10 + tokens / 4 + 1);
                prop_assert!(taken.epochs <= f64::from(epochs_max));
            }
        }
    }
}
