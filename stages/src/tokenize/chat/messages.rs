//! Reads the messages of a chat, in the three forms that chats are published in.

use super::Drop;
use serde_json::{Map, Value};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    /// The role of a name: OpenAI's, or ShareGPT's.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "system" | "developer" => Self::System,
            "user" | "human" => Self::User,
            "assistant" | "gpt" | "chatgpt" | "model" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            _ => return None,
        })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) text: String,
}

/// Fields that hold a chat.
pub(super) const FIELDS: [&str; 4] = ["messages", "conversations", "prompt", "completion"];

/// Why a chat cannot be used, and what was measured.
pub(super) type Refusal = (Drop, usize);

/// The messages of an object with `messages`, `conversations`, or `prompt` and `completion`.
pub(super) fn of_object(object: &Map<String, Value>) -> Result<Vec<Message>, Refusal> {
    let field = |name: &str| object.get(name).filter(|value| !value.is_null());
    if let Some(list) = field("messages").or_else(|| field("conversations")) {
        return checked(list_of(list)?);
    }
    let (Some(prompt), Some(completion)) = (field("prompt"), field("completion")) else {
        return Err((Drop::BadChat, 0));
    };
    // Each is a text, or a list of messages.
    let mut messages = Vec::new();
    for (value, role) in [(prompt, Role::User), (completion, Role::Assistant)] {
        match value {
            Value::String(text) => messages.push(Message { role, text: text.clone() }),
            list => messages.extend(list_of(list)?),
        }
    }
    checked(messages)
}

/// The object that JSON columns of a row stand for; a text that is no JSON list is a text.
pub(super) fn object_of<'a>(columns: impl Iterator<Item = (&'static str, &'a str)>) -> Map<String, Value> {
    let read = |(name, text): (&'static str, &str)| {
        let list = name == "messages" || name == "conversations";
        let value = if list { serde_json::from_str(text).unwrap_or(Value::Bool(false)) } else { text.into() };
        (name.to_owned(), value)
    };
    columns.map(read).collect()
}

fn list_of(list: &Value) -> Result<Vec<Message>, Refusal> {
    let Value::Array(list) = list else { return Err((Drop::BadChat, 0)) };
    list.iter().enumerate().map(|(at, message)| message_of(message).map_err(|drop| (drop, at))).collect()
}

fn message_of(message: &Value) -> Result<Message, Drop> {
    let role = message.get("role").or_else(|| message.get("from")).and_then(Value::as_str);
    let role = Role::named(role.ok_or(Drop::BadChat)?).ok_or(Drop::UnknownRole)?;
    let text = match message.get("content").or_else(|| message.get("value")) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        // Parts of a message: those that are text, one behind the other; an image is no text.
        Some(Value::Array(parts)) => {
            let part =
                |part: &Value| (part["type"] == "text").then(|| part["text"].as_str().map(str::to_owned))?;
            parts.iter().map(part).collect::<Option<String>>().ok_or(Drop::BadChat)?
        }
        Some(_) => return Err(Drop::BadChat),
    };
    Ok(Message { role, text })
}

/// Refuses chats without an answer to learn.
fn checked(messages: Vec<Message>) -> Result<Vec<Message>, Refusal> {
    let answers = || messages.iter().filter(|message| message.role == Role::Assistant);
    if messages.is_empty() || answers().any(|answer| answer.text.trim().is_empty()) {
        return Err((Drop::Empty, messages.len()));
    }
    if answers().next().is_none() {
        return Err((Drop::NoAssistant, messages.len()));
    }
    Ok(messages)
}
