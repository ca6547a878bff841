//! The whole of `tokenize.bpe` through its doors: settings, records, the settled stage.

use super::*;
use arrow::array::{AsArray as _, StringArray};
use arrow::datatypes::Int32Type;
use schemas::Value;
use schemas::memory::{self, Done};

fn batch(texts: &[Option<&str>]) -> RecordBatch {
    let text: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_from_iter([(TEXT, text)]).unwrap()
}

fn made(toml: &str) -> Result<Box<dyn Global>, Vec<KeyError>> {
    let table: toml::Table = toml.parse().unwrap();
    match (SPEC.build)(&Settings::new(table.into_iter().collect::<Vec<(String, Value)>>()))? {
        Made::Global(global) => Ok(global),
        _ => panic!("tokenize.bpe is a global"),
    }
}

/// Maps, reduces and settles as the house does.
fn settle(toml: &str, texts: &[Option<&str>], rows_per_batch: usize, partitions: usize) -> Done {
    let batches: Vec<RecordBatch> = texts.chunks(rows_per_batch).map(batch).collect();
    memory::settle(made(toml).unwrap().as_ref(), &batches, partitions).unwrap()
}

const CORPUS: [Option<&str>; 5] =
    [Some("ab ab ab"), None, Some("the mill, the miller"), Some(""), Some("ab <|endoftext|> mill")];

/// What becomes of each text: reason, or number of tokens and whether the last is `eos`.
fn check(toml: &str, text: Option<&str>, expected: Result<(usize, bool), &str>) {
    let input = batch(&[text]);
    let outcome = settle(toml, &CORPUS, 2, 1).judge(&input).unwrap();
    let output = outcome.select(&input, &output(&input.schema()).unwrap()).unwrap();
    let found = match &outcome.verdicts[0] {
        Verdict::Dropped { reason, .. } => Err(*reason),
        _ => {
            let tokens = output.column_by_name(TOKENS).unwrap().as_list::<i32>().value(0);
            let ids = tokens.as_primitive::<Int32Type>().values();
            Ok((ids.len(), ids.last() == Some(&0)))
        }
    };
    assert_eq!(found, expected, "{text:?} with {toml}");
}

#[test]
fn documents_become_tokens_or_are_dropped_with_a_reason() {
    check("vocab_size = 259", Some("ab"), Ok((2, true)));
    check("vocab_size = 259\nappend_eos = false", Some("ab"), Ok((1, false)));
    check("vocab_size = 257", Some("ab"), Ok((3, true)));
    check("", Some("\0"), Ok((2, true)));
    check("", Some(""), Err("empty"));
    check("", None, Err("empty"));
    check("vocab_size = 257", Some("a<|endoftext|>"), Ok((15, true)));
    check("special_tokens = \"parse\"", Some("x<|endoftext|>"), Ok((3, true)));
    check("special_tokens = \"reject\"", Some("x<|endoftext|>"), Err("special_token"));
    check("special_tokens = \"reject\"", Some("x<|endoftext|"), Ok((14, true)));
    check("eos = \"mill\"", Some("mill"), Ok((3, true)));
}

#[test]
fn batches_order_and_partitions_do_not_change_the_tokenizer() {
    let files = |texts: &[Option<&str>], rows, partitions| settle("", texts, rows, partitions).settled.files;
    let expected = files(&CORPUS, 1, 1);
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["tokenizer.json", "tokenizer_config.json"]);
    let mut shuffled = CORPUS;
    shuffled.reverse();
    assert_eq!(files(&shuffled, 5, 3), expected);
    assert_eq!(files(&CORPUS, 2, 7), expected);
}

#[test]
fn further_special_tokens_have_the_first_ids_and_are_text_in_documents() {
    let toml = "additional_special_tokens = [\"<|im_start|>\", \"<|im_end|>\"]";
    let done = settle(toml, &CORPUS, 2, 1);
    let json: serde_json::Value = serde_json::from_slice(&done.settled.files["tokenizer.json"]).unwrap();
    let added: Vec<_> =
        json["added_tokens"].as_array().unwrap().iter().map(|token| &token["content"]).collect();
    assert_eq!(added, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
    check(&format!("vocab_size = 259\n{toml}"), Some("a<|im_end|>"), Ok((12, true)));
    check(&format!("special_tokens = \"parse\"\n{toml}"), Some("a<|im_end|>"), Ok((3, true)));
    let told = |toml: &str| made(toml).err().unwrap().into_iter().map(|error| error.key).collect::<Vec<_>>();
    assert_eq!(told(&format!("vocab_size = 258\n{toml}")), ["vocab_size"]);
    for wrong in ["[\"<s>\", \"<s>\"]", "[\"<|endoftext|>\"]", "[\"a\"]"] {
        assert_eq!(told(&format!("additional_special_tokens = {wrong}")), ["additional_special_tokens"]);
    }
}

#[test]
fn an_empty_corpus_gives_the_bytes() {
    let facts = settle("", &[], 1, 1).settled.facts;
    assert_eq!(facts, [("vocab_size".to_owned(), 257), ("eos_id".to_owned(), 0)].into());
}

#[test]
fn a_written_tokenizer_reads_back_to_the_same_ids() {
    let path = std::env::temp_dir().join(format!("gristmill-bpe-{}.json", std::process::id()));
    let trained = settle("", &CORPUS, 5, 1);
    std::fs::write(&path, &trained.settled.files["tokenizer.json"]).unwrap();
    let loaded = settle(&format!("file = {:?}", path.display().to_string()), &CORPUS, 5, 1);
    let errors = |toml: &str| match made(&format!("file = {:?}\n{toml}", path.display().to_string())) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.key).collect::<Vec<_>>(),
    };
    assert_eq!(errors("eos = \"nope\"\nvocab_size = 300"), ["vocab_size", "eos"]);
    assert_eq!(errors("eos = \"nope\"\nappend_eos = false"), [""; 0]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(loaded.settled, trained.settled);
    let input = batch(&CORPUS);
    let columns = |done: &Done| done.judge(&input).unwrap().columns;
    assert_eq!(columns(&loaded), columns(&trained));
}

#[test]
fn a_file_that_is_no_tokenizer_is_told_at_its_key() {
    let told = |toml: &str| made(toml).err().unwrap().into_iter().map(|error| error.key).collect::<Vec<_>>();
    assert_eq!(told("file = \"/nowhere/tokenizer.json\""), ["file"]);
    assert_eq!(told("eos = \"\""), ["eos"]);
    let path = std::env::temp_dir().join(format!("gristmill-bpe-not-{}.json", std::process::id()));
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(told(&format!("file = {:?}", path.display().to_string())), ["file"]);
    std::fs::remove_file(&path).unwrap();
}
