//! Says in which language a document is, and keeps the languages that are asked for.
//!
//! The script decides first; Latin, Cyrillic, Arabic, Devanagari and Hebrew go on to a linear model over hashed runs of letters
//! (`text::langid`): 91 languages. Its weights were made by `gristmill fit filter.language`; `assets/README.md` says from what.
//! Javanese, Turkmen, Uzbek, Akan, Nepali and Yiddish had sixty to a hundred paragraphs to learn from and are told less well.
//!
//! Adds the columns `language` (ISO 639-3, null when undetermined), `language_score` (0 to 1: the probability of that language,
//! calibrated on held-out sentences), `language_share` (of the bytes whose own language is plain, the part in that language) and
//! `languages` (those with their shares, the largest first: `deu 0.75 eng 0.25`). A share below 1 tells of a mixed document.
//!
//! All is measured on a sample, so that a book costs no more than a page: the text without fenced code, cut into pieces of a line
//! or more (40 to 256 bytes); up to 3 KiB all of them, else twelve that are evenly spread. Of a very long text the
//! fences are sought in the first 1 MiB only.
//!
//! The default limit is the one of FineWeb (arXiv 2406.17557), for another detector; as the score is a probability, it means
//! what it says: a kept document is at least about twice as likely to be in its language as in all others together.
//!
//! ```text
//! "Ceci n'est pas une pipe, mais une phrase en français."  → drop wrong_language (1, limit 0.65)
//! ```

mod fit;

pub use fit::FIT;

use crate::text::langid::{Found, Model, Scratch, codes};
use crate::text::lines::{Stretch, stretches};
use arrow::array::{ArrayRef, AsArray as _, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use schemas::near::closest;
use schemas::{
    Build, Config as _, FilePath, KeyError, Made, Outcome, Reason, Settings, Spec, Stage, StageError,
    Verdict, column, config,
};
use std::borrow::Cow;
use std::sync::Arc;

config! {
    /// Settings of `filter.language`.
    pub struct Config {
        /// Languages kept, as ISO 639-3 or 639-1 codes. An empty list keeps every document and only writes the columns.
        languages: Vec<String> = vec!["eng".to_owned()];
        /// Languages that a document can be in at all, where that is known: no other is weighed, so these are told apart better. An empty list weighs all.
        among: Vec<String> = Vec::new();
        /// Least score kept.
        score_min: f64 = 0.65, in 0.0..=1.0;
        /// Score below which a language counts as undetermined.
        unknown_below: f64 = 0.2, in 0.0..=1.0;
        /// Weights made by `gristmill fit filter.language`; empty for those that ship.
        weights: FilePath = FilePath::default();
    }
}

/// Why `filter.language` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// In a language that is not asked for.
    WrongLanguage,
    /// In a language that is asked for, but the score is below `score_min`.
    LowScore,
    /// No letters to tell a language by, or a score below `unknown_below`.
    Undetermined,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::WrongLanguage => "wrong_language",
            Self::LowScore => "low_score",
            Self::Undetermined => "undetermined",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::WrongLanguage.name(), doc: "In a language that `languages` does not name." },
    Reason { name: Drop::LowScore.name(), doc: "In a language asked for, with a score below `score_min`." },
    Reason {
        name: Drop::Undetermined.name(),
        doc: "No letters outside code to tell a language by, or a score below `unknown_below`.",
    },
];

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(Language::new(settings)?)));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.language",
    version: 4,
    summary: "Says in which language a document is, and keeps the languages that are asked for.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The weights that ship.
const WEIGHTS: &[u8] = include_bytes!("../../assets/language.bin");
/// Bytes of a piece, at least (but for the last) and at most.
const PIECE_BYTES: [usize; 2] = [40, 256];
/// Pieces of a long text that are looked at.
const PIECES_MAX: usize = 12;
/// Beginning of a text in which fences are sought.
const FENCES_BYTES: usize = 1 << 20;
/// Score from which the language of a piece is plain.
const PLAIN_MIN: f64 = 0.5;

struct Language {
    languages: Vec<&'static str>,
    config: Config,
    model: Model,
}

/// What is told of a document.
struct Told {
    found: Option<Found>,
    share: Option<f64>,
    languages: Option<String>,
}

impl Language {
    fn new(settings: &Settings) -> Result<Self, Vec<KeyError>> {
        let config: Config = settings.parse()?;
        let mut errors = Vec::new();
        let mut labels = |key: &str, codes: &[String]| -> Vec<&'static str> {
            let label = |code: &String| codes::label(code).ok_or_else(|| unknown(key, code));
            let found = codes.iter().map(label);
            found.filter_map(|label| label.map_err(|error| errors.push(error)).ok()).collect()
        };
        let (languages, among) = (labels("languages", &config.languages), labels("among", &config.among));
        let out = languages.iter().find(|label| !among.is_empty() && !among.contains(label));
        if let (Some(out), true) = (out, errors.is_empty()) {
            let message = format!("`{out}` of `languages` is not in it, so no document could be kept for it");
            errors.push(KeyError {
                key: "among".into(),
                message,
                help: Some("add it, or set `languages`".into()),
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let model = if config.weights.is_empty() {
            Model::read(WEIGHTS).expect("the weights that ship are whole")
        } else {
            let path = settings.resolve(&config.weights);
            let wrong = |e: String| {
                vec![KeyError {
                    key: "weights".into(),
                    message: format!("{}: {e}", path.display()),
                    help: None,
                }]
            };
            let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
            Model::read(&bytes).map_err(wrong)?
        };
        let model = if among.is_empty() { model } else { model.among(&among) };
        Ok(Self { languages, config, model })
    }

    fn tell(&self, text: &str, scratch: &mut Scratch) -> Told {
        let prose = without_code(text);
        let found = self.model.detect(pieces(&prose), scratch);
        let found = found.filter(|found| found.score >= self.config.unknown_below);
        let mut bytes: Vec<(&str, usize)> = Vec::new();
        for (piece, size) in scratch.pieces.iter().filter(|(piece, _)| piece.score >= PLAIN_MIN) {
            match bytes.iter_mut().find(|(language, _)| *language == piece.language) {
                Some((_, sum)) => *sum += size,
                None => bytes.push((piece.language, *size)),
            }
        }
        bytes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let all = bytes.iter().map(|(_, size)| size).sum::<usize>() as f64;
        let share = |language: &str| {
            bytes.iter().find(|(l, _)| *l == language).map_or(0.0, |(_, size)| *size as f64 / all)
        };
        let list =
            || bytes.iter().map(|(l, size)| format!("{l} {:.2}", *size as f64 / all)).collect::<Vec<_>>();
        Told {
            found,
            share: found.filter(|_| all > 0.0).map(|found| share(found.language)),
            languages: (all > 0.0).then(|| list().join(" ")),
        }
    }

    fn judge(&self, found: Option<Found>) -> Verdict {
        let (reason, value) = match found {
            _ if self.languages.is_empty() => return Verdict::Kept,
            None => (Drop::Undetermined, 0.0),
            Some(f) if !self.languages.contains(&f.language) => (Drop::WrongLanguage, f.score),
            Some(f) if f.score < self.config.score_min => (Drop::LowScore, f.score),
            Some(_) => return Verdict::Kept,
        };
        Verdict::Dropped { reason: reason.name(), value, limit: self.config.score_min, twin: None }
    }
}

fn unknown(key: &str, code: &str) -> KeyError {
    let help = closest(code, codes::all().into_iter()).map_or_else(
        || "write an ISO 639-3 code such as `eng` or a 639-1 code such as `en`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    KeyError {
        key: key.into(),
        message: format!("`{code}` is not a language that can be told"),
        help: Some(help),
    }
}

/// The pieces of a text that its language is told by.
fn pieces(prose: &str) -> impl Iterator<Item = &str> {
    let [_, most] = PIECE_BYTES;
    let (mut at, mut count) = (0, 0);
    std::iter::from_fn(move || {
        if prose.len() > PIECES_MAX * most {
            at = (count < PIECES_MAX)
                .then(|| start(prose, count * (prose.len() - most) / (PIECES_MAX - 1)))?;
            count += 1;
        }
        let piece = piece(&prose[at..]);
        at += piece.len();
        (!piece.is_empty()).then_some(piece)
    })
}

/// Where a line begins behind a place, or else a word.
fn start(prose: &str, from: usize) -> usize {
    let from = prose.ceil_char_boundary(from);
    let window = &prose[from..prose.floor_char_boundary(from + PIECE_BYTES[1] / 2)];
    if from == 0 {
        0
    } else {
        window.find('\n').or_else(|| window.find(' ')).map_or(from, |at| from + at + 1)
    }
}

/// The piece that a text begins with: some lines, or the beginning of a long one.
fn piece(text: &str) -> &str {
    let [least, most] = PIECE_BYTES;
    let window = &text[..text.floor_char_boundary(most)];
    let line = window.as_bytes().iter().skip(least).position(|b| *b == b'\n').map(|at| least + at + 1);
    let end = match line {
        Some(end) => end,
        None if window.len() == text.len() => text.len(),
        None => window.rfind(' ').filter(|at| *at >= least).unwrap_or(window.len()),
    };
    &window[..end]
}

fn without_code(text: &str) -> Cow<'_, str> {
    let (head, tail) = text.split_at(text.floor_char_boundary(FENCES_BYTES));
    if !head.contains("```") && !head.contains("~~~") {
        return Cow::Borrowed(text);
    }
    let prose = stretches(head).into_iter().filter_map(|stretch| match stretch {
        Stretch::Prose(lines) => Some(lines),
        Stretch::Code(_) => None,
    });
    Cow::Owned(prose.chain([tail]).collect())
}

impl Stage for Language {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        let field = |name, kind| Field::new(name, kind, true);
        Ok(column::with(
            input,
            [
                field(column::LANGUAGE, DataType::Utf8),
                field(column::LANGUAGE_SCORE, DataType::Float64),
                field(column::LANGUAGE_SHARE, DataType::Float64),
                field(column::LANGUAGES, DataType::Utf8),
            ],
        ))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut scratch = Scratch::default();
        let told: Vec<Told> = texts.iter().map(|t| self.tell(t.unwrap_or_default(), &mut scratch)).collect();
        let labels: StringArray = told.iter().map(|t| t.found.map(|f| f.language)).collect();
        let scores: Float64Array = told.iter().map(|t| Some(t.found.map_or(0.0, |f| f.score))).collect();
        let shares: Float64Array = told.iter().map(|t| t.share).collect();
        let languages: StringArray = told.iter().map(|t| t.languages.as_deref()).collect();
        let (scores, shares): (ArrayRef, ArrayRef) = (Arc::new(scores), Arc::new(shares));
        let columns = vec![
            (column::LANGUAGE.to_owned(), Arc::new(labels) as ArrayRef),
            (column::LANGUAGE_SCORE.to_owned(), scores.clone()),
            (column::LANGUAGE_SHARE.to_owned(), shares.clone()),
            (column::LANGUAGES.to_owned(), Arc::new(languages)),
        ];
        let verdicts = told.iter().map(|t| self.judge(t.found)).collect();
        Ok(Outcome { verdicts, columns, signals: vec![("score", scores), ("share", shares)] })
    }

    fn limits(&self) -> &'static [&'static str] {
        &["score_min"]
    }

    /// Of documents in a language that is asked for.
    fn decide(&self, signals: &RecordBatch) -> Option<Vec<Verdict>> {
        let scores = signals.column_by_name("score")?.as_primitive_opt::<Float64Type>()?;
        let limit = self.config.score_min;
        let low = |value| Verdict::Dropped { reason: Drop::LowScore.name(), value, limit, twin: None };
        Some(
            scores
                .values()
                .iter()
                .map(|score| if *score < limit { low(*score) } else { Verdict::Kept })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::Value;

    const ENGLISH: &str =
        "The committee will meet on Thursday to discuss what should be done with the old library.";
    const GERMAN: &str =
        "Der Ausschuss trifft sich am Donnerstag, um über die Zukunft der alten Bücherei zu sprechen.";

    fn stage(languages: &[&str]) -> Language {
        let list = Value::from(languages.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>());
        Language::new(&Settings::new(vec![("languages".into(), list)])).unwrap()
    }

    #[test]
    fn only_languages_that_can_be_are_weighed() {
        let with = |pairs: &[(&str, &[&str])]| {
            let list =
                |codes: &[&str]| Value::from(codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
            let pairs = pairs.iter().map(|(key, codes)| ((*key).to_owned(), list(codes))).collect();
            Language::new(&Settings::new(pairs))
        };
        let told = |among: &[&str], text: &str| {
            let stage = with(&[("languages", &[]), ("among", among)]).unwrap();
            stage.tell(text, &mut Scratch::default()).found.map(|found| found.language)
        };
        // Norwegian and Danish words are nearly the same; Danish cannot be.
        let text = "Jeg har ikke set ham siden i går";
        assert_eq!([told(&[], text), told(&["nob", "deu"], text)], [Some("dan"), Some("nob")]);
        assert_eq!(told(&["jpn", "eng"], "東京都"), Some("jpn"));
        assert_eq!([told(&["eng"], "Привет, мир"), told(&["eng", "kor"], "東京都")], [None, None]);
        let refused = with(&[("languages", &["eng", "fra"]), ("among", &["eng", "xyzzy"])]).err().unwrap();
        assert_eq!(refused.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), ["among"]);
        let alone = with(&[("among", &["deu"])]).err().unwrap();
        assert!(alone[0].to_string().contains("`eng` of `languages`"), "{alone:?}");
    }

    fn check(languages: &[&str], text: &str, expected: Option<&str>, language: Option<&str>) {
        let stage = stage(languages);
        let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let batch = RecordBatch::try_from_iter([(column::TEXT, text)]).unwrap();
        let outcome = stage.apply(&batch).unwrap();
        let reason = match outcome.verdicts[0] {
            Verdict::Dropped { reason, .. } => Some(reason),
            _ => None,
        };
        assert_eq!(reason, expected, "{batch:?}");
        let kept = outcome.select(&batch, &stage.output(&batch.schema()).unwrap()).unwrap();
        if kept.num_rows() == 1 {
            let codes = column::utf8(&kept, column::LANGUAGE).unwrap();
            assert_eq!(codes.iter().next().unwrap(), language);
        }
    }

    #[test]
    fn languages_are_kept_and_dropped() {
        check(&["eng"], ENGLISH, None, Some("eng"));
        check(&["en", "deu"], GERMAN, None, Some("deu"));
        check(&["eng"], GERMAN, Some("wrong_language"), None);
        check(&["eng"], "12345 ...", Some("undetermined"), None);
        check(&["eng"], "", Some("undetermined"), None);
        check(&[], GERMAN, None, Some("deu"));
        check(&[], "", None, None);
    }

    #[test]
    fn code_does_not_speak() {
        let page = format!("{GERMAN}\n```\n{}\n```\n", ENGLISH.repeat(9));
        check(&["de"], &page, None, Some("deu"));
    }

    #[test]
    fn paragraphs_in_another_language_are_told() {
        let told = |text: &str| {
            let told = stage(&[]).tell(text, &mut Scratch::default());
            (told.found.map(|f| f.language), told.languages)
        };
        let text = format!("{GERMAN}\n\n{ENGLISH}\n\n{GERMAN}\n\n{GERMAN}\n");
        assert_eq!(told(&text), (Some("deu"), Some("deu 0.76 eng 0.24".into())));
        assert_eq!(told(ENGLISH), (Some("eng"), Some("eng 1.00".into())));
        assert_eq!(told("7"), (None, None));
    }

    #[test]
    fn long_texts_are_sampled_evenly() {
        let text = format!("{}{}{}", "ä".repeat(4000), "b".repeat(8000), "ü".repeat(4000));
        let pieces: Vec<&str> = pieces(&text).collect();
        assert!(pieces.len() == PIECES_MAX && pieces.iter().all(|p| (1..=PIECE_BYTES[1]).contains(&p.len())));
        assert!(["ä", "b", "ü"].iter().all(|c| pieces.iter().any(|p| p.starts_with(c))));
    }

    #[test]
    fn short_texts_are_read_whole() {
        for text in
            ["", "a", "a\nb", &"é".repeat(300), &"word ".repeat(400), &"a line of some words\n".repeat(90)]
        {
            assert_eq!(pieces(text).collect::<String>(), *text);
        }
    }

    #[test]
    fn every_short_code_leads_to_a_language_and_a_wrong_one_is_told() {
        for (short, long) in codes::SHORT {
            assert_eq!(codes::label(short), Some(*long));
        }
        assert!(codes::all().len() >= 75 && codes::all().is_sorted());
        let list = Value::from(vec!["eg".to_owned(), "dev".to_owned()]);
        let errors = Language::new(&Settings::new(vec![("languages".into(), list)])).err().unwrap();
        assert_eq!(errors.len(), 2);
        assert_eq!(
            errors[1].to_string(),
            "`languages`: `dev` is not a language that can be told; did you mean `deu`?"
        );
    }
}
