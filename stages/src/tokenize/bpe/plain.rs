//! The split of plain ASCII, 64 characters at a time.
//!
//! Most of a text is ASCII, where the published patterns come down to few rules on neighbouring characters. A window of 64
//! characters that begins where a pre-token begins is told apart into letters, digits, spaces and so on, one bit a
//! character, and the rules are sums and shifts of these words. What they do not decide (a character that is not
//! ASCII, white space before a line feed, the end of the window) is left to the automaton, which is held to give the same.

use super::automaton::Automaton;
use super::splitter::{CL100K, GPT2, O200K, QWEN2, TEKKEN};
use pulp::NullaryFnOnce;
use pulp::x86::V3;
use std::arch::x86_64::__m256i;

/// Characters of a window.
const WINDOW: usize = 64;
/// Characters before the end of a window or before one that is not ASCII where nothing is decided: the longest
/// contraction, and the character behind it.
const MARGIN: u32 = 4;
/// Most characters that are left to the automaton after windows that decided nothing.
const PAUSE_MAX: usize = 64;

/// What the rules of the patterns differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// GPT-2: a space belongs to digits too, a sign never to letters, a line feed is white space like another.
    gpt2: bool,
    /// Longest run of digits.
    digits: u32,
    /// An upper-case letter behind a lower-case one begins a word.
    cased: bool,
    /// Contractions are pre-tokens; with `cased` they belong to the word before them.
    contractions: bool,
}

/// The rules of a pattern, on a machine that can use them.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    rules: Rules,
    simd: V3,
}

/// A bit for each character of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Masks {
    letter: u64,
    lower: u64,
    digit: u64,
    space: u64,
    /// `\n` and `\r`.
    line: u64,
    /// White space that is neither.
    blank: u64,
    quote: u64,
    /// Not ASCII.
    wide: u64,
}

impl Plain {
    /// The rules of a published pattern; `None` for another pattern and on a machine without AVX2.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let rules = |digits, cased, contractions| Rules { gpt2: false, digits, cased, contractions };
        let rules = match pattern {
            GPT2 => Rules { gpt2: true, digits: u32::MAX, cased: false, contractions: true },
            CL100K => rules(3, false, true),
            QWEN2 => rules(1, false, true),
            O200K => rules(3, true, true),
            TEKKEN => rules(1, true, false),
            _ => return None,
        };
        Some(Self { rules, simd: V3::try_new()? })
    }

    /// Appends where the pieces of a text end, counted from `base` before it.
    pub(super) fn split(self, automaton: &Automaton, text: &[u8], base: usize, ends: &mut Vec<u32>) {
        let Self { rules, simd } = self;
        simd.vectorize(Split { rules, simd, automaton, text, base, ends });
    }
}

struct Split<'a> {
    rules: Rules,
    simd: V3,
    automaton: &'a Automaton,
    text: &'a [u8],
    base: usize,
    ends: &'a mut Vec<u32>,
}

impl NullaryFnOnce for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rules, simd, automaton, text, base, ends } = self;
        // Until `slow` the automaton goes on; `pause` grows with each window in a row that decided nothing.
        let (mut at, mut slow, mut pause) = (0, 0, 0);
        let mut found = [0_u32; WINDOW];
        while at < text.len() {
            if at >= slow
                && let Some(window) = text[at..].first_chunk()
            {
                let mut starts = rules.starts(window, &masks(simd, window));
                if starts != 0 {
                    let mut count = 0;
                    while starts != 0 {
                        found[count & (WINDOW - 1)] = (base + at) as u32 + starts.trailing_zeros();
                        starts &= starts - 1;
                        count += 1;
                    }
                    ends.extend_from_slice(&found[..count]);
                    at = found[count - 1] as usize - base;
                    pause = 0;
                    continue;
                }
                slow = at + pause + 1;
                pause = (pause * 2 + 8).min(PAUSE_MAX);
            }
            at = automaton.end(text, at);
            ends.push((base + at) as u32);
        }
    }
}

/// Classes of characters by the lower and the upper half of their codes: a character has the bits that both have.
const BY_LOWER: [u8; 16] = {
    let mut table = [0; 16];
    let mut low = 0;
    while low < 16 {
        let mut bits = 0;
        bits |= if low >= 1 { 1 } else { 0 };
        bits |= if low <= 0xa { 2 } else { 0 };
        bits |= if low <= 9 { 4 } else { 0 };
        bits |= if low == 0 { 8 } else { 0 };
        bits |= if low == 0xa || low == 0xd { 16 } else { 0 };
        bits |= if low == 9 || low == 0xb || low == 0xc { 32 } else { 0 };
        bits |= if low == 7 { 64 } else { 0 };
        table[low] = bits;
        low += 1;
    }
    table
};
const BY_UPPER: [u8; 16] = [16 | 32, 0, 8 | 64, 4, 1, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn masks(simd: V3, window: &[u8; WINDOW]) -> Masks {
    let (low, high) = (half_masks(simd, window, 0), half_masks(simd, window, WINDOW / 2));
    Masks {
        letter: low[0] | high[0] << 32,
        lower: (low[0] & low[1]) | (high[0] & high[1]) << 32,
        digit: low[2] | high[2] << 32,
        space: low[3] | high[3] << 32,
        line: low[4] | high[4] << 32,
        blank: low[5] | high[5] << 32,
        quote: low[6] | high[6] << 32,
        wide: low[7] | high[7] << 32,
    }
}

/// Masks of the half of a window that begins at `at`, in the order of the classes; first all letters, then what has the
/// bit of lower case.
// Plain functions, always inlined: a closure would be compiled without the instructions of `simd`.
#[inline(always)]
fn half_masks(simd: V3, window: &[u8; WINDOW], at: usize) -> [u64; 8] {
    let mut bytes = [0_u8; WINDOW / 2];
    bytes.copy_from_slice(&window[at..at + WINDOW / 2]);
    let bytes: __m256i = pulp::cast(bytes);
    let by_lower: __m256i = pulp::cast([BY_LOWER, BY_LOWER]);
    let by_upper: __m256i = pulp::cast([BY_UPPER, BY_UPPER]);
    let upper =
        simd.avx2._mm256_and_si256(simd.avx2._mm256_srli_epi16::<4>(bytes), pulp::cast([0x0f_u8; 32]));
    let classes = simd.avx2._mm256_and_si256(
        simd.avx2._mm256_shuffle_epi8(by_lower, bytes),
        simd.avx2._mm256_shuffle_epi8(by_upper, upper),
    );
    let letter = simd.avx2._mm256_slli_epi16::<7>(classes);
    [
        bits(simd, simd.avx2._mm256_or_si256(letter, simd.avx2._mm256_slli_epi16::<6>(classes))),
        bits(simd, simd.avx2._mm256_slli_epi16::<2>(bytes)),
        bits(simd, simd.avx2._mm256_slli_epi16::<5>(classes)),
        bits(simd, simd.avx2._mm256_slli_epi16::<4>(classes)),
        bits(simd, simd.avx2._mm256_slli_epi16::<3>(classes)),
        bits(simd, simd.avx2._mm256_slli_epi16::<2>(classes)),
        bits(simd, simd.avx2._mm256_slli_epi16::<1>(classes)),
        bits(simd, bytes),
    ]
}

/// The highest bit of each byte.
#[inline(always)]
fn bits(simd: V3, bytes: __m256i) -> u64 {
    u64::from(simd.avx2._mm256_movemask_epi8(bytes) as u32)
}

/// The lowest bits, as many as `count`.
#[inline(always)]
const fn lowest(count: u32) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The first character of each run.
#[inline(always)]
const fn first(mask: u64) -> u64 {
    mask & !(mask << 1)
}

/// The last character of each run.
#[inline(always)]
const fn last(mask: u64) -> u64 {
    mask & !(mask >> 1)
}

/// The bits up to the last of a mask and `more` behind it; the lowest alone where there is none.
#[inline(always)]
const fn through(mask: u64, more: u32) -> u64 {
    match mask.checked_ilog2() {
        Some(last) => lowest(last + 1 + more),
        None => 1,
    }
}

impl Rules {
    /// Where pre-tokens begin in a window that begins with one, its own beginning left out. Those that are given are
    /// sure, and none is left out before the last.
    #[inline(always)]
    fn starts(self, window: &[u8; WINDOW], masks: &Masks) -> u64 {
        let &Masks { letter, lower, digit, space, line, blank, wide, .. } = masks;
        let white = space | blank | line;
        let sign = !(letter | digit | white | wide);
        let sure = wide.trailing_zeros().saturating_sub(MARGIN).min(WINDOW as u32 - MARGIN);
        // A run of white space that reaches the end may go on: what is behind its first character is open.
        let open = lowest(wide.trailing_zeros()) & !white;
        let mut keep = lowest(sure) & through(open, 1);
        let starts = if self.gpt2 {
            let words = first(letter) | first(digit) | first(sign);
            words & !(space << 1) | first(white) | last(white)
        } else {
            let run = space | blank;
            // A sign alone before a letter belongs to it, unless a space takes the sign.
            let joined = first(sign) & !(space << 1) & letter >> 1;
            // Line feeds behind signs belong to them.
            let behind = line & sign << 1;
            let taken = line & !behind.wrapping_add(line);
            // White space before a line feed belongs to the line feed: not decided here.
            let before = first(run).wrapping_add(run) & !run & line;
            if before != 0 {
                let end = before.trailing_zeros();
                let solid = lowest(end) & !white;
                keep &= through(solid, 1);
            }
            if self.cased && taken << 1 & sign != 0 {
                // A slash may belong to them as well.
                let end = (taken << 1 & sign).trailing_zeros();
                let solid = lowest(end) & !(line | sign);
                keep &= through(solid, 0);
            }
            let words = first(letter) & !((run | joined) << 1) | first(digit) | first(sign) & !(space << 1);
            let lines = first(line & !taken);
            let cased = if self.cased { letter & !lower & lower << 1 } else { 0 };
            words | joined | cased | first(run) | last(run) | lines
        };
        let starts = starts | self.long_digits(digit);
        let (starts, keep) = self.contracted(window, masks, sign, (starts, keep));
        starts & keep & !1
    }

    /// Where runs of digits are cut.
    #[inline(always)]
    fn long_digits(self, digit: u64) -> u64 {
        if self.digits == 1 {
            return digit;
        }
        let mut cuts = 0;
        if self.digits == 3 {
            // Each cut lies three behind a start or a cut, three digits in between.
            let mut from = digit & !(digit << 1);
            let full = digit & digit << 1 & digit << 2;
            while from != 0 {
                from = full << 1 & digit & from << 3;
                cuts |= from;
            }
        }
        cuts
    }

    /// Ends the window behind the first contraction.
    #[inline(always)]
    fn contracted(
        self,
        window: &[u8; WINDOW],
        masks: &Masks,
        sign: u64,
        (starts, keep): (u64, u64),
    ) -> (u64, u64) {
        let &Masks { letter, space, quote, .. } = masks;
        let before = if self.cased { letter << 1 } else { !(sign << 1) & !(space << 1) };
        let mut quotes = quote & before & letter >> 1 & keep;
        if !self.contractions {
            return (starts, keep);
        }
        while quotes != 0 {
            let at = quotes.trailing_zeros();
            quotes &= quotes - 1;
            let fold = if self.gpt2 { 0 } else { 0x20 };
            let next = (window[(at as usize + 1) & 63] | fold, window[(at as usize + 2) & 63] | fold);
            let length = match next {
                (b's' | b't' | b'm' | b'd', _) => 2,
                (b'r' | b'v', b'e') | (b'l', b'l') => 3,
                _ => continue,
            };
            let end = at + length;
            let inside = lowest(end) & !lowest(at + u32::from(!self.cased));
            return (starts & !inside | 1 << end, keep & lowest(end + 1));
        }
        (starts, keep)
    }
}
