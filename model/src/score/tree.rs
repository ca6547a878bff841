//! Which sequences share what: in order of their tokens they are cut into passes whose shared prefixes are segments.

use super::forest::{Before, Keep, Pass};

/// New tokens of a pass: enough for the matrix kernels, few enough for the caches.
const PASS_TOKENS: usize = 2048;

/// A token sequence as the model reads it, and from where on its outputs are asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence {
    /// Inputs, at least one.
    pub(super) ids: Vec<u32>,
    /// The first position whose output is asked for.
    pub(super) wanted: usize,
}

/// A pass, and where the outputs of its sequences lie.
#[derive(Debug)]
pub(super) struct Plan {
    /// What runs. It finds what the pass before it has kept, and leaves what the next one needs.
    pub(super) pass: Pass,
    /// For each sequence of the pass its place in the list, and the token of the pass at each wanted position.
    pub(super) outputs: Vec<(usize, Vec<usize>)>,
}

impl Plan {
    /// The plan of one sequence, which stands at `index` of the list.
    fn renamed(mut self, index: usize) -> Self {
        self.outputs.iter_mut().for_each(|(at, _)| *at = index);
        self
    }
}

/// Plans the passes over all sequences; every wanted position of each is an output of one of them.
pub(super) fn plan(sequences: &[Sequence]) -> Vec<Plan> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by(|&a, &b| sequences[a].cmp(&sequences[b]).then(a.cmp(&b)));
    let ids = |at: usize| &sequences[order[at]].ids;
    let common = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // What each shares with the one before it in this order.
    let shared: Vec<usize> = (0..order.len())
        .map(|at| at.checked_sub(1).map_or(0, |before| common(ids(before), ids(at))))
        .collect();
    let mut plans: Vec<Plan> = Vec::new();
    let mut path = Path::default();
    let mut first = 0;
    while first < order.len() {
        let mut tokens = 0;
        let mut fits = |at: usize| {
            tokens += ids(at).len() - shared[at];
            at == first || tokens <= PASS_TOKENS
        };
        let end = (first..order.len()).take_while(|&at| fits(at)).last().map_or(first, |last| last + 1);
        let group: Vec<(usize, usize)> = (first..end).map(|at| (order[at], shared[at])).collect();
        let carried = carried(sequences, &group);
        if let Some(before) = plans.last_mut() {
            before.pass.keep = path.keep(carried);
        }
        path = Path(if carried == 0 { vec![] } else { vec![Before::Kept(carried)] });
        plans.push(lay(sequences, &group, carried, &mut path));
        first = end;
    }
    plans
}

/// The pass of one sequence that shares nothing.
pub(super) fn alone((index, sequence): (usize, &Sequence)) -> Plan {
    lay(std::slice::from_ref(sequence), &[(0, 0)], 0, &mut Path::default()).renamed(index)
}

/// How many tokens a pass takes from the one before it: so few that no wanted position is among them.
fn carried(sequences: &[Sequence], group: &[(usize, usize)]) -> usize {
    let mut carried = group[0].1;
    let mut common = carried;
    for &(sequence, shared) in group {
        common = common.min(shared);
        let wanted = sequences[sequence].wanted;
        if wanted < common {
            carried = carried.min(wanted);
        }
    }
    carried
}

/// Lays the tokens that each sequence of a group does not share into segments.
fn lay(sequences: &[Sequence], group: &[(usize, usize)], carried: usize, path: &mut Path) -> Plan {
    let mut plan = Plan { pass: Pass::default(), outputs: Vec::with_capacity(group.len()) };
    for (at, &(index, shared)) in group.iter().enumerate() {
        let Sequence { ids, wanted } = &sequences[index];
        let shared = if at == 0 { carried } else { shared };
        path.truncate(shared);
        if shared < ids.len() {
            let tokens = plan.pass.push(path.0.clone(), &ids[shared..]);
            path.0.push(Before::Here(tokens));
        }
        plan.outputs.push((index, path.tokens(*wanted)));
    }
    plan
}

/// The segments of the sequence that was laid last, from its first token on.
#[derive(Debug, Default)]
struct Path(Vec<Before>);

impl Path {
    fn truncate(&mut self, tokens: usize) {
        let mut left = tokens;
        self.0.retain_mut(|before| {
            let count = before.len().min(left);
            left -= count;
            match before {
                Before::Kept(tokens) => *tokens = count,
                Before::Here(range) => range.end = range.start + count,
            }
            count > 0
        });
    }

    /// The tokens of the pass at the positions from `wanted` on.
    fn tokens(&self, wanted: usize) -> Vec<usize> {
        let mut skipped = wanted;
        let mut tokens = Vec::new();
        for before in &self.0 {
            let skip = before.len().min(skipped);
            skipped -= skip;
            match before {
                Before::Here(range) => tokens.extend(range.start + skip..range.end),
                Before::Kept(_) => debug_assert_eq!(skip, before.len(), "no wanted position is carried"),
            }
        }
        tokens
    }

    /// What keeps the first tokens of the sequence.
    fn keep(mut self: Path, tokens: usize) -> Keep {
        self.truncate(tokens);
        let mut keep = Keep::default();
        for before in self.0 {
            match before {
                Before::Kept(tokens) => keep.stay = tokens,
                Before::Here(range) => keep.add.push(range),
            }
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens that a sequence sees at a wanted position, told from the segments alone.
    fn seen(plan: &Plan, kept: &[u32], token: usize) -> Vec<u32> {
        let segment = plan.pass.segments.iter().find(|s| s.tokens.contains(&token)).unwrap();
        let mut ids = Vec::new();
        for before in &segment.before {
            match before {
                Before::Kept(tokens) => ids.extend_from_slice(&kept[..*tokens]),
                Before::Here(range) => ids.extend_from_slice(&plan.pass.ids[range.clone()]),
            }
        }
        ids.extend_from_slice(&plan.pass.ids[segment.tokens.start..=token]);
        ids
    }

    fn check(sequences: &[Sequence], new_tokens: Option<usize>) {
        let plans = plan(sequences);
        let mut kept: Vec<u32> = Vec::new();
        let mut done = vec![0; sequences.len()];
        for plan in &plans {
            for (index, tokens) in &plan.outputs {
                let Sequence { ids, wanted } = &sequences[*index];
                assert_eq!(tokens.len(), ids.len() - wanted);
                for (position, &token) in (*wanted..).zip(tokens) {
                    assert_eq!(seen(plan, &kept, token), ids[..=position], "{ids:?} at {position}");
                }
                done[*index] += 1;
            }
            let keep = &plan.pass.keep;
            kept.truncate(keep.stay);
            keep.add.iter().for_each(|range| kept.extend_from_slice(&plan.pass.ids[range.clone()]));
        }
        assert!(done.iter().all(|&done| done == 1));
        if let Some(expected) = new_tokens {
            assert_eq!(plans.iter().map(|plan| plan.pass.ids.len()).sum::<usize>(), expected);
        }
    }

    fn sequence(ids: &[u32], wanted: usize) -> Sequence {
        Sequence { ids: ids.to_vec(), wanted }
    }

    #[test]
    fn what_is_shared_is_laid_once() {
        check(&[], Some(0));
        check(&[sequence(&[1], 0)], Some(1));
        let choices = [
            sequence(&[1, 2, 3, 4], 2),
            sequence(&[1, 2, 3, 5, 6], 2),
            sequence(&[1, 2, 3], 2),
            sequence(&[1, 2, 3, 5, 6], 1),
            sequence(&[9], 0),
        ];
        check(&choices, Some(7));
    }

    #[test]
    fn passes_carry_what_the_next_one_shares() {
        let preamble: Vec<u32> = (0..1500).collect();
        // One long beginning, questions of 200 tokens with three answers each, over several passes.
        let question = |n: u32, answer: u32| {
            let mut ids = preamble.clone();
            ids.extend((0..200).map(|at| n * 1000 + at));
            ids.extend([answer, answer + 1]);
            Sequence { ids, wanted: 1699 }
        };
        let all: Vec<Sequence> = (1..30).flat_map(|n| [7, 8, 9].map(|answer| question(n, answer))).collect();
        check(&all, Some(1500 + 29 * (200 + 6)));
        // Outputs are asked for in the middle of what is shared: it is computed again where they need it.
        let all: Vec<Sequence> =
            all.into_iter().enumerate().map(|(n, s)| Sequence { wanted: n * 19 % 1700, ..s }).collect();
        check(&all, None);
    }

    #[test]
    fn random_sequences_see_what_they_should() {
        let mut rng = schemas::hash::Rng::new(7);
        for _ in 0..60 {
            let sequences: Vec<Sequence> = (0..rng.below(40))
                .map(|_| {
                    let longest = if rng.below(9) == 0 { 1200 } else { 12 };
                    let length = 1 + rng.below(longest) as usize;
                    let ids: Vec<u32> = (0..length).map(|_| u32::from(rng.below(30) == 0)).collect();
                    Sequence { wanted: rng.below(length as u64) as usize, ids }
                })
                .collect();
            check(&sequences, None);
        }
    }
}
