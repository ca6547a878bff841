//! What each token id of a `tokenizer.json` stands for, as bytes.
//!
//! Reads the format of the `tokenizers` library for its BPE, WordPiece, Unigram and WordLevel models. Byte-level models
//! write each byte as a printable character (GPT-2, `bytes_to_unicode`); Metaspace models write a space as `▁`; a piece
//! `<0x0A>` is a byte alone. One token may be part of a character, so a piece is bytes and not text.

use super::InspectError;
use schemas::hash::FastMap;
use serde_json::Value as Json;
use std::path::Path;

/// The pieces of a tokenizer.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    pieces: FastMap<u32, Vec<u8>>,
}

impl Vocabulary {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// The file cannot be read or has no vocabulary.
    pub fn read(path: &Path) -> Result<Self, InspectError> {
        let bytes = std::fs::read(path).map_err(InspectError::io(path))?;
        let help = "it should be the tokenizer.json of the `tokenizers` library";
        let json: Json = serde_json::from_slice(&bytes)
            .map_err(|error| InspectError::format(path, format!("is no tokenizer: {error}"), help))?;
        Self::parse(&json).ok_or_else(|| InspectError::format(path, "has no `model.vocab`", help))
    }

    fn parse(json: &Json) -> Option<Self> {
        let byte_level =
            mentions(&json["decoder"], "ByteLevel") || mentions(&json["pre_tokenizer"], "ByteLevel");
        let bytes_of = byte_table();
        let decode = |piece: &str| {
            if byte_level { level_bytes(piece, &bytes_of) } else { piece_bytes(piece) }
        };
        let mut pieces = FastMap::default();
        match json.get("model")?.get("vocab")? {
            Json::Object(vocab) => pieces.extend(
                vocab
                    .iter()
                    .filter_map(|(piece, id)| Some((u32::try_from(id.as_u64()?).ok()?, decode(piece)))),
            ),
            Json::Array(vocab) => {
                let texts = vocab.iter().map(|entry| entry[0].as_str().unwrap_or_default());
                pieces.extend((0..).zip(texts.map(decode)));
            }
            _ => return None,
        }
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            if let (Some(id), Some(content)) = (added["id"].as_u64(), added["content"].as_str()) {
                pieces.insert(u32::try_from(id).ok()?, content.as_bytes().to_vec());
            }
        }
        Some(Self { pieces })
    }

    /// The bytes of a token; `None` for an id that the tokenizer does not have.
    pub fn piece(&self, id: u32) -> Option<&[u8]> {
        self.pieces.get(&id).map(Vec::as_slice)
    }
}

/// Whether a component, or one of the components of a sequence, has the type.
fn mentions(component: &Json, kind: &str) -> bool {
    let parts =
        ["decoders", "pretokenizers"].into_iter().filter_map(|key| component[key].as_array()).flatten();
    component["type"] == kind || parts.into_iter().any(|part| part["type"] == kind)
}

/// The bytes that GPT-2 writes as characters: printable Latin-1 as itself, the other 68 from U+0100 up.
fn byte_table() -> FastMap<char, u8> {
    let mut table = FastMap::default();
    let mut next = 0x100;
    for byte in 0..=u8::MAX {
        let own = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let code = if own { u32::from(byte) } else { next };
        next += u32::from(!own);
        table.insert(char::from_u32(code).expect("below U+0144 every code is a character"), byte);
    }
    table
}

fn level_bytes(piece: &str, table: &FastMap<char, u8>) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = piece.chars().map(|c| table.get(&c).copied()).collect();
    bytes.unwrap_or_else(|| piece.as_bytes().to_vec())
}

fn piece_bytes(piece: &str) -> Vec<u8> {
    let hex = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match hex.filter(|h| h.len() == 2).and_then(|h| u8::from_str_radix(h, 16).ok()) {
        Some(byte) => vec![byte],
        None => piece.replace('▁', " ").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(tokenizer: &Json, id: u32, expected: Option<&[u8]>) {
        assert_eq!(Vocabulary::parse(tokenizer).unwrap().piece(id), expected, "{id}");
    }

    #[test]
    fn pieces_are_bytes() {
        let bpe = json!({ "decoder": { "type": "ByteLevel" }, "added_tokens": [{ "id": 3, "content": "<|end|>" }],
            "model": { "vocab": { "Ġthe": 0, "Ċ": 1, "Ã©": 2 } } });
        check(&bpe, 0, Some(b" the"));
        check(&bpe, 1, Some(b"\n"));
        check(&bpe, 2, Some("é".as_bytes()));
        check(&bpe, 3, Some(b"<|end|>"));
        check(&bpe, 4, None);
        let unigram = json!({ "model": { "vocab": [["<unk>", 0.0], ["▁a", -1.5], ["<0xE2>", -2.0]] } });
        check(&unigram, 1, Some(b" a"));
        check(&unigram, 2, Some(&[0xe2]));
    }

    #[test]
    fn every_byte_has_a_character() {
        let mut bytes: Vec<u8> = byte_table().into_values().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
    }
}
