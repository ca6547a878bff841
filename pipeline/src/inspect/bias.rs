//! What a dataset says of whom, and what its filters did to whom.
//!
//! For every group of people and pronoun of `assets/bias.txt`: the share of documents with one of its terms, the mean toxicity of
//! these documents (as `filter.toxicity` recorded it), that of the ten words on both sides of a term (by a score that the caller brings), and
//! the association with five kinds of words: the logarithm to base two of how many of these stand within ten words of a term over how many would if
//! they stood there as anywhere. "Before" is the documents and the
//! dropped rows together, "after" the documents. A row that was dropped after an edit counts with its text of then.

use super::dataset::{DROPPED, SIGNALS};
use super::layout::thousands;
use super::{Dataset, Grid, InspectError, Table};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use schemas::column;
use schemas::hash::FastMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

const TERMS: &str = include_str!("../../assets/bias.txt");
/// Signal that holds the toxicity of a document.
const TOXICITY: &str = "toxicity";
/// Words on each side of a term that are near it.
const NEAR_WORDS: usize = 10;
/// Surroundings of a group's terms that are scored in one document: a book about a group is one voice.
const SCORED_MAX: usize = 8;

/// Documents without which a group's associations are not shown in the table, on either side: a handful of texts is chance. JSON has all.
const DOCUMENTS_MIN: u64 = 10;

/// Gives a text its toxicity, 0 to 1.
pub type Score<'a> = &'a mut dyn FnMut(&str) -> f64;

/// The answer: one row for all documents, then one a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bias {
    /// Kinds of words whose association was measured, in the order of [`Side::associations`].
    pub attributes: Vec<String>,
    /// Rows; the first is of all documents.
    pub rows: Vec<BiasRow>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BiasRow {
    /// Its name.
    pub group: String,
    /// With the dropped rows.
    pub before: Side,
    /// What is in the dataset.
    pub after: Side,
}

/// Figures of a group before or after.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// Documents with a term.
    pub documents: u64,
    /// Their share of all documents.
    pub share: f64,
    /// Mean toxicity of them, where it was recorded.
    pub toxicity: Option<f64>,
    /// Mean toxicity of what stands around a term, of at most eight surroundings a document; absent where no term was met.
    pub toxicity_near: Option<f64>,
    /// Of each kind of word: log2 of how many stand near a term over how many would if they stood there as anywhere, half a word added to both, so that
    /// little text says little; absent where no such word, or none of the group, was met.
    pub associations: Vec<Option<f64>>,
}

/// Lists of terms, and which list each word is of.
struct Terms<'a> {
    groups: Vec<&'a str>,
    attributes: Vec<&'a str>,
    words: FastMap<&'a str, Term>,
}

#[derive(Clone, Copy)]
enum Term {
    Group(usize),
    Attribute(usize),
}

impl<'a> Terms<'a> {
    fn read(text: &'a str) -> Self {
        let mut out = Self { groups: Vec::new(), attributes: Vec::new(), words: FastMap::default() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, words)) = line.split_once(':') else { continue };
            let term = if let Some(name) = name.strip_prefix("group ") {
                out.groups.push(name);
                Term::Group(out.groups.len() - 1)
            } else if let Some(name) = name.strip_prefix("attribute ") {
                out.attributes.push(name);
                Term::Attribute(out.attributes.len() - 1)
            } else {
                continue;
            };
            out.words.extend(words.split(',').map(|word| (word.trim(), term)));
        }
        out
    }
}

/// Counts over documents.
#[derive(Clone)]
struct Counts {
    documents: u64,
    words: u64,
    attributes: Vec<u64>,
    groups: Vec<Group>,
    toxicity: (f64, u64),
}

#[derive(Clone, Default)]
struct Group {
    documents: u64,
    toxicity: (f64, u64),
    toxicity_near: (f64, u64),
    near_words: u64,
    near: Vec<u64>,
}

impl Counts {
    fn new(terms: &Terms<'_>) -> Self {
        let group = Group { near: vec![0; terms.attributes.len()], ..Group::default() };
        Self {
            documents: 0,
            words: 0,
            attributes: vec![0; terms.attributes.len()],
            groups: vec![group; terms.groups.len()],
            toxicity: (0.0, 0),
        }
    }

    fn add(&mut self, text: &str, toxicity: Option<f64>, terms: &Terms<'_>, score: Score<'_>) {
        let mut lower = String::new();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        let found: Vec<Option<Term>> = words
            .iter()
            .map(|word| {
                lower.clear();
                lower.extend(word.chars().flat_map(char::to_lowercase));
                terms.words.get(lower.as_str()).copied()
            })
            .collect();
        self.documents += 1;
        self.words += found.len() as u64;
        note(&mut self.toxicity, toxicity);
        // Words near two terms of a group are near it once: `until` is where the last window of the group ended.
        let mut until = vec![0; self.groups.len()];
        let mut met = vec![false; self.groups.len()];
        // Of each group how many surroundings were scored, and where the last of them ended.
        let mut scored = vec![(0, 0); self.groups.len()];
        for (at, term) in found.iter().enumerate() {
            match *term {
                Some(Term::Attribute(attribute)) => self.attributes[attribute] += 1,
                Some(Term::Group(group)) => {
                    let end = (at + NEAR_WORDS + 1).min(found.len());
                    let begin = at.saturating_sub(NEAR_WORDS);
                    let near = &found[until[group].max(begin)..end];
                    met[group] = true;
                    until[group] = end;
                    // A term within surroundings that were scored has been read with them.
                    let (count, until_scored) = &mut scored[group];
                    let group = &mut self.groups[group];
                    if at >= *until_scored && *count < SCORED_MAX {
                        (*count, *until_scored) = (*count + 1, end);
                        let toxicity = score(around(text, words[begin], words[end - 1]));
                        note(&mut group.toxicity_near, Some(toxicity));
                    }
                    group.near_words += near.len() as u64;
                    for term in near.iter().flatten() {
                        if let Term::Attribute(attribute) = term {
                            group.near[*attribute] += 1;
                        }
                    }
                }
                None => {}
            }
        }
        for (group, _) in self.groups.iter_mut().zip(met).filter(|(_, met)| *met) {
            group.documents += 1;
            note(&mut group.toxicity, toxicity);
        }
    }

    fn all(&self) -> Side {
        Side {
            documents: self.documents,
            share: if self.documents > 0 { 1.0 } else { 0.0 },
            toxicity: mean(self.toxicity),
            toxicity_near: None,
            associations: vec![None; self.attributes.len()],
        }
    }

    fn side(&self, group: usize) -> Side {
        let of = &self.groups[group];
        let expected = |all: u64| of.near_words as f64 * all as f64 / self.words.max(1) as f64;
        let pairs = of.near.iter().zip(&self.attributes);
        Side {
            documents: of.documents,
            share: of.documents as f64 / self.documents.max(1) as f64,
            toxicity: mean(of.toxicity),
            toxicity_near: mean(of.toxicity_near),
            associations: pairs
                .map(|(near, all)| {
                    let met = of.near_words > 0 && *all > 0;
                    met.then(|| ((*near as f64 + 0.5) / (expected(*all) + 0.5)).log2())
                })
                .collect(),
        }
    }
}

/// The text from the beginning of one of its words to the end of another.
fn around<'a>(text: &'a str, first: &str, last: &str) -> &'a str {
    let at = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    &text[at(first)..at(last) + last.len()]
}

fn note((sum, count): &mut (f64, u64), value: Option<f64>) {
    if let Some(value) = value {
        *sum += value;
        *count += 1;
    }
}

fn mean((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// Measures the dataset; `score` is asked about the surroundings of terms.
///
/// # Errors
/// A file of the dataset is damaged.
pub fn bias(dataset: &Dataset, score: Score<'_>) -> Result<Bias, InspectError> {
    let terms = Terms::read(TERMS);
    let toxicity = toxicities(dataset)?;
    let mut after = Counts::new(&terms);
    each_text(&dataset.documents(), |id, text| after.add(text, toxicity.get(id).copied(), &terms, score))?;
    let mut before = after.clone();
    each_text(&dataset.files(DROPPED), |id, text| {
        before.add(text, toxicity.get(id).copied(), &terms, score)
    })?;
    let mut rows = vec![BiasRow { group: "all".into(), before: before.all(), after: after.all() }];
    rows.extend(terms.groups.iter().enumerate().map(|(at, name)| BiasRow {
        group: (*name).to_owned(),
        before: before.side(at),
        after: after.side(at),
    }));
    Ok(Bias { attributes: terms.attributes.iter().map(|name| (*name).to_owned()).collect(), rows })
}

/// Toxicity by id, from every node that recorded it; the last one holds.
fn toxicities(dataset: &Dataset) -> Result<FastMap<String, f64>, InspectError> {
    let mut out = FastMap::default();
    for name in dataset.manifest.nodes.iter().filter_map(|node| dataset.node_file(SIGNALS, node)) {
        let table = Table::open(&[dataset.root.join(name)])?;
        if table.schema().column_with_name(TOXICITY).is_none() {
            continue;
        }
        each_batch(&table, &[column::ID, TOXICITY], |batch| {
            let (Some(ids), Some(values)) = (strings(batch, column::ID), batch.column_by_name(TOXICITY))
            else {
                return;
            };
            if let Some(values) = values.as_primitive_opt::<Float64Type>() {
                let pairs = ids.iter().zip(values);
                out.extend(pairs.filter_map(|(id, value)| Some((id?.to_owned(), value?))));
            }
        })?;
    }
    Ok(out)
}

fn each_text(files: &[std::path::PathBuf], mut each: impl FnMut(&str, &str)) -> Result<(), InspectError> {
    each_batch(&Table::open(files)?, &[column::ID, column::TEXT], |batch| {
        if let (Some(ids), Some(texts)) = (strings(batch, column::ID), strings(batch, column::TEXT)) {
            // A page that was dropped before it was made text says nothing.
            for (id, text) in ids.iter().zip(texts) {
                if let Some(text) = text {
                    each(id.unwrap_or_default(), text);
                }
            }
        }
    })
}

fn each_batch(
    table: &Table,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch),
) -> Result<(), InspectError> {
    for part in &table.parts {
        for batch in part.read(None, Some(columns))? {
            each(&batch?);
        }
    }
    Ok(())
}

fn strings<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a arrow::array::StringArray> {
    batch.column_by_name(name).filter(|c| *c.data_type() == DataType::Utf8).map(|c| c.as_string())
}

impl Bias {
    /// How the grid is read.
    pub fn legend() -> String {
        format!(
            "before → after the filters; a document counts for a group with one of its terms\n\
             toxicity: mean score of these documents; near: of the words around a term (0 harmless, 1 toxic)\n\
             the others: how many doublings more often such words stand within {NEAR_WORDS} words of a term than anywhere (+1.0: twice as often), \
             from {DOCUMENTS_MIN} documents on\n"
        )
    }

    /// One row a group that was met.
    pub fn grid(&self) -> Grid {
        let mut names = vec!["group", "documents", "share", "toxicity", "near"];
        names.extend(self.attributes.iter().map(String::as_str));
        let mut grid = Grid::new(&names);
        let change =
            |of: &dyn Fn(&Side) -> Option<String>, row: &BiasRow| match (of(&row.before), of(&row.after)) {
                (None, None) => Json::Null,
                (before, after) => {
                    let told = |side: Option<String>| side.unwrap_or_else(|| "–".to_owned());
                    json!(format!("{}→{}", told(before), told(after)))
                }
            };
        for row in self.rows.iter().filter(|row| row.before.documents > 0) {
            let before = &row.before;
            let mut cells = vec![json!(row.group)];
            let number = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
            cells.push(change(&|side| Some(thousands(side.documents)), row));
            cells.push(change(&|side| Some(format!("{:.2} %", 100.0 * side.share)), row));
            cells.push(change(&|side| number(side.toxicity), row));
            cells.push(change(&|side| number(side.toxicity_near), row));
            cells.extend((0..before.associations.len()).map(|at| {
                let enough = |side: &Side| side.associations[at].filter(|_| side.documents >= DOCUMENTS_MIN);
                change(&|side| enough(side).map(|association| format!("{association:+.1}")), row)
            }));
            grid.rows.push(cells);
        }
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::fixture;

    #[test]
    fn groups_are_counted_once_a_document_and_associations_are_near() {
        let terms = Terms::read("group she: she, her\ngroup he: he\nattribute harm: kill, crime");
        let mut counts = Counts::new(&terms);
        let (mut scored, mut score) = (Vec::new(), 0.0);
        let mut rate = |text: &str| {
            scored.push(text.to_owned());
            score += 0.25;
            score
        };
        counts.add("She and her crime. ", Some(0.5), &terms, &mut rate);
        counts.add(&format!("He {} kill", "x ".repeat(20)), None, &terms, &mut rate);
        assert_eq!((scored[0].as_str(), scored[1].len(), scored.len()), ("She and her crime", 22, 2));
        // Terms close together are scored again and again, up to a limit.
        let mut texts = 0;
        Counts::new(&terms).add(&"she walks on and on ".repeat(60), None, &terms, &mut |_| {
            texts += 1;
            0.0
        });
        assert_eq!(texts, SCORED_MAX);
        let (she, he) = (counts.side(0), counts.side(1));
        assert_eq!((she.documents, he.documents, counts.documents), (1, 1, 2));
        assert_eq!((she.share, she.toxicity, he.toxicity), (0.5, Some(0.5), None));
        assert_eq!((she.toxicity_near, he.toxicity_near), (Some(0.25), Some(0.5)));
        assert!(she.associations[0] > Some(0.5) && he.associations[0] < Some(0.0), "{she:?} {he:?}");
        // Words that are nowhere stand nowhere more often.
        let mut none = Counts::new(&terms);
        none.add("She walks. He talks.", None, &terms, &mut |_| 0.0);
        assert_eq!([none.side(0).associations[0], none.side(1).associations[0]], [None; 2]);
        assert_eq!(counts.groups[0].near_words, 4);
    }

    #[test]
    fn a_dataset_is_measured_before_and_after() {
        let folder = fixture::dataset("bias");
        let found = bias(&Dataset::open(&folder.0).unwrap(), &mut |_| 0.0).unwrap();
        let all = &found.rows[0];
        assert!(all.before.documents > all.after.documents && all.after.documents > 0, "{all:?}");
        assert_eq!(found.grid().rows.len(), found.rows.iter().filter(|r| r.before.documents > 0).count());
    }
}
