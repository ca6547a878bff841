//! Translation language modelling (XLM, arXiv 1901.07291, 3.3 and 3.4): masked language modelling of texts in many languages, each token
//! with an embedding of its language, and of pairs of translations, where a hidden token can be told from either text.
//!
//! A pair is one document: a text, the end-of-document token, its translation. The positions of the second text start
//! again, so that words which translate each other stand near each other.
//!
//! ```text
//! row        h e l l o ⏎ h a l l o ⏎
//! positions  0 1 2 3 4 5 0 1 2 3 4 5
//! languages  e e e e e e d d d d d d
//! ```

use super::{Languages, Piece, Program, Sample, hide};
use crate::batch::Batch;
use schemas::hash::Rng;

pub(super) fn batch(program: &Program, samples: &[Sample]) -> Batch {
    let mut batch = whole(program, samples.iter());
    for (number, sample) in samples.iter().enumerate() {
        let mut rng = Rng::new(sample.key);
        for piece in sample.pieces() {
            hide::tokens(program, &piece, &mut rng, &mut batch, number * sample.row.ids.len());
        }
    }
    batch
}

/// The samples as they are, with languages and the positions of second texts.
pub(super) fn whole<'a>(program: &Program, samples: impl Iterator<Item = &'a Sample> + Clone) -> Batch {
    let mut batch = Batch::whole(samples.clone().map(|sample| &sample.row));
    batch.languages = vec![0; batch.ids.len()];
    for (number, sample) in samples.enumerate() {
        for piece in sample.pieces() {
            if let Some(languages) = piece.languages {
                tell(program, &piece, languages, &mut batch, number * sample.row.ids.len());
            }
        }
    }
    batch
}

/// Writes the languages of a piece, and the positions of a second text.
fn tell(program: &Program, piece: &Piece<'_>, languages: Languages, batch: &mut Batch, row: usize) {
    let tokens = row + piece.range.start..row + piece.range.end;
    let index = |language: u32| program.language_ids[language as usize];
    batch.languages[tokens.clone()].fill(index(languages.first));
    let Some(second) = languages.second else { return };
    // The end of the document itself begins no second text.
    let border = piece.ids.iter().position(|&id| id == program.eos).map(|at| at + 1);
    let Some(border) = border.filter(|&border| border < piece.ids.len()) else { return };
    let tokens = tokens.start + border..tokens.end;
    batch.languages[tokens.clone()].fill(index(second));
    (0..).zip(tokens).for_each(|(position, at)| batch.positions[at] = position);
}
