//! Reads the texts that a kind learns from: a file, or every file of a folder and of the folders in it, by name.
//!
//! `.jsonl` and `.jsonl.gz` are rows with `text`; any other file is one text, unpacked if it ends in `.gz`.

use serde::Deserialize;
use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes that a file may unpack to.
const BYTES_MAX: u64 = 4 << 30;

/// What is read of a row.
#[derive(Debug, Deserialize)]
pub struct Row<'a> {
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// What the row says of itself, if that is a word.
    #[serde(borrow, default)]
    pub label: Option<&'a serde_json::value::RawValue>,
}

/// The text of a file, unpacked if its bytes are those of gzip; `most` bytes of it.
///
/// # Errors
/// It is broken, or not UTF-8.
pub fn unpack(bytes: &[u8], most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).take(most).read_to_string(&mut text)?;
    } else {
        bytes.take(most).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// The files of a folder whose names have one of these endings, by name.
///
/// # Errors
/// The folder, and why it cannot be read.
pub fn listed(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(wrong)?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    paths.retain(|path| endings.iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    Ok(paths)
}

/// Calls `each` with the rows below a path, in order.
///
/// # Errors
/// The file, the line, and what is wrong with it.
pub fn texts(path: &Path, each: &mut dyn FnMut(Row<'_>)) -> Result<(), String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(wrong)?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>().map_err(wrong)?;
        paths.sort();
        return paths.iter().try_for_each(|path| texts(path, each));
    }
    let name = path.to_string_lossy();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut reader: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    reader.by_ref().take(BYTES_MAX).read_to_end(&mut bytes).map_err(wrong)?;
    if !name.trim_end_matches(".gz").ends_with(".jsonl") {
        if bytes.contains(&0) {
            return Err(format!("{name}: is no text; give texts or JSON lines (.jsonl, .jsonl.gz)"));
        }
        // Of a text that is not UTF-8 the words that are can be learned from.
        each(Row { text: String::from_utf8_lossy(&bytes), label: None });
        return Ok(());
    }
    for (number, line) in
        bytes.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty())
    {
        let row =
            serde_json::from_slice(line).map_err(|e| format!("{}:{}: {e}", path.display(), number + 1))?;
        each(row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    #[test]
    fn files_of_all_forms_are_read_in_order() {
        let folder = std::env::temp_dir().join(format!("gristmill-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("b")).unwrap();
        fs::write(
            folder.join("a.jsonl"),
            "{\"text\":\"one\",\"label\":\"en\"}\n\n{\"text\":\"t\\\"wo\",\"x\":1}\n",
        )
        .unwrap();
        fs::write(folder.join("b/c"), b"three \xff").unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"four").unwrap();
        fs::write(folder.join("d.txt.gz"), packed.finish().unwrap()).unwrap();
        let mut found = Vec::new();
        texts(&folder, &mut |row| {
            found.push(format!("{} {:?}", row.text, row.label.map(|l| l.get().to_owned())))
        })
        .unwrap();
        assert_eq!(found, ["one Some(\"\\\"en\\\"\")", "t\"wo None", "three \u{fffd} None", "four None"]);
        fs::write(folder.join("a.jsonl"), "{\"text\":\"one\"}\n{}").unwrap();
        let told = texts(&folder, &mut |_| ()).unwrap_err();
        assert!(told.contains("a.jsonl:2: missing field `text`"), "{told}");
        fs::remove_dir_all(&folder).unwrap();
        assert!(texts(&folder, &mut |_| ()).is_err());
    }
}
