//! The identity of a document.

use std::fmt;

/// blake3-128 of where a document came from: source identity and position in it, or URL and fetch time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocId(u128);

impl DocId {
    /// Hashes the identity of the source and the position of the record in it.
    ///
    /// The length of `source` is hashed too, so that no two pairs share bytes.
    pub fn new(source: &str, position: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(source.len() as u64).to_le_bytes());
        hasher.update(source.as_bytes());
        hasher.update(position.as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// Bytes that sort as the id does.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of those bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Reads 32 hexadecimal digits; anything else is `None`.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(hex, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_depends_on_both_parts() {
        let id = DocId::new("a.jsonl", "0");
        assert_eq!(DocId::parse(&id.to_string()), Some(id));
        assert_ne!(id, DocId::new("a.jsonl", "1"));
        assert_ne!(DocId::new("ab", "c"), DocId::new("a", "bc"));
        assert_eq!(DocId::parse("+0000000000000000000000000000001"), None);
    }
}
