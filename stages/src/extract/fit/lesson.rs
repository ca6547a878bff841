//! What one page teaches: a row a block, what it should be, and how much that weighs.

use super::super::block::{self, Block};
use super::super::content::{self, Between, PageType};
use super::super::page::{Page, collapsed};
use super::super::{page, prune};
use super::gold;
use serde_json::Value;

/// Weight of a block that a snippet names; a page with full gold text weighs about two.
const SNIPPET: f32 = 0.5;
/// Weight of all blocks together that hold a snippet, where several do: one of them is meant.
const AMBIGUOUS: f32 = 0.3;
/// Shortest block that counts as a part of a snippet, in bytes.
const PART_BYTES_MIN: usize = 10;
/// Weight of the blocks of a page by its set: `aeb` has few pages, `readability-pages` has the gold of one tool.
const SETS: [(&str, f32); 3] = [("aeb", 3.0), ("wcxb", 1.0), ("readability-pages", 0.3)];

/// The set whose pages are all articles.
const ARTICLES: &str = "aeb";

/// What a page says of its blocks, with targets (0 to 1) and weights; a weight of zero says nothing.
pub(crate) struct Lesson {
    pub(crate) rows: Vec<f32>,
    /// What is known of the page as a whole; `None` where it has no block.
    pub(crate) page: Option<Vec<f32>>,
    pub(crate) targets: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    /// What the second look needs.
    pub(crate) between: Between,
    /// A number of the site that the page is of.
    pub(crate) site: u64,
    /// The kind of the page, where the set tells it.
    pub(crate) page_type: Option<PageType>,
}

/// The lesson of a page as the sets write it: `html`, `url`, `dataset`, and `gold_text` or `with` and `without`.
pub(crate) fn lesson(record: &Value) -> Lesson {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let tree = page::parse(text("html"));
    let page = Page::new(&tree);
    let pruned = prune::candidates(&page);
    let blocks = block::blocks(&page, &pruned.removed);
    let mut rows = Vec::new();
    let seen = content::rows(&page, &pruned.hints, &blocks, text("url"), usize::MAX, |some| {
        rows.extend_from_slice(some)
    });
    let lines = lines(&page, &pruned.removed, &blocks);
    let (targets, weights) = match record["gold_text"].as_str() {
        Some(gold) => {
            let weight =
                SETS.iter().find(|(set, _)| *set == text("dataset")).map_or(1.0, |(_, weight)| *weight);
            by_gold(&lines, gold, weight)
        }
        None => by_snippets(&lines, record),
    };
    let named = PageType::ALL.into_iter().find(|kind| kind.name() == text("page_type"));
    let page_type = named.or_else(|| (text("dataset") == ARTICLES).then_some(PageType::Article));
    let (page, between, site) = (seen.page, seen.between, site(record));
    Lesson { rows, page, targets, weights, between, site, page_type }
}

fn by_gold(lines: &[String], gold: &str, weight: f32) -> (Vec<f32>, Vec<f32>) {
    let words: Vec<Vec<String>> = lines.iter().map(|line| gold::words(line)).collect();
    let shares = gold::shares(&words, &gold::words(gold));
    let targets: Vec<f32> = shares.iter().map(|share| ((share - 0.25) / 0.5).clamp(0.0, 1.0)).collect();
    let held: usize = words.iter().zip(&shares).filter(|(_, s)| **s >= 0.5).map(|(w, _)| w.len()).sum();
    // What a block costs when it is misjudged is about its part of the content; short blocks count a little more.
    let size = |words: usize| (words as f32).powf(0.7);
    let weigh = |w: &Vec<String>| (size(w.len() + 1) / size(held.max(20))).min(1.5) * weight;
    (targets, words.iter().map(weigh).collect())
}

fn by_snippets(lines: &[String], record: &Value) -> (Vec<f32>, Vec<f32>) {
    let (mut targets, mut weights) = (vec![0.0; lines.len()], vec![0.0; lines.len()]);
    for (name, target) in [("with", 1.0), ("without", 0.0)] {
        for snippet in record[name].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let snippet = collapsed(snippet);
            let holds = |line: &String| line.contains(&snippet);
            let is_part = |line: &String| line.len() >= PART_BYTES_MIN && snippet.contains(line.as_str());
            let found: Vec<usize> =
                (0..lines.len()).filter(|at| holds(&lines[*at]) || is_part(&lines[*at])).collect();
            let is_one = target == 0.0 || found.len() < 2 || !found.iter().any(|at| holds(&lines[*at]));
            for at in &found {
                targets[*at] = target;
                weights[*at] = if is_one { SNIPPET } else { AMBIGUOUS / found.len() as f32 };
            }
        }
    }
    (targets, weights)
}

/// The text of each block as one line.
pub(crate) fn lines(page: &Page<'_>, removed: &[bool], blocks: &[Block]) -> Vec<String> {
    blocks.iter().map(|block| line(page, removed, block)).collect()
}

/// The text of a block as one line.
fn line(page: &Page<'_>, removed: &[bool], block: &Block) -> String {
    let mut text = String::new();
    let mut at = block.node;
    while at < block.end {
        let node = &page.nodes[at];
        if removed[at] {
            at = node.end as usize;
            continue;
        }
        text.push_str(if node.tag.is_block() { " " } else { node.text });
        if node.tag == super::super::tag::Tag::Br {
            text.push(' ');
        }
        at += 1;
    }
    collapsed(&text)
}

/// A number of the site that a page is of.
pub(crate) fn site(record: &Value) -> u64 {
    let host = record["url"].as_str().and_then(|url| {
        let host = url.split_once("://")?.1.split(['/', '?', '#', ':']).next()?;
        let labels: Vec<&str> = host.rsplit('.').collect();
        let shared = labels.len() > 2
            && labels[0].len() == 2
            && ["co", "com", "org", "ac", "gov", "net"].contains(&labels[1]);
        let registered = labels.iter().take(if shared { 3 } else { 2 }).rev().copied();
        Some(registered.collect::<Vec<_>>().join("."))
    });
    let id = host.unwrap_or_else(|| record["id"].as_str().unwrap_or_default().to_owned());
    schemas::hash::seed(0, &id, 0)
}
