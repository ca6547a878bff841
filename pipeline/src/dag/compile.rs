//! From a recipe to a [`Dag`], or to all mistakes that a run would trip over.

use super::draft::{Draft, drafts};
use super::{Dag, Kinds, Node, join, key};
use crate::recipe::{Block, Entry, Mistake, Mistakes, Recipe, load};
use arrow::datatypes::SchemaRef;
use schemas::{FilePath, FilePaths, KeyError, Made, Settings, Spec, StageError};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads and compiles a recipe file: every mistake of form and of meaning at once.
///
/// # Errors
/// All mistakes.
pub fn check(
    file: &Path,
    kinds: &Kinds,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Recipe, Dag), Mistakes> {
    let text = load(file).map_err(|message| Mistakes::unreadable(file, message))?;
    let (recipe, mistakes) = Recipe::parse_recoverable(file, text, environment);
    let dag = build(&recipe, kinds, mistakes)?;
    Ok((recipe, dag))
}

/// Compiles a recipe.
///
/// # Errors
/// All mistakes.
pub fn compile(recipe: &Recipe, kinds: &Kinds) -> Result<Dag, Mistakes> {
    build(recipe, kinds, Vec::new())
}

fn build(recipe: &Recipe, kinds: &Kinds, mut mistakes: Vec<Mistake>) -> Result<Dag, Mistakes> {
    if recipe.sources.is_empty() {
        return Err(Mistakes::new(recipe, mistakes));
    }
    let drafts = drafts(recipe, kinds, &mut mistakes);
    let train = train(recipe, kinds, &mut mistakes);
    let made: Vec<Option<Made>> = drafts.iter().map(|d| make(d, recipe.base(), &mut mistakes)).collect();
    let Some(order) = order(&drafts, &mut mistakes) else { return Err(Mistakes::new(recipe, mistakes)) };
    let schemas = flow(&drafts, &made, &order, recipe.base(), kinds, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(Mistakes::new(recipe, mistakes));
    }
    let mut place = vec![0; drafts.len()];
    order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
    let mut parts: Vec<_> =
        drafts.into_iter().zip(made).zip(schemas).map(|((d, m), s)| Some((d, m, s))).collect();
    let nodes = order.iter().map(|&old| {
        let (draft, made, flow) = parts[old].take().expect("the order names each draft once");
        let spec = draft.spec.expect("a draft without a kind is a mistake");
        let (input, output) = flow.expect("a draft without columns is a mistake");
        let settings = settings(&draft.block, recipe.base());
        Node {
            hash: key::node_hash(spec, &settings, recipe.base()),
            shown: shown(spec, &draft.block),
            inputs: draft.inputs.iter().map(|&n| place[n]).collect(),
            made: made.expect("a draft that cannot be made is a mistake"),
            name: draft.name,
            folder: draft.folder,
            spec,
            input,
            output,
        }
    });
    Ok(Dag { name: recipe.name.clone(), nodes: nodes.collect(), train })
}

fn settings(block: &Block, base: &Path) -> Settings {
    Settings::new(block.keys.iter().map(|e| (e.name.clone(), e.value.clone())).collect()).with_base(base)
}

fn shown(spec: &Spec, block: &Block) -> BTreeMap<String, String> {
    let value = |key: &schemas::Key| match block.keys.iter().find(|e| e.name == key.name) {
        Some(entry) => entry.written.to_string(),
        None => (key.default)(),
    };
    spec.keys.iter().map(|key| (key.name.to_owned(), value(key))).collect()
}

fn train(recipe: &Recipe, kinds: &Kinds, mistakes: &mut Vec<Mistake>) -> Option<Settings> {
    let block = recipe.train.as_ref()?;
    let settings = settings(block, recipe.base());
    match &kinds.train {
        Some(train) => {
            for error in (train.check)(&settings) {
                mistakes.push(key_mistake(&error, block, train.keys));
            }
            if recipe.tokenizer.is_none() && !recipe.stages.iter().any(|s| s.kind.text.starts_with("pack.")) {
                let help = "add `[tokenizer]`, or take `[train]` out";
                mistakes.push(Mistake::new(block.span.clone(), "training needs tokens", help));
            }
        }
        None => mistakes.push(Mistake::new(
            block.span.clone(),
            "this program has no trainer",
            "take `[train]` out",
        )),
    }
    Some(settings)
}

/// Makes a node; one with wrong settings is made with the defaults, so that what lies behind it is checked too.
fn make(draft: &Draft, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<Made> {
    let spec = draft.spec?;
    files(spec, &draft.block, base, mistakes);
    match (spec.build)(&settings(&draft.block, base)) {
        Ok(made) => Some(made),
        Err(errors) => {
            let told = |e: &KeyError| key_mistake(e, &draft.block, spec.keys);
            // A file that is not there was told with its place.
            let fresh =
                errors.iter().map(told).filter(|m| !mistakes.iter().any(|known| known.span == m.span));
            let fresh: Vec<Mistake> = fresh.collect();
            mistakes.extend(fresh);
            (spec.build)(&Settings::default().with_base(base)).ok()
        }
    }
}

fn key_mistake(error: &KeyError, block: &Block, keys: &[schemas::Key]) -> Mistake {
    let entries = || block.keys.iter().filter(|e| e.name == error.key);
    let known = keys.iter().find(|k| k.name == error.key);
    let span = match (entries().next_back(), known) {
        (Some(entry), Some(_)) => entry.value_span.clone(),
        (Some(entry), None) => entry.span.clone(),
        (None, _) if !block.kind.span.is_empty() => block.kind.span.clone(),
        (None, _) => block.span.clone(),
    };
    let help = error.help.clone().or_else(|| {
        let key = known?;
        let range = if key.range.is_empty() { String::new() } else { format!(", in {}", key.range) };
        Some(format!(
            "{} ({}{range}; default `{}`)",
            key.doc.trim().trim_end_matches('.'),
            key.kind,
            (key.default)()
        ))
    });
    let help = help.unwrap_or_else(|| "`gristmill stages` shows every key".into());
    Mistake::new(span, format!("`{}`: {}", error.key, error.message), help)
}

/// Files that settings name must be there.
fn files(spec: &Spec, block: &Block, base: &Path, mistakes: &mut Vec<Mistake>) {
    let mut check = |entry: &Entry, path: &str| {
        if path.is_empty() || path.contains(['*', '?', '[']) {
            return;
        }
        if let Err(error) = std::fs::metadata(base.join(path)) {
            let message = format!("`{}`: cannot read `{path}`: {error}", entry.name);
            let help = format!("paths start at the folder of the recipe, `{}`", base.display());
            mistakes.push(Mistake::new(entry.value_span.clone(), message, help));
        }
    };
    for entry in &block.keys {
        match spec.keys.iter().find(|k| k.name == entry.name).map(|k| k.kind) {
            Some(FilePath::KIND) => check(entry, entry.value.as_str().unwrap_or_default()),
            Some(FilePaths::KIND) => {
                entry
                    .value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|v| v.as_str())
                    .for_each(|p| check(entry, p));
            }
            _ => {}
        }
    }
}

/// Every draft after its inputs, otherwise in the order of the recipe; `None` with a mistake when there is a cycle.
fn order(drafts: &[Draft], mistakes: &mut Vec<Mistake>) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(drafts.len());
    loop {
        let ready = |n: &usize| !order.contains(n) && drafts[*n].inputs.iter().all(|i| order.contains(i));
        match (0..drafts.len()).find(ready) {
            Some(next) => order.push(next),
            None if order.len() == drafts.len() => return Some(order),
            None => break,
        }
    }
    // Walking up from a node that is not ready always meets another one, so the walk closes a circle.
    let stuck = |n: usize| {
        drafts[n].inputs.iter().copied().find(|i| !order.contains(i)).expect("an input is not ready")
    };
    let mut walk = vec![(0..drafts.len()).find(|n| !order.contains(n)).expect("some draft is not ordered")];
    let circle = loop {
        let next = stuck(walk[walk.len() - 1]);
        if let Some(start) = walk.iter().position(|&n| n == next) {
            break walk.split_off(start);
        }
        walk.push(next);
    };
    let first = *circle.iter().min().expect("a circle has nodes");
    let mut names: Vec<&str> = circle.iter().rev().map(|&n| drafts[n].name.as_str()).collect();
    names.push(names[0]);
    let words = drafts[first].block.input.as_ref();
    let span = words.and_then(|w| w.first()).map_or_else(|| drafts[first].place(), |w| w.span.clone());
    let help = "a node may read only nodes that do not need it: change one `input`";
    mistakes.push(Mistake::new(
        span,
        format!("the nodes read each other in a circle: {}", names.join(" → ")),
        help,
    ));
    None
}

type Flow = (SchemaRef, SchemaRef);

/// Columns that each draft gets and gives; `None` where that cannot be known for an earlier mistake.
fn flow(
    drafts: &[Draft],
    made: &[Option<Made>],
    order: &[usize],
    base: &Path,
    kinds: &Kinds,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Option<Flow>> {
    let mut flows: Vec<Option<Flow>> = vec![None; drafts.len()];
    for &at in order {
        let (draft, Some(made)) = (&drafts[at], &made[at]) else { continue };
        if let Made::Source(source) = made {
            // The files of a source with a mistake in its settings are not the ones that are meant.
            let wrong = draft
                .block
                .keys
                .iter()
                .any(|e| mistakes.iter().any(|m| m.span == e.value_span || m.span == e.span));
            match source.schema(base) {
                Ok(schema) => flows[at] = Some((schema.clone(), schema)),
                Err(_) if wrong => {}
                Err(error) => {
                    mistakes.push(Mistake::new(draft.place(), error.to_string(), "mend the file or its path"))
                }
            }
            continue;
        }
        let inputs: Option<Vec<SchemaRef>> =
            draft.inputs.iter().map(|&n| Some(flows[n].as_ref()?.1.clone())).collect();
        let Some(inputs) = inputs.filter(|i| !i.is_empty()) else { continue };
        let input = match join::union(&inputs) {
            Ok(schema) => schema,
            Err(column) => {
                let message = format!("the inputs give the column `{column}` with different types");
                mistakes.push(Mistake::new(draft.place(), message, "read them in nodes of their own"));
                continue;
            }
        };
        if draft.inputs.iter().any(|&n| matches!(made_of(drafts, n), Some("pack"))) && !draft.is("sink") {
            let message = "what `pack.sequences` gives can only be written";
            mistakes.push(Mistake::new(draft.place(), message, "put this node before it"));
            continue;
        }
        match output(made, &input) {
            Ok(output) => flows[at] = Some((input, output)),
            Err(error) => mistakes.push(column_mistake(draft, &error, &input, kinds)),
        }
    }
    flows
}

fn made_of(drafts: &[Draft], at: usize) -> Option<&'static str> {
    drafts[at].spec.and_then(|s| s.kind.split('.').next())
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

fn column_mistake(draft: &Draft, error: &StageError, input: &SchemaRef, kinds: &Kinds) -> Mistake {
    let kind = draft.spec.map_or("", |s| s.kind);
    let StageError::ColumnMissing { column, found } = error else {
        return Mistake::new(
            draft.place(),
            format!("`{kind}`: {error}"),
            "change the stage before it, or its settings",
        );
    };
    let makes = |spec: &&Spec| {
        let Ok(made) = (spec.build)(&Settings::default()) else { return false };
        let gives = |made: Made| output(&made, input).is_ok_and(|s| s.field_with_name(column).is_ok());
        !matches!(made, Made::Source(_) | Made::Sink(_)) && gives(made)
    };
    let help = match kinds.all.iter().find(makes) {
        Some(spec) => format!("`{}` makes it: put one before this node", spec.kind),
        None => format!("the columns here are {}", found.join(", ")),
    };
    Mistake::new(
        draft.place(),
        format!("`{kind}` reads the column `{column}`, which nothing before it makes"),
        help,
    )
}
