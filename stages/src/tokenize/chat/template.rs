//! How the messages of a chat are laid out as one text with special tokens in it.
//!
//! The special tokens are tokens by the layout alone: a message that spells one out holds text, so that no message can end
//! itself or speak for another. In `plain` and `text` only the end of an answer is a token.

use super::messages::{Message, Role};
use schemas::choice;

choice! {
    /// A layout.
    pub enum Template {
        /// `<|im_start|>role⏎text<|im_end|>⏎` (ChatML, Qwen).
        Chatml = "chatml",
        /// `<|start_header_id|>role<|end_header_id|>⏎⏎text<|eot_id|>` behind `<|begin_of_text|>`, texts trimmed (LLaMA 3).
        Llama3 = "llama3",
        /// `<|role|>⏎text</s>⏎` (Zephyr).
        Zephyr = "zephyr",
        /// `User: text⏎⏎Assistant: text` with `eos` behind each answer.
        Plain = "plain",
        /// Texts one behind the other, without names of roles, with `eos` behind each answer: a model of texts that answers prompts.
        Text = "text",
    }
}

/// A part of a chat that is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A special token, and whether it is learned.
    Special(String, bool),
    /// A text, and the byte where what is learned of it begins.
    Text(String, Option<usize>),
}

/// A chat that is laid out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout(pub(super) Vec<Part>);

impl Layout {
    fn special(&mut self, name: &str, learned: bool) {
        self.0.push(Part::Special(name.to_owned(), learned));
    }

    /// Adds text to that before it. An end token stands behind every answer, so no text follows what is learned.
    fn text(&mut self, text: &str, learned: bool) {
        if !matches!(self.0.last(), Some(Part::Text(..))) {
            self.0.push(Part::Text(String::new(), None));
        }
        let Some(Part::Text(all, from)) = self.0.last_mut() else { return };
        if learned {
            *from = Some(all.len());
        }
        all.push_str(text);
    }
}

impl Template {
    /// What stands before the messages.
    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Llama3 => Some("<|begin_of_text|>"),
            _ => None,
        }
    }

    /// The token behind a message; in `plain` and `text` behind an answer alone.
    pub(super) fn end(self, eos: &str) -> &str {
        match self {
            Self::Chatml => "<|im_end|>",
            Self::Llama3 => "<|eot_id|>",
            Self::Zephyr => "</s>",
            Self::Plain | Self::Text => eos,
        }
    }

    /// All special tokens, each once.
    pub(super) fn specials(self, eos: &str) -> Vec<String> {
        let own: &[&str] = match self {
            Self::Chatml => &["<|im_start|>"],
            Self::Llama3 => &["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"],
            Self::Zephyr => &["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"],
            Self::Plain | Self::Text => &[],
        };
        own.iter().copied().chain([self.end(eos)]).map(str::to_owned).collect()
    }

    /// The name of a role.
    const fn role(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Plain, Role::System) => "System",
            (Self::Plain, Role::User) => "User",
            (Self::Plain, Role::Assistant) => "Assistant",
            (Self::Plain, Role::Tool) => "Tool",
            (_, Role::System) => "system",
            (_, Role::User) => "user",
            (_, Role::Assistant) => "assistant",
            (Self::Llama3, Role::Tool) => "ipython",
            (_, Role::Tool) => "tool",
        }
    }

    /// The layout of a chat.
    pub(super) fn lay_out(self, messages: &[Message], eos: &str) -> Layout {
        let mut layout = Layout::default();
        if let Some(begin) = self.begin() {
            layout.special(begin, false);
        }
        for message in messages {
            let learned = message.role == Role::Assistant;
            self.open(message.role, &mut layout);
            let trimmed = self == Self::Llama3;
            layout.text(if trimmed { message.text.trim() } else { &message.text }, learned);
            if learned || !matches!(self, Self::Plain | Self::Text) {
                layout.special(self.end(eos), learned);
            }
            match self {
                Self::Chatml | Self::Zephyr => layout.text("\n", false),
                Self::Plain if !learned => layout.text("\n\n", false),
                _ => {}
            }
        }
        layout
    }

    fn open(self, role: Role, layout: &mut Layout) {
        let name = self.role(role);
        match self {
            Self::Chatml => {
                layout.special("<|im_start|>", false);
                layout.text(&format!("{name}\n"), false);
            }
            Self::Llama3 => {
                layout.special("<|start_header_id|>", false);
                layout.text(name, false);
                layout.special("<|end_header_id|>", false);
                layout.text("\n\n", false);
            }
            Self::Zephyr => {
                layout.special(&format!("<|{name}|>"), false);
                layout.text("\n", false);
            }
            Self::Plain => layout.text(&format!("{name}: "), false),
            Self::Text => {}
        }
    }

    /// The layout as a Jinja template with marks around what is learned, for `apply_chat_template` of transformers.
    pub(super) fn jinja(self, eos: &str) -> String {
        let end = self.end(eos).replace('\\', "\\\\").replace('\'', "\\'");
        let (open, name) = match self {
            Self::Chatml => ("'<|im_start|>' + name + '\\n'", "role"),
            Self::Llama3 => (
                "'<|start_header_id|>' + name + '<|end_header_id|>\\n\\n'",
                "'ipython' if role == 'tool' else role",
            ),
            Self::Zephyr => ("'<|' + name + '|>\\n'", "role"),
            Self::Plain => ("name + ': '", "role | capitalize"),
            Self::Text => ("''", "role"),
        };
        let text = if self == Self::Llama3 { "(message['content'] | trim)" } else { "message['content']" };
        let (of_answer, of_others) = match self {
            Self::Chatml | Self::Zephyr => ("{{ '\\n' }}", format!(" + '{end}\\n'")),
            Self::Llama3 => ("", format!(" + '{end}'")),
            Self::Plain => ("", " + '\\n\\n'".to_owned()),
            Self::Text => ("", String::new()),
        };
        let begin = self.begin().map_or_else(String::new, |begin| format!("{{{{ '{begin}' }}}}"));
        format!(
            "{begin}{{% for message in messages %}}{{% set role = message['role'] %}}{{% set name = {name} %}}{{{{ {open} }}}}\
             {{% if role == 'assistant' %}}{{% generation %}}{{{{ {text} + '{end}' }}}}{{% endgeneration %}}{of_answer}\
             {{% else %}}{{{{ {text}{of_others} }}}}{{% endif %}}{{% endfor %}}\
             {{% if add_generation_prompt %}}{{% set name = '{assistant}' %}}{{{{ {open} }}}}{{% endif %}}",
            assistant = self.role(Role::Assistant),
        )
    }
}
