//! Rating by people: a sheet that hides which model wrote what, and what filled sheets say.
//!
//! Each row has a prompt and two answers, in an order that a seed decides; a key beside the sheet says whose they are and holds a hash of each
//! row, so that a row that was altered or lost is found when the sheet comes back. A rater writes `1`, `2` or `=`.

mod agreement;
mod page;
mod table;

pub use page::page;

use schemas::hash::{Rng, seed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Columns of a sheet, the last two for the rater.
pub const COLUMNS: [&str; 6] = ["row", "prompt", "answer_1", "answer_2", "choice", "comment"];

/// What two models wrote behind a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The prompt.
    pub prompt: String,
    /// What each model wrote, in the order of the models.
    pub answers: [String; 2],
    /// The two models, by place in the list of them.
    pub models: [usize; 2],
}

/// A row as a rater sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub row: String,
    /// The prompt.
    pub prompt: String,
    /// One answer.
    pub answer_1: String,
    /// The other.
    pub answer_2: String,
    /// `1`, `2` or `=`, by the rater.
    #[serde(default)]
    pub choice: String,
    /// What the rater remarks.
    #[serde(default)]
    pub comment: String,
}

/// What a rater must not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The models.
    pub models: Vec<String>,
    /// Seed of the order.
    pub seed: u64,
    /// Each row.
    pub rows: BTreeMap<String, Hidden>,
}

/// What a row hides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// The models of the first and the second answer, by place in the list of them.
    pub models: [usize; 2],
    /// Hexadecimal blake3 of prompt and answers as they stand in the sheet.
    pub hash: String,
}

/// Makes a sheet and its key: rows and answers in an order by the seed.
pub fn sheet(models: &[String], pairs: &[Pair], run: u64) -> (Vec<Row>, Key) {
    let mut rng = Rng::new(seed(run, "eval.human", 0));
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    // Fisher and Yates.
    (1..order.len()).rev().for_each(|at| order.swap(at, rng.below(at as u64 + 1) as usize));
    let mut key = Key { models: models.to_vec(), seed: run, rows: BTreeMap::new() };
    let digits = pairs.len().to_string().len();
    let rows = order.iter().enumerate().map(|(at, &pair)| {
        let Pair { prompt, answers: [a, b], models: [first, second] } = &pairs[pair];
        let turned = rng.below(2) == 1;
        let (answers, models) =
            if turned { ([b, a], [*second, *first]) } else { ([a, b], [*first, *second]) };
        let row = Row {
            row: format!("r{:0digits$}", at + 1),
            prompt: shown(prompt),
            answer_1: shown(answers[0]),
            answer_2: shown(answers[1]),
            choice: String::new(),
            comment: String::new(),
        };
        key.rows.insert(row.row.clone(), Hidden { models, hash: hash(&row) });
        row
    });
    let rows = rows.collect();
    (rows, key)
}

/// A text as a cell shows it: spreadsheets have one kind of line end, and no NUL.
fn shown(text: &str) -> String {
    table::guarded(&text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}"))
}

fn hash(row: &Row) -> String {
    let texts = [&row.prompt, &row.answer_1, &row.answer_2].map(|text| text.trim_end());
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The sheet as comma-separated values.
pub fn csv(rows: &[Row]) -> String {
    let line = |row: &Row| {
        table::line(&[&row.row, &row.prompt, &row.answer_1, &row.answer_2, &row.choice, &row.comment])
    };
    table::line(&COLUMNS) + &rows.iter().map(line).collect::<String>()
}

/// The sheet as JSON lines.
pub fn json_lines(rows: &[Row]) -> String {
    rows.iter().map(|row| serde_json::to_string(row).expect("texts are JSON") + "\n").collect()
}

/// Reads a sheet, of JSON lines where it begins with `{`.
///
/// # Errors
/// A line is no row, or a column is missing.
pub fn read(text: &str) -> Result<Vec<Row>, String> {
    if text.trim_start().starts_with('{') {
        let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        let row = |(at, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))
        };
        return lines.map(row).collect();
    }
    let mut rows = table::read(text)?.into_iter();
    let head = rows.next().unwrap_or_default();
    let place = |name: &str| {
        let at = head.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        at.ok_or_else(|| format!("column `{name}` is missing; columns are {}", COLUMNS.join(", ")))
    };
    let places = COLUMNS.iter().take(5).map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;
    let comment = place("comment").ok();
    let row = |cells: Vec<String>| {
        let cell = |at: usize| cells.get(at).cloned().unwrap_or_default();
        Row {
            row: cell(places[0]),
            prompt: cell(places[1]),
            answer_1: cell(places[2]),
            answer_2: cell(places[3]),
            choice: cell(places[4]),
            comment: comment.map(cell).unwrap_or_default(),
        }
    };
    Ok(rows.map(row).collect())
}

/// A comparison of two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The two models.
    pub models: [String; 2],
    /// Ratings for the first, for the second, and for neither.
    pub ratings: [usize; 3],
    /// Rows that most raters gave to the first, to the second, and to neither.
    pub rows: [usize; 3],
    /// Share of the first among rows that were decided, and its interval of 95 % (Wilson).
    pub share: Option<f64>,
    /// The interval.
    pub interval: Option<[f64; 2]>,
    /// How likely a split at least as uneven is where neither is better (sign test over decided rows).
    pub p: f64,
}

/// What filled sheets say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdicts {
    /// Each pair of models.
    pub pairs: Vec<Verdict>,
    /// Raters.
    pub raters: usize,
    /// Cohen's κ, of two raters.
    pub cohen: Option<f64>,
    /// Fleiss' κ, where all raters rated all rows.
    pub fleiss: Option<f64>,
    /// Krippendorff's α.
    pub krippendorff: Option<f64>,
}

/// First answer, second answer, neither.
const CATEGORIES: usize = 3;

/// Joins filled sheets (name and rows) with the key.
///
/// # Errors
/// Every row that is missing, unknown, twice there, altered or, unless `partly`, without a choice, and every choice that is none.
pub fn verdicts(key: &Key, sheets: &[(String, Vec<Row>)], partly: bool) -> Result<Verdicts, Vec<String>> {
    let mut wrong = Vec::new();
    let mut rated: Vec<BTreeMap<&str, usize>> = Vec::new();
    for (name, rows) in sheets {
        rated.push(choices(key, name, rows, partly, &mut wrong));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // Categories by the order of the key's models, not by that of the answers.
    let counts: BTreeMap<&str, Vec<usize>> = key
        .rows
        .keys()
        .map(|row| {
            let mut counts = vec![0; CATEGORIES];
            rated.iter().filter_map(|rater| rater.get(row.as_str())).for_each(|&choice| counts[choice] += 1);
            (row.as_str(), counts)
        })
        .collect();
    let all: Vec<Vec<usize>> = counts.values().cloned().collect();
    let complete = all.iter().all(|row| row.iter().sum::<usize>() == sheets.len());
    let both = |row: &String| Some((*rated[0].get(row.as_str())?, *rated[1].get(row.as_str())?));
    let cohen = (sheets.len() == 2).then(|| key.rows.keys().filter_map(both).collect::<Vec<_>>());
    Ok(Verdicts {
        pairs: pairs(key, &counts),
        raters: sheets.len(),
        cohen: cohen.and_then(|pairs| agreement::cohen(&pairs, CATEGORIES)),
        fleiss: (sheets.len() > 1 && complete).then(|| agreement::fleiss(&all)).flatten(),
        krippendorff: (sheets.len() > 1).then(|| agreement::krippendorff(&all)).flatten(),
    })
}

/// The choice of each row of a sheet: 0 for the model that comes first in the key, 1 for the other, 2 for neither.
fn choices<'a>(
    key: &'a Key,
    name: &str,
    rows: &[Row],
    partly: bool,
    wrong: &mut Vec<String>,
) -> BTreeMap<&'a str, usize> {
    let mut chosen = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for row in rows {
        let Some((known, hidden)) = key.rows.get_key_value(row.row.trim()) else {
            wrong.push(format!("{name}: row `{}` is none of the key", row.row));
            continue;
        };
        if seen.insert(known.as_str(), ()).is_some() {
            wrong.push(format!("{name}: row `{known}` stands there twice"));
        }
        if hash(row) != hidden.hash {
            wrong.push(format!(
                "{name}: row `{known}` was altered: its prompt or an answer is not what was written"
            ));
        }
        let first_is_later = usize::from(hidden.models[0] > hidden.models[1]);
        match row.choice.trim() {
            "1" => drop(chosen.insert(known.as_str(), first_is_later)),
            "2" => drop(chosen.insert(known.as_str(), 1 - first_is_later)),
            "=" | "0" | "tie" => drop(chosen.insert(known.as_str(), 2)),
            "" if partly => {}
            "" => wrong.push(format!("{name}: row `{known}` has no choice; write 1, 2 or =")),
            other => wrong.push(format!("{name}: row `{known}`: {other:?} is none of 1, 2 and =")),
        }
    }
    let missing = key.rows.keys().filter(|row| !seen.contains_key(row.as_str()));
    wrong.extend(missing.map(|row| format!("{name}: row `{row}` is missing")));
    chosen
}

fn pairs(key: &Key, counts: &BTreeMap<&str, Vec<usize>>) -> Vec<Verdict> {
    let mut pairs: BTreeMap<[usize; 2], ([usize; 3], [usize; 3])> = BTreeMap::new();
    for (row, hidden) in &key.rows {
        let [a, b] = hidden.models;
        let (ratings, rows) = pairs.entry([a.min(b), a.max(b)]).or_default();
        let count = &counts[row.as_str()];
        ratings.iter_mut().zip(count).for_each(|(sum, n)| *sum += n);
        if count.iter().sum::<usize>() > 0 {
            let most = match (count[0], count[1]) {
                (a, b) if a > b && a > count[2] => 0,
                (a, b) if b > a && b > count[2] => 1,
                _ => 2,
            };
            rows[most] += 1;
        }
    }
    let verdict = |([a, b], (ratings, rows)): ([usize; 2], ([usize; 3], [usize; 3]))| {
        let decided = rows[0] + rows[1];
        Verdict {
            models: [a, b].map(|model| key.models[model].clone()),
            ratings,
            rows,
            share: (decided > 0).then(|| rows[0] as f64 / decided as f64),
            interval: agreement::wilson(rows[0], decided),
            p: agreement::sign_test(rows[0], rows[1]),
        }
    };
    pairs.into_iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(count: usize) -> (Vec<Row>, Key) {
        let pair = |n: usize| Pair {
            prompt: format!("prompt {n},\r\n\"quoted\""),
            answers: [format!("=good {n}"), format!("bad {n} ")],
            models: [0, 1],
        };
        sheet(&["a".into(), "b".into()], &(0..count).map(pair).collect::<Vec<_>>(), 7)
    }

    /// The sheet as a rater gives it back who prefers what is good.
    fn filled(rows: &[Row], ties: usize) -> Vec<Row> {
        let mut rows = read(&csv(rows)).unwrap();
        for (at, row) in rows.iter_mut().enumerate() {
            let good = if row.answer_1.contains("good") { "1" } else { "2" };
            row.choice = if at < ties { "=" } else { good }.to_owned();
        }
        rows
    }

    #[test]
    fn sheets_are_blind_and_come_back() {
        let (rows, key) = made(40);
        assert_eq!(made(40), (rows.clone(), key.clone()));
        let first = rows.iter().filter(|row| row.answer_1.contains("good")).count();
        assert!((8..32).contains(&first), "{first}");
        assert_eq!(read(&json_lines(&rows)).unwrap(), rows);
        let sheets = [("x".to_owned(), filled(&rows, 0)), ("y".to_owned(), filled(&rows, 4))];
        let found = verdicts(&key, &sheets, false).unwrap();
        let pair = &found.pairs[0];
        assert_eq!((pair.ratings, pair.rows), ([76, 0, 4], [36, 0, 4]));
        assert_eq!((pair.share, found.raters), (Some(1.0), 2));
        assert!(pair.p < 1e-9 && pair.interval.unwrap()[0] > 0.9);
        assert!(found.cohen.unwrap().abs() < 1e-12 && found.fleiss.is_some() && found.krippendorff.is_some());
    }

    #[test]
    fn what_is_wrong_with_a_sheet_is_told() {
        let (rows, key) = made(5);
        let mut sheet = filled(&rows, 0);
        sheet[0].answer_1.push('!');
        sheet[1].choice = "3".into();
        sheet[2].choice = String::new();
        sheet[3].row = "r9".into();
        sheet[4].prompt += " \n";
        let told = verdicts(&key, &[("x".into(), sheet.clone())], false).unwrap_err().join("\n");
        for expected in [
            "x: row `r1` was altered",
            "x: row `r2`: \"3\" is none of 1, 2 and =",
            "x: row `r3` has no choice",
            "x: row `r9` is none of the key",
            "x: row `r4` is missing",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(!told.contains("r5"), "{told}");
        let mut sheet = filled(&rows, 0);
        sheet[2].choice = String::new();
        assert!(verdicts(&key, &[("x".into(), sheet.clone())], true).is_ok());
        sheet.push(sheet[0].clone());
        assert!(verdicts(&key, &[("x".into(), sheet)], true).unwrap_err()[0].contains("twice"));
        assert!(read("row,prompt\n1,2\n").unwrap_err().contains("column `answer_1` is missing"));
    }
}
