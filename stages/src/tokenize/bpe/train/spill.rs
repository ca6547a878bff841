//! Counts that outgrow memory, on disk: sorted runs, merged by a heap into one.
//!
//! A run is a file of words in the order of their bytes: length in four bytes, count in eight, the word.

use super::count::Counts;
use schemas::StageError;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Most runs before they are merged into one: bounds open files and read buffers.
const RUNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// Runs in a folder of their own, which goes with them.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: PathBuf,
    runs: Vec<PathBuf>,
    made: usize,
}

impl Spill {
    /// Runs go into this folder, which is made when there is one.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), runs: Vec::new(), made: 0 }
    }

    /// How many runs were written.
    pub(crate) const fn runs(&self) -> usize {
        self.made
    }

    fn create(&mut self) -> Result<(PathBuf, BufWriter<File>), StageError> {
        fs::create_dir_all(&self.folder).map_err(StageError::io(&self.folder))?;
        let path = self.folder.join(format!("{:06}.run", self.made));
        self.made += 1;
        let file = File::create(&path).map_err(StageError::io(&path))?;
        Ok((path, BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    /// Writes a run.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn push(&mut self, counts: &Counts) -> Result<(), StageError> {
        if self.runs.len() >= RUNS_MAX {
            self.merge(|_, _| {})?;
        }
        let (path, mut run) = self.create()?;
        counts.each_sorted(|word, count| write(&mut run, word, count)).map_err(StageError::io(&path))?;
        run.flush().map_err(StageError::io(&path))?;
        self.runs.push(path);
        Ok(())
    }

    /// Merges all runs into one, and tells each word with all that it was counted.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn merge(&mut self, mut told: impl FnMut(&[u8], u64)) -> Result<(), StageError> {
        let (path, mut run) = self.create()?;
        let mut heads = BinaryHeap::new();
        for path in &self.runs {
            let mut head = Head::open(path).map_err(StageError::io(path))?;
            if head.advance().map_err(StageError::io(path))? {
                heads.push(Reverse(head));
            }
        }
        let (mut word, mut total) = (Vec::new(), 0);
        while let Some(mut first) = heads.peek_mut() {
            let head = &mut first.0;
            if head.word != word {
                if total > 0 {
                    told(&word, total);
                    write(&mut run, &word, total).map_err(StageError::io(&path))?;
                }
                word.clone_from(&head.word);
                total = 0;
            }
            total += head.count;
            if !head.advance().map_err(StageError::io(&path))? {
                PeekMut::pop(first);
            }
        }
        if total > 0 {
            told(&word, total);
            write(&mut run, &word, total).map_err(StageError::io(&path))?;
        }
        run.flush().map_err(StageError::io(&path))?;
        for old in std::mem::replace(&mut self.runs, vec![path]) {
            fs::remove_file(&old).map_err(StageError::io(&old))?;
        }
        Ok(())
    }

    /// Hands on each word of the runs, which [`Spill::merge`] made one.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn each(&self, take: &mut dyn FnMut(&[u8], u64)) -> Result<(), StageError> {
        for path in &self.runs {
            let mut head = Head::open(path).map_err(StageError::io(path))?;
            while head.advance().map_err(StageError::io(path))? {
                take(&head.word, head.count);
            }
        }
        Ok(())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if self.made > 0 {
            // What cannot be removed is no reason to lose what was made of it.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

fn write(run: &mut impl Write, word: &[u8], count: u64) -> io::Result<()> {
    run.write_all(&(word.len() as u32).to_le_bytes())?;
    run.write_all(&count.to_le_bytes())?;
    run.write_all(word)
}

/// The word that a run is at; words are compared before runs, and equal ones are equal.
struct Head {
    word: Vec<u8>,
    count: u64,
    file: BufReader<File>,
}

impl Head {
    fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        Ok(Self { word: Vec::new(), count: 0, file })
    }

    fn advance(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        match self.file.read_exact(&mut length[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        self.file.read_exact(&mut length[1..])?;
        let mut count = [0; 8];
        self.file.read_exact(&mut count)?;
        self.word.resize(u32::from_le_bytes(length) as usize, 0);
        self.file.read_exact(&mut self.word)?;
        self.count = u64::from_le_bytes(count);
        Ok(true)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.word.cmp(&other.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn any_cut_into_runs_merges_to_the_same_counts() {
        let folder = std::env::temp_dir().join(format!("gristmill-bpe-spill-{}", std::process::id()));
        let mut rng = schemas::hash::Rng::new(11);
        let words: Vec<String> = (0..3000).map(|_| format!("w{}", rng.below(400))).collect();
        let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        words.iter().for_each(|word| *expected.entry(word.clone().into_bytes()).or_default() += 1);
        // The shortest pieces make more runs than are merged at once.
        for piece in [3000, 500, 20] {
            let mut spill = Spill::new(&folder);
            for words in words.chunks(piece) {
                let mut counts = Counts::default();
                words.iter().for_each(|word| counts.add(word.as_bytes(), 0, word.len(), 1));
                spill.push(&counts).unwrap();
            }
            let mut told = BTreeMap::new();
            spill.merge(|word, count| assert!(told.insert(word.to_vec(), count).is_none())).unwrap();
            let mut found = BTreeMap::new();
            spill.each(&mut |word, count| assert!(found.insert(word.to_vec(), count).is_none())).unwrap();
            assert_eq!((&told, &found), (&expected, &expected), "pieces of {piece}");
            assert!(folder.exists() && spill.runs() > 3000 / piece);
            drop(spill);
            assert!(!folder.exists());
        }
    }
}
