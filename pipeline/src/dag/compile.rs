//! From a recipe to a [`Dag`], or to all mistakes that a run would trip over.

use super::draft::drafts;
use super::flow::{Flows, order};
use super::make::{make, settings, train};
use super::{Dag, Kinds, Node, key};
use crate::recipe::{Block, Mistake, Mistakes, Recipe, load};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemas::{Made, Spec, column};
use std::collections::{BTreeMap, BTreeSet};
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
    let text = load(file)?;
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
    let drafts = drafts(recipe, kinds, &mut mistakes);
    let train = train(recipe, kinds, &mut mistakes);
    let made: Vec<Option<Made>> = drafts.iter().map(|d| make(d, recipe, kinds, &mut mistakes)).collect();
    let order = order(&drafts, &mut mistakes);
    let flows = Flows { recipe, kinds, drafts: &drafts, made: &made, mistakes: &mut mistakes };
    let schemas = flows.find(&order);
    if !mistakes.is_empty() || !recipe.damage.is_none() {
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
        let input = taken(made.as_ref(), input);
        let settings = settings(&draft.block, recipe.base());
        Node {
            reads: reads(made.as_ref(), &input),
            replaces: Vec::new(),
            surprise: draft.block.surprise.unwrap_or_default(),
            hash: key::node_hash(spec, &settings, recipe.base()),
            facts: key::facts(spec, &draft.block, recipe),
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
    let mut nodes: Vec<Node> = nodes.collect();
    find_replaced(&mut nodes);
    Ok(Dag { name: recipe.name.clone(), nodes, train })
}

/// Notes in each node the columns of a source that it is the first to write over.
fn find_replaced(nodes: &mut [Node]) {
    let of_all = column::with(&column::page_schema(), [Field::new(column::ROW, DataType::Utf8, true)]);
    // The columns behind each node that are as a source gave them.
    let mut own: Vec<BTreeSet<String>> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let given = match node.made {
            Made::Source(_) => node.output.fields().iter().map(|field| field.name().clone()).collect(),
            _ => node.inputs.iter().flat_map(|&n| own[n].iter().cloned()).collect::<BTreeSet<_>>(),
        };
        let given = given.into_iter().filter(|name| of_all.field_with_name(name).is_err());
        let (replaced, left) = given.partition(|name| makes(&node.made, &node.input, name));
        node.replaces = BTreeSet::into_iter(replaced).collect();
        own.push(left);
    }
}

/// Whether a node gives a column also where none of that name comes in.
fn makes(made: &Made, input: &SchemaRef, column: &str) -> bool {
    let without = column::without(input, &[column]);
    let output = match made {
        Made::Stage(stage) => stage.output(&without),
        Made::Global(global) => global.output(&without),
        _ => return false,
    };
    output.is_ok_and(|output| output.field_with_name(column).is_ok())
}

/// The columns that a node is given: of a regroup those that it takes, and what is told of a row that it drops.
fn taken(made: Option<&Made>, input: SchemaRef) -> SchemaRef {
    let Some(Made::Regroup(regroup)) = made else { return input };
    let Some(columns) = regroup.takes(&input) else { return input };
    let told = [column::ID, column::URL, column::SOURCE];
    let is_taken = |name: &str| told.contains(&name) || columns.iter().any(|column| column == name);
    let fields = input.fields().iter().filter(|field| is_taken(field.name())).cloned();
    SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns without which a stage says that it cannot work.
fn reads(made: Option<&Made>, input: &SchemaRef) -> Vec<String> {
    let can = |schema: &SchemaRef| match made {
        Some(Made::Stage(stage)) => stage.output(schema).is_ok(),
        Some(Made::Global(global)) => global.output(schema).is_ok(),
        _ => true,
    };
    let without = |at: usize| {
        let fields = input.fields().iter().enumerate().filter(|(n, _)| *n != at).map(|(_, f)| f.clone());
        SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    let needed = (0..input.fields().len()).filter(|&at| !can(&without(at)));
    needed.map(|at| input.field(at).name().clone()).collect()
}

fn shown(spec: &Spec, block: &Block) -> BTreeMap<String, String> {
    let value = |key: &schemas::Key| match block.keys.iter().find(|e| e.name == key.name) {
        Some(entry) => entry.written.to_string(),
        None => (key.default)(),
    };
    spec.keys.iter().map(|key| (key.name.to_owned(), value(key))).collect()
}
