//! How much raters agree beyond chance, and how sure a preference is.
//!
//! ```text
//! κ = (observed − expected) ÷ (1 − expected)     Cohen (1960) for two raters, Fleiss (1971) for more
//! α = 1 − disagreement observed ÷ expected       Krippendorff (2004), nominal; rows may lack ratings
//! ```

/// Quantile of the normal distribution for 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Cohen's κ of two raters over categories `0..categories`; `None` where chance alone explains everything.
pub(super) fn cohen(pairs: &[(usize, usize)], categories: usize) -> Option<f64> {
    let count = pairs.len() as f64;
    let share =
        |of: &dyn Fn(&(usize, usize)) -> bool| pairs.iter().filter(|pair| of(pair)).count() as f64 / count;
    let observed = share(&|(a, b)| a == b);
    let expected: f64 = (0..categories).map(|c| share(&|(a, _)| *a == c) * share(&|(_, b)| *b == c)).sum();
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}

/// Fleiss' κ of rows that as many raters rated; each row counts its ratings by category.
pub(super) fn fleiss(rows: &[Vec<usize>]) -> Option<f64> {
    let raters = rows.first()?.iter().sum::<usize>() as f64;
    let count = rows.len() as f64;
    let categories = rows[0].len();
    let within = |row: &Vec<usize>| {
        let squares: f64 = row.iter().map(|n| (n * n) as f64).sum();
        (squares - raters) / (raters * (raters - 1.0))
    };
    let observed = rows.iter().map(within).sum::<f64>() / count;
    let share = |c: usize| rows.iter().map(|row| row[c]).sum::<usize>() as f64 / (count * raters);
    let expected: f64 = (0..categories).map(|c| share(c).powi(2)).sum();
    (expected < 1.0 && raters > 1.0).then(|| (observed - expected) / (1.0 - expected))
}

/// Krippendorff's α of nominal ratings; each row counts its ratings by category, and rows with one rating say nothing.
pub(super) fn krippendorff(rows: &[Vec<usize>]) -> Option<f64> {
    let categories = rows.first()?.len();
    let mut same = 0.0;
    let mut totals = vec![0.0; categories];
    for row in rows {
        let ratings = row.iter().sum::<usize>();
        if ratings < 2 {
            continue;
        }
        for (total, &n) in totals.iter_mut().zip(row) {
            *total += n as f64;
            same += (n * n.saturating_sub(1)) as f64 / (ratings - 1) as f64;
        }
    }
    let all: f64 = totals.iter().sum();
    let by_chance: f64 = totals.iter().map(|n| n * (n - 1.0)).sum::<f64>() / (all - 1.0);
    (all > 1.0 && by_chance < all).then(|| 1.0 - (all - same) / (all - by_chance))
}

/// Wilson's interval of 95 % for a share (1927).
pub(super) fn wilson(wins: usize, count: usize) -> Option<[f64; 2]> {
    let n = count as f64;
    let share = wins as f64 / n;
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (count > 0).then(|| [((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)])
}

/// The two-sided sign test: how likely a split at least as uneven is where neither side is better.
pub(super) fn sign_test(wins: usize, losses: usize) -> f64 {
    let count = wins + losses;
    let fewer = wins.min(losses);
    // Logarithms: 2^-count is 0 from some thousand comparisons on.
    let mut term = -(count as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=fewer {
        sum += term.exp();
        term += ((count - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-4, "{found:?}, expected {expected}");
    }

    #[test]
    fn cohen_of_a_known_table() {
        // 20 and 15 agreements, 5 and 10 disagreements: κ = 0.4.
        let of = |a, b, n| std::iter::repeat_n((a, b), n);
        let pairs: Vec<_> = of(0, 0, 20).chain(of(0, 1, 5)).chain(of(1, 0, 10)).chain(of(1, 1, 15)).collect();
        near(cohen(&pairs, 2), 0.4);
        assert_eq!(cohen(&[(0, 0), (0, 0)], 3), None);
        near(cohen(&[(0, 0), (1, 1)], 3), 1.0);
    }

    #[test]
    fn fleiss_of_the_table_in_his_article() {
        let rows = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ];
        near(fleiss(&rows.map(|row| row.to_vec())), 0.2099);
    }

    #[test]
    fn krippendorff_passes_over_rows_with_one_rating() {
        // Two raters, ten rows of 0 and 1 of his introduction: α = 0.095.
        let a = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0];
        let b = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
        let mut rows: Vec<Vec<usize>> = a.iter().zip(b).map(|(a, b)| vec![2 - a - b, a + b]).collect();
        near(krippendorff(&rows), 0.0952);
        rows.push(vec![1, 0]);
        near(krippendorff(&rows), 0.0952);
    }

    #[test]
    fn intervals_and_tests_are_those_of_the_books() {
        let [low, high] = wilson(8, 10).unwrap();
        near(Some(low), 0.4902);
        near(Some(high), 0.9433);
        assert_eq!(wilson(0, 0), None);
        near(Some(sign_test(8, 2)), 0.1094);
        near(Some(sign_test(5, 5)), 1.0);
        near(Some(sign_test(0, 0)), 1.0);
        assert!(sign_test(3000, 2000) < 1e-40);
    }
}
