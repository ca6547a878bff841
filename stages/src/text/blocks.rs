//! Runs of bytes of a class, found 64 bytes at a time.
//!
//! The bytes of a block are classed without branches, which compiles to vector instructions; a bit a byte is gathered in a
//! word, and only the ends of runs are looked at one by one.

use std::ops::Range;

/// Bytes that are classed in one step.
const BLOCK: usize = 64;

/// Calls `each` with every run of bytes that `class` holds of, in order. `class` does not hold of zero.
pub fn runs(bytes: &[u8], class: impl Fn(u8) -> bool + Copy, mut each: impl FnMut(Range<usize>)) {
    let (mut inside, mut start) = (0_u64, 0);
    let mut block = |base: usize, bits: u64| {
        // A bit where the class changes: starts and ends take turns.
        let mut edges = bits ^ (bits << 1 | inside);
        if inside == 1 && edges != 0 {
            each(start..base + edges.trailing_zeros() as usize);
            edges &= edges - 1;
        }
        while edges != 0 {
            start = base + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            if edges == 0 {
                break;
            }
            each(start..base + edges.trailing_zeros() as usize);
            edges &= edges - 1;
        }
        inside = bits >> (BLOCK - 1);
    };
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (number, chunk) in blocks.iter().enumerate() {
        block(number * BLOCK, bits(chunk, class));
    }
    // Zeros end the last run.
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    block(blocks.len() * BLOCK, bits(&last, class));
}

/// A bit for each byte of the class.
fn bits(chunk: &[u8; BLOCK], class: impl Fn(u8) -> bool) -> u64 {
    let mut flags = [0_u8; BLOCK];
    for (flag, byte) in flags.iter_mut().zip(chunk) {
        *flag = u8::from(class(*byte));
    }
    let (words, _) = flags.as_chunks::<8>();
    // The multiplication moves the lowest bit of each byte into the highest byte.
    words
        .iter()
        .rev()
        .fold(0, |bits, word| bits << 8 | u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn runs_are_those_of_a_plain_loop(text in "([ab]{0,9}|a{60,70}|b{60,130}){0,6}") {
            let mut fast = Vec::new();
            runs(text.as_bytes(), |b| b == b'a', |run| fast.push(run));
            let mut slow: Vec<Range<usize>> = Vec::new();
            for (at, _) in text.bytes().enumerate().filter(|(_, b)| *b == b'a') {
                match slow.last_mut() {
                    Some(run) if run.end == at => run.end += 1,
                    _ => slow.push(at..at + 1),
                }
            }
            prop_assert_eq!(fast, slow);
        }
    }
}
