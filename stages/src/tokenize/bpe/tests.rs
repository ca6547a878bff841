//! The whole of `tokenize.bpe` through its doors: settings, records, the settled stage.

use super::*;
use arrow::array::{AsArray as _, StringArray};
use arrow::datatypes::Int32Type;
use schemas::Value;
use schemas::memory::InMemory;

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

/// Maps, reduces and settles as the house does, in `partitions` by the first byte of the key.
fn settle(toml: &str, texts: &[Option<&str>], rows_per_batch: usize, partitions: u8) -> Settled {
    let global = made(toml).unwrap();
    let mut records = Records::default();
    for part in texts.chunks(rows_per_batch) {
        global.map(&batch(part), &mut records).unwrap();
    }
    let mut reduced = Records::default();
    for partition in 0..partitions {
        let part = records.iter().filter(|record| record.key[0] % partitions == partition);
        global.reduce(&mut InMemory::new(part), &mut reduced).unwrap();
    }
    global.settle(&reduced).unwrap()
}

const CORPUS: [Option<&str>; 5] =
    [Some("ab ab ab"), None, Some("the mill, the miller"), Some(""), Some("ab <|endoftext|> mill")];

/// What becomes of each text: reason, or number of tokens and whether the last is `eos`.
fn check(toml: &str, text: Option<&str>, expected: Result<(usize, bool), &str>) {
    let Settled { stage, .. } = settle(toml, &CORPUS, 2, 1);
    let input = batch(&[text]);
    let outcome = stage.apply(&input).unwrap();
    let output = outcome.select(&input, &stage.output(&input.schema()).unwrap()).unwrap();
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
    let files = |texts: &[Option<&str>], rows, partitions| settle("", texts, rows, partitions).files;
    let expected = files(&CORPUS, 1, 1);
    assert_eq!(expected[0].0, "tokenizer.json");
    let mut shuffled = CORPUS;
    shuffled.reverse();
    assert_eq!(files(&shuffled, 5, 3), expected);
    assert_eq!(files(&CORPUS, 2, 7), expected);
}

#[test]
fn an_empty_corpus_gives_the_bytes() {
    let settled = settle("", &[], 1, 1);
    assert_eq!(settled.facts, [("vocab_size", 257), ("eos_id", 0)]);
}

#[test]
fn a_written_tokenizer_reads_back_to_the_same_ids() {
    let path = std::env::temp_dir().join(format!("gristmill-bpe-{}.json", std::process::id()));
    let trained = settle("", &CORPUS, 5, 1);
    std::fs::write(&path, &trained.files[0].1).unwrap();
    let loaded = settle(&format!("file = {:?}", path.display().to_string()), &CORPUS, 5, 1);
    let errors = |toml: &str| match made(&format!("file = {:?}\n{toml}", path.display().to_string())) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.key).collect::<Vec<_>>(),
    };
    assert_eq!(errors("eos = \"nope\"\nvocab_size = 300"), ["vocab_size", "eos"]);
    assert_eq!(errors("eos = \"nope\"\nappend_eos = false"), [""; 0]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((&loaded.files, &loaded.facts), (&trained.files, &trained.facts));
    let input = batch(&CORPUS);
    let columns = |settled: &Settled| settled.stage.apply(&input).unwrap().columns;
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
