//! `gristmill verify DATASET`: whether a dataset is what its manifest says.

use super::output::{emit, emit_json, style};
use super::wrong::{self, Trouble};
use pipeline::inspect::layout::{Ink, bytes, thousands};
use pipeline::inspect::{Dataset, verify};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Findings told to a person; `--json` has all.
const FINDINGS_MAX: usize = 20;

#[derive(clap::Args)]
#[command(
    after_help = "Exit code 0: all is as the manifest says; 1: something differs.\nExample: gristmill verify gristmill-demo"
)]
pub(crate) struct Args {
    /// Dataset folder, or the working folder of a build.
    dataset: PathBuf,
    /// Writes the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Err(trouble) = wrong::dataset(&args.dataset) {
        return trouble.tell();
    }
    let verified = match Dataset::open(&args.dataset).and_then(|dataset| verify(&dataset)) {
        Ok(verified) => verified,
        Err(error) => return Trouble::from(error).tell(),
    };
    let good = verified.findings.is_empty();
    let code = if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        return emit_json(&verified, code);
    }
    let style = style();
    let mut out = String::new();
    for finding in verified.findings.iter().take(FINDINGS_MAX) {
        let file = style.paint(Ink::Red, &finding.file);
        writeln!(out, "{file}: {}", finding.what).expect("writing to a string cannot fail");
    }
    if verified.findings.len() > FINDINGS_MAX {
        let more = thousands((verified.findings.len() - FINDINGS_MAX) as u64);
        writeln!(out, "… and {more} more; --json tells all").expect("writing to a string cannot fail");
    }
    let verdict = if good {
        style.paint(Ink::Green, "sound")
    } else {
        style.paint(Ink::Red, "not what the manifest says; `gristmill build` writes the files named again")
    };
    writeln!(
        out,
        "{verdict}: {} files, {}, {} ledgers, {} sequences\nmanifest blake3 {}",
        thousands(verified.files),
        bytes(verified.bytes),
        thousands(verified.nodes),
        thousands(verified.sequences),
        verified.manifest
    )
    .expect("writing to a string cannot fail");
    emit(&out, code)
}
