//! Streams: what flows through each node, with its key, known before anything runs.

use super::Workdir;
use super::error::RunError;
use crate::dag::{Dag, Hash};
use schemas::{Context, Made, Observer, SourceError, Split};
use std::path::{Path, PathBuf};

/// The rows of one split in one node.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// Node and stream that it comes from; `None` in a source.
    pub(super) from: Option<(usize, usize)>,
    /// Hash of everything that the rows behind the node depend on.
    pub(super) key: Hash,
    /// Position of the split in its source; only in a source.
    pub(super) split: usize,
}

/// All streams of a run.
pub(super) struct Streams {
    /// Streams of each node, in the order of the dataset.
    pub(super) of: Vec<Vec<Stream>>,
    /// Splits of each source; empty for other nodes.
    pub(super) splits: Vec<Vec<Split>>,
    /// Sources whose splits are not known before a run has prepared them.
    pub(super) pending: Vec<(usize, SourceError)>,
    /// For a node that must see all rows: hash of itself and of all that comes in.
    pub(super) settlement: Vec<Option<Hash>>,
}

impl Streams {
    pub(super) fn list(
        dag: &Dag,
        workdir: &Workdir,
        base: &Path,
        observer: &dyn Observer,
    ) -> Result<Self, RunError> {
        let mut streams =
            Self { of: Vec::new(), splits: Vec::new(), settlement: Vec::new(), pending: Vec::new() };
        for node in &dag.nodes {
            let mut splits = Vec::new();
            let mut settlement = None;
            let mut of: Vec<Stream> = Vec::new();
            if let Made::Source(source) = &node.made {
                let archive = workdir.archive(&node.name);
                let context = Context { base, archive: &archive, observer };
                splits = match source.splits(&context) {
                    Err(error @ SourceError::Pending(_)) => {
                        streams.pending.push((streams.of.len(), error));
                        Vec::new()
                    }
                    known => known.map_err(RunError::source(&node.name))?,
                };
                let key = |s: &Split| Hash::of(&[&node.hash.0, s.name.as_bytes(), &s.content]);
                of.extend(splits.iter().enumerate().map(|(n, s)| Stream {
                    from: None,
                    key: key(s),
                    split: n,
                }));
            } else {
                let inputs =
                    || node.inputs.iter().flat_map(|&n| (0..streams.of[n].len()).map(move |s| (n, s)));
                let key_of = |(n, s): (usize, usize)| streams.of[n][s].key;
                let mut hash = node.hash;
                if matches!(node.made, Made::Global(_) | Made::Regroup(_)) {
                    let keys: Vec<[u8; 32]> = inputs().map(|i| key_of(i).0).collect();
                    let parts: Vec<&[u8]> =
                        std::iter::once(&hash.0).chain(&keys).map(|k| k.as_slice()).collect();
                    hash = Hash::of(&parts);
                    settlement = Some(hash);
                }
                let key = |from| Hash::of(&[&hash.0, &key_of(from).0]);
                of = inputs().map(|from| Stream { from: Some(from), key: key(from), split: 0 }).collect();
            }
            streams.of.push(of);
            streams.splits.push(splits);
            streams.settlement.push(settlement);
        }
        Ok(streams)
    }

    /// The stream of `reader` that reads stream (`node`, `stream`): a reader has its inputs one behind the other.
    pub(super) fn reading(&self, dag: &Dag, reader: usize, node: usize, stream: usize) -> usize {
        let before = dag.nodes[reader].inputs.iter().take_while(|&&input| input != node);
        before.map(|&input| self.of[input].len()).sum::<usize>() + stream
    }

    /// Bytes of all splits, compressed where their files are.
    pub(super) fn input_bytes(&self) -> u64 {
        self.splits.iter().flatten().map(|split| split.end - split.start).sum()
    }

    /// Hash of the whole build: nodes, names and all that flows.
    pub(super) fn build_key(&self, dag: &Dag) -> Hash {
        let mut parts: Vec<Vec<u8>> = vec![dag.name.clone().into(), env!("CARGO_PKG_VERSION").into()];
        for (node, streams) in dag.nodes.iter().zip(&self.of) {
            parts.push(node.name.clone().into());
            parts.push(node.folder.clone().into());
            parts.push(node.hash.0.to_vec());
            parts.extend(streams.iter().map(|s| s.key.0.to_vec()));
        }
        Hash::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

impl Workdir {
    /// What a node did to a stream: one row per row.
    pub(super) fn trace(&self, key: Hash) -> PathBuf {
        self.cache("trace", key)
    }

    /// The columns that a node changed, and the texts that it dropped, row by row with the trace.
    pub(super) fn changes(&self, key: Hash) -> PathBuf {
        self.cache("changes", key)
    }

    /// The rows behind a node, kept before a barrier or a sink.
    pub(super) fn rows(&self, key: Hash) -> PathBuf {
        self.cache("rows", key)
    }

    /// What a global node was reduced to.
    pub(super) fn settled(&self, key: Hash) -> PathBuf {
        self.cache("settled", key)
    }
}

/// The name of a stream in a report.
pub(super) struct Name(String);

/// Reads the name of a stream; `None` when it is not one.
pub(super) fn parse_key(name: &str) -> Option<Name> {
    let digits = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| Name(name.to_owned()))
}

impl Name {
    /// Its trace, its changes and its rows; not each is there.
    pub(super) fn files(&self, workdir: &Workdir) -> [PathBuf; 3] {
        ["trace", "changes", "rows"].map(|folder| workdir.named(folder, &self.0))
    }
}
