//! Mistakes of a recipe, each with its place and a next step.

use super::Recipe;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Mistake {
    /// A mistake at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: help.into() }
    }
}

/// All mistakes of one recipe, in the order of the text.
#[derive(Debug)]
pub struct Mistakes {
    /// The recipe.
    pub file: PathBuf,
    /// Its text; empty when it could not be read.
    pub text: String,
    /// The mistakes.
    pub list: Vec<Mistake>,
}

/// Where a mistake stands, counted from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl Mistakes {
    /// Collects the mistakes of a recipe.
    pub fn new(recipe: &Recipe, list: Vec<Mistake>) -> Self {
        let mut list = recipe.damage.join(list);
        list.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        list.dedup();
        Self { file: recipe.file.clone(), text: recipe.text.clone(), list }
    }

    /// The one mistake of a file that cannot be read.
    pub fn unreadable(file: &Path, message: String, help: String) -> Self {
        Self { file: file.to_owned(), text: String::new(), list: vec![Mistake::new(0..0, message, help)] }
    }

    /// Line and column of a mistake.
    pub fn place(&self, mistake: &Mistake) -> Place {
        let start = self.text.floor_char_boundary(mistake.span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.list.iter().enumerate() {
            let Place { line, column } = self.place(mistake);
            let end = if at + 1 == self.list.len() { "" } else { "\n" };
            let Mistake { message, help, .. } = mistake;
            write!(f, "{}:{line}:{column}: {message}; {help}{end}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
