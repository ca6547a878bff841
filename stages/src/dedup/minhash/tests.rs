//! Tests of `dedup.minhash`.

use super::*;
use crate::dedup::driver::{self, batch, build, id};
use proptest::prelude::*;
use schemas::DocId;
use schemas::memory::Stream;
use std::collections::{BTreeMap, BTreeSet};

fn check(rows: &[(&str, &str)], expected: &str) {
    assert_eq!(driver::check(&SPEC, &[], column::TEXT, rows), expected);
}

fn words(from: usize, to: usize) -> String {
    (from..to)
        .map(|n| format!("w{}", char::from(b'a' + (n % 26) as u8).to_string().repeat(1 + n / 26)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn form_does_not_count_and_short_texts_are_compared_whole() {
    check(
        &[
            ("a", "one two three four five six"),
            ("b", "One two three four five, six!"),
            ("c", "one two"),
            ("d", "two one"),
            ("e", ""),
        ],
        "a near_duplicate 1 of 0.8 (b), b kept, c kept, d kept, e kept",
    );
    check(&[("a", "one two!"), ("b", "One-two")], "a kept, b near_duplicate 1 of 0.8 (a)");
    check(&[("a", "..."), ("b", "...")], "a kept, b kept");
}

#[test]
fn half_of_a_text_is_not_a_duplicate() {
    let (whole, most, half) = (words(0, 200), words(0, 196), words(0, 100));
    let found = driver::check(&SPEC, &[], column::TEXT, &[("a", &half), ("b", &most), ("c", &whole)]);
    assert!(found.starts_with("a kept, b near_duplicate 0.9") && found.ends_with("(c), c kept"), "{found}");
}

#[test]
fn a_kept_document_tells_how_many_it_stands_for() {
    let input = batch(column::TEXT, &[("a", "one two"), ("b", "other"), ("c", "one two"), ("c", "one two")]);
    let global = build(&SPEC, &[]);
    let outcome = &driver::run(global.as_ref(), std::slice::from_ref(&input), 2).unwrap()[0];
    let kept = outcome.select(&input, &global.output(&input.schema()).unwrap()).unwrap();
    let sizes: &Int64Array = kept.column_by_name(CLUSTER_SIZE).unwrap().as_any().downcast_ref().unwrap();
    assert_eq!(sizes.values(), &[2, 1]);
    assert_eq!(column::utf8(&kept, CLUSTER).unwrap().value(0), id("a"));
}

/// A batch of documents whose id is their text's place in the list.
fn ranked(texts: &[String]) -> RecordBatch {
    let rows: Vec<(String, &str)> =
        texts.iter().enumerate().map(|(n, text)| (format!("d{n:06}"), text.as_str())).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    batch(column::TEXT, &rows)
}

/// The distinct hashes of the shingles, as the records have them.
fn shingles_of(text: &str) -> BTreeSet<u32> {
    let mut long = Vec::new();
    crate::text::shingles::shingles(text, 5, &mut long);
    long.iter().map(|hash| (hash >> 32) as u32).collect()
}

fn jaccard(a: &str, b: &str) -> f64 {
    let (a, b) = (shingles_of(a), shingles_of(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

fn share_a_band(a: &str, b: &str) -> bool {
    let of = |text: &str| {
        let shingles: Vec<u32> = shingles_of(text).into_iter().collect();
        bands(&signature(Family::Mul32, &shingles), 21, 6).collect::<Vec<_>>()
    };
    of(a).iter().zip(of(b)).any(|(a, b)| *a == b)
}

/// Near-duplicates of near-duplicates: each text is another with some words put in the place of others.
fn family(seed: u64, count: usize) -> Vec<String> {
    let mut rng = schemas::hash::Rng::new(seed);
    let mut texts: Vec<Vec<String>> = Vec::new();
    for _ in 0..count {
        let mut text = match texts.len() {
            0 => (0..60).map(|n| format!("w{n}")).collect(),
            known => texts[rng.below(known as u64) as usize].clone(),
        };
        for _ in 0..rng.below(4) {
            let (at, word) = (rng.below(60) as usize, rng.below(500));
            text[at] = format!("x{word}");
        }
        texts.push(text);
    }
    texts.iter().map(|text| text.join(" ")).collect()
}

/// A house that lends so little that nearly every document needs a pass of its own.
struct Narrow(usize);
impl House for Narrow {
    fn sorter(&self) -> Result<Box<dyn schemas::Sorter + '_>, StageError> {
        Ok(Box::new(Records::default()))
    }
    fn file(&self, name: &str) -> Result<Box<dyn std::io::Write + '_>, StageError> {
        unreachable!("{name} is not asked for")
    }
    fn memory_bytes(&self) -> usize {
        self.0
    }
}

#[derive(Default, PartialEq, Debug, Clone)]
struct Noted(Vec<(DocId, Vec<u8>)>);
impl Notes for Noted {
    fn note(&mut self, id: DocId, value: &[u8]) -> Result<(), StageError> {
        self.0.push((id, value.to_vec()));
        Ok(())
    }
}

/// What is noted of texts with this much memory, sorted.
fn noted(set: &[(&str, schemas::Value)], texts: &[String], memory_bytes: usize) -> Noted {
    let global = build(&SPEC, set);
    let (mut mapped, mut reduced, mut notes) = (Records::default(), Records::default(), Noted::default());
    global.map(&ranked(texts), &mut mapped).unwrap();
    mapped.past().for_each(|record| reduced.push(record.key, record.value));
    global.reduce(&mut Stream::sorted(mapped), &mut reduced).unwrap();
    global.settle(&mut Stream::sorted(reduced), &Narrow(memory_bytes), &mut notes).unwrap();
    notes.0.sort();
    notes
}

#[test]
fn memory_changes_nothing() {
    for seed in 0..6 {
        let texts = family(seed, 120);
        for clusters in ["cover", "components"] {
            let set = [("clusters", schemas::Value::from(clusters))];
            let expected = noted(&set, &texts, usize::MAX);
            assert!(!expected.0.is_empty());
            for memory_bytes in [0, 1000, 20_000] {
                assert_eq!(noted(&set, &texts, memory_bytes), expected, "{clusters} in {memory_bytes} bytes");
            }
        }
    }
}

/// The rule itself, over all pairs that share a band.
#[test]
fn the_cover_is_greedy_and_exact() {
    for seed in 0..6 {
        let texts = family(seed, 60);
        let ids: Vec<DocId> =
            (0..texts.len()).map(|n| DocId::parse(&id(&format!("d{n:06}"))).unwrap()).collect();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        let content = |n: &usize| xxhash_rust::xxh3::xxh3_64(texts[*n].as_bytes());
        order.sort_by_key(|n| (usize::MAX - texts[*n].len(), content(n), *n));
        let (mut kept, mut expected) = (Vec::<usize>::new(), Noted::default());
        for n in order {
            let similar = |k: &&usize| jaccard(&texts[n], &texts[**k]) >= 0.8;
            match kept.iter().filter(|k| share_a_band(&texts[n], &texts[**k])).find(similar) {
                Some(k) => {
                    let twin = Twin { id: ids[*k], similarity: jaccard(&texts[n], &texts[*k]) };
                    expected.0.extend([(ids[n], gone(&twin)), (ids[*k], STAYS.to_vec())]);
                }
                None => kept.push(n),
            }
        }
        expected.0.sort();
        assert_eq!(noted(&[], &texts, usize::MAX), expected, "seed {seed}");
    }
}

#[test]
fn components_are_those_of_the_graph() {
    for seed in 0..6 {
        let texts = family(seed, 60);
        let mut root: Vec<usize> = (0..texts.len()).collect();
        for a in 0..texts.len() {
            for b in 0..a {
                if share_a_band(&texts[a], &texts[b]) && jaccard(&texts[a], &texts[b]) >= 0.8 {
                    let (from, to) = (root[a], root[b]);
                    root.iter_mut().filter(|r| **r == from).for_each(|r| *r = to);
                }
            }
        }
        root.sort_unstable();
        root.dedup();
        let notes = noted(&[("clusters", schemas::Value::from("components"))], &texts, usize::MAX);
        let gone = notes.0.iter().filter(|(_, value)| value != STAYS).count();
        assert_eq!(texts.len() - gone, root.len(), "seed {seed}");
    }
}

#[test]
fn the_best_by_quality_stays() {
    let rows = [("a", "one two three"), ("b", "One two three"), ("c", "one two THREE")];
    let plain = batch(column::TEXT, &rows);
    let score: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![Some(0.2), Some(0.9), None]));
    let mut columns: Vec<(&str, ArrayRef)> = vec![("score", score)];
    columns
        .extend([column::ID, column::TEXT].map(|name| (name, plain.column_by_name(name).unwrap().clone())));
    let input = RecordBatch::try_from_iter(columns).unwrap();
    let set = ["quality", "score"].map(schemas::Value::from);
    let global = build(&SPEC, &[("keep", set[0].clone()), ("quality_column", set[1].clone())]);
    let outcome = &driver::run(global.as_ref(), &[input], 2).unwrap()[0];
    let kept: Vec<bool> = outcome.verdicts.iter().map(|v| *v == Verdict::Kept).collect();
    assert_eq!(kept, [false, true, false]);
    assert!(global.output(&plain.schema()).unwrap_err().to_string().contains("`score`, which is not there"));
}

/// A crowd of which each is like every other costs one comparison each, not one a pair.
#[test]
fn a_crowd_leaves_one() {
    let texts: Vec<String> = (0..3000).map(|n| format!("{} last{n}", words(0, 60))).collect();
    let notes = noted(&[], &texts, usize::MAX);
    assert_eq!(notes.0.iter().filter(|(_, value)| value != STAYS).count(), texts.len() - 1);
}

#[test]
fn too_many_words_are_a_mistake_of_the_recipe() {
    let set = |key: &str, value: i64| (key.to_owned(), schemas::Value::from(value));
    let settings = schemas::Settings::new(vec![set("bands", 20), set("rows", 7)]);
    let errors = (SPEC.build)(&settings).err().unwrap();
    assert_eq!(
        errors[0].to_string(),
        "`bands`: 20 bands of 7 rows take more than 128 words; lower `bands` or `rows`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn order_batches_and_partitions_do_not_matter(
        cuts in prop::collection::vec((0_usize..12, 40_usize..60), 2..24),
        seed in 0_u64..1000,
        size in 1_usize..9,
    ) {
        let rows: Vec<(String, String)> =
            cuts.iter().enumerate().map(|(n, (from, to))| (format!("d{n:02}"), words(*from, *to))).collect();
        let run = |rows: &[(String, String)], size: usize, partitions: usize| {
            let parts: Vec<RecordBatch> = rows.chunks(size).map(|part| {
                let part: Vec<(&str, &str)> = part.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
                batch(column::TEXT, &part)
            }).collect();
            let outcomes = driver::run(build(&SPEC, &[]).as_ref(), &parts, partitions).unwrap();
            let verdicts = outcomes.into_iter().flat_map(|o| o.verdicts);
            rows.iter().map(|(name, _)| name.clone()).zip(verdicts).collect::<BTreeMap<_, _>>()
        };
        let expected = run(&rows, rows.len(), 1);
        for verdict in expected.values() {
            if let Verdict::Dropped { twin: Some(twin), .. } = verdict {
                let kept = expected.iter().find(|(name, _)| id(name) == twin.to_string()).unwrap().1;
                prop_assert_eq!(kept, &Verdict::Kept);
            }
        }
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|(name, _)| schemas::hash::seed(seed, name, 0));
        prop_assert_eq!(run(&shuffled, size, 4), expected);
    }
}

/// A folder for indexes, removed at the end.
struct Folder(std::path::PathBuf);
impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gristmill-index-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Settles texts with these settings and leaves their index here.
    fn index(&self, name: &str, set: &[(&str, schemas::Value)], batch: &RecordBatch) -> String {
        let set = [set, &[("index", "minhash.index".into())]].concat();
        let done = schemas::memory::settle(build(&SPEC, &set).as_ref(), std::slice::from_ref(batch), 5);
        let path = self.0.join(name);
        std::fs::write(&path, &done.unwrap().settled.files["minhash.index"]).unwrap();
        path.to_string_lossy().into_owned()
    }
}
impl std::ops::Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn against(paths: &[&str]) -> (&'static str, schemas::Value) {
    ("against", paths.iter().map(|path| schemas::Value::from(*path)).collect::<Vec<_>>().into())
}

fn verdicts(set: &[(&str, schemas::Value)], batches: &[RecordBatch]) -> Vec<Vec<Verdict>> {
    let outcomes = driver::run(build(&SPEC, set).as_ref(), batches, 7).unwrap();
    outcomes.into_iter().map(|outcome| outcome.verdicts).collect()
}

/// What is added crawl by crawl is what all crawls at once would have kept, earlier ones first.
#[test]
fn sets_added_one_by_one_are_judged_as_one_set() {
    let folder = Folder::new("law");
    for seed in 0..4 {
        let texts = family(seed, 120);
        let parts: Vec<RecordBatch> =
            [0..50, 50..90, 90..120].map(|part| ranked(&texts).slice(part.start, part.len())).into();
        let first = ("keep", schemas::Value::from("first"));
        let expected = verdicts(std::slice::from_ref(&first), &parts);
        let (mut indexes, mut found) = (Vec::<String>::new(), Vec::new());
        for (n, part) in parts.iter().enumerate() {
            let set = [first.clone(), against(&indexes.iter().map(String::as_str).collect::<Vec<_>>())];
            found.extend(verdicts(&set, std::slice::from_ref(part)));
            indexes.push(folder.index(&format!("{seed}-{n}.index"), &set, part));
        }
        let gone = |verdicts: &[Verdict]| verdicts.iter().filter(|v| **v != Verdict::Kept).count();
        assert!(gone(&expected[1]) > 0 && gone(&expected[2]) > 0, "the law is about something");
        assert_eq!(found, expected, "seed {seed}");
        // The folder that has the indexes stands for them.
        let set = [first.clone(), against(&[&folder.0.to_string_lossy()])];
        assert!(verdicts(&set, &parts[..1])[0].iter().all(|verdict| *verdict != Verdict::Kept));
        indexes.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}

#[test]
fn an_index_that_does_not_fit_is_refused() {
    let folder = Folder::new("refused");
    let texts = family(1, 40);
    let path = folder.index("a.index", &[], &ranked(&texts));
    let refused = |set: &[(&str, schemas::Value)]| {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        (SPEC.build)(&schemas::Settings::new(set))
            .err()
            .map(|errors| errors[0].to_string())
            .unwrap_or_default()
    };
    assert_eq!(refused(&[against(&[&path])]), "");
    for other in
        [("family", "minhash-rs".into()), ("rows", 5.into()), ("ngram", 4.into()), ("bands", 20.into())]
    {
        let message = refused(&[other.clone(), against(&[&path])]);
        assert!(
            message.contains("family mul32") && message.contains("a.index` was made by"),
            "{other:?}: {message}"
        );
    }
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(refused(&[against(&[&path])]).contains("is no whole index"), "{cut} of {}", bytes.len());
    }
    assert!(refused(&[("index", "a/b.index".into())]).contains("not a name"));
    assert!(refused(&[("index", "b".into())]).contains("not a name"));
    assert!(refused(&[against(&["nowhere.index"])]).contains("cannot read"));
}
