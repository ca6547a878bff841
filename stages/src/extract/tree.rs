//! The tree that html5ever builds: nodes in one list, joined by their places in it.
//!
//! Names, attributes and texts are kept as the tokens bring them; comments and document types leave a node that is
//! nothing, so that what stands beside them is not joined.

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, QualName, expanded_name, local_name, ns};
use std::borrow::Cow;
use std::cell::{Ref, RefCell};

/// The place that no node has.
const NONE: u32 = u32::MAX;

/// An element.
#[derive(Debug)]
pub(crate) struct Element {
    name: QualName,
    /// Names and values.
    pub(crate) attributes: Vec<Attribute>,
}

impl Element {
    /// The name, in lower case.
    pub(crate) fn name(&self) -> &str {
        &self.name.local
    }
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The document.
    Document,
    /// What a template holds.
    Fragment,
    /// An element.
    Element(Element),
    /// Text.
    Text(StrTendril),
    /// A comment, a document type, an instruction.
    Nothing,
}

/// A node with its relatives.
#[derive(Debug)]
struct Node {
    parent: u32,
    first: u32,
    last: u32,
    before: u32,
    behind: u32,
    kind: Kind,
}

/// A parsed page.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// A document without content, with room for some nodes.
    fn with_capacity(nodes: usize) -> Self {
        let mut tree = Self { nodes: Vec::with_capacity(nodes) };
        tree.add(Kind::Document);
        tree
    }

    /// Nodes made so far, those that were taken out again included.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What a node is; node 0 is the document.
    pub(crate) fn kind(&self, at: u32) -> &Kind {
        &self.nodes[at as usize].kind
    }

    /// The first child.
    pub(crate) fn first_child(&self, at: u32) -> Option<u32> {
        some(self.nodes[at as usize].first)
    }

    /// The next child of the same parent.
    pub(crate) fn next_sibling(&self, at: u32) -> Option<u32> {
        some(self.nodes[at as usize].behind)
    }

    /// The parent.
    pub(crate) fn parent(&self, at: u32) -> Option<u32> {
        some(self.nodes[at as usize].parent)
    }

    fn add(&mut self, kind: Kind) -> u32 {
        self.nodes.push(Node { parent: NONE, first: NONE, last: NONE, before: NONE, behind: NONE, kind });
        self.nodes.len() as u32 - 1
    }

    fn node(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn detach(&mut self, at: u32) {
        let Node { parent, before, behind, .. } = *self.node(at);
        if parent == NONE {
            return;
        }
        match some(before) {
            Some(before) => self.node(before).behind = behind,
            None => self.node(parent).first = behind,
        }
        match some(behind) {
            Some(behind) => self.node(behind).before = before,
            None => self.node(parent).last = before,
        }
        let node = self.node(at);
        (node.parent, node.before, node.behind) = (NONE, NONE, NONE);
    }

    fn append(&mut self, parent: u32, at: u32) {
        let last = std::mem::replace(&mut self.node(parent).last, at);
        let node = self.node(at);
        (node.parent, node.before, node.behind) = (parent, last, NONE);
        match some(last) {
            Some(last) => self.node(last).behind = at,
            None => self.node(parent).first = at,
        }
    }

    fn insert_before(&mut self, sibling: u32, at: u32) {
        let Node { parent, before, .. } = *self.node(sibling);
        let node = self.node(at);
        (node.parent, node.before, node.behind) = (parent, before, sibling);
        self.node(sibling).before = at;
        match some(before) {
            Some(before) => self.node(before).behind = at,
            None => self.node(parent).first = at,
        }
    }

    /// Adds text to a node; whether that is a text.
    fn join(&mut self, at: u32, text: &StrTendril) -> bool {
        match at != NONE {
            true => match &mut self.node(at).kind {
                Kind::Text(before) => {
                    before.push_tendril(text);
                    true
                }
                _ => false,
            },
            false => false,
        }
    }
}

const fn some(at: u32) -> Option<u32> {
    if at == NONE { None } else { Some(at) }
}

/// A tree in the making.
#[derive(Debug)]
pub(crate) struct Sink(RefCell<Tree>);

impl Sink {
    /// For a page of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(RefCell::new(Tree::with_capacity(bytes / BYTES_PER_NODE)))
    }

    /// Nodes made so far.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Bytes of a page for each node that room is made for at first.
const BYTES_PER_NODE: usize = 32;

impl TreeSink for Sink {
    type Handle = u32;
    type Output = Tree;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Tree {
        self.0.into_inner()
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> u32 {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a u32) -> Ref<'a, QualName> {
        Ref::map(self.0.borrow(), |tree| match tree.kind(*target) {
            Kind::Element(element) => &element.name,
            _ => unreachable!("the tree builder asks for the names of elements only"),
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> u32 {
        let holds = name.expanded() == expanded_name!(html "template");
        let mut tree = self.0.borrow_mut();
        let at = tree.add(Kind::Element(Element { name, attributes }));
        if holds {
            let fragment = tree.add(Kind::Fragment);
            tree.append(at, fragment);
        }
        at
    }

    fn create_comment(&self, _text: StrTendril) -> u32 {
        self.0.borrow_mut().add(Kind::Nothing)
    }

    fn create_pi(&self, _target: StrTendril, _content: StrTendril) -> u32 {
        self.0.borrow_mut().add(Kind::Nothing)
    }

    fn append(&self, parent: &u32, child: NodeOrText<u32>) {
        let mut tree = self.0.borrow_mut();
        match child {
            NodeOrText::AppendNode(at) => tree.append(*parent, at),
            NodeOrText::AppendText(text) => {
                let last = tree.node(*parent).last;
                if !tree.join(last, &text) {
                    let at = tree.add(Kind::Text(text));
                    tree.append(*parent, at);
                }
            }
        }
    }

    fn append_based_on_parent_node(&self, element: &u32, before: &u32, child: NodeOrText<u32>) {
        let has_parent = self.0.borrow().parent(*element).is_some();
        if has_parent { self.append_before_sibling(element, child) } else { self.append(before, child) }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public_id: StrTendril, _system_id: StrTendril) {}

    fn get_template_contents(&self, target: &u32) -> u32 {
        self.0.borrow().first_child(*target).expect("a template is made with its fragment")
    }

    fn same_node(&self, one: &u32, other: &u32) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &u32, child: NodeOrText<u32>) {
        let mut tree = self.0.borrow_mut();
        if let NodeOrText::AppendNode(at) = child {
            tree.detach(at);
        }
        if tree.parent(*sibling).is_none() {
            return;
        }
        match child {
            NodeOrText::AppendNode(at) => tree.insert_before(*sibling, at),
            NodeOrText::AppendText(text) => {
                let before = tree.node(*sibling).before;
                if !tree.join(before, &text) {
                    let at = tree.add(Kind::Text(text));
                    tree.insert_before(*sibling, at);
                }
            }
        }
    }

    fn add_attrs_if_missing(&self, target: &u32, attributes: Vec<Attribute>) {
        let mut tree = self.0.borrow_mut();
        if let Kind::Element(element) = &mut tree.node(*target).kind {
            for attribute in attributes {
                if !element.attributes.iter().any(|a| a.name == attribute.name) {
                    element.attributes.push(attribute);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &u32) {
        self.0.borrow_mut().detach(*target);
    }

    fn reparent_children(&self, from: &u32, to: &u32) {
        let mut tree = self.0.borrow_mut();
        while let Some(child) = tree.first_child(*from) {
            tree.detach(child);
            tree.append(*to, child);
        }
    }
}
