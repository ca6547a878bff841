//! Letters: which script a character belongs to, and its lower case.

/// Scripts that languages are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Script {
    /// No letter.
    None,
    /// Latin.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Arabic.
    Arabic,
    /// Devanagari.
    Devanagari,
    /// Hebrew.
    Hebrew,
    /// Greek.
    Greek,
    /// Armenian.
    Armenian,
    /// Georgian.
    Georgian,
    /// Ethiopic.
    Ethiopic,
    /// Thaana.
    Thaana,
    /// Bengali.
    Bengali,
    /// Gurmukhi.
    Gurmukhi,
    /// Gujarati.
    Gujarati,
    /// Oriya.
    Oriya,
    /// Tamil.
    Tamil,
    /// Telugu.
    Telugu,
    /// Kannada.
    Kannada,
    /// Malayalam.
    Malayalam,
    /// Sinhala.
    Sinhala,
    /// Thai.
    Thai,
    /// Lao.
    Lao,
    /// Tibetan.
    Tibetan,
    /// Myanmar.
    Myanmar,
    /// Khmer.
    Khmer,
    /// Hangul.
    Hangul,
    /// Kana.
    Kana,
    /// Han.
    Han,
}

impl Script {
    /// Every script, at its number.
    pub const ALL: [Self; SCRIPTS] = [
        Self::None,
        Self::Latin,
        Self::Cyrillic,
        Self::Arabic,
        Self::Devanagari,
        Self::Hebrew,
        Self::Greek,
        Self::Armenian,
        Self::Georgian,
        Self::Ethiopic,
        Self::Thaana,
        Self::Bengali,
        Self::Gurmukhi,
        Self::Gujarati,
        Self::Oriya,
        Self::Tamil,
        Self::Telugu,
        Self::Kannada,
        Self::Malayalam,
        Self::Sinhala,
        Self::Thai,
        Self::Lao,
        Self::Tibetan,
        Self::Myanmar,
        Self::Khmer,
        Self::Hangul,
        Self::Kana,
        Self::Han,
    ];
}

/// How many scripts there are, [`Script::None`] included.
pub const SCRIPTS: usize = Script::Han as usize + 1;

/// Blocks of Unicode with the script of their letters, in order.
#[rustfmt::skip]
const BLOCKS: &[(u32, u32, Script)] = &[
    (0x41, 0x24f, Script::Latin), (0x250, 0x2af, Script::Latin), (0x300, 0x36f, Script::Latin), (0x370, 0x3ff, Script::Greek),
    (0x400, 0x52f, Script::Cyrillic), (0x531, 0x58f, Script::Armenian), (0x5b0, 0x5f4, Script::Hebrew),
    (0x620, 0x6ff, Script::Arabic), (0x750, 0x77f, Script::Arabic), (0x780, 0x7bf, Script::Thaana),
    (0x900, 0x97f, Script::Devanagari), (0x980, 0x9ff, Script::Bengali), (0xa00, 0xa7f, Script::Gurmukhi),
    (0xa80, 0xaff, Script::Gujarati), (0xb00, 0xb7f, Script::Oriya), (0xb80, 0xbff, Script::Tamil),
    (0xc00, 0xc7f, Script::Telugu), (0xc80, 0xcff, Script::Kannada), (0xd00, 0xd7f, Script::Malayalam),
    (0xd80, 0xdff, Script::Sinhala), (0xe00, 0xe7f, Script::Thai), (0xe80, 0xeff, Script::Lao), (0xf00, 0xfff, Script::Tibetan),
    (0x1000, 0x109f, Script::Myanmar), (0x10a0, 0x10ff, Script::Georgian), (0x1100, 0x11ff, Script::Hangul),
    (0x1200, 0x139f, Script::Ethiopic), (0x1780, 0x17ff, Script::Khmer), (0x1c90, 0x1cbf, Script::Georgian),
    (0x1e00, 0x1eff, Script::Latin), (0x1f00, 0x1fff, Script::Greek), (0x2d00, 0x2d2f, Script::Georgian),
    (0x3040, 0x30ff, Script::Kana), (0x3130, 0x318f, Script::Hangul), (0x31f0, 0x31ff, Script::Kana),
    (0x3400, 0x4dbf, Script::Han), (0x4e00, 0x9fff, Script::Han), (0xac00, 0xd7af, Script::Hangul),
    (0xf900, 0xfaff, Script::Han), (0xff66, 0xff9f, Script::Kana), (0x20000, 0x323af, Script::Han),
];

/// Characters below this have a row in the table; the blocks above hold hardly anything but letters, without case.
const LOW_END: usize = 0x2000;

/// A letter: its script in the upper byte, its lower case in the others; 0 for what is no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter(u32);

impl Letter {
    /// What is no letter.
    pub const NONE: Self = Self(0);

    /// The script.
    pub const fn script(self) -> usize {
        (self.0 >> 24) as usize
    }

    /// The lower-case character if the letter is of that script.
    pub const fn of(self, script: Script) -> Option<u32> {
        if self.script() == script as usize { Some(self.0 & 0x00ff_ffff) } else { None }
    }
}

/// A table of letters.
#[derive(Debug, Clone)]
pub struct Letters(Vec<Letter>);

impl Default for Letters {
    fn default() -> Self {
        Self((0..LOW_END as u32).map(look_up).collect())
    }
}

impl Letters {
    /// The letter that a character is.
    pub fn get(&self, c: char) -> Letter {
        let c = u32::from(c);
        self.0.get(c as usize).copied().unwrap_or_else(|| Letter(block(c) << 24 | c))
    }
}

/// The script of a block.
fn block(code: u32) -> u32 {
    let after = BLOCKS.partition_point(|(start, ..)| *start <= code);
    let block = after.checked_sub(1).map(|at| BLOCKS[at]).filter(|(_, end, _)| code <= *end);
    block.map_or(0, |(.., script)| script as u32)
}

fn look_up(code: u32) -> Letter {
    let (script, Some(c)) = (block(code), char::from_u32(code)) else { return Letter(0) };
    let mark =
        matches!(code, 0x300..0x370 | 0x5b0..0x5c8 | 0x64b..0x660 | 0x670 | 0x900..0x964 | 0x980..0x1000);
    if script == 0 || !c.is_alphabetic() && !mark || matches!(c, 'ª' | 'º') {
        return Letter(0);
    }
    Letter(script << 24 | u32::from(c.to_lowercase().next().unwrap_or(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_a_script_and_lower_case() {
        let letters = Letters::default();
        let check = |c: char, script: Script, lower: char| {
            let letter = letters.get(c);
            assert_eq!(
                (letter.script(), letter.of(script)),
                (script as usize, Some(u32::from(lower))),
                "{c}"
            );
        };
        check('A', Script::Latin, 'a');
        check('é', Script::Latin, 'é');
        check('İ', Script::Latin, 'i');
        check('Ế', Script::Latin, 'ế');
        check('Ж', Script::Cyrillic, 'ж');
        check('ि', Script::Devanagari, 'ि');
        check('한', Script::Hangul, '한');
        check('𠀀', Script::Han, '𠀀');
        for c in ['1', ' ', '_', '×', '€', '।', '、', '😀', '\u{200b}'] {
            assert_eq!(letters.get(c).script(), 0, "{c:?}");
        }
        assert!(BLOCKS.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
