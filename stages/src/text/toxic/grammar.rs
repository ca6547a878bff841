//! Sentences that are made up: hate about a group and its twins that only look like it.
//!
//! `$list = a | b` names choices, and a choice may name lists itself; `0: sentence` and `1: sentence` are filled
//! with choices drawn at random. One filled sentence in six is disguised as people do: a letter lost, two swapped, digits for letters,
//! a word spaced out, or a space lost.

use crate::text::linear::rows::Row;
use schemas::hash::{Rng, seed};
use std::collections::BTreeMap;

/// Sentences made of one template at most.
const FILLED_MAX: usize = 60;
/// Lists inside lists, at most.
const DEPTH_MAX: u32 = 4;

/// Adds the sentences of a grammar to `rows`. All are trained on; none is made twice.
///
/// # Errors
/// The line that is neither a list nor a sentence, or names a list that there is not.
pub fn fill(text: &str, rows: &mut Vec<Row>) -> Result<(), String> {
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, choices)) = line.strip_prefix('$').and_then(|l| l.split_once(" = ")) {
            lists.insert(name, choices.split('|').map(str::trim).collect());
        }
    }
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') || line.starts_with('$') && line.contains(" = ") {
            continue;
        }
        let (label, sentence) =
            line.split_once(": ").filter(|(label, _)| matches!(*label, "0" | "1")).ok_or_else(|| {
                format!("grammar:{}: expected `0: sentence`, `1: sentence` or `$list = a | b`", number + 1)
            })?;
        let mut rng = Rng::new(seed(1, "grammar", number as u64));
        let mut made = Vec::new();
        for _ in 0..2 * FILLED_MAX {
            let filled = choose(sentence, &lists, &mut rng, 0)
                .map_err(|name| format!("grammar:{}: there is no list `${name}`", number + 1))?;
            if made.len() < FILLED_MAX && !made.contains(&filled) {
                made.push(filled);
            }
        }
        for filled in made {
            let text = if rng.below(6) == 0 { disguise(&filled, &mut rng) } else { filled };
            rows.push(Row { text, label: label == "1", group: "made".into(), held_out: false });
        }
    }
    Ok(())
}

fn choose(
    sentence: &str,
    lists: &BTreeMap<&str, Vec<&str>>,
    rng: &mut Rng,
    depth: u32,
) -> Result<String, String> {
    let mut out = String::new();
    let mut parts = sentence.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let choices = lists.get(name).filter(|_| depth < DEPTH_MAX).ok_or(name)?;
        let choice = choices[rng.below(choices.len() as u64) as usize];
        out.push_str(&choose(choice, lists, rng, depth + 1)?);
        out.push_str(rest);
    }
    Ok(out)
}

/// The sentence with one of its longer words in disguise.
fn disguise(sentence: &str, rng: &mut Rng) -> String {
    let mut words: Vec<String> = sentence.split(' ').map(str::to_owned).collect();
    let long: Vec<usize> =
        (0..words.len()).filter(|at| words[*at].is_ascii() && words[*at].len() > 3).collect();
    if long.is_empty() {
        return sentence.to_owned();
    }
    let at = long[rng.below(long.len() as u64) as usize];
    let word = words[at].clone();
    let place = 1 + rng.below(word.len() as u64 - 2) as usize;
    words[at] = match rng.below(6) {
        0 => format!("{}{}", &word[..place], &word[place + 1..]),
        1 => format!(
            "{}{}{}{}",
            &word[..place],
            &word[place + 1..place + 2],
            &word[place..=place],
            &word[place + 2..]
        ),
        2 => word.replace('i', "1").replace('e', "3").replace('o', "0").replace('a', "4"),
        3 => word.chars().map(String::from).collect::<Vec<_>>().join(" "),
        4 => word.to_uppercase(),
        _ => {
            let next = if at + 1 < words.len() { words.remove(at + 1) } else { String::new() };
            format!("{word}{next}")
        }
    };
    words.join(" ")
}
