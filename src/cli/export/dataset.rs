//! Token shards in the formats of other trainers.

use super::{Args, Format, Split, Unit};
use crate::cli::output::{emit, emit_json, fail};
use crate::cli::wrong;
use pipeline::export::{self, By, Exported, Request, To};
use pipeline::inspect::Dataset;
use pipeline::inspect::layout::{bytes, thousands};
use std::process::ExitCode;

pub(super) fn run(args: &Args) -> ExitCode {
    if let Err(trouble) = wrong::dataset(&args.source).and_then(|()| wrong::free(&args.out)) {
        return trouble.tell();
    }
    let request = Request {
        to: match args.to {
            Format::Datatrove => To::Datatrove,
            Format::Npy => To::Npy,
            _ => To::Megatron,
        },
        by: match args.by {
            None | Some(Unit::Documents) => By::Documents,
            Some(Unit::Rows) => By::Rows,
        },
        split: args.split.map(|split| match split {
            Split::Train => "train".to_owned(),
            Split::Validation => "validation".to_owned(),
        }),
    };
    let exported = Dataset::open(&args.source).and_then(|d| export::export(&d, &args.out, &request));
    match exported {
        Ok(exported) if args.json => emit_json(&exported, ExitCode::SUCCESS),
        Ok(exported) => emit(&text(&exported, args), ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

fn text(exported: &Exported, args: &Args) -> String {
    let mut out = String::new();
    let unit = match exported.by {
        By::Documents => "documents",
        By::Rows => "rows",
    };
    for (name, split) in &exported.splits {
        out += &format!("{name}: {} {unit}, {} tokens\n", thousands(split.entries), thousands(split.tokens));
        if split.loss_mask_left_out {
            out += "  the loss mask is left out: the format has no place for it\n";
        }
    }
    let size = exported.files.values().map(|file| file.bytes).sum();
    let files = exported.files.len();
    out + &format!(
        "{}: {files} files, {}, {} bytes a token; {} says what they are\n",
        args.out.display(),
        bytes(size),
        exported.token_bytes,
        export::FILE
    )
}
