//! Group-relative policy optimisation (arXiv 2402.03300): answers that earn more than others to the same prompt become likelier.
//!
//! ```text
//! A = (r − mean r) ÷ (std r + 1e−4) over the group of a prompt;   ρ = π ÷ π_old of a token
//! L = −mean over answers, then tokens, of  min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A) − κ·(π₀/π − log(π₀/π) − 1)
//! ```
//! π₀ is the model before the first step, π_old that which gave the answers; with one update a round they are drawn from
//! the very model that learns, and ρ is 1. Answers are drawn at temperature 1 from all tokens, as π says. A group whose answers
//! all earn the same teaches nothing.

use super::course::{self, Course, Lesson, Subject, rows_of_step};
use super::packed::{Packed, Sequence};
use super::rollout::Asking;
use super::rules::{Answer, Judge, Rules};
use super::{AlignReport, Common, Job, Rows, Task, check_lengths, check_some};
use crate::architecture::Transformer;
use crate::data::Position;
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::folder;
use crate::generate::Sampling;
use crate::metrics::Measure;
use schemas::hash::seed;
use schemas::{Config as _, config, manifest};
use std::path::Path;
use tokenizers::Tokenizer;

config! {
    /// Settings of group-relative policy optimisation.
    pub struct Grpo {
        /// Answers to each prompt.
        group: u64 = 8, in 2..=4096;
        /// Most tokens of an answer.
        tokens_max: u64 = 64, in 1..=1_000_000;
        /// How far the probability of a token may move from that of the model that gave the answer and still be rewarded.
        clip_ratio: f64 = 0.2, in 0.0..=1.0;
        /// Weight of the divergence from the model before the first step; 0 leaves it out.
        kl: f64 = 0.04, in 0.0..=100.0;
        /// Optimizer steps on the answers of one round.
        updates: u64 = 1, in 1..=1000;
    }
}

/// Keeps the advantage of a group of equal rewards at 0.
const SPREAD_MIN: f64 = 1e-4;

/// Teaches by rewards. `reward_model` is the folder whose number the rules may weigh.
///
/// # Errors
/// Rows that do not fit the model or the rules, and those of a training.
pub fn grpo(
    job: &Job<'_>,
    rows: &Rows<Task>,
    settings: &Grpo,
    rules: &Rules,
    reward_model: Option<&Path>,
) -> Result<AlignReport, TrainError> {
    let model = course::base(job, rows.end)?;
    let judge = Judge::new(rules, reward_model)?;
    check_some(&rows.name, rows.train.len())?;
    if job.common.dropout > 0.0 {
        let message = "`dropout` has to be 0 for grpo: answers are drawn without it, and a model with it is not the one that drew them";
        return Err(TrainError::Config { message: message.to_owned() });
    }
    // The token before a text and one of the answer are places too.
    let lengths = rows.train.iter().chain(&rows.held_out).map(|task| (task.line, task.prompt.len() + 2));
    check_lengths(&model, &rows.name, lengths)?;
    rows.train.iter().chain(&rows.held_out).try_for_each(|task| judge.check(&rows.name, task))?;
    let longest = rows.train.iter().chain(&rows.held_out).map(|task| task.prompt.len()).max().unwrap_or(0);
    judge.check_model(job.base, (longest, settings.tokens_max, model.shape.context))?;
    let common = job.common;
    let (tokenizer, vocab) = open_tokenizer(&job.base.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
    let rounds = common.steps_over(rows.train.len() as u64);
    let mut table = settings.table();
    table.extend(rules.table());
    if let Some(folder) = reward_model {
        table.insert("reward_model_tensors".into(), course::hash_of(&folder.join(folder::TENSORS))?);
    }
    let subject = Subject {
        method: "grpo",
        settings: table,
        rows: &rows.name,
        position: Position { dataset: rows.hash, seed: common.seed, epoch: 0, sample: 0 },
        steps: if common.steps == 0 { rounds * settings.updates } else { rounds },
        step_tokens: common.step_rows() * settings.group * settings.tokens_max,
    };
    // Adapters leave the tensors of the model as they are; where all of them learn, a second model keeps them.
    let reference = match (settings.kl > 0.0, common.lora_rank > 0) {
        (false, _) => None,
        (true, true) => Some(model.share()),
        (true, false) => Some(course::base(job, rows.end)?),
    };
    let course = Course::open(job, model, subject)?;
    let lesson = |_: &Course<'_>| -> Result<Box<dyn Lesson>, TrainError> {
        let round = Vec::new();
        Ok(Box::new(Policy {
            rows,
            settings,
            common,
            judge,
            tokenizer,
            vocab: vocab as usize,
            reference,
            round,
        }))
    };
    course::take(course, lesson, folder::save)
}

/// An answer that was given, and what it earned beside the others of its group.
struct Sampled {
    /// Number of the task.
    task: usize,
    ids: Vec<u32>,
    advantage: f64,
    /// log π_old of its tokens; empty where it is π itself.
    old: Vec<f64>,
    /// log π₀ of its tokens; empty without divergence.
    first: Vec<f64>,
}

struct Policy<'a> {
    rows: &'a Rows<Task>,
    settings: &'a Grpo,
    common: &'a Common,
    judge: Judge,
    tokenizer: Tokenizer,
    /// Its ids are below this.
    vocab: usize,
    reference: Option<Transformer<f32>>,
    round: Vec<Sampled>,
}

/// Sums over what a round gave.
#[derive(Default)]
struct Earned {
    reward: f64,
    tokens: f64,
    ended: f64,
    answers: f64,
}

impl Earned {
    fn add(&mut self, reward: f64, ids: &[u32], ended: bool) {
        self.reward += reward;
        self.tokens += ids.len() as f64;
        self.ended += f64::from(u8::from(ended));
        self.answers += 1.0;
    }

    fn measures(&self) -> [Measure; 3] {
        let mean = |sum: f64| sum / self.answers.max(1.0);
        [("reward", mean(self.reward)), ("answer_tokens", mean(self.tokens)), ("ended", mean(self.ended))]
    }
}

/// The text of an answer, and whether it ended.
pub(super) fn read_answer<'a>(
    tokenizer: &Tokenizer,
    task: &'a Task,
    ids: &'a [u32],
    ends: [u32; 2],
) -> Result<Answer<'a>, TrainError> {
    let ended = ids.last().is_some_and(|id| ends.contains(id));
    let words = &ids[..ids.len() - usize::from(ended)];
    let text = tokenizer.decode(words, true).map_err(|error| TrainError::Tokenizer(error.to_string()))?;
    Ok(Answer { task, ids, text, ended })
}

/// Advantages of a group: 0 on average, 1 in spread.
fn advantages(rewards: &[f64]) -> Vec<f64> {
    let count = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / count;
    let spread = (rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / count).sqrt();
    rewards.iter().map(|reward| (reward - mean) / (spread + SPREAD_MIN)).collect()
}

impl Policy<'_> {
    fn asking(&self) -> (usize, usize) {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        (size(self.settings.group), self.vocab)
    }

    /// Draws the answers of a round and judges them.
    fn draw(&mut self, model: &Transformer<f32>, tasks: &[usize], round: u64) -> Result<Earned, TrainError> {
        let (group, vocab) = self.asking();
        let sampling = Sampling {
            tokens_max: self.settings.tokens_max,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: seed(self.common.seed, "round", round),
            ..Sampling::default()
        };
        let asking = Asking { answers: group, sampling: &sampling, end: self.rows.end, vocab };
        let prompts: Vec<&[u32]> = tasks.iter().map(|&at| &self.rows.train[at].prompt[..]).collect();
        let given = asking.ask(model, &prompts)?;
        let (mut earned, mut sampled) = (Earned::default(), Vec::new());
        for (&task, given) in tasks.iter().zip(given) {
            let ends = [self.rows.end, model.shape.eos];
            let read = |ids| read_answer(&self.tokenizer, &self.rows.train[task], ids, ends);
            let answers = given.iter().map(|ids| read(ids)).collect::<Result<Vec<_>, _>>()?;
            let rewards = self.judge.judge(&answers)?;
            for (answer, reward) in answers.iter().zip(&rewards) {
                earned.add(*reward, answer.ids, answer.ended);
            }
            for (ids, advantage) in given.into_iter().zip(advantages(&rewards)) {
                sampled.push(Sampled { task, ids, advantage, old: vec![], first: vec![] });
            }
        }
        self.round = sampled;
        Ok(earned)
    }

    /// The sampled answers with their prompts.
    fn texts<'a>(&'a self, sampled: &'a [Sampled]) -> Vec<Sequence<'a>> {
        let text =
            |one: &'a Sampled| Sequence { prompt: &self.rows.train[one.task].prompt, answer: &one.ids };
        sampled.iter().map(text).collect()
    }

    /// log-probabilities of all answers of the round.
    fn scores(&self, model: &Transformer<f32>, chunk: usize) -> Result<Vec<Vec<f64>>, TrainError> {
        let mut found = Vec::with_capacity(self.round.len());
        for sampled in self.round.chunks(chunk) {
            found.extend(Packed::new(&self.texts(sampled), model.shape.eos).log_probabilities(model)?);
        }
        Ok(found)
    }
}

/// Loss of a token and its derivative by log π; and whether it was clipped, and its divergence.
fn token(settings: &Grpo, advantage: f64, now: f64, old: f64, first: Option<f64>) -> (f64, f64, bool, f64) {
    let ratio = (now - old).exp();
    let free = ratio * advantage;
    let held = ratio.clamp(1.0 - settings.clip_ratio, 1.0 + settings.clip_ratio) * advantage;
    let clipped = held < free;
    let (mut loss, mut by) = if clipped { (-held, 0.0) } else { (-free, -free) };
    let mut divergence = 0.0;
    if let Some(first) = first {
        divergence = (first - now).exp() - (first - now) - 1.0;
        loss += settings.kl * divergence;
        by += settings.kl * (1.0 - (first - now).exp());
    }
    (loss, by, clipped, divergence)
}

impl Lesson for Policy<'_> {
    fn step(&mut self, model: &Transformer<f32>, step: u64) -> Result<Vec<Measure>, TrainError> {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let round = step / self.settings.updates;
        let chunk = size(self.common.batch_rows().saturating_mul(self.settings.group));
        let mut measured = Vec::new();
        if !self.may_stop_before(step) && self.round.is_empty() {
            let message = format!("step {step} is inside a round of {} updates", self.settings.updates);
            return Err(TrainError::Config { message });
        }
        if self.may_stop_before(step) {
            let tasks =
                rows_of_step(self.rows.train.len(), size(self.common.step_rows()), round, self.common.seed);
            measured.extend(self.draw(model, &tasks, round)?.measures());
            if self.settings.updates > 1 {
                let old = self.scores(model, chunk)?;
                self.round.iter_mut().zip(old).for_each(|(one, old)| one.old = old);
            }
            if let Some(reference) = &self.reference {
                let first = self.scores(reference, chunk)?;
                self.round.iter_mut().zip(first).for_each(|(one, first)| one.first = first);
            }
        }
        let share = 1.0 / self.round.len() as f64;
        let (mut loss, mut clipped, mut divergence, mut tokens) = (0.0, 0.0, 0.0, 0.0);
        for (micro, sampled) in self.round.chunks(chunk).enumerate() {
            let packed = Packed::new(&self.texts(sampled), model.shape.eos);
            let dropout = self.common.dropout_of(step * self.common.accumulate + micro as u64);
            loss += packed.gradients(model, dropout, |now| {
                let mut loss = 0.0;
                let mut derivatives = Vec::with_capacity(now.len());
                for (one, now) in sampled.iter().zip(now) {
                    let share = share / now.len() as f64;
                    let of_token = |(at, &now): (usize, &f64)| {
                        let (old, first) =
                            (one.old.get(at).copied().unwrap_or(now), one.first.get(at).copied());
                        let (value, by, was_clipped, apart) =
                            token(self.settings, one.advantage, now, old, first);
                        loss += value * share;
                        clipped += f64::from(u8::from(was_clipped));
                        divergence += apart;
                        tokens += 1.0;
                        by * share
                    };
                    derivatives.push(now.iter().enumerate().map(of_token).collect());
                }
                (loss, derivatives)
            })?;
        }
        let mut all =
            vec![("loss", loss), ("divergence", divergence / tokens), ("clipped", clipped / tokens)];
        all.extend(measured);
        Ok(all)
    }

    fn held_out(&mut self, model: &Transformer<f32>) -> Result<Vec<Measure>, TrainError> {
        if self.rows.held_out.is_empty() {
            return Ok(Vec::new());
        }
        let tokens_max = self.settings.tokens_max;
        let (_, vocab) = self.asking();
        let found = greedy(model, &self.tokenizer, &self.judge, self.rows, tokens_max, vocab)?;
        let mut earned = Earned::default();
        for (answer, reward) in &found {
            earned.add(*reward, &answer.ids, answer.ended);
        }
        Ok(earned.measures().into())
    }

    fn may_stop_before(&self, step: u64) -> bool {
        step.is_multiple_of(self.settings.updates)
    }
}

/// What an answer to a held-out task was.
pub(super) struct Found {
    pub(super) ids: Vec<u32>,
    pub(super) text: String,
    pub(super) ended: bool,
}

/// The likeliest answer to each held-out task, and what it earns.
pub(super) fn greedy(
    model: &Transformer<f32>,
    tokenizer: &Tokenizer,
    judge: &Judge,
    rows: &Rows<Task>,
    tokens_max: u64,
    vocab: usize,
) -> Result<Vec<(Found, f64)>, TrainError> {
    let sampling = Sampling { tokens_max, temperature: 0.0, ..Sampling::default() };
    let asking = Asking { answers: 1, sampling: &sampling, end: rows.end, vocab };
    let prompts: Vec<&[u32]> = rows.held_out.iter().map(|task| &task.prompt[..]).collect();
    let given = asking.ask(model, &prompts)?;
    let given: Vec<Vec<u32>> = given.into_iter().flatten().collect();
    let read = |(task, ids)| read_answer(tokenizer, task, ids, [rows.end, model.shape.eos]);
    let answers = rows.held_out.iter().zip(given.iter().map(|ids| &ids[..])).map(read);
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let rewards = judge.judge(&answers)?;
    let found =
        |answer: Answer<'_>| Found { ids: answer.ids.to_vec(), text: answer.text, ended: answer.ended };
    Ok(answers.into_iter().map(found).zip(rewards).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_are_of_a_group() {
        assert_eq!(advantages(&[1.0, 1.0, 1.0]), [0.0; 3]);
        let found = advantages(&[0.0, 1.0, 0.0, 1.0]);
        assert!(found.iter().all(|a| (a.abs() - 1.0).abs() < 1e-3), "{found:?}");
        assert_eq!(found[0], -found[1]);
    }

    #[test]
    fn the_derivative_is_the_numeric_one() {
        let settings = Grpo { kl: 0.3, ..Grpo::default() };
        for (advantage, now, old) in
            [(1.0, -1.0, -1.0), (1.0, -1.0, -1.1), (1.0, -1.0, -1.5), (-1.0, -1.0, -1.5), (-1.0, -1.5, -1.0)]
        {
            for first in [None, Some(-0.7)] {
                let of = |now: f64| token(&settings, advantage, now, old, first).0;
                let expected = (of(now + 1e-6) - of(now - 1e-6)) / 2e-6;
                let found = token(&settings, advantage, now, old, first).1;
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{advantage} {now} {old} {first:?}: {found} {expected}"
                );
            }
        }
        // Clipped where the answer was good and is likelier already, not where it was bad.
        assert!(token(&settings, 1.0, -1.0, -1.5, None).2 && !token(&settings, -1.0, -1.0, -1.5, None).2);
    }
}
