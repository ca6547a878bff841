//! A tiny committed dataset, and small random rows, for tests.

use crate::batch::Row;
use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Array, ListBuilder, PrimitiveBuilder, RecordBatch, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use schemas::hash::Rng;
use schemas::manifest::{self, File, Manifest, Tokens};
use schemas::token;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;

/// Tokens of a row of the dataset.
pub(crate) const LENGTH: u64 = 16;
/// Its vocabulary: 256 bytes and the end of a document.
pub(crate) const VOCAB: u64 = 257;

/// A folder that is removed with its value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gristmill-model-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Rows of two or three pieces with some padding; token t is followed by t + 1 or t + 2, so there is something to learn.
pub(crate) fn rows(count: usize, length: u32, vocab: u32, seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut below = |n: u32| u32::try_from(rng.below(u64::from(n))).unwrap();
    (0..count)
        .map(|_| {
            let padding = below(2) * below(3);
            let first = 1 + below(length - padding - 1);
            let mut id = below(vocab);
            let ids = (0..length).map(|_| {
                id = (id + 1 + below(2)) % vocab;
                id
            });
            let ids = ids.collect();
            let piece_lengths = vec![first, length - padding - first];
            Row { ids, piece_lengths, begins: vec![below(2) == 0, true], padding, mask: vec![] }
        })
        .collect()
}

fn lists(rows: &[Row], of: impl Fn(&Row) -> Vec<u32>) -> ArrayRef {
    let field = Field::new("item", DataType::Int32, false);
    let mut builder = ListBuilder::new(PrimitiveBuilder::<Int32Type>::new()).with_field(field);
    for row in rows {
        of(row).iter().for_each(|&n| builder.values().append_value(n.cast_signed()));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn shard(path: &Path, rows: &[Row], (group_rows, plain): (usize, bool)) {
    let mut ids =
        ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, false));
    for row in rows {
        (0..row.piece_lengths.len()).for_each(|piece| ids.values().append_value(format!("d{piece}")));
        ids.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        lists(rows, |row| row.ids.clone()),
        lists(rows, |row| row.piece_lengths.clone()),
        Arc::new(ids.finish()),
        lists(rows, |row| row.begins.iter().map(|&begins| u32::from(!begins)).collect()),
        Arc::new(rows.iter().map(|row| Some(row.padding.cast_signed())).collect::<Int32Array>()),
    ];
    let mut batch = RecordBatch::try_new(token::schema(), columns).unwrap();
    if rows.iter().any(|row| !row.mask.is_empty()) {
        let field = Field::new("item", DataType::Boolean, false);
        let mut masks = ListBuilder::new(BooleanBuilder::new()).with_field(field);
        for row in rows {
            masks.values().append_slice(&row.mask);
            masks.append(true);
        }
        let named = batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let columns = named.into_iter().zip(batch.columns().to_vec());
        let mask: ArrayRef = Arc::new(masks.finish());
        batch = RecordBatch::try_from_iter(columns.chain([(token::LOSS_MASK.to_owned(), mask)])).unwrap();
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_dictionary_enabled(!plain)
        .set_data_page_row_count_limit(8);
    let properties = properties.set_write_batch_size(8).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn tokenizer(path: &Path) {
    let mut alphabet: Vec<char> =
        tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut vocab: Vec<(String, u32)> = vec![("<eos>".into(), 0)];
    vocab.extend(alphabet.iter().zip(1..).map(|(c, id)| (c.to_string(), id)));
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), vec![]);
    let mut tokenizer = tokenizers::Tokenizer::new(model.build().unwrap());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, false)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, false, false)));
    tokenizer.save(path, false).unwrap();
}

/// Writes a dataset of two training shards and one held-out shard.
pub(crate) fn dataset(folder: &Path) {
    dataset_of(folder, "tiny", VOCAB, 5);
}

/// The same rows as a dataset of chats, of which every token is one of an answer.
pub(crate) fn chats(folder: &Path) {
    chats_with(folder, &|_| true);
}

/// The same, with answers in the training rows that `answers` says.
pub(crate) fn chats_with(folder: &Path, answers: &dyn Fn(usize) -> bool) {
    let (vocab, length) = (u32::try_from(VOCAB).unwrap(), u32::try_from(LENGTH).unwrap());
    let masked = |first: usize, count, seed| {
        let mut rows = rows(count, length, vocab, seed);
        for (at, row) in rows.iter_mut().enumerate() {
            row.mask = vec![answers(first + at); row.ids.len()];
        }
        rows
    };
    let shards = [
        ("tokens/train/part-00000.parquet", masked(0, 20, 1)),
        ("tokens/train/part-00001.parquet", masked(20, 13, 2)),
        ("tokens/validation/part-00000.parquet", masked(0, 5, 3)),
    ];
    dataset_with(folder, "chats", VOCAB, &shards, (1024, false));
}

/// Id, address and source of a document.
type Told<'a> = (&'a str, Option<&'a str>, &'a str);

/// Adds documents to a dataset: the first piece of each row is of `d0`, the second of `d1`.
pub(crate) fn add_documents(folder: &Path, documents: &[Told<'_>]) {
    let column = |of: &dyn Fn(&Told<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(documents.iter().map(of).collect::<StringArray>())
    };
    let batch = RecordBatch::try_from_iter([
        ("id", column(&|document| Some(document.0.to_owned()))),
        ("url", column(&|document| document.1.map(str::to_owned))),
        ("source", column(&|document| Some(document.2.to_owned()))),
    ]);
    let batch = batch.unwrap();
    let name = "documents/part-00000.parquet";
    std::fs::create_dir_all(folder.join("documents")).unwrap();
    let file = std::fs::File::create(folder.join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let bytes = std::fs::read(folder.join(manifest::FILE)).unwrap();
    let mut told: Manifest = serde_json::from_slice(&bytes).unwrap();
    let file = File { bytes: 0, rows: None, blake3: String::new(), sha256: String::new() };
    told.files.insert(name.to_owned(), file);
    std::fs::write(folder.join(manifest::FILE), serde_json::to_vec(&told).unwrap()).unwrap();
}

/// Writes a dataset with a name, the size that its vocabulary is said to have, and held-out rows, 0 for no such shard.
pub(crate) fn dataset_of(folder: &Path, name: &str, vocab_size: u64, held_out: usize) {
    let vocab = u32::try_from(VOCAB).unwrap();
    let length = u32::try_from(LENGTH).unwrap();
    let mut shards = vec![
        ("tokens/train/part-00000.parquet", rows(20, length, vocab, 1)),
        ("tokens/train/part-00001.parquet", rows(13, length, vocab, 2)),
    ];
    if held_out > 0 {
        shards.push(("tokens/validation/part-00000.parquet", rows(held_out, length, vocab, 3)));
    }
    dataset_with(folder, name, vocab_size, &shards, (1024, false));
}

/// Writes a dataset of given shards, with so many rows in a row group, and without dictionaries where it is plain.
pub(crate) fn dataset_with(
    folder: &Path,
    name: &str,
    vocab_size: u64,
    shards: &[(&str, Vec<Row>)],
    layout: (usize, bool),
) {
    let mut files = BTreeMap::new();
    let mut list = |name: &str, rows: Option<u64>| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        let file = File { bytes: bytes.len() as u64, rows, blake3: blake3.clone(), sha256: String::new() };
        files.insert(name.to_owned(), file);
        blake3
    };
    for (name, rows) in shards {
        shard(&folder.join(name), rows, layout);
        list(name, Some(rows.len() as u64));
    }
    tokenizer(&folder.join(manifest::TOKENIZER));
    let tokenizer = list(manifest::TOKENIZER, None);
    let manifest = Manifest {
        version: manifest::VERSION,
        name: name.into(),
        gristmill: "0".into(),
        build: String::new(),
        nodes: vec![],
        files,
        tokens: Some(Tokens {
            folder: "tokens".into(),
            sequence_length: LENGTH,
            vocab_size,
            eos_id: 0,
            train: 1,
            validation: 1,
            tokenizer,
        }),
    };
    std::fs::write(folder.join(manifest::FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
}
