//! Which of the documents with a near-duplicate stay: a greedy cover.
//!
//! Documents are visited from the best to the worst. One goes if a document that stays is similar to it, so what goes
//! always has a twin that stays. Components of the graph of similar pairs would keep less: in a chain a–b–c of which a and c are
//! not similar, the best alone would stay for three.

/// Two similar documents, named by their place in the order of ranks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// The worse document.
    pub(super) worse: u32,
    /// The better document.
    pub(super) better: u32,
    /// How similar they are.
    pub(super) similarity: f32,
}

/// For each of `documents`, the edge to the kept document that is most similar to it; `None` for those that stay.
///
/// Edges may come in any order and more than once. Of equally similar twins the better one counts.
pub(super) fn cover(documents: usize, mut edges: Vec<Edge>) -> Vec<Option<Edge>> {
    edges.sort_unstable_by_key(|e| (e.worse, e.better));
    let mut twins: Vec<Option<Edge>> = vec![None; documents];
    for group in edges.chunk_by(|a, b| a.worse == b.worse) {
        let mut twin: Option<Edge> = None;
        for edge in group.iter().filter(|e| twins[e.better as usize].is_none()) {
            if twin.is_none_or(|t| t.similarity < edge.similarity) {
                twin = Some(*edge);
            }
        }
        twins[group[0].worse as usize] = twin;
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(documents: usize, edges: &[(u32, u32, f32)], expected: &[Option<u32>]) {
        let edges: Vec<Edge> =
            edges.iter().map(|&(better, worse, similarity)| Edge { worse, better, similarity }).collect();
        let found: Vec<Option<u32>> = cover(documents, edges).iter().map(|e| e.map(|e| e.better)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_goes_has_a_twin_that_stays() {
        check(0, &[], &[]);
        check(2, &[(0, 1, 0.9)], &[None, Some(0)]);
        check(3, &[(0, 1, 0.9), (1, 2, 0.9)], &[None, Some(0), None]);
        check(3, &[(1, 2, 0.9), (0, 2, 0.8)], &[None, None, Some(1)]);
        check(3, &[(1, 2, 0.9), (0, 2, 0.9)], &[None, None, Some(0)]);
        check(
            4,
            &[(0, 1, 0.9), (1, 2, 0.99), (0, 2, 0.8), (2, 3, 1.0), (2, 3, 1.0)],
            &[None, Some(0), Some(0), None],
        );
    }
}
