//! `gristmill inspect PATH --tokens ROW`: a training sequence in words.

use super::View;
use pipeline::inspect::layout::{Ink, Style, one_line, thousands};
use pipeline::inspect::{Dataset, InspectError, Target, TokenRow, TokenView, Vocabulary, token_row};
use std::path::Path;

pub(super) fn show(path: &Path, target: &Target, row: u64, style: &Style) -> Result<View, InspectError> {
    let (table, dataset) = match target {
        Target::Table(table) => (table.clone(), above(path)),
        Target::Dataset(dataset) => (dataset.table("tokens")?, Some(dataset.clone())),
    };
    let Some(dataset) = dataset else {
        return Err(InspectError::Question {
            message: format!("{}: no dataset is around it, so there is no tokenizer.json", path.display()),
            help: "give the dataset folder".to_owned(),
        });
    };
    let vocabulary = Vocabulary::read(&dataset.root.join("tokenizer.json"))?;
    let tokens = token_row(&table, row, &vocabulary, Some(&dataset))?;
    Ok(View { text: lay(&tokens, style), json: serde_json::to_value(&tokens).unwrap_or_default() })
}

/// The dataset that a file lies in.
fn above(path: &Path) -> Option<Dataset> {
    let path = path.canonicalize().ok()?;
    path.ancestors()
        .skip(1)
        .take(3)
        .find(|p| p.join("manifest.json").is_file())
        .and_then(|p| Dataset::open(p).ok())
}

/// Backgrounds that tokens have in turn: dark shades of the 256-colour palette, told apart without being loud.
const SHADES: [u8; 4] = [17, 52, 22, 53];

fn lay(tokens: &TokenRow, style: &Style) -> String {
    let mut out = String::new();
    for (at, piece) in tokens.pieces.iter().enumerate() {
        let name = piece.url.as_deref().unwrap_or(&piece.id);
        let (many, from) =
            (thousands(piece.ids.len() as u64), thousands(u64::try_from(piece.offset).unwrap_or(0)));
        let masked = match masked(piece) {
            0 => String::new(),
            masked => format!(", {} masked", thousands(masked)),
        };
        let title = format!(
            "{}/{} · {} · {many} tokens from {from}{masked}",
            at + 1,
            tokens.pieces.len(),
            one_line(name)
        );
        out += &style.rule(&title);
        for (at, text) in piece.texts.iter().enumerate() {
            // A line end is shown and done, so that text keeps its lines.
            let lines: Vec<String> = text.split('\n').map(one_line).collect();
            let shown = lines.join("↵\n");
            let learned = piece.learned.as_ref().is_none_or(|learned| learned.get(at) != Some(&false));
            let shade = match learned {
                true => format!("\x1b[48;5;{}m", SHADES[at % 4]),
                false => "\x1b[2;4m".to_owned(),
            };
            out += &match style.colour {
                true => format!("{shade}{}\x1b[0m", shown.replace('\n', &format!("\x1b[0m\n{shade}"))),
                false => format!("{shown}{}", if learned { '|' } else { '¦' }),
            };
        }
        out.push('\n');
    }
    if tokens.pad > 0 {
        out += &style.rule(&format!("{} padding, masked", thousands(tokens.pad)));
    }
    if tokens.pieces.iter().any(|piece| masked(piece) > 0) {
        let legend = if style.colour {
            "dim and underlined: masked, not learned"
        } else {
            "| ends a token that is learned, ¦ one that is masked"
        };
        out += &format!("{}\n", style.paint(Ink::Dim, legend));
    }
    out
}

fn masked(piece: &TokenView) -> u64 {
    piece.learned.iter().flatten().filter(|learned| !**learned).count() as u64
}
