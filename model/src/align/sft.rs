//! Supervised fine-tuning: a model learns the answers of chats, and nothing of what was asked.
//!
//! It reads token shards with a mask of what is learned, as `tokenize.chat` and `pack.sequences` make them, in the order of a
//! training; documents of one row do not see each other.

use super::course::{self, Course, Lesson, Subject};
use super::{AlignReport, Common, Job};
use crate::architecture::Transformer;
use crate::batch::{Batch, Row};
use crate::data::{Dataset, Position, Share, Stream};
use crate::error::TrainError;
use crate::folder;
use crate::metrics::Measure;
use crate::progress::TrainEvent;
use crate::train::gradients;
use schemas::manifest;
use schemas::token::LOSS_MASK;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Sequences of one batch of held-out rows.
const BATCH: usize = 8;

/// Teaches the answers of a dataset.
///
/// # Errors
/// The dataset is damaged, was made with another tokenizer or is longer than the model's context; or those of a training.
pub fn sft(job: &Job<'_>, dataset: &Path) -> Result<AlignReport, TrainError> {
    let path = dataset.join(manifest::FILE);
    let dataset = Dataset::open(dataset)?;
    let tokenizer = course::hash_of(&job.base.join(manifest::TOKENIZER))?;
    let wrong = |message: String| TrainError::misplaced(&path, message);
    if dataset.tokens.tokenizer != tokenizer {
        let told = "the dataset was made with another tokenizer than the model's; give `tokenize.chat` the model's tokenizer.json";
        return Err(wrong(told.to_owned()));
    }
    // What documents begin with is what answers end with: the model learns it in this place.
    let model = course::base(job, dataset.tokens.eos_id)?;
    let (length, context) = (dataset.tokens.sequence_length, model.shape.context);
    if length > context as u64 {
        return Err(wrong(format!(
            "sequences of {length} tokens are longer than the model's context of {context}"
        )));
    }
    let chats = "a dataset of chats is built with `tokenize.chat` (`examples/chat.toml`)";
    let (all, mute) = (dataset.train.count(), without_answers(&dataset)?);
    let refused = |message: String| TrainError::misplaced(&path, format!("{message}; {chats}"));
    let Some(mute) = mute else {
        return Err(refused(format!("it has no `{LOSS_MASK}` that tells answers from the rest")));
    };
    if mute == all {
        return Err(refused(format!("none of its {all} training sequences holds a token of an answer")));
    }
    if mute > 0 {
        let message = format!(
            "{mute} of {all} training sequences hold no token of an answer and are left out, as where a chat is cut behind its question; longer sequences than {length} tokens keep more"
        );
        job.observer.event(TrainEvent::Note { message: &message });
    }
    let answering = all - mute;
    let common = &job.common.over_few(answering).rate_of(job.base);
    let job = &Job { common, ..*job };
    let subject = Subject {
        method: "sft",
        settings: BTreeMap::new(),
        rows: &dataset.name,
        position: dataset.begin(common.seed),
        steps: common.steps_over(answering),
        step_tokens: common.step_rows() * length,
    };
    let course = Course::open(job, model, subject)?;
    let lesson = |course: &Course<'_>| -> Result<Box<dyn Lesson>, TrainError> {
        let stream = dataset.stream(course.state.position, Share::ALL)?;
        Ok(Box::new(Answers { dataset: &dataset, stream, common }))
    };
    course::take(course, lesson, folder::save)
}

/// Training rows without a token that is learned; `None` where rows do not say what is learned.
fn without_answers(dataset: &Dataset) -> Result<Option<u64>, TrainError> {
    let mut mute = 0;
    for chunk in dataset.train.in_order(u64::MAX) {
        let chunk = chunk?;
        if chunk.iter().any(|row| row.mask.is_empty()) {
            return Ok(None);
        }
        mute += chunk.iter().filter(|row| !row.is_learned()).count() as u64;
    }
    Ok(Some(mute))
}

struct Answers<'a> {
    dataset: &'a Dataset,
    stream: Stream<'a>,
    common: &'a Common,
}

impl Answers<'_> {
    /// The next rows that have a token of an answer; there is one at least.
    fn answering(&mut self, count: u64) -> Result<Vec<Row>, TrainError> {
        let mut rows = Vec::new();
        while (rows.len() as u64) < count {
            let more = self.stream.take(count - rows.len() as u64)?;
            rows.extend(more.into_iter().filter(Row::is_learned));
        }
        Ok(rows)
    }
}

impl Lesson for Answers<'_> {
    fn step(&mut self, model: &Transformer<f32>, step: u64) -> Result<Vec<Measure>, TrainError> {
        let mut batches = Vec::new();
        for _ in 0..self.common.accumulate {
            let rows = self.answering(self.common.batch_rows())?;
            batches.push(Arc::new(Batch::new(&rows, self.dataset.tokens.eos_id)));
        }
        let targets: usize = batches.iter().map(|batch| batch.targets_count()).sum();
        let first = step * self.common.accumulate;
        let dropout = |micro| self.common.dropout_of(first + micro);
        let loss = gradients(model, &batches, 1.0 / targets.max(1) as f64, dropout)?;
        Ok(vec![("loss", loss)])
    }

    fn held_out(&mut self, model: &Transformer<f32>) -> Result<Vec<Measure>, TrainError> {
        let (mut nats, mut targets) = (0.0, 0);
        for chunk in self.dataset.validation.in_order(u64::MAX) {
            for rows in chunk?.chunks(BATCH) {
                let batch = Batch::new(rows, self.dataset.tokens.eos_id);
                nats += model.loss(&batch)?;
                targets += batch.targets_count();
            }
        }
        Ok(if targets == 0 { Vec::new() } else { vec![("loss", nats / targets as f64)] })
    }

    fn position(&self) -> Option<Position> {
        Some(self.stream.position())
    }
}
