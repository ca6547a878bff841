//! One feed: the rows of one split, or of one stream behind a barrier, through every stage down to the next barriers.
//!
//! A feed is a small tree of branches, one per node that its rows reach. Branches whose trace is there are done again from
//! it, in order; the work of the others runs on all threads, a wave of batches at a time, and is written in order.
//! A global that no row decides is passed like a stage; only where the rows before it are there already, it is a feed of its
//! own that reads these.

use super::error::RunError;
use super::rows::{RowsReader, RowsWriter, rows_of};
use super::run::Run;
use super::seal::Hand;
use super::trace::{Frame, TraceReader, TraceWriter};
use crate::dag::{Dag, conform};
use arrow::array::RecordBatch;
use rayon::prelude::*;
use schemas::{Event, Made, Outcome, column};

/// Where the rows of a feed enter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feed {
    pub(super) node: usize,
    pub(super) stream: usize,
}

/// One node that the rows of a feed reach.
struct Branch {
    node: usize,
    /// Branches that read it.
    children: Vec<usize>,
    trace: Trace,
    /// Whether its trace keeps the texts that came in: they are the source's own, and no other file has them.
    texts_before: bool,
    /// Where its rows go when a barrier or a sink reads them and they are not there yet.
    rows: Option<RowsWriter>,
}

enum Trace {
    There(Box<TraceReader>),
    Missing(Box<TraceWriter>),
    /// A source whose trace is there: its verdicts come with the rows again.
    Known,
}

/// What is to be written after a batch was worked on.
enum Effect {
    Trace(usize, Frame),
    Rows(usize, RecordBatch),
}

impl Feed {
    /// Whether anything behind the entry is missing.
    pub(super) fn is_missing(self, run: &Run<'_>) -> Result<bool, RunError> {
        let key = run.streams.of[self.node][self.stream].key;
        if !run.has_trace(key)?
            || (keeps_rows(run.dag, self.node) && !run.is_whole(&run.rows(self.node, self.stream))?)
        {
            return Ok(true);
        }
        for feed in self.readers(run)? {
            if feed.is_missing(run)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What its rows go on to. Rows that lie there are not made again for a global: they are read by a feed of its own.
    fn readers<'a>(self, run: &'a Run<'_>) -> Result<impl Iterator<Item = Self> + 'a, RunError> {
        let dag = run.dag;
        let lie_there = keeps_rows(dag, self.node) && run.is_whole(&run.rows(self.node, self.stream))?;
        let goes_on = move |n: &usize| {
            dag.nodes[*n].is_passed() && !(lie_there && matches!(dag.nodes[*n].made, Made::Global(_)))
        };
        let readers = dag.readers(self.node).filter(goes_on);
        Ok(readers
            .map(move |n| Self { node: n, stream: run.streams.reading(dag, n, self.node, self.stream) }))
    }
}

/// Whether a barrier or a sink reads the rows behind a node.
fn keeps_rows(dag: &Dag, node: usize) -> bool {
    dag.readers(node).any(|n| !dag.nodes[n].is_passed())
}

/// Whether the texts that come into a node are those of a source, and neither kept as rows nor made by a stage on the way.
fn has_source_texts(dag: &Dag, node: usize) -> bool {
    dag.nodes[node].is_passed()
        && dag.nodes[node].inputs.iter().any(|&input| {
            let has_text = dag.nodes[input].output.column_with_name(column::TEXT).is_some();
            let is_source = matches!(dag.nodes[input].made, Made::Source(_));
            has_text && !keeps_rows(dag, input) && (is_source || has_source_texts(dag, input))
        })
}

/// Runs a feed; tells of each (node, stream) whether it was worked on.
pub(super) fn run_feed(run: &Run<'_>, feed: Feed, wave: usize) -> Result<Vec<(Feed, bool)>, RunError> {
    let is_missing = feed.is_missing(run)?;
    let mut work = Work { run, branches: Vec::new(), feeds: Vec::new() };
    work.grow(feed)?;
    let done = |work: &Work<'_>| {
        let missing = |b: &Branch| matches!(b.trace, Trace::Missing(_));
        work.feeds.iter().copied().zip(work.branches.iter().map(missing)).collect()
    };
    let told = done(&work);
    if !is_missing {
        return Ok(told);
    }
    let node = &run.dag.nodes[feed.node];
    let mut batches = Batches::open(run, feed)?;
    loop {
        let mut pending = Vec::new();
        let mut ended = false;
        for _ in 0..wave {
            let Some((batch, outcome)) = batches.next(run, feed)? else {
                ended = true;
                break;
            };
            work.enter(batch, outcome, &mut pending)?;
        }
        let live = |(branch, batch): (usize, RecordBatch)| {
            let mut effects = Vec::new();
            work.evaluate(branch, &batch, &mut effects).map(|()| effects)
        };
        let results: Vec<Result<Vec<Effect>, RunError>> = pending.into_par_iter().map(live).collect();
        for effects in results {
            work.write(effects?)?;
        }
        if ended {
            break;
        }
    }
    refuse_change(run, feed)?;
    work.finish().map_err(|error| match error {
        RunError::Cache { path, message } => {
            RunError::Cache { path, message: format!("{}: {message}", node.name) }
        }
        other => other,
    })?;
    Ok(told)
}

/// The batches that enter a feed; those of a source with the word on each row.
enum Batches<'a> {
    Source(schemas::Intakes<'a>),
    Rows(Box<RowsReader>),
}

impl<'a> Batches<'a> {
    fn open(run: &'a Run<'_>, feed: Feed) -> Result<Self, RunError> {
        let node = &run.dag.nodes[feed.node];
        if let Made::Source(source) = &node.made {
            return Ok(Self::Source(source.read(run.split(feed)).map_err(RunError::source(&node.name))?));
        }
        Ok(Self::Rows(Box::new(rows_of(run, feed.node, feed.stream)?)))
    }

    fn next(
        &mut self,
        run: &Run<'_>,
        feed: Feed,
    ) -> Result<Option<(RecordBatch, Option<Outcome>)>, RunError> {
        let node = &run.dag.nodes[feed.node];
        match self {
            Self::Source(intakes) => {
                match intakes.next().transpose().map_err(RunError::source(&node.name))? {
                    Some(intake) => {
                        let outcome =
                            Outcome { verdicts: intake.verdicts, columns: Vec::new(), signals: Vec::new() };
                        Ok(Some((intake.batch, Some(outcome))))
                    }
                    None => Ok(None),
                }
            }
            Self::Rows(rows) => Ok(rows.next().transpose()?.map(|batch| (batch, None))),
        }
    }
}

/// Refuses a split whose files were written to since its content was hashed, before its rows get a name.
fn refuse_change(run: &Run<'_>, feed: Feed) -> Result<(), RunError> {
    let node = &run.dag.nodes[feed.node];
    let Made::Source(source) = &node.made else { return Ok(()) };
    let split = run.split(feed);
    let unchanged = source.stamp(split).and_then(|now| now.refuse_change(&split.stamp));
    unchanged.map_err(RunError::source(&node.name))
}

struct Work<'a> {
    run: &'a Run<'a>,
    branches: Vec<Branch>,
    /// Node and stream of each branch.
    feeds: Vec<Feed>,
}

impl Work<'_> {
    /// Adds the branch of `feed` and all behind it.
    fn grow(&mut self, feed: Feed) -> Result<usize, RunError> {
        let (dag, workdir) = (self.run.dag, &self.run.workdir);
        let key = self.run.streams.of[feed.node][feed.stream].key;
        let node = &dag.nodes[feed.node];
        let hand = Hand { node: feed.node, stream: feed.stream };
        let trace = match (self.run.has_trace(key)?, &node.made) {
            (true, Made::Source(_)) => Trace::Known,
            (true, _) => Trace::There(Box::new(TraceReader::open(workdir, key)?)),
            (false, _) => Trace::Missing(Box::new(TraceWriter::new(workdir, key, hand, self.run.codec))),
        };
        let path = self.run.rows(feed.node, feed.stream);
        let rows = match keeps_rows(dag, feed.node) && !self.run.is_whole(&path)? {
            true => Some(RowsWriter::create(&path, hand, self.run.codec, dag, feed.node)?),
            false => None,
        };
        let at = self.branches.len();
        let texts_before = has_source_texts(dag, feed.node);
        self.branches.push(Branch { node: feed.node, children: Vec::new(), trace, texts_before, rows });
        self.feeds.push(feed);
        for child in feed.readers(self.run)?.collect::<Vec<_>>() {
            let child = self.grow(child)?;
            self.branches[at].children.push(child);
        }
        Ok(at)
    }

    /// Takes a batch into the tree: through everything that is known, up to the branches that need work.
    fn enter(
        &mut self,
        batch: RecordBatch,
        outcome: Option<Outcome>,
        pending: &mut Vec<(usize, RecordBatch)>,
    ) -> Result<(), RunError> {
        match outcome {
            Some(outcome) => {
                let node = &self.run.dag.nodes[self.branches[0].node];
                if matches!(self.branches[0].trace, Trace::Missing(_)) {
                    let frame = Frame::encode(node, &batch, &outcome, false)?;
                    self.write(vec![Effect::Trace(0, frame)])?;
                }
                self.pass(0, &batch, &outcome, pending)
            }
            None => self.replay(0, batch, pending),
        }
    }

    fn replay(
        &mut self,
        at: usize,
        batch: RecordBatch,
        pending: &mut Vec<(usize, RecordBatch)>,
    ) -> Result<(), RunError> {
        let node = &self.run.dag.nodes[self.branches[at].node];
        match &mut self.branches[at].trace {
            Trace::There(reader) => {
                let outcome = reader.next_for(node, &batch)?;
                self.pass(at, &batch, &outcome, pending)
            }
            Trace::Missing(_) => {
                pending.push((at, batch));
                Ok(())
            }
            Trace::Known => unreachable!("only a source is known, and rows enter it with their outcome"),
        }
    }

    fn pass(
        &mut self,
        at: usize,
        batch: &RecordBatch,
        outcome: &Outcome,
        pending: &mut Vec<(usize, RecordBatch)>,
    ) -> Result<(), RunError> {
        let node = &self.run.dag.nodes[self.branches[at].node];
        let out = outcome.select(batch, &node.output).map_err(RunError::stage(&node.name))?;
        if out.num_rows() == 0 {
            return Ok(());
        }
        if let Some(rows) = &mut self.branches[at].rows {
            rows.write(&out)?;
        }
        for child in self.branches[at].children.clone() {
            let batch = self.given(child, &out)?;
            self.replay(child, batch, pending)?;
        }
        Ok(())
    }

    fn given(&self, child: usize, batch: &RecordBatch) -> Result<RecordBatch, RunError> {
        let node = &self.run.dag.nodes[self.branches[child].node];
        conform(batch.clone(), &node.input).map_err(|e| RunError::stage(&node.name)(e.into()))
    }

    /// Does the work of a branch and of all behind it.
    fn evaluate(&self, at: usize, batch: &RecordBatch, effects: &mut Vec<Effect>) -> Result<(), RunError> {
        let node = &self.run.dag.nodes[self.branches[at].node];
        let outcome = match &node.made {
            Made::Stage(stage) => stage.apply(batch),
            _ => self.run.settlement(self.branches[at].node)?.judge(batch),
        };
        let outcome = outcome.map_err(RunError::stage(&node.name))?;
        let out = outcome.select(batch, &node.output).map_err(RunError::stage(&node.name))?;
        let texts_before = self.branches[at].texts_before;
        effects.push(Effect::Trace(at, Frame::encode(node, batch, &outcome, texts_before)?));
        if out.num_rows() == 0 {
            return Ok(());
        }
        for &child in &self.branches[at].children {
            self.evaluate(child, &self.given(child, &out)?, effects)?;
        }
        if self.branches[at].rows.is_some() {
            effects.push(Effect::Rows(at, out));
        }
        Ok(())
    }

    fn write(&mut self, effects: Vec<Effect>) -> Result<(), RunError> {
        for effect in effects {
            match effect {
                Effect::Trace(at, frame) => {
                    let (rows, dropped) = (frame.counts.rows_in, frame.counts.dropped_rows());
                    let node = &self.run.dag.nodes[self.branches[at].node].name;
                    self.run.observer.event(Event::Rows { node, rows, dropped });
                    // A branch behind one whose trace is missing is worked on again even where its own is there.
                    if let Trace::Missing(writer) = &mut self.branches[at].trace {
                        writer.write(&frame)?;
                    }
                }
                Effect::Rows(at, batch) => {
                    if let Some(rows) = &mut self.branches[at].rows {
                        rows.write(&batch)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), RunError> {
        for branch in self.branches {
            if let Some(rows) = branch.rows {
                rows.finish()?;
            }
            if let Trace::Missing(writer) = branch.trace {
                writer.finish(self.run.dag.nodes[branch.node].spec)?;
            }
        }
        Ok(())
    }
}
