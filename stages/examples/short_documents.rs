//! Writes JSON lines of short documents, some of which are near-duplicates, for measuring how deduplication grows.
//!
//! Document `n` is a function of the seed and `n`: 20 to 60 words, low numbers more often. Three in ten take
//! their words from another one and change none to three of them, so that about one in five has a near-duplicate before it.
//!
//! ```text
//! cargo run --release -p gristmill-stages --example short_documents -- 1000000 > short.jsonl
//! ```
#![expect(clippy::print_stderr, reason = "an example prints")]

use schemas::hash::Rng;
use std::io::{BufWriter, Write};

/// Distinct words.
const VOCABULARY: u64 = 200_000;
const SEED: u64 = 1;
/// Documents of ten that are made from another.
const MADE_FROM_ANOTHER: u64 = 3;

fn main() -> std::io::Result<()> {
    let Some(count) = std::env::args().nth(1).and_then(|n| n.parse::<u64>().ok()) else {
        eprintln!("short_documents COUNT > FILE");
        return Ok(());
    };
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut line = String::new();
    for n in 0..count {
        line.clear();
        line.push_str(&format!("{{\"id\":{n},\"text\":\""));
        let mut words = words(origin(n, count));
        if origin(n, count) != n {
            let mut rng = Rng::new(SEED ^ n.rotate_left(32));
            for _ in 0..rng.below(4) {
                let at = rng.below(words.len() as u64) as usize;
                words[at] = rng.below(VOCABULARY);
            }
        }
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                line.push(' ');
            }
            spell(*word, &mut line);
        }
        line.push_str("\"}\n");
        out.write_all(line.as_bytes())?;
    }
    out.flush()
}

/// The document whose words document `n` has.
fn origin(n: u64, count: u64) -> u64 {
    let mut rng = Rng::new(SEED.wrapping_add(1) ^ n.rotate_left(17));
    if rng.below(10) < MADE_FROM_ANOTHER { rng.below(count) } else { n }
}

fn words(n: u64) -> Vec<u64> {
    let mut rng = Rng::new(SEED.wrapping_add(2) ^ n.rotate_left(40));
    let length = 20 + rng.below(41);
    // The third power of a number below one is mostly small: so are ranks of words in a text.
    let word = |rng: &mut Rng| (rng.next_f64().powi(3) * VOCABULARY as f64) as u64;
    (0..length).map(|_| word(&mut rng)).collect()
}

/// A word of two to eight letters that tells its number.
fn spell(number: u64, out: &mut String) {
    let mut rest = number + 20;
    while rest > 0 {
        out.push(char::from(b"bcdfghklmnprstvwxzjq"[(rest % 20) as usize]));
        out.push(char::from(b"aeiou"[(rest % 5) as usize]));
        rest /= 20;
    }
}
