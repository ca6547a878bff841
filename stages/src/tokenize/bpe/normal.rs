//! Unicode normalisation before splitting, done only where a text needs it.
//!
//! Nearly every line is in normal form already, which the quick check of Unicode tells. It uses newer tables than the
//! tokenizers crate: a character that the crate does not know yet may fail the check and is then left alone by the crate,
//! and the form of a character that both know never changes. A line begins anew: nothing composes with a line feed.

use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer as _, NormalizerWrapper};
use unicode_normalization::{IsNormalized, is_nfc_quick, is_nfkc_quick};

/// Bytes below this are of characters before U+0300, which are in form C and compose with nothing before them.
const COMPOSED_BYTE_MIN: u8 = 0xcc;

/// The `normalizer` of a byte-level tokenizer.
pub(super) enum Normal {
    None,
    Form { compatible: bool, normaliser: Box<NormalizerWrapper> },
}

impl Normal {
    /// Reads the `normalizer`; `None` where it is another one. `normaliser` is what the tokenizers crate made of it.
    pub(super) fn read(json: &Value, normaliser: Option<&NormalizerWrapper>) -> Option<Self> {
        let Some(normaliser) = normaliser else { return Some(Self::None) };
        let mut json = json;
        while json["type"] == "Sequence" {
            match json["normalizers"].as_array()?.as_slice() {
                [] => return Some(Self::None),
                [one] => json = one,
                _ => return None,
            }
        }
        let compatible = match json["type"].as_str()? {
            "NFC" => false,
            "NFKC" => true,
            _ => return None,
        };
        Some(Self::Form { compatible, normaliser: Box::new(normaliser.clone()) })
    }

    /// The text in normal form; `spare` holds it where it is another one.
    ///
    /// # Errors
    /// Those of the normaliser.
    pub(super) fn of<'a>(&self, text: &'a str, spare: &'a mut String) -> Result<&'a str, String> {
        let Self::Form { compatible, normaliser } = self else { return Ok(text) };
        // Form KC also changes characters below U+0300, such as the non-breaking space.
        let least = if *compatible { 0x80 } else { COMPOSED_BYTE_MIN };
        let normal = |text: &str| {
            text.bytes().all(|byte| byte < least)
                || (if *compatible { is_nfkc_quick(text.chars()) } else { is_nfc_quick(text.chars()) })
                    == IsNormalized::Yes
        };
        if normal(text) {
            return Ok(text);
        }
        spare.clear();
        for line in text.split_inclusive('\n') {
            if normal(line) {
                spare.push_str(line);
            } else {
                let mut line = NormalizedString::from(line);
                normaliser.normalize(&mut line).map_err(|error| error.to_string())?;
                spare.push_str(line.get());
            }
        }
        Ok(spare)
    }
}
