//! The splits into pre-tokens that a tokenizer can be trained with.

use super::super::splitter::{self, CL100K, O200K, QWEN2};
use schemas::choice;
use serde_json::{Value, json};

choice! {
    /// How a text is split before pairs are counted; no token crosses a border.
    pub enum Split {
        /// Words with the space before them, numbers, signs (GPT-2).
        Gpt2 = "gpt2",
        /// Numbers in threes, signs with the line ends behind them (GPT-4, LLaMA 3).
        Cl100k = "cl100k",
        /// As `cl100k`, with borders before capitals and marks in words (GPT-4o).
        O200k = "o200k",
        /// As `cl100k`, each digit alone (Qwen 2).
        Qwen2 = "qwen2",
    }
}

impl Split {
    /// The names of all.
    pub const NAMES: [&'static str; 4] = ["gpt2", "cl100k", "o200k", "qwen2"];

    const fn pattern(self) -> Option<&'static str> {
        match self {
            // The pre-tokenizer `ByteLevel` has it built in, and so have we.
            Self::Gpt2 => None,
            Self::Cl100k => Some(CL100K),
            Self::O200k => Some(O200K),
            Self::Qwen2 => Some(QWEN2),
        }
    }

    /// The `pre_tokenizer` of a tokenizer.json.
    pub(in super::super) fn pre_tokenizer(self) -> Value {
        let byte_level = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
        let Some(pattern) = self.pattern() else { return byte_level(true) };
        let isolated = json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        json!({ "type": "Sequence", "pretokenizers": [isolated, byte_level(false)] })
    }

    /// Makes what splits.
    pub fn splitter(self) -> Splitter {
        Splitter(splitter::Splitter::read(&self.pre_tokenizer()).expect("the patterns are of the family"))
    }
}

/// Splits texts.
pub struct Splitter(splitter::Splitter);

impl Splitter {
    /// Tells the bytes of each pre-token, in order; `ends` is room for their ends.
    pub fn each(&self, text: &str, ends: &mut Vec<u32>, mut take: impl FnMut(usize, usize)) {
        ends.clear();
        self.0.split(text.as_bytes(), ends);
        let mut start = 0;
        for &end in ends.iter() {
            take(start, end as usize);
            start = end as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::ConfigValue as _;
    use tokenizers::pre_tokenizers::PreTokenizerWrapper;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

    #[test]
    fn pieces_are_those_of_the_pre_tokenizer_that_is_written() {
        let texts = [
            "",
            "a",
            "We'LL pay 12345 €!!\r\n\r\n  indented\t\tHTMLPage naïve ２３",
            "\n\n x\n",
            "日本語、テスト 12",
        ];
        for name in Split::NAMES {
            let split = Split::read(&schemas::Value::String(name.to_owned())).unwrap();
            let written: PreTokenizerWrapper = serde_json::from_value(split.pre_tokenizer()).unwrap();
            for text in texts {
                let mut reference = PreTokenizedString::from(text);
                written.pre_tokenize(&mut reference).unwrap();
                let splits = reference.get_splits(OffsetReferential::Original, OffsetType::Byte);
                let expected: Vec<(usize, usize)> = splits.iter().map(|(_, offsets, _)| *offsets).collect();
                let mut found = Vec::new();
                split.splitter().each(text, &mut Vec::new(), |start, end| found.push((start, end)));
                let expected: Vec<_> = expected.into_iter().filter(|(start, end)| start < end).collect();
                assert_eq!(found, expected, "{name}: {text:?}");
            }
        }
    }
}
