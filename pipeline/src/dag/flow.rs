//! The order of the nodes, and the columns that each gets and gives.

use super::draft::Draft;
use super::{Kinds, join};
use crate::recipe::{Mistake, Recipe};
use arrow::datatypes::{DataType, Field, SchemaRef};
use schemas::{FilePaths, Made, Settings, SourceError, Spec, StageError, column};
use std::ops::Range;
use std::path::Path;

/// Columns that a node gets and gives.
pub(super) type Flow = (SchemaRef, SchemaRef);

/// Every draft after its inputs, otherwise in the order of the recipe. Each circle is a mistake.
pub(super) fn order(drafts: &[Draft], mistakes: &mut Vec<Mistake>) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(drafts.len());
    while order.len() < drafts.len() {
        let ready = |n: &usize| !order.contains(n) && drafts[*n].inputs.iter().all(|i| order.contains(i));
        match (0..drafts.len()).find(ready) {
            Some(next) => order.push(next),
            None => {
                let circle = circle(drafts, &order);
                mistakes.push(circle_mistake(drafts, &circle));
                order.extend(circle);
            }
        }
    }
    order
}

/// Walking up from a node that is not ready always meets another one, so the walk closes a circle.
fn circle(drafts: &[Draft], order: &[usize]) -> Vec<usize> {
    let stuck = |n: usize| {
        drafts[n].inputs.iter().copied().find(|i| !order.contains(i)).expect("an input is not ready")
    };
    let mut walk = vec![(0..drafts.len()).find(|n| !order.contains(n)).expect("some draft is not ordered")];
    loop {
        let next = stuck(walk[walk.len() - 1]);
        if let Some(start) = walk.iter().position(|&n| n == next) {
            return walk.split_off(start);
        }
        walk.push(next);
    }
}

fn circle_mistake(drafts: &[Draft], circle: &[usize]) -> Mistake {
    let first = (0..circle.len()).min_by_key(|&at| circle[at]).expect("a circle has nodes");
    let read = &drafts[circle[(first + 1) % circle.len()]].name;
    let draft = &drafts[circle[first]];
    let word = draft.block.input.iter().flatten().find(|w| w.text == *read);
    let span = word.map_or_else(|| draft.place(), |w| w.span.clone());
    if circle.len() == 1 {
        return Mistake::new(span, format!("the node `{read}` reads itself"), "name the node before it");
    }
    // Rows go from the last of the walk to its first.
    let mut names: Vec<&str> = (0..circle.len())
        .rev()
        .map(|at| drafts[circle[(first + 1 + at) % circle.len()]].name.as_str())
        .collect();
    names.push(names[0]);
    let message = format!("the nodes read each other in a circle: {}", names.join(" → "));
    Mistake::new(span, message, "a node may read only nodes that do not need it: change one `input`")
}

/// Finds the columns of every node.
pub(super) struct Flows<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) kinds: &'a Kinds,
    pub(super) drafts: &'a [Draft],
    pub(super) made: &'a [Option<Made>],
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl Flows<'_> {
    /// Columns that each draft gets and gives; `None` where that cannot be known for an earlier mistake.
    pub(super) fn find(mut self, order: &[usize]) -> Vec<Option<Flow>> {
        let mut flows: Vec<Option<Flow>> = vec![None; self.drafts.len()];
        // Nodes whose rows are pages that nothing has made text of.
        let mut pages = vec![false; self.drafts.len()];
        for &at in order {
            let (draft, Some(made)) = (&self.drafts[at], &self.made[at]) else { continue };
            if let Made::Source(source) = made {
                pages[at] = !source.gives_text();
                match source.schema(self.recipe.base()) {
                    Ok(schema) => flows[at] = Some((schema.clone(), schema)),
                    Err(error) => self.source(draft, &error),
                }
                continue;
            }
            let inputs: Option<Vec<SchemaRef>> =
                draft.inputs.iter().map(|&n| Some(flows[n].as_ref()?.1.clone())).collect();
            let Some(inputs) = inputs.filter(|i| !i.is_empty() && !draft.uncertain) else { continue };
            let Some(input) = self.join(draft, &inputs) else { continue };
            if self.behind_pack(draft) {
                continue;
            }
            let Some(output) = self.output(at, made, &input) else { continue };
            pages[at] =
                draft.inputs.iter().any(|&n| pages[n]) && output.field_with_name(column::HTML).is_ok();
            if self.reads_early(at, made, &input, pages[at]) {
                pages[at] = false;
            }
            flows[at] = Some((input, output));
        }
        flows
    }

    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message, help));
    }

    /// A source whose files cannot be read; those of one with a mistake in its settings are not the ones that are meant.
    fn source(&mut self, draft: &Draft, error: &SourceError) {
        let keys = draft.spec.map_or(&[][..], |s| s.keys);
        let lists = |name: &str| keys.iter().any(|k| k.name == name && k.kind == FilePaths::KIND);
        let paths: Vec<_> = draft.block.keys.iter().filter(|e| lists(&e.name)).collect();
        let words: Vec<_> = paths.iter().flat_map(|e| e.words()).collect();
        let inside =
            |span: &Range<usize>, outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
        let wrong = draft
            .block
            .keys
            .iter()
            .any(|e| self.mistakes.iter().any(|m| inside(&m.span, &e.value_span) || m.span == e.span));
        if wrong || paths.is_empty() {
            return;
        }
        let named: Option<&Path> = match error {
            SourceError::Io { path, .. } | SourceError::Format { path, .. } => Some(path),
            _ => None,
        };
        let base = self.recipe.base();
        let word = words.iter().find(|w| named.is_some_and(|path| path.starts_with(base.join(&w.text))));
        let whole = || paths.first().map_or_else(|| draft.place(), |e| e.value_span.clone());
        let span = word.map_or_else(whole, |w| w.span.clone());
        self.wrong(span, error.to_string(), "mend the file, or name another one");
    }

    fn join(&mut self, draft: &Draft, inputs: &[SchemaRef]) -> Option<SchemaRef> {
        let column = match join::union(inputs) {
            Ok(schema) => return Some(schema),
            Err(column) => column,
        };
        let types: Vec<String> = draft
            .inputs
            .iter()
            .zip(inputs)
            .filter_map(|(&n, schema)| {
                let found = schema.field_with_name(&column).ok()?;
                Some(format!("`{}` gives {}", self.drafts[n].name, type_words(found.data_type())))
            })
            .collect();
        let span = match draft.block.input.as_ref().and_then(|words| Some((words.first()?, words.last()?))) {
            Some((first, last)) => first.span.start..last.span.end,
            None => draft.place(),
        };
        let message = format!("the column `{column}` has two types here: {}", types.join(", "));
        let help =
            format!("rename `{column}` in one of them, leave it out, or read each in a branch of its own");
        self.wrong(span, message, help);
        None
    }

    fn behind_pack(&mut self, draft: &Draft) -> bool {
        let packed = draft.inputs.iter().find(|&&n| self.drafts[n].is("pack"));
        let Some(&pack) = packed.filter(|_| !draft.is("sink")) else { return false };
        let message = format!("what `{}` gives can only be written", self.drafts[pack].name);
        let line = self.recipe.line(self.drafts[pack].place().start);
        self.wrong(
            draft.place(),
            message,
            format!("put this node before it (line {line}), or let it read another"),
        );
        true
    }

    /// What a node gives. A column that it lacks is told and then taken as there, so that what lies behind is checked too.
    fn output(&mut self, at: usize, made: &Made, input: &SchemaRef) -> Option<SchemaRef> {
        let (draft, mut input) = (&self.drafts[at], input.clone());
        let mut lacking: Vec<&str> = Vec::new();
        loop {
            let error = match output(made, &input) {
                Ok(output) => return Some(output),
                Err(error) => error,
            };
            let StageError::ColumnMissing { column, found } = &error else {
                let kind = draft.spec.map_or("", |s| s.kind);
                let help = "change what comes before it, or its settings";
                if lacking.is_empty() {
                    self.wrong(draft.place(), format!("`{kind}`: {error}"), help);
                }
                return None;
            };
            if lacking.contains(column) {
                return None;
            }
            self.lacks(at, column, found);
            lacking.push(column);
            let kind = match *column {
                column::TOKENS => column::tokens_type(),
                column::HTML => DataType::Binary,
                _ => DataType::Utf8,
            };
            // Sequences of tokens that are not there have no columns to speak of.
            if draft.is("pack") || draft.is("sink") {
                return None;
            }
            input = column::with(&input, [Field::new(*column, kind, true)]);
        }
    }

    fn lacks(&mut self, at: usize, column: &str, found: &[String]) {
        let draft = &self.drafts[at];
        let gives = |spec: &Spec| {
            let Ok(made) = (spec.build)(&Settings::default()) else { return false };
            let all = column::with(&column::page_schema(), []);
            let gives = output(&made, &all).is_ok_and(|s| s.field_with_name(column).is_ok());
            !matches!(made, Made::Source(_) | Made::Sink(_)) && gives && all.field_with_name(column).is_err()
        };
        let later = (0..self.drafts.len()).find(|&n| {
            let explicit = !self.drafts[n].block.kind.text.is_empty();
            n != at && explicit && self.drafts[n].spec.is_some_and(gives) && self.is_above(at, n)
        });
        let maker = self.kinds.all.iter().find(|spec| gives(spec));
        let field = self.field_key(at, column);
        let help = match (later, maker, field) {
            (Some(n), ..) => {
                let line = self.recipe.line(self.drafts[n].place().start);
                format!("`{}` makes it (line {line}): put that before this node", self.drafts[n].name)
            }
            (None, Some(spec), _) => format!("`{}` makes it: put one before this node", spec.kind),
            (None, None, Some(help)) => help,
            (None, None, None) => match self.carrier(at) {
                Some(source) => format!(
                    "where it is a field of the source, name it in `columns` of `[sources.{source}]`, or carry whole objects by `row = true`; \
                     else take this node out; the columns here are {}",
                    found.join(", ")
                ),
                None => format!("take this node out; the columns here are {}", found.join(", ")),
            },
        };
        let kind = draft.spec.map_or("", |s| s.kind);
        let message = format!("`{kind}` reads the column `{column}`, which nothing before it makes");
        self.wrong(draft.place(), message, help);
    }

    /// The key of a source above that would give a column: `html_field` for `html`.
    fn field_key(&self, at: usize, column: &str) -> Option<String> {
        let above = |&n: &usize| n != at && self.is_above(n, at) && self.drafts[n].is("source");
        (0..self.drafts.len()).filter(above).find_map(|n| {
            let key = self.drafts[n].spec?.keys.iter().find(|k| k.name == format!("{column}_field"))?;
            let name = &self.drafts[n].name;
            Some(format!("set `{}` in `[sources.{name}]`, or take this node out", key.name))
        })
    }

    /// A source above that can carry whole objects.
    fn carrier(&self, at: usize) -> Option<&str> {
        let above = |&n: &usize| n != at && self.is_above(n, at) && self.drafts[n].is("source");
        (0..self.drafts.len()).filter(above).find_map(|n| {
            let draft = &self.drafts[n];
            draft.spec?.keys.iter().any(|key| key.name == column::ROW).then_some(draft.name.as_str())
        })
    }

    /// Whether rows of `above` reach `below`.
    fn is_above(&self, above: usize, below: usize) -> bool {
        let (mut seen, mut open) = (vec![below], vec![below]);
        while let Some(n) = open.pop() {
            for &input in &self.drafts[n].inputs {
                if !seen.contains(&input) {
                    seen.push(input);
                    open.push(input);
                }
            }
        }
        above != below && seen.contains(&above)
    }

    /// A node that reads the text of pages before anything has made text of them would see none.
    fn reads_early(&mut self, at: usize, made: &Made, input: &SchemaRef, pages: bool) -> bool {
        let draft = &self.drafts[at];
        let without = column::without(input, &[column::TEXT]);
        let reads = |made: &Made| matches!(output(made, &without), Err(StageError::ColumnMissing { column, .. }) if column == column::TEXT);
        if input.field_with_name(column::HTML).is_err() || matches!(made, Made::Sink(_)) || !reads(made) {
            return false;
        }
        let extracts = |n: usize, made: &Made| {
            let all = column::with(input, []);
            n != at
                && !matches!(made, Made::Source(_) | Made::Sink(_) | Made::Regroup(_))
                && output(made, &all).is_ok_and(|s| s.field_with_name(column::HTML).is_err())
        };
        let later = (0..self.drafts.len())
            .find(|&n| self.made[n].as_ref().is_some_and(|made| extracts(n, made)) && self.is_above(at, n));
        let kind = draft.spec.map_or("", |s| s.kind);
        let help = match later {
            Some(n) => {
                let line = self.recipe.line(self.drafts[n].place().start);
                format!("put this node behind `{}` (line {line})", self.drafts[n].name)
            }
            None if pages => {
                let makes = |spec: &&Spec| {
                    (spec.build)(&Settings::default()).is_ok_and(|made| extracts(at + 1, &made))
                };
                let maker = self.kinds.all.iter().find(makes).map_or("a stage that makes text", |s| s.kind);
                format!("put `{maker}` before this node")
            }
            None => return false,
        };
        let place = draft.place();
        self.wrong(place, format!("`{kind}` reads the text of pages, which have none yet"), help);
        true
    }
}

fn type_words(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 => "strings".to_owned(),
        DataType::Binary => "bytes".to_owned(),
        DataType::Boolean => "true or false".to_owned(),
        kind if kind.is_integer() => format!("whole numbers ({kind})"),
        kind if kind.is_floating() => format!("numbers ({kind})"),
        kind => kind.to_string(),
    }
}

fn output(made: &Made, input: &SchemaRef) -> Result<SchemaRef, StageError> {
    match made {
        Made::Source(_) => Ok(input.clone()),
        Made::Stage(stage) => stage.output(input),
        Made::Global(global) => global.output(input),
        Made::Regroup(regroup) => regroup.output(input),
        Made::Sink(sink) => sink.check(input).map(|()| input.clone()),
    }
}
