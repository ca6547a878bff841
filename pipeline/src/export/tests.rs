//! Exports of a small dataset, byte by byte, and what cannot be exported.

use super::*;
use crate::inspect::fixture::{dataset, id};
use format::Entry;
use std::io;

fn request(to: To) -> Request {
    Request { to, by: By::Documents, split: Some("train".into()) }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

/// Ids, mask, document and row of an entry.
type Given = (Vec<u32>, Option<Vec<bool>>, String, u64);

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<Given>);

impl Format for &mut Kept {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let document = entry.document.map(|id| id.to_string()).unwrap_or_default();
        self.0.push((entry.ids.to_vec(), entry.mask.map(<[bool]>::to_vec), document, entry.row));
        Ok(())
    }
    fn takes_mask(&self) -> bool {
        false
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn documents_do_not_depend_on_the_buckets() {
    let folder = dataset("export-buckets");
    let dataset = Dataset::open(&folder.0).unwrap();
    let tokens = dataset.manifest.tokens.clone().unwrap();
    let shards = read::Shards::of(&dataset, &tokens, "train");
    let mut all = Vec::new();
    for count in [1, 2, 100] {
        let mut kept = Kept::default();
        let scratch = folder.0.join(format!("scratch-{count}"));
        let split = documents::write_by(&shards, &scratch, &mut (&mut kept), count).unwrap();
        assert_eq!((split.entries, split.tokens, scratch.exists()), (2, 6, false));
        all.push(kept.0);
    }
    let mut expected = vec![(vec![1, 2, 0], None, id(0), 0), (vec![3, 4, 0], None, id(1), 0)];
    expected.sort_by(|a, b| a.2.cmp(&b.2));
    assert!(all.iter().all(|documents| *documents == expected), "{all:?}");
}

#[test]
fn megatron_files_are_as_it_maps_them() {
    let folder = dataset("export-megatron");
    let dataset = Dataset::open(&folder.0).unwrap();
    let out = folder.0.join("out");
    let exported = export(&dataset, &out, &request(To::Megatron)).unwrap();
    assert_eq!((exported.token_bytes, exported.splits["train"].entries), (2, 2));
    let (bin, idx) = (fs::read(out.join("train.bin")).unwrap(), fs::read(out.join("train.idx")).unwrap());
    assert_eq!(&idx[..9], b"MMIDIDX\0\0");
    assert_eq!((u64::from_le_bytes(number(&idx, 9)), idx[17]), (1, 8));
    assert_eq!((u64::from_le_bytes(number(&idx, 18)), u64::from_le_bytes(number(&idx, 26))), (2, 3));
    let lengths = [0, 1].map(|at| i32::from_le_bytes(number(&idx, 34 + 4 * at)));
    let pointers = [0, 1].map(|at| i64::from_le_bytes(number(&idx, 42 + 8 * at)));
    let borders = [0, 1, 2].map(|at| i64::from_le_bytes(number(&idx, 58 + 8 * at)));
    assert_eq!((lengths, pointers, borders, idx.len()), ([3, 3], [0, 6], [0, 1, 2], 82));
    let mut ids: Vec<u16> = bin.chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 0, 1, 2, 3, 4]);
    let names: Vec<&str> = exported.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["tokenizer.json", "train.bin", "train.idx"]);
}

#[test]
fn what_cannot_be_exported_is_named_and_nothing_stays() {
    let folder = dataset("export-wrong");
    let dataset = Dataset::open(&folder.0).unwrap();
    let out = folder.0.join("deep-out");
    let fails = |request: &Request, expected: &str| {
        let error = export(&dataset, &out, request).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("deep-out")), "{left:?}");
    };
    // The fixture has the end of a document whose beginning is on the other side.
    let validation = Request { split: Some("validation".into()), ..request(To::Npy) };
    fails(&validation, &format!("document {} has a piece at token 3, and 0 tokens before it", id(1)));
    export(&dataset, &out, &Request { by: By::Rows, ..validation }).unwrap();
    assert_eq!(fs::read(out.join("validation.npy")).unwrap(), [2, 0, 0, 0]);
    let error = export(&dataset, &out, &request(To::Npy)).unwrap_err().to_string();
    assert!(error.contains("deep-out is there; an export writes over nothing"), "{error}");
    fs::remove_dir_all(&out).unwrap();
    let shard = folder.0.join("tokens/train/part-00000.parquet");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[9] ^= 1;
    fs::write(&shard, &bytes).unwrap();
    fails(&request(To::Datatrove), "train/part-00000.parquet: the file is not the one in the manifest");
    fs::remove_file(&shard).unwrap();
    fails(&request(To::Datatrove), "train/part-00000.parquet");
}

#[test]
fn widths_and_masks() {
    assert_eq!([65_536, 65_537].map(|vocab| Width::of(vocab).bytes()), [2, 4]);
    let folder = crate::inspect::fixture::folder("export-mask");
    let masked = |ids: &'static [u32], mask| Entry { ids, mask, shard: "s", row: 0, document: None };
    let entries = [masked(&[1, 70_000], None), masked(&[2], Some(&[false][..])), masked(&[3], None)];
    let mut formats: Vec<Box<dyn Format>> = vec![
        Box::new(datatrove::Datatrove::create(&folder.0, "a", Width::Four, "hash").unwrap()),
        Box::new(npy::Npy::create(&folder.0, "a", Width::Four).unwrap()),
    ];
    formats.iter_mut().for_each(|format| entries.iter().for_each(|entry| format.add(entry).unwrap()));
    formats.into_iter().for_each(|format| format.finish().unwrap());
    let read = |name: &str| fs::read(folder.0.join(name)).unwrap();
    let tokens: Vec<u8> = [1_u32, 70_000, 2, 3].iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!((read("a.ds"), read("a.npy")), (tokens.clone(), tokens));
    assert_eq!((read("a.ds.loss"), read("a.label_mask.npy")), (vec![1, 1, 0, 1], vec![1, 1, 0, 1]));
    let ends: Vec<u8> = [2_u64, 3, 4].iter().flat_map(|end| end.to_le_bytes()).collect();
    assert_eq!(read("a.ds.index"), ends);
    assert_eq!(read("a.ds.metadata"), b"tokenizer.json blake3 hash|4\n4\n4.00 T");
}

/// Pieces of one document in a bucket: offset and tokens of each.
fn joined(pieces: &[(u32, &[u32])], mixed: bool) -> Result<Vec<Vec<u32>>, String> {
    let folder = dataset("export-joined");
    let dataset = Dataset::open(&folder.0).unwrap();
    let tokens = dataset.manifest.tokens.clone().unwrap();
    let shards = read::Shards::of(&dataset, &tokens, "train");
    let mut bytes = Vec::new();
    for (number, (offset, ids)) in pieces.iter().enumerate() {
        let piece =
            read::Piece { document: schemas::DocId::new("a", "b"), offset: *offset, tokens: 0..ids.len() };
        let (shard, number) = ("s", number as u64);
        let row = read::Row { ids, mask: None, pieces: &[piece], shard, shard_number: 0, number, mixed };
        let mut record = Vec::new();
        documents::encode(&row, 0, &mut record);
        bytes.extend(record);
    }
    let mut kept = Kept::default();
    documents::bucket(&bytes, &shards, &folder.0, &mut (&mut kept), &mut Split::default())
        .map_err(|e| e.to_string())?;
    Ok(kept.0.into_iter().map(|entry| entry.0).collect())
}

#[test]
fn pieces_are_joined_once_or_as_often_as_a_mix_has_them() {
    let pieces: [(u32, &[u32]); 3] = [(2, &[7, 8]), (0, &[5, 6]), (4, &[9])];
    assert_eq!(joined(&pieces, false).unwrap(), [[5, 6, 7, 8, 9]]);
    let again: Vec<(u32, &[u32])> = [&pieces[..], &pieces[..2]].concat();
    assert_eq!(joined(&again, true).unwrap(), [&[5, 6, 7, 8, 9][..], &[5, 6, 7, 8]]);
    assert!(joined(&again, false).unwrap_err().contains("a piece at token 0, and 2 tokens before it"));
    assert_eq!(joined(&[pieces[1], pieces[2]], true).unwrap(), [&[5, 6][..], &[9]]);
    assert!(joined(&[pieces[1], pieces[2]], false).unwrap_err().contains("a piece at token 4, and 2 tokens"));
}
