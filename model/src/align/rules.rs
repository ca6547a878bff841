//! Rewards that can be checked: rules over the text of an answer, each with a weight; an answer's reward is the weighted sum.

use super::Task;
use super::course::hash_of;
use super::packed::Sequence;
use super::reward::{self, Reward};
use crate::error::TrainError;
use regex::Regex;
use schemas::{config, manifest};
use std::path::{Path, PathBuf};

config! {
    /// Weights of the rules, and what they need.
    pub struct Rules {
        /// Weight of: 1 where the answer is the row's, white space around both aside.
        reward_exact: f64 = 0.0, in -1e6..=1e6;
        /// Weight of: 1 where the last number in the answer equals the last in the row's answer.
        reward_number: f64 = 0.0, in -1e6..=1e6;
        /// Weight of: 1 where `regex` matches the answer.
        reward_regex: f64 = 0.0, in -1e6..=1e6;
        /// The expression of `reward_regex`; `{answer}` in it stands for the row's answer.
        regex: String = String::new();
        /// Weight of: 1 where the answer has at most `length_max` characters, falling to 0 at twice as many.
        reward_length: f64 = 0.0, in -1e6..=1e6;
        /// Characters of `reward_length`.
        length_max: u64 = 200, in 1..=1_000_000;
        /// Weight of: 1 where the answer ended before it was cut.
        reward_ended: f64 = 0.0, in -1e6..=1e6;
        /// Weight of the reward model's number.
        reward_model: f64 = 0.0, in -1e6..=1e6;
    }
}

/// An answer to be judged.
pub(super) struct Answer<'a> {
    pub(super) task: &'a Task,
    /// Its tokens, with the one that ends it.
    pub(super) ids: &'a [u32],
    /// Its text.
    pub(super) text: String,
    /// Whether it came to its end.
    pub(super) ended: bool,
}

/// Rules ready to judge.
pub(super) struct Judge {
    rules: Rules,
    /// The reward model with its folder.
    model: Option<(PathBuf, Reward<f32>)>,
}

/// The last number of a text: digits with at most one point, commas between groups left out.
fn last_number(text: &str) -> Option<f64> {
    let text = text.replace(',', "");
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    text.rsplit(|c| !is_part(c)).find_map(|piece| {
        // A minus sign inside is an operator, a point at the end closes a sentence.
        let piece = piece.trim_end_matches(['.', '-']);
        let last = piece
            .rsplit_once('-')
            .map_or(piece, |(before, last)| if before.is_empty() { piece } else { last });
        last.parse::<f64>().ok()
    })
}

impl Judge {
    /// Reads what the rules need; with none of them weighed, answers have to be exact.
    ///
    /// # Errors
    /// `regex` is none, or a weight lacks what it weighs.
    pub(super) fn new(rules: &Rules, model: Option<&Path>) -> Result<Self, TrainError> {
        let mut rules = rules.clone();
        let Rules {
            reward_exact,
            reward_number,
            reward_regex,
            reward_length,
            reward_ended,
            reward_model,
            ..
        } = rules;
        let weights = [reward_exact, reward_number, reward_regex, reward_length, reward_ended, reward_model];
        if weights.iter().all(|weight| *weight == 0.0) {
            rules.reward_exact = 1.0;
        }
        let wrong = |message: &str| Err(TrainError::Config { message: message.to_owned() });
        if (rules.reward_regex != 0.0) == rules.regex.is_empty() {
            return wrong("`reward_regex` and `regex` go together");
        }
        if (rules.reward_model != 0.0) != model.is_some() {
            return wrong("`reward_model` is the weight of the model that `--reward-model` names");
        }
        let open = |folder: &Path| Ok::<_, TrainError>((folder.to_owned(), reward::open(folder)?));
        let judge = Self { rules, model: model.map(open).transpose()? };
        judge.expression("")?;
        Ok(judge)
    }

    /// Refuses a reward model that does not read what `policy`, a model folder, writes: prompts of at most `prompt` tokens and answers of
    /// at most `tokens_max`, cut at a context of `context`.
    ///
    /// # Errors
    /// Its tokenizer is another one, or its context too short.
    pub(super) fn check_model(
        &self,
        policy: &Path,
        (prompt, tokens_max, context): (usize, u64, usize),
    ) -> Result<(), TrainError> {
        let Some((folder, reward)) = &self.model else { return Ok(()) };
        let tokenizer = |folder: &Path| hash_of(&folder.join(manifest::TOKENIZER));
        if tokenizer(folder)? != tokenizer(policy)? {
            let told = "the reward model reads another tokenizer's tokens than the model writes; train it from a model with the same \
                        tokenizer.json";
            return Err(TrainError::misplaced(folder, told));
        }
        let answer = usize::try_from(tokens_max).unwrap_or(usize::MAX);
        // A reward is read behind the last token, one place more.
        let (read, longest) = (reward.model.shape.context, prompt.saturating_add(answer).min(context));
        if longest < read {
            return Ok(());
        }
        Err(TrainError::misplaced(
            folder,
            format!(
                "the reward model reads {} tokens of a text, and prompts of up to {prompt} with answers of {tokens_max} may come to \
             {longest}; allow {} tokens for answers at most, or leave longer prompts out",
                read - 1,
                (read - 1).saturating_sub(prompt)
            ),
        ))
    }

    fn expression(&self, answer: &str) -> Result<Option<Regex>, TrainError> {
        if self.rules.regex.is_empty() {
            return Ok(None);
        }
        let pattern = self.rules.regex.replace("{answer}", &regex::escape(answer.trim()));
        let wrong = |error: regex::Error| TrainError::Config { message: format!("`regex`: {error}") };
        Regex::new(&pattern).map(Some).map_err(wrong)
    }

    /// Refuses a task that the rules cannot judge.
    ///
    /// # Errors
    /// The row has no answer, or none with a number, and a rule needs one.
    pub(super) fn check(&self, name: &str, task: &Task) -> Result<(), TrainError> {
        let needs = if self.rules.reward_exact != 0.0 && task.answer.trim().is_empty() {
            "`reward_exact` needs an `answer`"
        } else if self.rules.reward_number != 0.0 && last_number(&task.answer).is_none() {
            "`reward_number` needs an `answer` with a number"
        } else if self.rules.regex.contains("{answer}") && task.answer.trim().is_empty() {
            "`regex` needs an `answer`"
        } else {
            return Ok(());
        };
        Err(TrainError::Config { message: format!("{name}, line {}: {needs}", task.line) })
    }

    /// The reward of each answer.
    pub(super) fn judge(&self, answers: &[Answer<'_>]) -> Result<Vec<f64>, TrainError> {
        let mut rewards = Vec::with_capacity(answers.len());
        for answer in answers {
            rewards.push(self.by_rules(answer)?);
        }
        if let Some((_, model)) = &self.model {
            for (answers, rewards) in answers.chunks(32).zip(rewards.chunks_mut(32)) {
                let texts: Vec<Sequence<'_>> = (answers.iter())
                    .map(|answer| Sequence { prompt: &answer.task.prompt, answer: answer.ids })
                    .collect();
                let of_model = model.of(&texts)?;
                rewards
                    .iter_mut()
                    .zip(of_model)
                    .for_each(|(reward, more)| *reward += self.rules.reward_model * more);
            }
        }
        Ok(rewards)
    }

    fn by_rules(&self, answer: &Answer<'_>) -> Result<f64, TrainError> {
        let Rules {
            reward_exact, reward_number, reward_length, reward_ended, reward_regex, length_max, ..
        } = self.rules;
        let one = |holds: bool| f64::from(u8::from(holds));
        let mut reward = reward_ended * one(answer.ended);
        if reward_exact != 0.0 {
            reward += reward_exact * one(answer.text.trim() == answer.task.answer.trim());
        }
        if reward_number != 0.0 {
            let found = last_number(&answer.text);
            reward += reward_number * one(found.is_some() && found == last_number(&answer.task.answer));
        }
        if reward_length != 0.0 {
            let excess = answer.text.chars().count() as f64 / length_max as f64 - 1.0;
            reward += reward_length * (1.0 - excess).clamp(0.0, 1.0);
        }
        if let Some(expression) = self.expression(&answer.task.answer)? {
            reward += reward_regex * one(expression.is_match(&answer.text));
        }
        Ok(reward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &Rules, right: &str, text: &str, expected: f64) {
        let task = Task { line: 1, prompt: vec![1], answer: right.to_owned() };
        let answer = Answer { task: &task, ids: &[2], text: text.to_owned(), ended: true };
        let found = Judge::new(rules, None).unwrap().judge(&[answer]).unwrap()[0];
        assert!((found - expected).abs() < 1e-12, "{rules:?} {right:?} {text:?}: {found}");
    }

    #[test]
    fn rules_judge_texts() {
        let exact = Rules::default();
        check(&exact, "42", " 42\n", 1.0);
        check(&exact, "42", "42.", 0.0);
        let number = Rules { reward_number: 2.0, ..Rules::default() };
        check(&number, "so 1,042", "it is 3 and then 1042.0.", 2.0);
        check(&number, "-7", "-7", 2.0);
        check(&number, "7", "10-3=7", 2.0);
        check(&number, "7", "9-7", 2.0);
        check(&number, "7", "none", 0.0);
        let regex = Rules { reward_regex: 0.5, regex: "^please .*{answer}$".into(), ..Rules::default() };
        check(&regex, "a+b", "please a+b", 0.5);
        check(&regex, "a+b", "please aab", 0.0);
        let length = Rules { reward_length: 1.0, length_max: 4, ..Rules::default() };
        check(&length, "", "four", 1.0);
        check(&length, "", "sixsix", 0.5);
        check(&length, "", "far too long", 0.0);
        check(&Rules { reward_ended: -1.0, ..Rules::default() }, "", "x", -1.0);
    }

    #[test]
    fn rules_that_lack_something_are_refused() {
        let told = |rules: Rules| Judge::new(&rules, None).err().unwrap().to_string();
        assert!(told(Rules { reward_regex: 1.0, ..Rules::default() }).contains("go together"));
        assert!(told(Rules { reward_regex: 1.0, regex: "(".into(), ..Rules::default() }).contains("`regex`"));
        assert!(told(Rules { reward_model: 1.0, ..Rules::default() }).contains("--reward-model"));
        let judge = Judge::new(&Rules { reward_number: 1.0, ..Rules::default() }, None).unwrap();
        let task = Task { line: 7, prompt: vec![1], answer: "none".into() };
        let told = judge.check("tasks.jsonl", &task).unwrap_err().to_string();
        assert_eq!(told, "tasks.jsonl, line 7: `reward_number` needs an `answer` with a number");
    }
}
