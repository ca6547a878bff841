//! Chats as a model reads them: laid out by `tokenize.chat`, the very stage that builds datasets of them.

use model::align::Limits;
use schemas::memory::{self, Done};
use schemas::{ConfigValue as _, Made, Settings, Value, Verdict, column, manifest};
use serde_json::{Map, json};
use stages::tokenize::chat::{SPEC, Template};
use std::path::Path;
use std::sync::Arc;

/// Every layout that can be the model's own.
const TEMPLATES: [Template; 5] =
    [Template::Chatml, Template::Llama3, Template::Zephyr, Template::Plain, Template::Text];

/// A layout with the tokens of a model.
pub(super) struct Chats {
    template: Template,
    /// The token behind answers where the layout has none of its own.
    eos: String,
    done: Done,
    /// What is laid out as an answer to see where one begins. No token reaches from a prompt into a zero byte, but the space
    /// before an answer of `plain` is part of its first token.
    first: &'static str,
}

/// The tokens of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Laid {
    /// All of them.
    pub(super) ids: Vec<u32>,
    /// Where the last answer begins.
    pub(super) answer: usize,
    /// Behind its end.
    pub(super) end: usize,
}

/// The special token that ends the model's texts, for layouts that have none of their own behind answers.
fn eos_of(folder: &Path, eos: u32) -> Result<String, String> {
    let path = folder.join(manifest::TOKENIZER);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut added = json["added_tokens"].as_array().into_iter().flatten();
    let named = added.find(|token| token["id"].as_u64() == Some(u64::from(eos)));
    let name = named.and_then(|token| token["content"].as_str()).map(str::to_owned);
    name.ok_or_else(|| {
        format!("{}: the token {eos} that ends the model's texts is no special token", path.display())
    })
}

impl Chats {
    /// The layout of a model: the given one, or the one that its tokenizer_config.json tells, or texts without roles.
    ///
    /// # Errors
    /// The model's layout is none of ours, or its tokenizer lacks the layout's special tokens; with advice.
    pub(super) fn open(folder: &Path, limits: Limits, given: Option<&str>) -> Result<Self, String> {
        let eos = eos_of(folder, limits.eos)?;
        if let Some(given) = given {
            let template = Template::read(&Value::String(given.to_owned()));
            let template = template.ok_or_else(|| format!("`--template` is {}", Template::KIND))?;
            return Self::of(folder, template, &eos).map_err(|error| advised(&error, template));
        }
        let path = folder.join(manifest::TOKENIZER_CONFIG);
        let config = std::fs::read(&path).ok();
        let config: serde_json::Value =
            config.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let Some(own) = config["chat_template"].as_str() else {
            return Self::of(folder, Template::Text, &eos);
        };
        let mut known = TEMPLATES.into_iter().filter_map(|template| Self::of(folder, template, &eos).ok());
        known.find(|chats| chats.jinja().as_deref() == Some(own)).ok_or_else(|| {
            format!(
                "{}: the model's `chat_template` is none of those that this program lays out; name the nearest with \
                 `--template`, {}",
                path.display(),
                Template::KIND
            )
        })
    }

    fn of(folder: &Path, template: Template, eos: &str) -> Result<Self, String> {
        let path =
            std::path::absolute(folder.join(manifest::TOKENIZER)).map_err(|error| error.to_string())?;
        let settings = [
            ("file", Value::String(path.to_string_lossy().into_owned())),
            ("template", Value::String(name(template).to_owned())),
            ("eos", Value::String(eos.to_owned())),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        let made = (SPEC.build)(&Settings::new(settings.into()));
        let told = |errors: Vec<schemas::KeyError>| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let Made::Global(global) = made.map_err(told)? else { unreachable!("`tokenize.chat` is a global") };
        let done = memory::settle(global.as_ref(), &[], 1).map_err(|error| error.to_string())?;
        let first = if template == Template::Plain { "x" } else { "\0" };
        Ok(Self { template, eos: eos.to_owned(), done, first })
    }

    /// Name of the layout.
    pub(super) fn name(&self) -> &'static str {
        name(self.template)
    }

    /// The token behind answers where the layout has none of its own.
    pub(super) fn eos(&self) -> &str {
        &self.eos
    }

    /// The name of this layout, and tokenizer_config.json with it.
    pub(super) fn told(&self) -> (Option<&'static str>, Option<&[u8]>) {
        (Some(name(self.template)), self.tokenizer_config())
    }

    /// The layout that a tokenizer_config.json has, where it is one of ours.
    pub(super) fn named(folder: &Path, limits: Limits, config: &[u8]) -> Option<&'static str> {
        let config: serde_json::Value = serde_json::from_slice(config).ok()?;
        let own = config["chat_template"].as_str()?;
        let eos = eos_of(folder, limits.eos).ok()?;
        let mut known = TEMPLATES.into_iter().filter_map(|template| Self::of(folder, template, &eos).ok());
        known.find(|chats| chats.jinja().as_deref() == Some(own)).map(|chats| name(chats.template))
    }

    /// tokenizer_config.json with this layout.
    fn tokenizer_config(&self) -> Option<&[u8]> {
        self.done.settled.files.get(manifest::TOKENIZER_CONFIG).map(Vec::as_slice)
    }

    fn jinja(&self) -> Option<String> {
        let config: serde_json::Value = serde_json::from_slice(self.tokenizer_config()?).ok()?;
        config["chat_template"].as_str().map(str::to_owned)
    }

    /// The token that ends an answer.
    pub(super) fn end(&self) -> Option<u32> {
        self.done.settled.facts.get("eos_id").and_then(|id| u32::try_from(*id).ok())
    }

    /// Lays out chats: objects as `tokenize.chat` reads them; in place of one that it drops, the reason.
    pub(super) fn lay_out(
        &self,
        chats: &[Map<String, serde_json::Value>],
    ) -> Result<Vec<Result<Laid, &'static str>>, String> {
        let lines: Vec<String> = chats.iter().map(|chat| json!(chat).to_string()).collect();
        let rows: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(lines));
        let batch = arrow::array::RecordBatch::try_from_iter([(column::ROW, rows)]);
        let batch = batch.map_err(|error| error.to_string())?;
        let outcome = self.done.judge(&batch).map_err(|error| error.to_string())?;
        let lists = |name: &str| {
            let found = outcome.columns.iter().find(|(known, _)| known == name);
            found.map(|(_, column)| arrow::array::AsArray::as_list::<i32>(column).clone())
        };
        let (ids, mask) = lists(column::TOKENS)
            .zip(lists(schemas::token::LOSS_MASK))
            .ok_or("`tokenize.chat` gave no tokens")?;
        let laid = |at: usize| match outcome.verdicts[at] {
            Verdict::Dropped { reason, .. } => Err(reason),
            _ => {
                let (ids, mask) = (ids.value(at), mask.value(at));
                let ids = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int32Type>(&ids);
                let mask = arrow::array::AsArray::as_boolean(&mask);
                let end = (0..mask.len()).rev().find(|&at| mask.value(at)).map_or(0, |last| last + 1);
                let answer = (0..end).rev().find(|&at| !mask.value(at)).map_or(0, |before| before + 1);
                Ok(Laid { ids: ids.values().iter().map(|id| id.cast_unsigned()).collect(), answer, end })
            }
        };
        Ok((0..chats.len()).map(laid).collect())
    }

    /// The tokens of prompts up to where an answer begins.
    pub(super) fn prompts(
        &self,
        prompts: &[serde_json::Value],
    ) -> Result<Vec<Result<Vec<u32>, &'static str>>, String> {
        let chat = |prompt: &serde_json::Value| {
            Map::from_iter([
                ("prompt".to_owned(), prompt.clone()),
                ("completion".to_owned(), self.first.into()),
            ])
        };
        let chats: Vec<_> = prompts.iter().map(chat).collect();
        let laid = self.lay_out(&chats)?;
        let prompt = |mut laid: Laid| {
            laid.ids.truncate(laid.answer);
            laid.ids
        };
        Ok(laid.into_iter().map(|laid| laid.map(prompt)).collect())
    }
}

const fn name(template: Template) -> &'static str {
    match template {
        Template::Chatml => "chatml",
        Template::Llama3 => "llama3",
        Template::Zephyr => "zephyr",
        Template::Plain => "plain",
        Template::Text => "text",
    }
}

/// What to do where a layout cannot be had.
fn advised(error: &str, template: Template) -> String {
    let name = name(template);
    format!(
        "{error}\n`--template text` and `--template plain` need no special tokens but the one that ends a text; for {name} the model has \
         to be trained with a tokenizer that has its tokens: `additional_special_tokens` under `[tokenizer]` of its recipe, or \
         `gristmill tokenizer train --special TOKEN` once for each"
    )
}
