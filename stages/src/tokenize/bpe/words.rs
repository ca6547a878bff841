//! Tokenizers that part words at white space before anything else: WordPiece as in BERT, Unigram as in T5.
//!
//! Their normalisers look at one character or one cluster at a time, and white space never becomes part of a token. So the
//! ids of a text are those of its words, and the tokenizers crate is asked once for each word that is new. A word whose
//! first or last character would join a space beside it is not cut off: its text is asked about whole.

use super::cache::Cache;
use super::view::View;
use serde_json::Value;
use tokenizers::Tokenizer;
use unicode_segmentation::UnicodeSegmentation as _;

/// The tokenizer, to be asked about single words.
pub(super) struct Words(Tokenizer);

/// Why a text was not encoded word by word.
enum Stop {
    Joined,
    Error(String),
}

impl Words {
    /// Reads a tokenizer.json; `None` where words are not known to be on their own.
    pub(super) fn read(json: &Value, tokenizer: &Tokenizer) -> Option<Self> {
        let kind = |json: &Value| json["type"].as_str().unwrap_or_default().to_owned();
        let (normaliser, splitter) = (&json["normalizer"], &json["pre_tokenizer"]);
        let steps = splitter["pretokenizers"].as_array().map_or(&[][..], Vec::as_slice);
        let fits = match (kind(normaliser).as_str(), kind(splitter).as_str(), steps) {
            ("BertNormalizer" | "", "BertPreTokenizer", _) => kind(&json["model"]) == "WordPiece",
            ("Precompiled" | "", "Sequence", [first, second]) => {
                kind(first) == "WhitespaceSplit"
                    && kind(second) == "Metaspace"
                    && second["prepend_scheme"].as_str().is_none_or(|scheme| scheme == "always")
                    && second["split"] != false
                    && kind(&json["model"]) == "Unigram"
            }
            _ => false,
        };
        // The name of an added token that holds a space would be cut.
        let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let whole =
            |token: &Value| token["content"].as_str().is_some_and(|name| !name.contains(char::is_whitespace));
        (fits && added.iter().all(whole)).then(|| Self(tokenizer.clone()))
    }

    /// Appends the ids of a text that holds no added token.
    ///
    /// # Errors
    /// What the tokenizers crate says, such as a model that has no token for unknown text.
    pub(super) fn encode(
        &self,
        text: &str,
        cache: &Cache,
        (view, ends): (&mut View, &mut Vec<u32>),
        out: &mut Vec<i32>,
    ) -> Result<(), String> {
        ends.clear();
        let bytes = text.as_bytes();
        // A word and the white space before it.
        let ends_here = |at: usize| is_space(bytes[at]) && at > 0 && !is_space(bytes[at - 1]);
        ends.extend((0..bytes.len()).filter(|&at| ends_here(at)).map(|at| at as u32));
        ends.extend((!bytes.is_empty()).then_some(bytes.len() as u32));
        let from = out.len();
        let done = view.encode(cache, (bytes, ends), out, |word, out| {
            let word = std::str::from_utf8(word).expect("cut beside white space");
            self.word(word.trim_start_matches([' ', '\n']), out)
        });
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Joined) => {
                out.truncate(from);
                self.ask(text, out)
            }
        }
    }

    fn word(&self, word: &str, out: &mut Vec<i32>) -> Result<(), Stop> {
        let alone = |text: String| text.graphemes(true).count() == 2;
        let first = word.chars().next().filter(|c| !c.is_ascii());
        let last = word.chars().next_back().filter(|c| !c.is_ascii());
        if first.is_some_and(|c| !alone(format!(" {c}"))) || last.is_some_and(|c| !alone(format!("{c} "))) {
            return Err(Stop::Joined);
        }
        self.ask(word, out).map_err(Stop::Error)
    }

    fn ask(&self, text: &str, out: &mut Vec<i32>) -> Result<(), String> {
        let encoding = self.0.encode_fast(text, false).map_err(|error| error.to_string())?;
        out.extend(encoding.get_ids().iter().map(|&id| id as i32));
        Ok(())
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n')
}
