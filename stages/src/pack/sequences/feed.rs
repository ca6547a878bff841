//! The rows of one stream of sorted pieces, a window at a time.

use super::piece;
use super::window::{Packed, Window};
use super::{Config, Layout};
use schemas::hash::{Rng, seed};
use schemas::{Sorted, StageError};

/// A stream of pieces as a stream of rows.
pub(super) struct Feed<'a> {
    sorted: Box<dyn Sorted + 'a>,
    config: &'a Config,
    /// Tokens of a window.
    window_tokens: usize,
    /// Windows before the one at hand.
    number: u64,
    packed: Packed,
    next: usize,
    /// Pieces that go on into the next window.
    rest: Window,
    ended: bool,
}

impl<'a> Feed<'a> {
    pub(super) fn new(sorted: Box<dyn Sorted + 'a>, config: &'a Config, window_tokens: usize) -> Self {
        let (packed, rest) = (Packed::default(), Window::default());
        Self { sorted, config, window_tokens, number: 0, packed, next: 0, rest, ended: false }
    }

    /// Whether there is another row; its window is read for that.
    pub(super) fn has_row(&mut self) -> Result<bool, StageError> {
        while self.next == self.packed.rows() {
            if self.ended {
                return Ok(false);
            }
            self.fill()?;
        }
        Ok(true)
    }

    /// The next row, as its window and its number there.
    ///
    /// # Panics
    /// When [`Feed::has_row`] did not say that there is one.
    pub(super) fn row(&mut self) -> (&Packed, usize) {
        assert!(self.next < self.packed.rows(), "a row is asked for only where there is one");
        self.next += 1;
        (&self.packed, self.next - 1)
    }

    fn fill(&mut self) -> Result<(), StageError> {
        // The rows that were given leave their memory to the next.
        let mut window = std::mem::take(&mut self.packed).into_window();
        window.clear(self.window_tokens);
        window.append(&std::mem::take(&mut self.rest));
        let mut read = 0;
        while read < self.window_tokens {
            let Some(record) = self.sorted.next()? else {
                self.ended = true;
                break;
            };
            let piece = piece::read(record)?;
            read += piece.len();
            window.push(piece);
        }
        let length = self.config.length as usize;
        match self.config.layout {
            Layout::Documents => self.packed = window.unpacked(),
            Layout::Sequences => {
                (self.packed, self.rest) = window.pack(self.config.method, length, self.ended);
                self.packed.shuffle(Rng::new(seed(self.config.seed, "pack.sequences rows", self.number)));
            }
        }
        self.number += 1;
        self.next = 0;
        Ok(())
    }
}
