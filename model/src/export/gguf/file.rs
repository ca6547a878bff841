//! The container: GGUF version 3, little-endian.
//!
//! ```text
//! "GGUF" 3 tensors keys | key: name, type, value … | tensor: name, dimensions (fastest first), type, offset … | data
//! ```
//! The specification is `docs/gguf.md` of ggml. Data begin, and every tensor begins, at a multiple of [`ALIGNMENT`].

use half::f16;
use std::io::{self, Write};

/// Bytes; the format's default, so it is not written as a key.
const ALIGNMENT: u64 = 32;
/// Numbers that share a scale in `Q8_0`.
const BLOCK: usize = 32;

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

/// How a tensor's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits.
    F32,
    /// 16 bits up to 65,504.
    F16,
    /// 16 bits with the exponents of `f32`.
    Bf16,
    /// 32 numbers as bytes with one scale: `q8_0`.
    Q8,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8 => 8,
            Self::Bf16 => 30,
        }
    }

    const fn bytes(self, numbers: usize) -> usize {
        match self {
            Self::F32 => 4 * numbers,
            Self::F16 | Self::Bf16 => 2 * numbers,
            Self::Q8 => numbers / BLOCK * (BLOCK + 2),
        }
    }

    /// This kind, or the next better one that can hold rows of such a width.
    pub(super) const fn for_rows(self, width: usize) -> Self {
        match self {
            Self::Q8 if !width.is_multiple_of(BLOCK) => Self::F16,
            kind => kind,
        }
    }

    /// The kind of most tensors, as llama.cpp counts kinds of files.
    pub(super) const fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8 => 7,
            Self::Bf16 => 32,
        }
    }

    /// Its name in the name of a file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q8 => "Q8_0",
        }
    }
}

/// A tensor: shape as rows × columns, as a safetensors file has it.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) numbers: Vec<f32>,
}

/// Writes a file; keys and tensors in the order given.
///
/// # Errors
/// Those of `out`, and numbers that `F16` does not hold.
pub(super) fn write(out: &mut impl Write, keys: &[(String, Value)], tensors: &[Tensor]) -> io::Result<()> {
    let mut head = Vec::new();
    head.extend_from_slice(b"GGUF");
    head.extend_from_slice(&3_u32.to_le_bytes());
    head.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    head.extend_from_slice(&(keys.len() as u64).to_le_bytes());
    for (name, value) in keys {
        text(&mut head, name);
        put(&mut head, value);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        text(&mut head, &tensor.name);
        head.extend_from_slice(&u32::try_from(tensor.shape.len()).expect("few dimensions").to_le_bytes());
        tensor.shape.iter().rev().for_each(|n| head.extend_from_slice(&(*n as u64).to_le_bytes()));
        head.extend_from_slice(&tensor.kind.code().to_le_bytes());
        head.extend_from_slice(&offset.to_le_bytes());
        offset += (tensor.kind.bytes(tensor.numbers.len()) as u64).next_multiple_of(ALIGNMENT);
    }
    pad(&mut head);
    out.write_all(&head)?;
    for tensor in tensors {
        let mut bytes = encode(tensor.kind, &tensor.numbers);
        pad(&mut bytes);
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &Value) {
    let mut kind = |code: u32| out.extend_from_slice(&code.to_le_bytes());
    match value {
        Value::U32(n) => {
            kind(4);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Value::F32(x) => {
            kind(6);
            out.extend_from_slice(&x.to_le_bytes());
        }
        Value::Bool(b) => {
            kind(7);
            out.push(u8::from(*b));
        }
        Value::Text(words) => {
            kind(8);
            text(out, words);
        }
        Value::Texts(list) => {
            kind(9);
            kind(8);
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|words| text(out, words));
        }
        Value::I32s(list) => {
            kind(9);
            kind(5);
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        }
    }
}

fn encode(kind: Kind, numbers: &[f32]) -> Vec<u8> {
    match kind {
        Kind::F32 => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Kind::F16 => numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Kind::Bf16 => numbers.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
        Kind::Q8 => numbers.chunks_exact(BLOCK).flat_map(block).collect(),
    }
}

/// `Q8_0`: the greatest magnitude becomes 127.
fn block(numbers: &[f32]) -> [u8; BLOCK + 2] {
    let scale = numbers.iter().fold(0.0_f32, |top, x| top.max(x.abs())) / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let mut out = [0; BLOCK + 2];
    out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (out, x) in out[2..].iter_mut().zip(numbers) {
        *out = ((x * inverse).round() as i8).cast_unsigned();
    }
    out
}
