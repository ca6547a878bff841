//! The automaton of a split pattern: one look in a table for each character, no going back.
//!
//! A state is an ordered list of places in the program, the preferred first, so the match found is the one that a
//! backtracking engine finds (the leftmost, by the first alternative that fits). A step knows the character that comes
//! next, or that none does, so `(?!…)` and `$` are decided when it is taken and a match is told one character late.
//! Plain words, which are most of a text, are found eight letters at a time where the table says that this is the same.

use super::pattern::{self, Class, Program, Step};
use schemas::hash::FastMap;
use std::collections::BTreeMap;

/// Most states; published patterns have some tens.
const STATES_MAX: usize = 2048;
const DEAD: usize = 0;
const START: usize = 1;
/// The symbol behind the last character.
const END: u8 = 0;
/// Code points of a page of the table of symbols.
const PAGE: usize = 128;

/// A compiled split pattern.
pub(super) struct Automaton {
    /// Symbols of the ASCII characters.
    ascii: [u8; 128],
    /// Page of each 128 code points, and the symbols of the pages.
    index: Vec<u16>,
    pages: Vec<u8>,
    /// Twice the next state, plus one where a match ends before the symbol; by state, then symbol.
    table: Vec<u16>,
    shift: u32,
    words: Option<Words>,
}

/// What a run of letters behind at most one space may be.
#[derive(Debug, Clone, Copy)]
struct Words {
    /// Whether letters of both cases go on, or only a lower-case one behind the first.
    any_case: bool,
    /// ASCII characters that end a word.
    ends: u128,
}

impl Automaton {
    /// Compiles a pattern; `None` where it is not of the family or matches nothing at all.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        Self::of(&pattern::read(pattern)?)
    }

    /// One number character, or as many as there are, by the tables of the standard library.
    pub(super) fn numbers(individual: bool) -> Option<Self> {
        let numbers = ('\0'..=char::MAX).filter(|c| c.is_numeric()).map(|c| c as u32..=c as u32).collect();
        let mut steps = vec![Step::Take(0, 1), Step::Match];
        if !individual {
            steps.insert(1, Step::Either(0, 2));
        }
        Self::of(&Program { steps, classes: vec![numbers] })
    }

    fn of(program: &Program) -> Option<Self> {
        let (ascii, index, pages, symbols) = symbols(&program.classes)?;
        let shift = (symbols.len() as u32 + 1).next_power_of_two().trailing_zeros();
        let table = Builder { program, symbols: &symbols }.table(shift)?;
        let mut made = Self { ascii, index, pages, table, shift, words: None };
        // An empty match would not move on.
        if (0..=symbols.len()).any(|symbol| made.table[START << shift | symbol] & 1 == 1) {
            return None;
        }
        made.words = made.words(true).or_else(|| made.words(false));
        Some(made)
    }

    /// Whether a match begins at every character, whatever follows: one character alone always is one.
    pub(super) fn covers(&self) -> bool {
        let symbols = 1..=self.pages.iter().copied().max().unwrap_or(0) as usize;
        symbols.clone().all(|first| {
            let state = self.table[START << self.shift | first] as usize >> 1;
            [END as usize]
                .into_iter()
                .chain(symbols.clone())
                .all(|next| self.table[state << self.shift | next] & 1 == 1)
        })
    }

    /// The end of the match that begins at `start`; `start` where none does.
    #[inline]
    pub(super) fn end(&self, text: &[u8], start: usize) -> usize {
        if let Some(words) = self.words {
            let from = start + usize::from(text[start] == b' ');
            let end = if words.any_case { letters(text, from) } else { capitalised(text, from) };
            let follows = text.get(end).copied().unwrap_or(u8::MAX);
            if end > from && follows < 128 && words.ends >> follows & 1 == 1 {
                return end;
            }
        }
        self.walk(text, start)
    }

    fn walk(&self, text: &[u8], start: usize) -> usize {
        let (mut state, mut at, mut end) = (START, start, start);
        loop {
            let (symbol, next) = match text.get(at) {
                None => (END, at),
                Some(&byte) if byte < 128 => (self.ascii[byte as usize], at + 1),
                Some(&byte) => self.wide(text, at, byte),
            };
            let to = self.table[state << self.shift | symbol as usize];
            if to & 1 == 1 {
                end = at;
            }
            state = to as usize >> 1;
            if state == DEAD {
                return end;
            }
            at = next;
        }
    }

    /// Symbol of the character of several bytes at `at`, and where the next one begins.
    #[inline]
    fn wide(&self, text: &[u8], at: usize, first: u8) -> (u8, usize) {
        let tail = |n: usize| text.get(at + n).map_or(0, |&byte| (byte & 0x3f) as usize);
        let (c, length) = match first {
            ..0xe0 => ((first as usize & 0x1f) << 6 | tail(1), 2),
            0xe0..0xf0 => ((first as usize & 0x0f) << 12 | tail(1) << 6 | tail(2), 3),
            _ => ((first as usize & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4),
        };
        let page = self.index.get(c / PAGE).map_or(0, |&page| page as usize);
        (self.pages[page * PAGE + c % PAGE], at + length)
    }

    fn step(&self, state: usize, byte: u8) -> (usize, bool) {
        let to = self.table[state << self.shift | self.ascii[byte as usize] as usize];
        (to as usize >> 1, to & 1 == 1)
    }

    /// Finds what ends a word: characters on which every state that letters lead to stops with a match.
    fn words(&self, any_case: bool) -> Option<Words> {
        let mut reached: Vec<usize> = Vec::new();
        let reach = |from: usize, any: bool, reached: &mut Vec<usize>| {
            for letter in (b'A'..=b'Z').filter(|_| any).chain(b'a'..=b'z') {
                let (state, _) = self.step(from, letter);
                if !reached.contains(&state) {
                    reached.push(state);
                }
            }
        };
        reach(START, true, &mut reached);
        reach(self.step(START, b' ').0, true, &mut reached);
        let mut done = 0;
        while let Some(&state) = reached.get(done) {
            reach(state, any_case, &mut reached);
            done += 1;
        }
        let stops = |byte: u8| reached.iter().all(|&state| self.step(state, byte) == (DEAD, true));
        let ends = (0..128).filter(|&byte| stops(byte)).fold(0, |ends, byte| ends | 1 << byte);
        (!reached.contains(&DEAD) && ends != 0).then_some(Words { any_case, ends })
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bit of each byte that is no lower-case letter.
#[inline]
const fn no_lower(word: u64) -> u64 {
    let low = word & !HIGH;
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let behind_z = low + (0x80 - b'z' as u64 - 1) * ONES;
    !(from_a & !behind_z & !word) & HIGH
}

/// The end of the run that begins at `at` of bytes which, after `| fold`, are lower-case letters.
#[inline]
fn run(text: &[u8], mut at: usize, fold: u8) -> usize {
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let other = no_lower(word | (fold as u64 * ONES));
        if other != 0 {
            return at + other.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|&&byte| (byte | fold).is_ascii_lowercase()).count()
}

#[inline]
fn letters(text: &[u8], at: usize) -> usize {
    run(text, at, 0x20)
}

#[inline]
fn capitalised(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(first) if first.is_ascii_alphabetic() => run(text, at + 1, 0),
        _ => at,
    }
}

type Symbols = ([u8; 128], Vec<u16>, Vec<u8>, Vec<u64>);

/// Tells apart the characters that some class tells apart. The last: the set of classes of each symbol, from symbol 1 on.
fn symbols(classes: &[Class]) -> Option<Symbols> {
    let mut changes: BTreeMap<u32, u64> = BTreeMap::from([(0, 0)]);
    for (class, bit) in classes.iter().zip((0..).map(|n| 1_u64 << n)) {
        for range in class {
            *changes.entry(*range.start()).or_default() ^= bit;
            *changes.entry(range.end() + 1).or_default() ^= bit;
        }
    }
    let mut sets: Vec<u64> = Vec::new();
    let mut all = vec![0_u8; (char::MAX as usize + 1).next_multiple_of(PAGE)];
    let starts: Vec<u32> = changes.keys().copied().chain([all.len() as u32]).collect();
    let mut set = 0;
    for (change, ends) in changes.values().zip(starts.windows(2)) {
        set ^= change;
        let at = sets.iter().position(|&known| known == set).unwrap_or_else(|| {
            sets.push(set);
            sets.len() - 1
        });
        all[ends[0] as usize..(ends[1] as usize).max(ends[0] as usize)].fill(u8::try_from(at + 1).ok()?);
    }
    let mut known: FastMap<&[u8], u16> = FastMap::default();
    let (mut index, mut pages) = (Vec::new(), Vec::new());
    for page in all.chunks(PAGE) {
        let next = u16::try_from(pages.len() / PAGE).ok()?;
        let number = *known.entry(page).or_insert_with(|| {
            pages.extend_from_slice(page);
            next
        });
        index.push(number);
    }
    let ascii = all[..128].try_into().ok()?;
    Some((ascii, index, pages, sets))
}

struct Builder<'a> {
    program: &'a Program,
    symbols: &'a [u64],
}

impl Builder<'_> {
    fn table(&self, shift: u32) -> Option<Vec<u16>> {
        let mut states: FastMap<Vec<usize>, usize> = FastMap::default();
        states.insert(Vec::new(), DEAD);
        states.insert(vec![0], START);
        let mut order = vec![Vec::new(), vec![0]];
        let mut table = vec![0_u16; 1 << shift];
        let mut at = START;
        while at < order.len() {
            let state: Vec<usize> = order[at].clone();
            let row = table.len();
            table.resize(row + (1 << shift), 0);
            for symbol in 0..=self.symbols.len() {
                let (next, matched) = self.step(&state, symbol);
                let number = *states.entry(next).or_insert_with_key(|next| {
                    order.push(next.clone());
                    order.len() - 1
                });
                table[row + symbol] = u16::try_from(number * 2 + usize::from(matched)).ok()?;
            }
            if order.len() > STATES_MAX {
                return None;
            }
            at += 1;
        }
        Some(table)
    }

    fn has(&self, class: u8, symbol: usize) -> bool {
        symbol != END as usize && self.symbols[symbol - 1] >> class & 1 == 1
    }

    /// Where a list of places leads on a symbol, and whether a match ends before it.
    fn step(&self, state: &[usize], symbol: usize) -> (Vec<usize>, bool) {
        let steps = &self.program.steps;
        let mut seen = vec![false; steps.len()];
        let mut next = Vec::new();
        let mut stack: Vec<usize> = state.iter().rev().copied().collect();
        while let Some(place) = stack.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            match steps[place] {
                // What comes behind a match is not preferred to it.
                Step::Match => return (next, true),
                Step::Either(first, second) => stack.extend([second, first]),
                Step::Not(class, to) if !self.has(class, symbol) => stack.push(to),
                Step::End(to) if symbol == END as usize => stack.push(to),
                Step::Take(class, to) if self.has(class, symbol) && !next.contains(&to) => next.push(to),
                _ => {}
            }
        }
        (next, false)
    }
}
