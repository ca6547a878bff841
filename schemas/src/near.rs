//! Which name was meant by one that nobody has: what other programs call the thing, its initials, or the nearest spelling.

/// Names that stand elsewhere (transformers, nanoGPT, litgpt, datatrove, datasketch) for what a key here stands for.
pub const ELSEWHERE: &[(&str, &[&str])] = &[
    ("layers", &["n_layer", "n_layers", "num_layers", "num_hidden_layers", "depth"]),
    ("heads", &["n_head", "n_heads", "num_heads", "num_attention_heads"]),
    ("width", &["n_embd", "d_model", "dim", "hidden_size", "embedding_size"]),
    ("kv_heads", &["num_key_value_heads", "n_kv_head", "n_kv_heads", "n_query_groups"]),
    ("ff_width", &["intermediate_size", "d_ff", "ffn_dim"]),
    ("rope_base", &["rope_theta"]),
    ("window", &["sliding_window"]),
    ("experts", &["num_experts", "num_local_experts", "n_experts"]),
    ("experts_active", &["num_experts_per_tok", "top_k_experts"]),
    ("steps", &["max_iters", "max_steps", "iters", "iterations"]),
    ("batch_sequences", &["batch_size", "micro_batch_size", "per_device_train_batch_size"]),
    ("accumulate", &["gradient_accumulation_steps", "grad_accum", "accumulation_steps"]),
    ("learning_rate", &["lr", "max_lr"]),
    ("learning_rate_min", &["min_lr", "lr_min"]),
    ("warmup_steps", &["warmup", "warmup_iters", "num_warmup_steps", "lr_warmup_steps"]),
    ("clip_norm", &["grad_clip", "max_grad_norm", "gradient_clipping"]),
    ("eval_every", &["eval_interval", "eval_steps"]),
    ("eval_sequences", &["eval_iters"]),
    ("checkpoint_every", &["save_steps", "save_interval", "checkpoint_interval"]),
    ("checkpoints_keep", &["save_total_limit"]),
    ("recompute", &["gradient_checkpointing", "activation_checkpointing"]),
    (
        "length",
        &["block_size", "seq_len", "sequence_length", "context_length", "max_seq_length", "max_length"],
    ),
    ("similarity_min", &["threshold", "jaccard_threshold"]),
    ("vocab_size", &["vocabulary_size", "n_vocab"]),
];

/// Longest word that is read as initials.
const INITIALS_MAX: usize = 3;
/// Most names that a message lists.
const LISTED_MAX: usize = 12;
/// Letters that two words must begin with to be alike.
const BEGINNING: usize = 3;

/// The name that was meant by `word`: the one that other programs call so, else the one with these initials, else the one of the same words in
/// another order, else the nearest within a third of its length in edits (Levenshtein).
pub fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let names: Vec<&str> = names.collect();
    let elsewhere = ELSEWHERE.iter().find(|(_, others)| others.contains(&word));
    if let Some(name) = elsewhere.and_then(|(ours, _)| names.iter().find(|name| *name == ours)) {
        return Some(name);
    }
    let mut named = names.iter().filter(|name| word.len() <= INITIALS_MAX && has_initials(name, word));
    if let (Some(name), None) = (named.next(), named.next()) {
        return Some(name);
    }
    let sorted = |name: &str| {
        let mut parts: Vec<&str> = name.split('_').collect();
        parts.sort_unstable();
        parts.join("_")
    };
    if let Some(name) = names.iter().find(|name| name.contains('_') && sorted(name) == sorted(word)) {
        return Some(name);
    }
    let near = names.into_iter().map(|name| (edits(word, name), name));
    near.filter(|(distance, name)| *distance <= name.len().div_ceil(3)).min().map(|(_, name)| name)
}

/// Names to choose from, in words: all of a few, else those that have a word in common with `word`, or the beginning of one.
pub fn listed(word: &str, names: &[&str]) -> String {
    if names.len() <= LISTED_MAX {
        return format!("known keys: {}", names.join(", "));
    }
    let akin = |name: &&&str| {
        let parts = |name: &'_ str| name.split('_').map(str::to_lowercase).collect::<Vec<_>>();
        let (ours, theirs) = (parts(name), parts(word));
        let alike = |a: &String, b: &String| {
            a == b || a.len().min(b.len()) >= BEGINNING && a.get(..BEGINNING) == b.get(..BEGINNING)
        };
        ours.iter().any(|a| theirs.iter().any(|b| alike(a, b)))
    };
    let akin: Vec<&str> = names.iter().filter(akin).take(LISTED_MAX).copied().collect();
    match akin[..] {
        [] => format!("none of its {} keys is like it", names.len()),
        _ => format!("of its {} keys these are like it: {}", names.len(), akin.join(", ")),
    }
}

/// Whether a name of several words has these initials.
fn has_initials(name: &str, word: &str) -> bool {
    let parts = || name.split('_').filter_map(|part| part.chars().next());
    parts().count() > 1 && parts().eq(word.chars())
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = [
            "l1",
            "lora_rank",
            "learning_rate",
            "learning_rate_min",
            "width",
            "weight_decay",
            "window",
            "length",
        ];
        for (word, meant) in [
            ("lr", Some("learning_rate")),
            ("wd", Some("weight_decay")),
            ("hidden_size", Some("width")),
            ("block_size", Some("length")),
            ("learning_rat", Some("learning_rate")),
            ("rate_learning", Some("learning_rate")),
            ("L1", Some("l1")),
            ("n_layer", None),
            ("tokenizer", None),
        ] {
            assert_eq!(closest(word, names.into_iter()), meant, "{word}");
        }
    }

    #[test]
    fn a_long_list_is_cut_to_what_is_near() {
        let few = ["a", "b"];
        assert_eq!(listed("c", &few), "known keys: a, b");
        let many: Vec<String> = (10..40).map(|n| format!("key_{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(listed("steps_max", &many), "none of its 30 keys is like it");
        let named = [&many[..], &["batch_sequences", "eval_every", "learning_rate"]].concat();
        for (word, like) in
            [("batch", "batch_sequences"), ("evaluate", "eval_every"), ("rate_of_learning", "learning_rate")]
        {
            assert_eq!(listed(word, &named), format!("of its 33 keys these are like it: {like}"));
        }
    }
}
