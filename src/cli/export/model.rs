//! A model for `transformers` or llama.cpp.

use super::{Args, Dtype, Format};
use crate::cli::folders;
use crate::cli::output::{emit, emit_json};
use crate::cli::wrong;
use model::export::{Exported, Kind, Precision, Request, To, export};
use pipeline::inspect::layout::{bytes, thousands};
use std::process::ExitCode;

pub(super) fn run(args: &Args) -> ExitCode {
    let to = match (args.to, args.dtype) {
        (Format::Gguf, None | Some(Dtype::F32)) => To::Gguf(Kind::F32),
        (Format::Gguf, Some(Dtype::F16)) => To::Gguf(Kind::F16),
        (Format::Gguf, Some(Dtype::Bf16)) => To::Gguf(Kind::Bf16),
        (Format::Gguf, Some(Dtype::Q8)) => To::Gguf(Kind::Q8),
        (_, None | Some(Dtype::F32)) => To::Hf(Precision::F32),
        (_, Some(Dtype::F16)) => To::Hf(Precision::F16),
        (_, Some(Dtype::Bf16)) => To::Hf(Precision::Bf16),
        (_, Some(Dtype::Q8)) => {
            return wrong::misused("`--dtype q8` is for `--to gguf`; `transformers` reads f32, bf16 and f16");
        }
    };
    let texts = match &args.parity_texts {
        None => Vec::new(),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
            Err(error) => return wrong::misused(format!("{}: {error}", path.display())),
        },
    };
    let folder = match folders::model(&args.source) {
        Ok(folder) => folder,
        Err(trouble) => return trouble.tell(),
    };
    let dataset = match args.dataset.as_deref().map(folders::dataset).transpose() {
        Ok(dataset) => dataset,
        Err(trouble) => return trouble.tell(),
    };
    if let Err(trouble) = wrong::free(&args.out) {
        return trouble.tell();
    }
    let request = Request { to, dataset: dataset.as_deref(), parity: args.parity.as_deref(), texts: &texts };
    match export(&folder, &args.out, &request) {
        Ok(exported) if args.json => emit_json(&exported, ExitCode::SUCCESS),
        Ok(exported) => emit(&text(&exported, args), ExitCode::SUCCESS),
        Err(error) => wrong::stopped(error),
    }
}

fn text(exported: &Exported, args: &Args) -> String {
    let Exported { class, parameters, files, notes } = exported;
    let size = files.values().sum();
    let mut out = format!(
        "{}: {class}, {} parameters, {} files, {}; README.md says what it is\n",
        args.out.display(),
        thousands(*parameters),
        files.len(),
        bytes(size)
    );
    notes.iter().for_each(|note| out += &format!("  {note}\n"));
    if let Some(parity) = &args.parity {
        out += &format!("{}: ids, logits and greedy ids to compare\n", parity.display());
    }
    out
}
