//! The two hashes of a file that a manifest tells.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Length and hashes of a file.
pub(crate) struct Digest {
    pub(crate) bytes: u64,
    /// Hexadecimal.
    pub(crate) blake3: String,
    /// Hexadecimal.
    pub(crate) sha256: String,
}

/// Reads a file to its end.
pub(crate) fn digest(file: &mut File) -> io::Result<Digest> {
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        blake3.update(&buffer[..read]);
        sha256.update(&buffer[..read]);
    }
    let sha256 = format!("{:x}", sha256.finalize());
    Ok(Digest { bytes, blake3: blake3.finalize().to_hex().to_string(), sha256 })
}
