//! The blocks of a page from the most probable to the least, and how many of them are taken.

/// The blocks in that order.
#[derive(Debug)]
pub(super) struct Ranking {
    pub(super) order: Vec<usize>,
    /// Sizes of all up to each.
    pub(super) kept: Vec<f32>,
    /// Sizes times probabilities of all up to each.
    hit: Vec<f32>,
}

impl Ranking {
    /// Ranks blocks of these sizes and probabilities.
    pub(super) fn new(sizes: &[f32], probable: &[f32]) -> Self {
        let mut order: Vec<usize> = (0..probable.len()).collect();
        order.sort_by(|a, b| probable[*b].total_cmp(&probable[*a]));
        let sums = |of: &dyn Fn(usize) -> f32| {
            let mut sum = 0.0;
            order
                .iter()
                .map(|at| {
                    sum += of(*at);
                    sum
                })
                .collect::<Vec<f32>>()
        };
        let (kept, hit) = (sums(&|at| sizes[at]), sums(&|at| sizes[at] * probable[at]));
        Self { order, kept, hit }
    }

    /// The least probability that is taken, and the F measure that is expected then; `lean` is its β.
    pub(super) fn cut(&self, probable: &[f32], lean: f32) -> (f32, f32) {
        let square = lean * lean;
        let total = self.hit.last().copied().unwrap_or_default();
        let mut best = (0.0, 0.0);
        for (at, (kept, hit)) in self.order.iter().zip(self.kept.iter().zip(&self.hit)) {
            let expected = (1.0 + square) * hit / (kept + square * total);
            if expected > best.1 {
                best = (probable[*at], expected);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[f32], probable: &[f32], lean: f32, least: f32, expected: f32) {
        let (cut, measure) = Ranking::new(sizes, probable).cut(probable, lean);
        assert!((cut - least).abs() < 1e-6 && (measure - expected).abs() < 1e-6, "{cut} {measure}");
    }

    #[test]
    fn blocks_are_taken_until_the_expected_measure_stops_growing() {
        check(&[8.0, 2.0], &[1.0, 0.25], 1.0, 1.0, 16.0 / 16.5);
        check(&[8.0, 2.0], &[0.25, 0.25], 1.0, 0.25, 2.0 * 2.5 / 12.5);
        // Recall is preferred.
        check(&[8.0, 2.0], &[1.0, 0.4], 3.0, 0.4, 10.0 * 8.8 / (10.0 + 9.0 * 8.8));
        check(&[], &[], 1.0, 0.0, 0.0);
    }
}
