//! How likely letters make a word: each letter by the four before it, with the discount of Witten and Bell (1991).
//!
//! Learned from kinds of words, not from how often they occur, it tells how much a string looks like a word that no list
//! has: a name, a loan or a coinage. It adds, multiplies and divides alone, so that every machine gives the same bits.

use super::is_plain;

/// Letters before a letter that are looked at.
const BEFORE: usize = 4;
/// The letters of the alphabet, and the edge of a word.
const SIGNS: usize = 27;

/// The model.
#[derive(Debug)]
pub(super) struct Likeness {
    /// How often a sign follows the last none to four signs: a row of all signs for each.
    counts: [Vec<u32>; BEFORE + 1],
}

impl Likeness {
    /// Learns from words; those with other signs than small ASCII letters are passed over.
    pub(super) fn learn<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: [Vec<u32>; BEFORE + 1] =
            std::array::from_fn(|n| vec![0; SIGNS.pow(1 + u32::try_from(n).expect("n is at most four"))]);
        for word in words.filter(|word| is_plain(word)) {
            each_sign(word, |before, sign| {
                for (n, counts) in counts.iter_mut().enumerate() {
                    counts[row(before, n) + sign] += 1;
                }
            });
        }
        Self { counts }
    }

    /// The share of a word of small ASCII letters among all strings.
    pub(super) fn share(&self, word: &str) -> f64 {
        let mut share = 1.0;
        each_sign(word, |before, sign| share *= self.after(before, sign));
        share
    }

    /// The share of a sign behind others.
    fn after(&self, before: usize, sign: usize) -> f64 {
        let mut share = 1.0 / SIGNS as f64;
        for (n, counts) in self.counts.iter().enumerate() {
            let counts = &counts[row(before, n)..][..SIGNS];
            let all = f64::from(counts.iter().sum::<u32>());
            if all == 0.0 {
                break;
            }
            let kinds = counts.iter().filter(|count| **count > 0).count() as f64;
            share = (f64::from(counts[sign]) + kinds * share) / (all + kinds);
        }
        share
    }
}

/// Where the row of the last `n` signs begins, of four that are read as one number.
const fn row(before: usize, n: usize) -> usize {
    before % SIGNS.pow(n as u32) * SIGNS
}

/// Calls `each` with the four signs before a sign, as one number, and the sign; an edge ends the word.
fn each_sign(word: &str, mut each: impl FnMut(usize, usize)) {
    let mut before = 0;
    for sign in word.bytes().map(|b| usize::from(b - b'a') + 1).chain([0]) {
        each(before, sign);
        before = (before * SIGNS + sign) % SIGNS.pow(BEFORE as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_the_words_has_more() {
        let likeness = Likeness::learn(["station", "nation", "ration", "Éclair", "don't"].into_iter());
        let share = |word| likeness.share(word);
        assert!(share("station") > share("statoin"));
        assert!(share("fation") > share("fatoin"));
        assert!(share("xqzj") > 0.0);
    }

    #[test]
    fn shares_behind_any_signs_sum_to_one() {
        let likeness = Likeness::learn(["station", "nation"].into_iter());
        for before in [0, 1, 20, 14_000, SIGNS.pow(4) - 1] {
            let sum: f64 = (0..SIGNS).map(|sign| likeness.after(before, sign)).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{before} {sum}");
        }
    }
}
