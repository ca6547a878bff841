//! Exports: configurations that other programs read, round trips to the bit, and a GGUF file as a parser of its own sees it.

use super::{model, small};
use crate::architecture::Transformer;
use crate::config::{Architecture, Config};
use crate::export::{Exported, Kind, Precision, Request, To, export};
use crate::folder;
use crate::testing::{Folder, VOCAB, dataset};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const ALL: [Architecture; 4] =
    [Architecture::Llama, Architecture::Gpt, Architecture::Falcon, Architecture::Bert];

/// A folder with a fresh model over the tests' tokenizer.
fn fresh(folder: &Path, config: &Config) -> Transformer<f32> {
    dataset(&folder.join("dataset"));
    let tokens = crate::data::Dataset::open(&folder.join("dataset")).unwrap().tokens;
    assert_eq!(tokens.vocab_size, VOCAB);
    let drawn = crate::architecture::Source::drawn(7);
    let made = Transformer::new(config.shape(&tokens).unwrap(), drawn).unwrap();
    let source = folder.join("model");
    fs::create_dir_all(&source).unwrap();
    folder::save(&made, &source).unwrap();
    fs::copy(folder.join("dataset/tokenizer.json"), source.join("tokenizer.json")).unwrap();
    made
}

fn exported(folder: &Path, to: To) -> Exported {
    let request = Request { to, dataset: None, parity: Some(&folder.join("parity")), texts: &[] };
    export(&folder.join("model"), &folder.join("out"), &request).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_folder_for_transformers_is_read_back_to_the_bit() {
    for architecture in ALL {
        let folder = Folder::new(&format!("export-{architecture:?}"));
        let made = fresh(&folder.0, &small(architecture));
        let told = exported(&folder.0, To::Hf(Precision::F32));
        let out = folder.0.join("out");
        let config = json(&out.join("config.json"));
        assert_eq!(
            (&config["architectures"][0], &config["dtype"]),
            (&told.class.clone().into(), &"float32".into())
        );
        assert_eq!(config["tie_word_embeddings"], true);
        let rotary = serde_json::json!({ "rope_theta": 10_000.0, "rope_type": "default" });
        let expected = [Value::Null, rotary];
        assert_eq!(config["rope_parameters"], expected[usize::from(made.rope.is_some())], "{architecture:?}");
        let generation = out.join("generation_config.json");
        assert_eq!(generation.is_file(), architecture != Architecture::Bert);
        assert_eq!(told.parameters, made.parameter_count() as u64);
        assert!(told.files.contains_key("tokenizer_config.json") && told.files.contains_key("README.md"));
        let read = folder::load(&out).unwrap();
        assert_eq!(read.shape, made.shape);
        assert_eq!(folder::named(&read).unwrap(), folder::named(&made).unwrap());
        // Again in half the bytes: each number is the nearest of its format, and an export of an export is the same.
        fs::remove_dir_all(folder.0.join("model")).unwrap();
        fs::rename(&out, folder.0.join("model")).unwrap();
        exported(&folder.0, To::Hf(Precision::Bf16));
        let rounded = folder::named(&folder::load(&out).unwrap()).unwrap();
        for ((name, (_, half)), (_, whole)) in rounded.iter().zip(folder::named(&made).unwrap().values()) {
            let near = |(half, whole): (&f32, &f32)| (half - whole).abs() <= whole.abs() / 256.0;
            assert!(half.iter().zip(whole).all(near), "{name}");
        }
        assert_eq!(json(&out.join("config.json"))["dtype"], "bfloat16");
    }
}

#[test]
fn a_dump_holds_logits_of_every_place_and_texts_that_give_its_ids() {
    let folder = Folder::new("export-dump");
    let made = fresh(&folder.0, &small(Architecture::Gpt));
    exported(&folder.0, To::Hf(Precision::F32));
    let bytes = fs::read(folder.0.join("parity")).unwrap();
    let (_, head) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let texts: Vec<String> = serde_json::from_str(&head.metadata().as_ref().unwrap()["texts"]).unwrap();
    let dump = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ids = dump.tensor("input_ids").unwrap();
    let [rows, length] = ids.shape() else { panic!("{:?}", ids.shape()) };
    assert!(*rows == texts.len() && *rows > 2 && *length == 8);
    assert_eq!(dump.tensor("logits").unwrap().shape(), [*rows, *length, made.shape.vocab]);
    let row: Vec<u32> = ids.data().as_chunks::<8>().0[..*length]
        .iter()
        .map(|id| u32::try_from(i64::from_le_bytes(*id)).unwrap())
        .collect();
    let tokenizer = tokenizers::Tokenizer::from_file(folder.0.join("out/tokenizer.json")).unwrap();
    assert_eq!(tokenizer.encode(texts[0].as_str(), false).unwrap().get_ids(), row);
    let next = made.next_logits(&row, &mut made.caches(), 0).unwrap();
    let logits = dump.tensor("logits").unwrap().data().as_chunks::<4>().0.to_vec();
    let last = &logits[(length - 1) * made.shape.vocab..length * made.shape.vocab];
    assert!(next.iter().zip(last).all(|(next, last)| (next - f32::from_le_bytes(*last)).abs() < 1e-5));
    let likeliest = (0..next.len()).max_by(|&a, &b| next[a].total_cmp(&next[b])).unwrap();
    let greedy = dump.tensor("greedy_ids").unwrap().data().as_chunks::<8>().0[0];
    assert_eq!(i64::from_le_bytes(greedy), likeliest as i64);
}

#[test]
fn a_composition_without_a_counterpart_is_refused_with_its_settings() {
    let folder = Folder::new("export-own");
    let config = Config {
        positions: Some(crate::parts::Positions::None),
        biases: Some(true),
        ..small(Architecture::Llama)
    };
    fresh(&folder.0, &config);
    let request = Request { to: To::Hf(Precision::F32), dataset: None, parity: None, texts: &[] };
    let refused =
        |out: &str| export(&folder.0.join("model"), &folder.0.join(out), &request).unwrap_err().to_string();
    let error = refused("out");
    assert!(error.contains("`positions` = \"none\" (`llama` has \"rotary\"), `biases` = true"), "{error}");
    assert!(!folder.0.join("out").exists() && !folder.0.join("out.part").exists());
    let error = refused("model");
    assert!(error.contains("is there already and not empty"), "{error}");
}

#[test]
fn weights_in_several_files_are_read_as_one() {
    let folder = Folder::new("export-shards");
    let made = fresh(&folder.0, &small(Architecture::Llama));
    let (source, named) = (folder.0.join("model"), folder::named(&made).unwrap());
    fs::remove_file(source.join("model.safetensors")).unwrap();
    crate::export::write_tensors(&named, Precision::F32, 4000, &source).unwrap();
    let files = fs::read_dir(&source)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".safetensors"));
    assert!(files.count() > 3);
    assert_eq!(folder::named(&folder::load(&source).unwrap()).unwrap(), named);
    let index = source.join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap().replace("model-00002-of", "../model-00002-of");
    fs::write(&index, text).unwrap();
    let error = folder::load(&source).unwrap_err().to_string();
    assert!(error.contains("which is no file beside it"), "{error}");
}

#[test]
fn checkpoints_under_older_names_are_read() {
    let folder = Folder::new("export-older");
    for architecture in [Architecture::Gpt, Architecture::Bert] {
        let made = fresh(&folder.0, &small(architecture));
        let source = folder.0.join("model");
        let older = folder::named(&made).unwrap().into_iter().map(|(name, tensor)| {
            let name = name.trim_start_matches("transformer.").to_owned();
            let name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            (name, tensor)
        });
        let mut older: folder::Named = older.collect();
        older.insert("bert.pooler.dense.weight".into(), (vec![1], vec![0.0]));
        if architecture == Architecture::Gpt {
            older.insert("h.0.attn.bias".into(), (vec![1, 1, 2, 2], vec![1.0; 4]));
            older.remove("bert.pooler.dense.weight");
        }
        fs::write(source.join("model.safetensors"), folder::tensor_bytes(&older).unwrap()).unwrap();
        assert_eq!(folder::named(&folder::load(&source).unwrap()).unwrap(), folder::named(&made).unwrap());
        let further =
            if architecture == Architecture::Gpt { "h.0.adapter.weight" } else { "bert.adapter.weight" };
        older.insert(further.into(), (vec![1], vec![0.0]));
        fs::write(source.join("model.safetensors"), folder::tensor_bytes(&older).unwrap()).unwrap();
        let error = folder::load(&source).unwrap_err().to_string();
        assert!(error.contains("adapter.weight` has no place in the model"), "{error}");
    }
}

/// What a reader of GGUF that knows nothing of ours finds: keys as text, tensors as (dimensions, type, bytes).
struct Gguf {
    keys: BTreeMap<String, String>,
    tensors: BTreeMap<String, (Vec<u64>, u32, Vec<u8>)>,
}

struct Bytes<'a>(&'a [u8], usize);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        self.1 += count;
        &self.0[self.1 - count..self.1]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.u64() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> String {
        match kind {
            4 | 5 => self.u32().cast_signed().to_string(),
            6 => f32::from_bits(self.u32()).to_string(),
            7 => (self.take(1)[0] == 1).to_string(),
            8 => self.text(),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).map(|_| self.value(kind)).collect::<Vec<_>>().join("\u{1f}")
            }
            other => panic!("type {other}"),
        }
    }
}

fn parse(path: &Path) -> Gguf {
    let bytes = fs::read(path).unwrap();
    let mut at = Bytes(&bytes, 0);
    assert_eq!(at.take(4), b"GGUF");
    assert_eq!(at.u32(), 3);
    let (tensors, keys) = (at.u64(), at.u64());
    let keys = (0..keys).map(|_| {
        let (name, kind) = (at.text(), at.u32());
        (name, at.value(kind))
    });
    let keys: BTreeMap<_, _> = keys.collect();
    let infos: Vec<_> = (0..tensors)
        .map(|_| {
            let (name, rank) = (at.text(), at.u32());
            let shape: Vec<u64> = (0..rank).map(|_| at.u64()).collect();
            (name, shape, at.u32(), at.u64() as usize)
        })
        .collect();
    let data = at.1.next_multiple_of(32);
    let tensors = infos.into_iter().map(|(name, shape, kind, offset)| {
        assert!(offset.is_multiple_of(32), "{name} at {offset}");
        let numbers = shape.iter().product::<u64>() as usize;
        let size = match kind {
            0 => 4 * numbers,
            1 | 30 => 2 * numbers,
            8 => numbers / 32 * 34,
            other => panic!("type {other}"),
        };
        (name, (shape, kind, bytes[data + offset..data + offset + size].to_vec()))
    });
    Gguf { keys, tensors: tensors.collect() }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn a_gguf_file_has_the_sizes_the_tokens_and_the_tensors_of_the_model() {
    for (architecture, name) in
        [(Architecture::Llama, "llama"), (Architecture::Gpt, "gpt2"), (Architecture::Falcon, "falcon")]
    {
        let folder = Folder::new(&format!("gguf-{name}"));
        let made = fresh(&folder.0, &small(architecture));
        let told = exported(&folder.0, To::Gguf(Kind::F32));
        assert_eq!(told.notes, Vec::<String>::new());
        let file = parse(&folder.0.join("out/model-F32.gguf"));
        let key = |key: &str| file.keys[key].as_str();
        assert_eq!(key("general.architecture"), name);
        assert_eq!(key(&format!("{name}.block_count")), "2");
        assert_eq!(key(&format!("{name}.context_length")), made.shape.context.to_string());
        assert_eq!(key(&format!("{name}.attention.head_count_kv")), made.shape.heads.keys.to_string());
        assert_eq!((key("tokenizer.ggml.model"), key("tokenizer.ggml.pre")), ("gpt2", "gpt-2"));
        let tokens: Vec<&str> = key("tokenizer.ggml.tokens").split('\u{1f}').collect();
        assert_eq!((tokens.len() as u64, tokens[0], tokens[1]), (VOCAB, "<eos>", "!"));
        assert_eq!((key("tokenizer.ggml.eos_token_id"), key("tokenizer.ggml.add_bos_token")), ("0", "true"));
        let numbers: usize =
            file.tensors.values().map(|(shape, ..)| shape.iter().product::<u64>() as usize).sum();
        assert_eq!(numbers, made.parameter_count());
        let (shape, kind, bytes) = &file.tensors["token_embd.weight"];
        assert_eq!((shape.as_slice(), *kind), (&[16, VOCAB][..], 0));
        made.embedding.tokens.read(|table| assert_eq!(floats(bytes), table)).unwrap();
    }
}

/// Scores of turned queries and keys do not change when both are laid out in pairs and turned so.
#[test]
fn rows_of_queries_stand_in_pairs_in_a_gguf_file_of_a_llama() {
    let folder = Folder::new("gguf-pairs");
    let made = fresh(&folder.0, &small(Architecture::Llama));
    exported(&folder.0, To::Gguf(Kind::F32));
    let file = parse(&folder.0.join("out/model-F32.gguf"));
    let found = floats(&file.tensors["blk.1.attn_q.weight"].2);
    let named = folder::named(&made).unwrap();
    let (_, ours) = &named["model.layers.1.self_attn.q_proj.weight"];
    let (width, half, columns) = (made.shape.heads.width, made.shape.heads.width / 2, made.shape.width);
    for head in 0..made.shape.heads.queries {
        for pair in 0..half {
            for second in 0..2 {
                let (there, here) = (head * width + 2 * pair + second, head * width + pair + second * half);
                assert_eq!(found[there * columns..][..columns], ours[here * columns..][..columns]);
            }
        }
    }
}

#[test]
fn eight_bits_hold_a_matrix_to_a_127th_of_its_greatest_number() {
    let folder = Folder::new("gguf-q8");
    let config = Config { width: 64, ff_width: 64, ..small(Architecture::Llama) };
    let made = fresh(&folder.0, &config);
    exported(&folder.0, To::Gguf(Kind::Q8));
    let file = parse(&folder.0.join("out/model-Q8_0.gguf"));
    let (_, kind, bytes) = &file.tensors["blk.0.ffn_down.weight"];
    assert_eq!(*kind, 8);
    let named = folder::named(&made).unwrap();
    let (_, ours) = &named["model.layers.0.mlp.down_proj.weight"];
    for (block, ours) in bytes.chunks(34).zip(ours.chunks(32)) {
        let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
        let top = ours.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
        let near = |(found, ours): (&u8, &f32)| {
            (f32::from(found.cast_signed()) * scale - ours).abs() <= top / 127.0 * 0.56
        };
        assert!(block[2..].iter().zip(ours).all(near));
    }
    assert_eq!(file.tensors["blk.0.ffn_norm.weight"].1, 0, "gains stay whole");
}

#[test]
fn a_split_that_llama_cpp_does_not_have_is_refused() {
    let folder = Folder::new("gguf-split");
    fresh(&folder.0, &small(Architecture::Gpt));
    let path = folder.0.join("model/tokenizer.json");
    let mut tokenizer = json(&path);
    // Two bytes that merge, so that a border between them would be seen.
    tokenizer["model"]["merges"] = serde_json::json!(["! !"]);
    tokenizer["model"]["vocab"]["!!"] = (VOCAB - 1).into();
    let request = Request { to: To::Gguf(Kind::F32), dataset: None, parity: None, texts: &[] };
    let mut refused = |key: &str, value: Value, expected: &str| {
        let before = std::mem::replace(&mut tokenizer[key], value);
        fs::write(&path, tokenizer.to_string()).unwrap();
        let error = export(&folder.0.join("model"), &folder.0.join("out"), &request).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        tokenizer[key] = before;
    };
    refused("pre_tokenizer", serde_json::json!({ "type": "Whitespace" }), "has no name for the split");
    refused("normalizer", serde_json::json!({ "type": "NFC" }), "by a `normalizer`");
    assert!(model::<f32>(&small(Architecture::Gpt), 8).parameter_count() > 0);
}
