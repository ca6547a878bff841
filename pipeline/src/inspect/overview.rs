//! A dataset at a glance: what is in it and what became of the rows, node by node.

use super::{Dataset, Grid};
use schemas::manifest::{File, Node, Tokens};
use serde::Serialize;
use std::collections::BTreeMap;

/// A dataset at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Name in the recipe.
    pub name: String,
    /// Version of the program that built it.
    pub gristmill: String,
    /// Identity of the build.
    pub build: String,
    /// Files, rows and bytes by folder.
    pub folders: BTreeMap<String, Folder>,
    /// Every node in the order of the run.
    pub nodes: Vec<Node>,
    /// Token shards.
    pub tokens: Option<Tokens>,
}

/// A folder of the dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Reads the overview out of the manifest.
pub fn overview(dataset: &Dataset) -> Overview {
    let manifest = &dataset.manifest;
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for (name, File { bytes, rows, .. }) in &manifest.files {
        let folder = name.rsplit_once('/').map_or(name.as_str(), |(folder, _)| folder);
        let known = folders.entry(folder.to_owned()).or_default();
        known.files += 1;
        known.rows += rows.unwrap_or(0);
        known.bytes += bytes;
    }
    Overview {
        name: manifest.name.clone(),
        gristmill: manifest.gristmill.clone(),
        build: manifest.build.clone(),
        folders,
        nodes: manifest.nodes.clone(),
        tokens: manifest.tokens.clone(),
    }
}

impl Overview {
    /// One row a folder.
    pub fn folders_grid(&self) -> Grid {
        let mut grid = Grid::new(&["in the dataset", "files", "rows", "size"]);
        grid.rows.extend(self.folders.iter().map(|(name, f)| {
            let size = super::layout::bytes(f.bytes).into();
            vec![name.clone().into(), f.files.into(), f.rows.into(), size]
        }));
        grid.columns[3].kind = "Number".to_owned();
        grid
    }

    /// One row a node: the funnel.
    pub fn funnel_grid(&self) -> Grid {
        let mut grid = Grid::new(&["node", "in", "kept", "edited", "dropped", "reasons"]);
        grid.rows.extend(self.nodes.iter().map(|node| {
            let mut reasons: Vec<(&String, &u64)> = node.dropped.iter().collect();
            reasons.sort_by_key(|(name, rows)| (std::cmp::Reverse(**rows), *name));
            let told = reasons.iter().map(|(name, n)| format!("{name} {}", super::layout::thousands(**n)));
            let (dropped, told) = (node.dropped.values().sum::<u64>(), told.collect::<Vec<_>>().join(", "));
            let name = node.name.clone().into();
            vec![name, node.rows_in.into(), node.kept.into(), node.edited.into(), dropped.into(), told.into()]
        }));
        grid
    }
}
