//! Sampling from models that are made to say one thing: their last norm has gain 0, so logits are what the head says.

use super::{compositions, model, small};
use crate::config::{Architecture, Config};
use crate::generate::{Sampler, Sampling};
use crate::testing::{Folder, LENGTH, VOCAB, dataset};
use candle_core::{Device, Tensor};

/// The tests' tokenizer gives byte b of printable ASCII the id b − 32: `!` is 1, and 0 ends a document.
fn id(c: char) -> u32 {
    u32::from(c) - 32
}

/// Says each token of `logits` with that logit, the others with −20.
fn saying(folder: &Folder, logits: &[(u32, f32)]) -> Sampler {
    dataset(&folder.0);
    let config = Config { tied_head: false, ..small(Architecture::Gpt) };
    let shape = config.shape(&crate::data::Dataset::open(&folder.0).unwrap().tokens).unwrap();
    let drawn = crate::architecture::Source::drawn(0);
    let model = crate::architecture::Transformer::new(shape, drawn).unwrap();
    let set = |name: &str, values: Vec<f32>| {
        let parameter = model.parameters.iter().find(|p| p.name() == name).unwrap();
        let tensor = Tensor::from_vec(values, parameter.value().shape(), &Device::Cpu).unwrap();
        parameter.value().set(&tensor).unwrap();
    };
    let width = model.shape.width;
    let mut head = vec![0.0; VOCAB as usize * width];
    head.iter_mut().step_by(width).for_each(|logit| *logit = -20.0);
    logits.iter().for_each(|&(id, logit)| head[id as usize * width] = logit);
    let mut bias = vec![0.0; width];
    bias[0] = 1.0;
    set("transformer.ln_f.weight", vec![0.0; width]);
    set("transformer.ln_f.bias", bias);
    set("lm_head.weight", head);
    let path = folder.0.join("tokenizer.json");
    let (tokenizer, vocab) = crate::eval::perplexity::open_tokenizer(&path, VOCAB).unwrap();
    Sampler { model, tokenizer, vocab: vocab as usize, begin: 0 }
}

fn check(name: &str, logits: &[(u32, f32)], sampling: &Sampling, prompt: &str, expected: &str) {
    let folder = Folder::new(&format!("saying-{name}"));
    let sampler = saying(&folder, logits);
    assert_eq!(sampler.generate(prompt, sampling).unwrap(), expected, "{name}");
}

const SOME: Sampling = Sampling {
    tokens_max: 5,
    temperature: 1.0,
    top_k: 0,
    top_p: 1.0,
    seed: 3,
    stop: Vec::new(),
    stop_tokens: Vec::new(),
};

#[test]
fn the_end_of_a_document_ends_a_text_and_is_no_part_of_it() {
    check("eos", &[(0, 20.0)], &SOME, "abc", "");
    check("eos-empty", &[(0, 20.0)], &SOME, "", "");
    check("no-eos", &[(id('x'), 20.0)], &SOME, "", "xxxxx");
}

#[test]
fn temperature_zero_and_one_candidate_are_the_most_likely_token() {
    let logits = [(id('a'), 1.0), (id('b'), 1.1), (id('c'), 1.0)];
    check("zero", &logits, &Sampling { temperature: 0.0, ..SOME }, "", "bbbbb");
    check("k1", &logits, &Sampling { top_k: 1, ..SOME }, "", "bbbbb");
    check("p0", &logits, &Sampling { top_p: 0.0, ..SOME }, "", "bbbbb");
    check("cold", &logits, &Sampling { temperature: 1e-3, ..SOME }, "", "bbbbb");
    let folder = Folder::new("saying-all");
    let sampler = saying(&folder, &logits);
    let text = sampler.generate("", &Sampling { tokens_max: 200, ..SOME }).unwrap();
    assert!(text.len() == 200 && ['a', 'b', 'c'].iter().all(|c| text.contains(*c)), "{text}");
    assert_ne!(text, sampler.generate("", &Sampling { tokens_max: 200, seed: 4, ..SOME }).unwrap());
}

#[test]
fn a_text_ends_before_a_character_that_is_not_whole() {
    // Bytes C3 and A9 are `é`; the tokenizer writes them as the characters `Ã` and `©`.
    let folder = Folder::new("saying-bytes");
    dataset(&folder.0);
    let tokenizer = tokenizers::Tokenizer::from_file(folder.0.join("tokenizer.json")).unwrap();
    let (lead, follow) = (tokenizer.token_to_id("Ã").unwrap(), tokenizer.token_to_id("©").unwrap());
    check("lead", &[(lead, 20.0)], &Sampling { tokens_max: 1, ..SOME }, "caf", "");
    // A byte that begins nothing stays visible in the middle of a text, and is left out at its end.
    check("follow", &[(follow, 20.0)], &SOME, "é", "");
    let sampler = saying(&folder, &[(lead, 20.0), (follow, 20.0)]);
    for seed in 0..20 {
        let text = sampler.generate("é", &Sampling { seed, tokens_max: 7, ..SOME }).unwrap();
        assert!(!text.ends_with(char::REPLACEMENT_CHARACTER) && text.chars().count() < 7, "{text:?}");
    }
}

#[test]
fn a_prompt_longer_than_the_context_is_read_from_its_end() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let folder = Folder::new("saying-long");
        let sampler = saying(&folder, &[]);
        let sampler = Sampler { model: model(&small(architecture), LENGTH), ..sampler };
        let long: Vec<u32> = (0..100).map(|i| i * 7 % 23).collect();
        let of = |prompt: &[u32], sampling: &Sampling| {
            sampler.continue_ids(&[prompt.to_vec()], sampling).unwrap().remove(0)
        };
        let forty = Sampling { tokens_max: 40, ..SOME };
        assert_eq!(of(&long, &forty), of(&long[100 - LENGTH as usize + 1..], &forty));
        // A prompt that fills the context to the last place.
        assert!(of(&long[..LENGTH as usize], &SOME).len() <= 5);
    }
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let folder = Folder::new("saying-nan");
    let sampler = saying(&folder, &[(5, f32::NAN)]);
    let error = sampler.generate("abc", &SOME).unwrap_err().to_string();
    assert_eq!(error, "the model's logits are not numbers; its tensors are damaged");
}

#[test]
fn rows_are_independent_and_end_where_each_of_them_ends() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let folder = Folder::new("saying-rows");
        let sampler = saying(&folder, &[]);
        let sampler = Sampler { model: model(&small(architecture), LENGTH), ..sampler };
        let sampling = Sampling { tokens_max: 30, stop_tokens: vec!["#".into()], ..SOME };
        let prompts = [vec![3, 1, 4], vec![], vec![1, 5, 9, 2, 6], vec![3, 1, 4]];
        let rows = sampler.continue_ids(&prompts, &sampling).unwrap();
        assert!(rows.iter().all(|row| !row.contains(&0) && !row.contains(&id('#'))), "{rows:?}");
        // Rows draw differently from the same prompt, and alike whatever stands in the other rows.
        assert_ne!(rows[0], rows[3]);
        let others = [vec![3, 1, 4], vec![7], vec![1, 5, 9, 2, 6]];
        let again = sampler.continue_ids(&others, &sampling).unwrap();
        assert_eq!((&rows[0], &rows[2]), (&again[0], &again[2]));
    }
    let folder = Folder::new("saying-none");
    let sampler = saying(&folder, &[]);
    assert!(sampler.continue_ids(&[], &SOME).unwrap().is_empty());
    let wrong = Sampling { stop_tokens: vec!["<none>".into()], ..SOME };
    let error = sampler.continue_ids(&[vec![1]], &wrong).unwrap_err().to_string();
    assert_eq!(error, "the model has no token `<none>` to stop at");
}

/// The packed matrices and caches of generation say what the layers of training say.
#[test]
fn every_composition_generates_what_its_logits_say() {
    let folder = Folder::new("saying-compositions");
    let mut sampler = saying(&folder, &[]);
    for (name, config) in compositions() {
        sampler = Sampler { model: model(&config, LENGTH), ..sampler };
        let model = &sampler.model;
        let greedy = Sampling { tokens_max: 6, temperature: 0.0, ..SOME };
        let found = sampler.continue_ids(&[vec![3, 1, 4, 1, 5]], &greedy).unwrap().remove(0);
        let (mut ids, mut expected) = (vec![3, 1, 4, 1, 5], vec![]);
        while expected.len() < 6 {
            let logits = model.next_logits(&ids, &mut model.caches(), 0).unwrap();
            let best = (0..logits.len()).reduce(|best, id| if logits[id] > logits[best] { id } else { best });
            let best = u32::try_from(best.unwrap()).unwrap();
            if best == model.shape.eos {
                break;
            }
            expected.push(best);
            ids.push(best);
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_stop_text_ends_a_text() {
    let stop = |text: &str| Sampling { stop: vec![text.into()], ..SOME };
    check("stop", &[(id('x'), 20.0)], &stop("xxx"), "", "");
    check("stop-prompt", &[(id('x'), 20.0)], &stop("ax"), "a", "xxxxx");
    check("stop-never", &[(id('x'), 20.0)], &stop("xy"), "a", "xxxxx");
}
