//! Which blocks of a page its gold text holds.

use schemas::hash::FastMap;

/// Most cells of the table in which two texts are aligned; longer pages are matched by their words alone.
const CELLS_MAX: usize = 600_000_000;
/// Least words of a block that is looked for out of order, and the share of them that must be there.
const MOVED_WORDS_MIN: usize = 4;
const MOVED_SHARE_MIN: f32 = 0.8;

/// The words of a text in lower case; a character of a script without spaces is a word.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.chars() {
        let alone = matches!(c, '\u{0e00}'..='\u{0e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}');
        if alone || !(c.is_alphanumeric() || c == '_') {
            words.push(if alone { c.to_string() } else { String::new() });
            if alone {
                words.push(String::new());
            }
        } else if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The share of each block's words that the gold text holds: by an alignment in order that prefers runs, then, for
/// blocks that were moved, among the words that the alignment left.
pub(crate) fn shares(blocks: &[Vec<String>], gold: &[String]) -> Vec<f32> {
    let mut numbers: FastMap<&str, u32> = FastMap::default();
    let mut numbered = |word| {
        let next = numbers.len() as u32 + 1;
        *numbers.entry(word).or_insert(next)
    };
    let gold: Vec<u32> = gold.iter().map(|word| numbered(word.as_str())).collect();
    let number = |word: &String| numbers.get(word.as_str()).copied().unwrap_or(0);
    let mut left = vec![0_u32; numbers.len() + 1];
    for word in &gold {
        left[*word as usize] += 1;
    }
    let page: Vec<u32> = blocks.iter().flatten().map(number).collect();
    let hits = align(&page, &gold);
    for (word, _) in page.iter().zip(&hits).filter(|(_, hit)| **hit) {
        left[*word as usize] -= 1;
    }
    let mut at = 0;
    let mut shares = Vec::with_capacity(blocks.len());
    for block in blocks {
        let hit = hits[at..at + block.len()].iter().filter(|hit| **hit).count();
        shares.push(hit as f32 / block.len().max(1) as f32);
        at += block.len();
    }
    for (share, block) in shares.iter_mut().zip(blocks) {
        if *share < 0.5 && block.len() >= MOVED_WORDS_MIN {
            let taken = take(block.iter().map(number), &mut left, block.len());
            *share = share.max(taken);
        }
    }
    shares
}

/// Takes the words of a moved block from what is left, if nearly all are there; their share.
fn take(words: impl Iterator<Item = u32>, left: &mut [u32], len: usize) -> f32 {
    let mut taken = Vec::with_capacity(len);
    for word in words.filter(|word| *word != 0) {
        if left[word as usize] > 0 {
            left[word as usize] -= 1;
            taken.push(word);
        }
    }
    let share = taken.len() as f32 / len as f32;
    if share < MOVED_SHARE_MIN {
        taken.iter().for_each(|word| left[*word as usize] += 1);
        return 0.0;
    }
    share
}

/// How the best alignment of two prefixes ends.
const MATCH: u8 = 1;
const UP: u8 = 2;
/// The match before this one is its neighbour.
const RUN: u8 = 4;

/// Which words of the page are matched: 2 for a match, 1 more where it follows one.
fn align(page: &[u32], gold: &[u32]) -> Vec<bool> {
    let width = gold.len();
    let mut hits = vec![false; page.len()];
    if width == 0 || page.len().saturating_mul(width) > CELLS_MAX {
        return hits;
    }
    let mut ways = vec![0_u8; page.len() * width];
    let (mut above, mut row) = (vec![0_i32; width + 1], vec![0_i32; width + 1]);
    // The best that ends in a match, or below zero.
    let (mut above_run, mut row_run) = (vec![-1_i32; width + 1], vec![-1_i32; width + 1]);
    for (word, ways) in page.iter().zip(ways.chunks_exact_mut(width)) {
        for at in 0..width {
            let mut matched = -1;
            let mut way = 0;
            if *word == gold[at] {
                let (run, single) = (above_run[at] + 3, above[at] + 2);
                let runs = above_run[at] >= 0 && run >= single;
                matched = if runs { run } else { single };
                way = if runs { RUN } else { 0 };
            }
            row_run[at + 1] = matched;
            let (up, side) = (above[at + 1], row[at]);
            let best = matched.max(up).max(side);
            way |= if best == matched {
                MATCH
            } else if best == up {
                UP
            } else {
                0
            };
            row[at + 1] = best;
            ways[at] = way;
        }
        std::mem::swap(&mut above, &mut row);
        std::mem::swap(&mut above_run, &mut row_run);
    }
    let (mut at, mut column, mut in_run) = (page.len(), width, false);
    while at > 0 && column > 0 {
        let way = ways[(at - 1) * width + column - 1];
        if in_run || way & MATCH != 0 {
            hits[at - 1] = true;
            in_run = way & RUN != 0;
            (at, column) = (at - 1, column - 1);
        } else if way & UP != 0 {
            at -= 1;
        } else {
            column -= 1;
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blocks: &[&str], gold: &str, expected: &[f32]) {
        let blocks: Vec<Vec<String>> = blocks.iter().map(|block| words(block)).collect();
        assert_eq!(shares(&blocks, &words(gold)), expected);
    }

    #[test]
    fn blocks_are_found_in_order_and_moved() {
        check(&["Home", "One two.", "Three four", "Home"], "one two three four", &[0.0, 1.0, 1.0, 0.0]);
        check(&["a b c d", "e f g h"], "e f g h a b c d", &[1.0, 1.0]);
        check(&["a b c d", "x a y z"], "a b c d", &[1.0, 0.0]);
        check(&["Share", "It is a share"], "It is a share", &[0.0, 1.0]);
        check(&["a"], "", &[0.0]);
        check(&[], "a", &[]);
    }

    #[test]
    fn words_of_all_scripts() {
        assert_eq!(
            words("It's 3.5_x \u{65e5}\u{672c}a"),
            ["it", "s", "3", "5_x", "\u{65e5}", "\u{672c}", "a"]
        );
    }
}
