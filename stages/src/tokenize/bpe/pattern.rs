//! The regular expressions that tokenizers split by, as a small program of characters, choices and looks ahead.
//!
//! Published split patterns use one family of forms: alternatives of classes, literals, `(?i:…)`, `(?:…)`, the
//! quantifiers `? * + {m,n}`, greedy or possessive, `(?!class)` and `$`. These are read here; a pattern that uses another
//! form is left to the tokenizers crate. Classes are read as the `regex` crate reads them, whose tables the tokenizers crate uses.

use regex_syntax::hir::{self, HirKind};
use std::ops::RangeInclusive;

/// Most instructions of a program: a quantifier repeats its part.
const STEPS_MAX: usize = 512;
/// Deepest nesting of groups.
const DEPTH_MAX: usize = 16;

/// A sorted set of code points.
pub(super) type Class = Vec<RangeInclusive<u32>>;

/// An instruction. The numbers `usize` are places in the program, `u8` is a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One character of a class, then go on.
    Take(u8, usize),
    /// The first place, or else the second.
    Either(usize, usize),
    /// Go on where no character of the class follows.
    Not(u8, usize),
    /// Go on at the end of the text.
    End(usize),
    Match,
}

/// A pattern as a program that begins at place 0.
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) classes: Vec<Class>,
}

#[derive(Debug, Clone)]
enum Node {
    Class(u8),
    Not(u8),
    End,
    All(Vec<Node>),
    Any(Vec<Node>),
    Repeat { node: Box<Node>, least: usize, most: Option<usize>, possessive: bool },
}

/// Reads a pattern; `None` where it has a form that is not of the family.
pub(super) fn read(pattern: &str) -> Option<Program> {
    let mut reader = Reader { rest: pattern, sources: Vec::new(), depth: 0 };
    let node = reader.any(false)?;
    if !reader.rest.is_empty() {
        return None;
    }
    let classes: Vec<Class> = reader.sources.iter().map(|source| class(source)).collect::<Option<_>>()?;
    if !possessive_is_greedy(&node, true, &classes) {
        return None;
    }
    let mut program = Program { steps: Vec::new(), classes };
    program.add(&node)?;
    program.steps.push(Step::Match);
    Some(program)
}

/// The code points that a class of one character matches, from the tables of the `regex` crate.
fn class(source: &str) -> Option<Class> {
    let mut characters = source.chars();
    if let (Some(c), None) = (characters.next(), characters.next()) {
        return Some(vec![c as u32..=c as u32]);
    }
    let class = match regex_syntax::parse(source).ok()?.into_kind() {
        HirKind::Class(hir::Class::Unicode(class)) => class,
        // A class of nothing is read as one of no byte.
        HirKind::Class(hir::Class::Bytes(class)) if class.ranges().is_empty() => return Some(Vec::new()),
        HirKind::Literal(literal) => {
            let mut characters = std::str::from_utf8(&literal.0).ok()?.chars();
            let (c, None) = (characters.next()?, characters.next()) else { return None };
            return Some(vec![c as u32..=c as u32]);
        }
        _ => return None,
    };
    Some(class.iter().map(|range| range.start() as u32..=range.end() as u32).collect())
}

fn disjoint(left: &Class, right: &Class) -> bool {
    left.iter().all(|a| right.iter().all(|b| a.end() < b.start() || b.end() < a.start()))
}

/// Whether every possessive quantifier gives what the greedy one gives: where nothing behind it can fail, or where what
/// fails behind it fails on the characters that it would give back as well.
fn possessive_is_greedy(node: &Node, last: bool, classes: &[Class]) -> bool {
    match node {
        Node::Class(_) | Node::Not(_) | Node::End => true,
        Node::Any(nodes) => nodes.iter().all(|node| possessive_is_greedy(node, last, classes)),
        Node::Repeat { node, possessive, .. } => {
            (!possessive || last) && possessive_is_greedy(node, false, classes)
        }
        Node::All(nodes) => nodes.iter().enumerate().all(|(at, node)| {
            let behind = &nodes[at + 1..];
            let sure = last && behind.iter().all(|node| matches!(node, Node::Repeat { least: 0, .. }));
            let Node::Repeat { node: inner, possessive: true, .. } = node else {
                return possessive_is_greedy(node, sure, classes);
            };
            let Node::Class(own) = **inner else { return false };
            sure || match behind.first() {
                Some(Node::End) => true,
                Some(Node::Class(next)) => disjoint(&classes[own as usize], &classes[*next as usize]),
                Some(Node::Repeat { node, least: 1.., .. }) => match **node {
                    Node::Class(next) => disjoint(&classes[own as usize], &classes[next as usize]),
                    _ => false,
                },
                _ => false,
            }
        }),
    }
}

fn can_be_empty(node: &Node) -> bool {
    match node {
        Node::Class(_) => false,
        Node::Not(_) | Node::End => true,
        Node::All(nodes) => nodes.iter().all(can_be_empty),
        Node::Any(nodes) => nodes.iter().any(can_be_empty),
        Node::Repeat { node, least, .. } => *least == 0 || can_be_empty(node),
    }
}

struct Reader<'a> {
    rest: &'a str,
    /// Regular expressions of the classes.
    sources: Vec<String>,
    depth: usize,
}

impl Reader<'_> {
    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn any(&mut self, fold: bool) -> Option<Node> {
        self.depth += 1;
        let mut nodes = vec![self.all(fold)?];
        while self.eat("|") {
            nodes.push(self.all(fold)?);
        }
        self.depth -= 1;
        Some(if nodes.len() == 1 { nodes.pop()? } else { Node::Any(nodes) })
    }

    fn all(&mut self, fold: bool) -> Option<Node> {
        let mut nodes = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let node = self.one(fold)?;
            nodes.push(self.repeated(node)?);
        }
        Some(Node::All(nodes))
    }

    fn one(&mut self, fold: bool) -> Option<Node> {
        for (open, fold) in [("(?i:", true), ("(?:", fold)] {
            if self.eat(open) {
                let node = if self.depth < DEPTH_MAX { self.any(fold)? } else { return None };
                return self.eat(")").then_some(node);
            }
        }
        if self.eat("(?!") {
            let Node::Class(class) = self.one(fold)? else { return None };
            return self.eat(")").then_some(Node::Not(class));
        }
        if self.eat("$") {
            return Some(Node::End);
        }
        let length = class_length(self.rest)?;
        let (source, rest) = self.rest.split_at(length);
        self.rest = rest;
        let source = if fold { format!("(?i:{source})") } else { source.to_owned() };
        let at = self.sources.iter().position(|known| *known == source).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        Some(Node::Class(u8::try_from(at).ok().filter(|&at| at < 64)?))
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.rest.as_bytes().first() {
            Some(b'?') => (0, Some(1)),
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'{') => return self.counted(node),
            _ => return Some(node),
        };
        self.rest = &self.rest[1..];
        self.possessive(node, least, most)
    }

    fn counted(&mut self, node: Node) -> Option<Node> {
        let (inside, rest) = self.rest[1..].split_once('}')?;
        self.rest = rest;
        let (least, most) = match inside.split_once(',') {
            None => (inside.parse().ok()?, Some(inside.parse().ok()?)),
            Some((least, "")) => (least.parse().ok()?, None),
            Some((least, most)) => (least.parse().ok()?, Some(most.parse().ok()?)),
        };
        self.possessive(node, least, most)
    }

    fn possessive(&mut self, node: Node, least: usize, most: Option<usize>) -> Option<Node> {
        let possessive = self.eat("+");
        // Lazy and doubled quantifiers are not of the family, nor is repeating what can be empty.
        let plain = !self.rest.starts_with(['?', '*', '+', '{']) && !can_be_empty(&node);
        plain.then(|| Node::Repeat { node: Box::new(node), least, most, possessive })
    }
}

/// The length in bytes of the class or character that the pattern begins with.
fn class_length(pattern: &str) -> Option<usize> {
    let mut depth = 0;
    let mut characters = pattern.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => {
                let (at, escaped) = characters.next()?;
                // `\b`, `\G` and the like are no characters; `\x..` and `\u....` have a length of their own.
                if !matches!(escaped, 's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'p' | 'P' | 'r' | 'n' | 't')
                    && !escaped.is_ascii_punctuation()
                {
                    return None;
                }
                let mut end = at + escaped.len_utf8();
                if matches!(escaped, 'p' | 'P') {
                    let name = pattern[end..].find('}').filter(|_| pattern[end..].starts_with('{'))?;
                    characters.by_ref().take(name + 1).for_each(drop);
                    end += name + 1;
                }
                if depth == 0 {
                    return Some(end);
                }
            }
            '[' => depth += 1,
            ']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            '.' | '^' | '(' | ')' | '?' | '*' | '+' | '{' if depth == 0 => return None,
            _ if depth == 0 => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

impl Program {
    fn push(&mut self, step: Step) -> Option<usize> {
        self.steps.push(step);
        (self.steps.len() < STEPS_MAX).then_some(self.steps.len() - 1)
    }

    /// Adds the steps of a node; they go on behind themselves.
    fn add(&mut self, node: &Node) -> Option<()> {
        let next = self.steps.len() + 1;
        match node {
            Node::Class(class) => self.push(Step::Take(*class, next)).map(drop),
            Node::Not(class) => self.push(Step::Not(*class, next)).map(drop),
            Node::End => self.push(Step::End(next)).map(drop),
            Node::All(nodes) => nodes.iter().try_for_each(|node| self.add(node)),
            Node::Any(nodes) => self.any(nodes),
            Node::Repeat { node, least, most, .. } => self.repeat(node, *least, *most),
        }
    }

    fn any(&mut self, nodes: &[Node]) -> Option<()> {
        let (last, others) = nodes.split_last()?;
        let mut jumps = Vec::new();
        for node in others {
            let choice = self.push(Step::Match)?;
            self.add(node)?;
            jumps.push(self.push(Step::Match)?);
            self.steps[choice] = Step::Either(choice + 1, self.steps.len());
        }
        self.add(last)?;
        let end = self.steps.len();
        jumps.into_iter().for_each(|jump| self.steps[jump] = Step::Either(end, end));
        Some(())
    }

    fn repeat(&mut self, node: &Node, least: usize, most: Option<usize>) -> Option<()> {
        for _ in 0..least {
            self.add(node)?;
        }
        let Some(most) = most else {
            let choice = self.push(Step::Match)?;
            self.add(node)?;
            self.push(Step::Either(choice, choice))?;
            self.steps[choice] = Step::Either(choice + 1, self.steps.len());
            return Some(());
        };
        let mut choices = Vec::new();
        for _ in least..most {
            choices.push(self.push(Step::Match)?);
            self.add(node)?;
        }
        let end = self.steps.len();
        choices.into_iter().for_each(|choice| self.steps[choice] = Step::Either(choice + 1, end));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn classes_are_those_of_the_regex_crate() {
        let all: String = ('\0'..=char::MAX).collect();
        let sources = [
            r"\p{L}",
            r"[^\r\n\p{L}\p{N}]",
            r"\s",
            r"\S",
            r"[^\s\p{L}\p{N}]",
            r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
            r"(?i:s)",
            r"(?i:')",
            r"(?i:\p{Lu})",
            r"[\r\n/]",
            r"\.",
            r"\t",
            r"[a-z&&[^m]]",
            r"[\u{d7f0}-\u{e00f}]",
            r"[^\x00-\u{10ffff}]",
        ];
        for source in sources {
            let runs = Regex::new(&format!("(?:{source})+")).unwrap();
            let ends = |run: regex::Match<'_>| {
                let mut characters = run.as_str().chars();
                let first = characters.next().unwrap();
                first as u32..=characters.next_back().unwrap_or(first) as u32
            };
            let expected: Class = runs.find_iter(&all).map(ends).collect();
            assert_eq!(class(source), Some(expected), "{source}");
        }
        assert_eq!(["ab", "[a", r"\p{Nope}"].map(class), [const { None }; 3]);
    }
}
