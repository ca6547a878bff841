//! Rows of an alignment: JSON lines become tokens; a row that cannot be used is told with its line and its reason.

use super::chats::{Chats, Laid};
use crate::cli::wrong::{self, Trouble};
use model::align::{Limits, Pair, Rows, Task, limits};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// Refused rows that a message names.
const TOLD: usize = 10;
/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Flags of everything that reads rows.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Reading {
    /// How chats are laid out: chatml, llama3, zephyr, plain or text (default: as the model's tokenizer_config.json says, or text).
    #[arg(long)]
    pub(super) template: Option<String>,
    /// Rows that are kept apart and measured (default: a share of the others).
    #[arg(long)]
    pub(super) held_out: Option<PathBuf>,
    /// Share of the prompts that is kept apart, where no file of such rows is named.
    #[arg(long, default_value_t = 0.1)]
    pub(super) held_out_share: f64,
    /// Goes on without rows that cannot be used; they and the reasons go to `refused.jsonl` in the folder of the model.
    #[arg(long)]
    pub(super) skip_bad: bool,
}

/// A row that cannot be used.
struct Refused {
    line: u64,
    reason: String,
    row: String,
}

/// Rows of one file.
struct File<R> {
    rows: Vec<R>,
    refused: Vec<Refused>,
}

/// A line with what it holds.
struct Line {
    number: u64,
    text: String,
    object: Map<String, Value>,
}

/// Reads the objects of a file; a line that holds none is refused.
fn lines(path: &Path, hasher: &mut blake3::Hasher) -> Result<(Vec<Line>, Vec<Refused>), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = BufReader::new(std::fs::File::open(path).map_err(told)?);
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for number in 1.. {
        let mut bytes = Vec::new();
        let read =
            std::io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(told)?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_BYTES_MAX {
            return Err(format!("{}, line {number}: longer than {LINE_BYTES_MAX} bytes", path.display()));
        }
        hasher.update(&bytes);
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let parsed = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
        let parsed = parsed.and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
        match parsed {
            Ok(object) => found.push(Line { number, text, object }),
            Err(error) => {
                let reason = format!("no JSON object: {error}");
                refused.push(Refused { line: number, reason, row: text });
            }
        }
    }
    Ok((found, refused))
}

/// A field that is there and not null.
fn field<'a>(line: &'a Line, name: &str) -> Result<&'a Value, String> {
    let found = line.object.get(name).filter(|value| !value.is_null());
    found.ok_or_else(|| {
        let names: Vec<&str> = line.object.keys().map(String::as_str).collect();
        format!("`{name}` is missing, found {}", names.join(", "))
    })
}

/// Why `tokenize.chat` drops a chat, in words.
pub(super) fn words(reason: &str) -> String {
    match reason {
        "empty" => "an answer is empty".to_owned(),
        "bad_chat" => "a message has no role, or no text for content".to_owned(),
        "unknown_role" => "a message is by nobody known".to_owned(),
        "no_assistant" => "the last message is not the assistant's".to_owned(),
        "unencodable" => "the tokenizer cannot encode a message".to_owned(),
        other => format!("refused as `{other}`"),
    }
}

/// The chat of a prompt with an answer; a list that begins with what the user says is a whole chat.
fn chat(prompt: Option<&Value>, answer: &Value) -> Map<String, Value> {
    let first = answer.get(0).map(|message| message.get("role").or_else(|| message.get("from")));
    let is_whole = first.flatten().is_some_and(|role| role != "assistant" && role != "gpt");
    match prompt {
        Some(prompt) if !is_whole => {
            Map::from_iter([("prompt".to_owned(), prompt.clone()), ("completion".to_owned(), answer.clone())])
        }
        _ => Map::from_iter([("messages".to_owned(), answer.clone())]),
    }
}

/// Pairs of a file with `prompt`, `chosen` and `rejected`; without a prompt both answers are whole chats.
fn pairs(
    path: &Path,
    chats: &Chats,
    limits: Limits,
    hasher: &mut blake3::Hasher,
) -> Result<File<Pair>, String> {
    let (lines, mut refused) = lines(path, hasher)?;
    let (mut kept, mut both) = (Vec::new(), Vec::new());
    for line in lines {
        let prompt = line.object.get("prompt").filter(|prompt| !prompt.is_null());
        let answers = field(&line, "chosen").and_then(|chosen| Ok((chosen, field(&line, "rejected")?)));
        match answers {
            Ok((Value::String(_), _)) if prompt.is_none() => {
                let reason = field(&line, "prompt").err().unwrap_or_default();
                refused.push(Refused { line: line.number, reason, row: line.text });
            }
            Ok((chosen, rejected)) => {
                both.extend([chat(prompt, chosen), chat(prompt, rejected)]);
                kept.push(line);
            }
            Err(reason) => refused.push(Refused { line: line.number, reason, row: line.text }),
        }
    }
    let laid = chats.lay_out(&both)?;
    let mut rows = Vec::new();
    for (line, laid) in kept.into_iter().zip(laid.chunks(2)) {
        match pair(line.number, laid, limits) {
            Ok(pair) => rows.push(pair),
            Err(reason) => refused.push(Refused { line: line.number, reason, row: line.text }),
        }
    }
    Ok(File { rows, refused })
}

fn pair(line: u64, laid: &[Result<Laid, &'static str>], limits: Limits) -> Result<Pair, String> {
    let of = |at: usize| {
        laid[at].as_ref().map_err(|reason| format!("`{}`: {}", ["chosen", "rejected"][at], words(reason)))
    };
    let (chosen, rejected) = (of(0)?, of(1)?);
    // A token may reach from the prompt into one of the answers.
    let shared = chosen.ids.iter().zip(&rejected.ids).take_while(|(a, b)| a == b).count();
    let start = shared.min(chosen.answer).min(rejected.answer);
    let answer = |laid: &Laid| laid.ids[start..laid.end].to_vec();
    let pair = Pair {
        line,
        prompt: chosen.ids[..start].to_vec(),
        chosen: answer(chosen),
        rejected: answer(rejected),
    };
    if pair.chosen == pair.rejected {
        return Err("`chosen` and `rejected` are the same".to_owned());
    }
    // A reward is read behind the last token, one place more.
    let tokens = chosen.end.max(rejected.end) + 1;
    if tokens > limits.tokens_max {
        return Err(format!("{tokens} tokens are more than the model's context of {}", limits.tokens_max));
    }
    Ok(pair)
}

/// Tasks of a file with `prompt` and, where a rule needs one, `answer`.
fn tasks(
    path: &Path,
    chats: &Chats,
    limits: Limits,
    hasher: &mut blake3::Hasher,
) -> Result<File<Task>, String> {
    let (lines, mut refused) = lines(path, hasher)?;
    let (mut kept, mut prompts) = (Vec::new(), Vec::new());
    for line in lines {
        match field(&line, "prompt").and_then(|prompt| Ok((prompt.clone(), answer_of(&line)?))) {
            Ok((prompt, answer)) => {
                prompts.push(prompt);
                kept.push((line, answer));
            }
            Err(reason) => refused.push(Refused { line: line.number, reason, row: line.text }),
        }
    }
    let laid = chats.prompts(&prompts)?;
    let mut rows = Vec::new();
    for ((line, answer), laid) in kept.into_iter().zip(laid) {
        let fits = |prompt: Vec<u32>| match prompt.len() + 2 {
            tokens if tokens > limits.tokens_max => Err(format!(
                "a prompt of {} tokens leaves no room in the model's context of {}",
                prompt.len(),
                limits.tokens_max
            )),
            _ => Ok(prompt),
        };
        match laid.map_err(words).and_then(fits) {
            Ok(prompt) => rows.push(Task { line: line.number, prompt, answer }),
            Err(reason) => refused.push(Refused { line: line.number, reason, row: line.text }),
        }
    }
    Ok(File { rows, refused })
}

/// The right answer as text; empty where there is none.
fn answer_of(line: &Line) -> Result<String, String> {
    match line.object.get("answer") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Err("`answer` is empty".to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err("`answer` is neither a text nor a number".to_owned()),
    }
}

/// What a file of rows gives with a model: its rows and the layout.
pub(super) struct Found<R> {
    pub(super) rows: Rows<R>,
    pub(super) chats: Chats,
    /// Rows that are left out, as JSON lines with their reasons.
    pub(super) refused: String,
}

type Parse<R> = fn(&Path, &Chats, Limits, &mut blake3::Hasher) -> Result<File<R>, String>;

/// Pairs for a model folder.
pub(super) fn read_pairs(model: &Path, path: &Path, reading: &Reading) -> Result<Found<Pair>, Trouble> {
    read(model, path, reading, pairs, |pair| &pair.prompt)
}

/// Tasks for a model folder.
pub(super) fn read_tasks(model: &Path, path: &Path, reading: &Reading) -> Result<Found<Task>, Trouble> {
    read(model, path, reading, tasks, |task| &task.prompt)
}

fn read<R>(
    model: &Path,
    path: &Path,
    reading: &Reading,
    parse: Parse<R>,
    prompt: impl Fn(&R) -> &[u32],
) -> Result<Found<R>, Trouble> {
    if !(0.0..=1.0).contains(&reading.held_out_share) {
        return Err(Trouble::Use("`--held-out-share` is from 0 to 1".to_owned()));
    }
    wrong::there(path)?;
    reading.held_out.as_deref().map_or(Ok(()), wrong::there)?;
    let limits = limits(model)?;
    let chats = Chats::open(model, limits, reading.template.as_deref()).map_err(Trouble::Use)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{} {}\n", chats.name(), reading.held_out_share).as_bytes());
    let own = parse(path, &chats, limits, &mut hasher)?;
    let sorted = |mut refused: Vec<Refused>| {
        refused.sort_by_key(|row| row.line);
        refused
    };
    let mut refused = vec![(path, sorted(own.refused))];
    let apart = match &reading.held_out {
        Some(path) => {
            let apart = parse(path, &chats, limits, &mut hasher)?;
            refused.push((path, sorted(apart.refused)));
            Some(apart.rows)
        }
        None => None,
    };
    let refused = settle(&refused, reading.skip_bad)?;
    let (train, held_out) = match apart {
        Some(apart) => (own.rows, apart),
        // By the prompt alone: equal prompts are on one side.
        None => own.rows.into_iter().partition(|row| !is_apart(prompt(row), reading.held_out_share)),
    };
    let end = chats.end().ok_or_else(|| "the layout has no token that ends an answer".to_owned())?;
    let name = path.display().to_string();
    let rows = Rows { name, hash: *hasher.finalize().as_bytes(), train, held_out, end };
    Ok(Found { rows, chats, refused })
}

fn is_apart(prompt: &[u32], share: f64) -> bool {
    let bytes: Vec<u8> = prompt.iter().flat_map(|id| id.to_le_bytes()).collect();
    let draw =
        u64::from_le_bytes(*blake3::hash(&bytes).as_bytes().first_chunk().expect("a hash has 32 bytes"));
    (draw >> 11) as f64 / (1_u64 << 53) as f64 >= 1.0 - share
}

/// Tells refused rows; where they are skipped, gives them as JSON lines.
fn settle(refused: &[(&Path, Vec<Refused>)], skip: bool) -> Result<String, String> {
    let count: usize = refused.iter().map(|(_, rows)| rows.len()).sum();
    if count == 0 {
        return Ok(String::new());
    }
    let all = || refused.iter().flat_map(|(path, rows)| rows.iter().map(move |row| (*path, row)));
    let mut told = String::new();
    for (path, row) in all().take(TOLD) {
        let _ = writeln!(told, "{}, line {}: {}", path.display(), row.line, row.reason);
    }
    if count > TOLD {
        let _ = writeln!(told, "and {} more", count - TOLD);
    }
    if !skip {
        let told = told.trim_end();
        return Err(format!("{told}\nmend the rows, or go on without them by `--skip-bad`"));
    }
    eprintln!("{told}{count} rows are left out");
    let line = |(path, row): (&Path, &Refused)| {
        json!({ "file": path, "line": row.line, "reason": row.reason, "row": row.row }).to_string() + "\n"
    };
    Ok(all().map(line).collect())
}
