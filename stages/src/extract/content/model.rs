//! The weights of `extract.html`: three models of trees in one file.
//!
//! The file is a magic word and, for each model, its length (four bytes, little-endian) and its bytes.

use super::{AGAIN_WIDTH, PAGE, WIDTH, types::PageType};
use crate::text::trees::Trees;

/// The first bytes of a file.
const MAGIC: &[u8; 4] = b"GEX2";

/// The models.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// Whether a block is content, at the first look and at the second.
    pub(crate) first: Trees,
    pub(crate) second: Trees,
    /// Of the kind of the page.
    pub(crate) types: Trees,
}

impl Model {
    /// Reads a file; `None` where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut next = |width: usize| {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (model, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Trees::read(model).filter(|trees| trees.width() == width)
        };
        let (first, second) = (next(WIDTH)?, next(AGAIN_WIDTH)?);
        let types = next(PAGE + PageType::ALL.len())?;
        rest.is_empty().then_some(Self { first, second, types })
    }

    /// The bytes of a file.
    pub(crate) fn write(models: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for model in models {
            bytes.extend((model.len() as u32).to_le_bytes());
            bytes.extend_from_slice(model);
        }
        bytes
    }
}
