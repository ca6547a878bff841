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
        let hex: &[u8; 32] = hex.as_bytes().try_into().ok()?;
        let mut bytes = [0; 16];
        let mut all = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| VALUES[usize::from(digit)]);
            *byte = high << 4 | low & 0xf;
            all |= high | low;
        }
        (all <= 0xf).then(|| Self::from_bytes(bytes))
    }

    /// Its 32 digits.
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.to_bytes()) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
        }
        digits
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).expect("digits are ASCII"))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What a hexadecimal digit says; more than 15 where a byte is none.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        values[DIGITS[value as usize].to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

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
        let digits = "0123456789abcdef00fedcba98765432";
        assert_eq!(DocId::parse(digits).map(|id| id.to_string()).as_deref(), Some(digits));
        assert_eq!(DocId::parse(&digits.to_uppercase()), DocId::parse(digits));
        for bad in [
            "",
            "0123456789abcdef00fedcba9876543",
            "0123456789abcdef00fedcba9876543g",
            "0123456789abcdef00fedcba987654é",
        ] {
            assert_eq!(DocId::parse(bad), None, "{bad}");
        }
    }
}
