//! Splits held against the tokenizers crate: every published pattern, characters of all planes, made-up text.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper};

const CL100K_POSSESSIVE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
const DEEPSEEK: [&str; 3] = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];

struct Pair {
    own: Splitter,
    reference: PreTokenizerWrapper,
}

/// The published splits, ours and those of the tokenizers crate.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let bytes = |regex| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let removed =
        json!({ "type": "Split", "pattern": { "Regex": CL100K }, "behavior": "Removed", "invert": true });
    let digits = |individual| json!({ "type": "Digits", "individual_digits": individual });
    let sequence = |steps: &[Value]| json!({ "type": "Sequence", "pretokenizers": steps });
    let mut all = vec![
        bytes(true),
        sequence(&[digits(true), bytes(true)]),
        sequence(&[digits(false), bytes(true)]),
        sequence(&[removed, bytes(false)]),
        sequence(&[split(DEEPSEEK[0]), split(DEEPSEEK[1]), split(DEEPSEEK[2]), bytes(false)]),
    ];
    all.extend(
        [CL100K, CL100K_POSSESSIVE, QWEN2, O200K, TEKKEN].map(|p| sequence(&[split(p), bytes(false)])),
    );
    let pair = |json: &Value| Pair {
        own: Splitter::read(json).expect("of the family"),
        reference: serde_json::from_value(json.clone()).expect("of the crate"),
    };
    all.iter().map(pair).collect()
});

fn check(text: &str) {
    for (Pair { own, reference }, number) in PAIRS.iter().zip(0..) {
        let mut split = PreTokenizedString::from(text);
        reference.pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let expected: Vec<u32> = splits.iter().map(|(_, (_, end), _)| *end as u32).collect();
        let mut ends = Vec::new();
        own.split(text.as_bytes(), &mut ends);
        assert_eq!(ends, expected, "{text:?} by split {number}");
    }
}

#[test]
fn every_published_split_is_that_of_the_tokenizers_crate() {
    for text in [
        "",
        " ",
        "  ",
        "a",
        " a",
        "  a",
        "a ",
        "\n\n a",
        "\ta",
        "\t\ta",
        "a\n b",
        "a \n  b",
        "\u{a0}a",
        "a\r\n\r\nb",
    ] {
        check(text);
    }
    check("we'll  go!\nI'D it'S they've can't y'all we'RE I'm 's' 'S 'l ' 're it'ſ 'K");
    check("HTTPServer camelCase ǅungla İstanbul ßaß Ǆ fooBar's X's ABC'll A'B x//\n/ y./\r\n");
    check("1 12 123 1234 12345 3½ Ⅳ ٣ x² 1a 1.5 １２３");
    check("naïve e\u{301} Ελληνικά 日本語、テスト 漢字12漢字 👩‍👩‍👧 שלום\u{200f} \u{3000}x\u{85}y\u{2028}z\0");
    check("    let x = y;\n\t\treturn -1; // ---\n\n\n}\n  ");
}

#[test]
fn characters_of_all_planes_are_split_alike() {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for part in all.chunks(1 << 7).step_by(83) {
        check(&part.iter().flat_map(|&c| [c, 'a', c, '1', c, ' ', c, c, '\'', c, 's']).collect::<String>());
    }
}

#[test]
fn a_pattern_that_is_not_of_the_family_is_left_alone() {
    for pattern in [r"a*?b", r"(?<=a)b", r"\bword\b", r"(a)\1", r"\w++\w", r"a*", r"(?=x)y", r"[a", r"(?:a|b"]
    {
        assert!(Automaton::new(pattern).is_none(), "{pattern}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_splits_alike(text in "([ -~]|[ \\n\\r\\t'/a-zA-Z0-9]|'(?i:s|ll|re|ſ)|\\p{M}|\\p{L}|\\p{N}|\\PC|\\s){0,60}") {
        check(&text);
    }
}
