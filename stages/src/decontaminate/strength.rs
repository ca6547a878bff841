//! How much the words of a question say of where they come from.
//!
//! Eight words with two words of content in a row are hardly met by chance. Fewer are common speech more or less often: `What
//! happens if you swallow gum?` almost never, `The theory of rational expectations` in books on economics, `Which of the following is
//! true?` in each quiz, `The coronary arteries` in each text on them. `docs/dedup.md` has the figures.

/// What it takes to say that a document holds a question whose words it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// An answer beside it.
    Answer,
    /// That few documents hold them.
    Rare,
    /// Nothing more.
    Words,
}

/// Words from which on a question stands for itself.
const WORDS_STRONG: usize = 8;
/// Words of content among them.
const CONTENT_STRONG: usize = 2;

impl Strength {
    /// Judges words in lower case, without accents.
    pub(super) fn of(words: &[&[u8]]) -> Self {
        let content = words.iter().filter(|word| is_content(word)).count();
        let asks = words.first().is_some_and(|word| contains(ASKING, word));
        match (words.len(), content) {
            (WORDS_STRONG.., CONTENT_STRONG..) => Self::Words,
            (4.., 1..) => Self::Rare,
            (3, 1..) if asks => Self::Rare,
            _ => Self::Answer,
        }
    }

    /// Of a question together with its answer: `words` in all.
    pub(super) const fn with_answer(words: usize) -> Self {
        match words {
            WORDS_STRONG.. => Self::Words,
            5.. => Self::Rare,
            _ => Self::Answer,
        }
    }
}

fn is_content(word: &[u8]) -> bool {
    // A single letter is the rest of `don't` or the name of a choice; a number of one digit is what is asked.
    (word.len() > 1 || word.first().is_some_and(u8::is_ascii_digit)) && !contains(FORM, word)
}

fn contains(list: &[&str], word: &[u8]) -> bool {
    list.binary_search_by(|listed| listed.as_bytes().cmp(word)).is_ok()
}

/// What questions begin with; ascending.
#[rustfmt::skip]
const ASKING: &[&str] = &[
    "are", "can", "did", "do", "does", "has", "have", "how", "if", "in", "is", "should", "was", "were",
    "what", "when", "where", "which", "who", "whose", "why", "will", "would",
];

/// Words of grammar, of every talk, and those that examinations put around what they ask; ascending.
#[rustfmt::skip]
const FORM: &[&str] = &[
    "a", "about", "above", "according", "after", "again", "all", "also", "always", "am", "an", "and", "another", "answer",
    "any", "anything", "are", "around", "as", "ask", "asked", "at", "away", "back", "be", "because", "been", "before", "being",
    "below", "best", "better", "between", "big", "both", "but", "by", "called", "came", "can", "choice", "choose", "come",
    "comes", "considered", "correct", "correctly", "could", "day", "days", "describe", "described", "describes", "did", "do",
    "does", "doing", "done", "down", "each", "either", "else", "even", "ever", "every", "everything", "example", "examples",
    "except", "explain", "explains", "false", "far", "few", "find", "first", "following", "for", "from", "gave", "get", "gets",
    "give", "given", "go", "goes", "going", "gone", "good", "got", "great", "had", "has", "have", "he", "her", "here", "him",
    "his", "how", "if", "in", "incorrect", "into", "is", "it", "its", "just", "keep", "kind", "knew", "know", "known", "last",
    "least", "left", "less", "let", "like", "likely", "little", "long", "look", "looking", "made", "main", "mainly", "make",
    "man", "many", "may", "me", "mean", "means", "men", "might", "mind", "more", "most", "much", "must", "my", "name", "need",
    "neither", "never", "new", "next", "no", "none", "nor", "not", "nothing", "now", "occurs", "of", "off", "often", "old",
    "on", "once", "one", "only", "option", "options", "or", "other", "our", "out", "over", "own", "part", "people", "person",
    "place", "question", "quite", "rather", "really", "refer", "refers", "result", "results", "right", "said", "same", "saw",
    "say", "says", "see", "seem", "seen", "she", "should", "so", "some", "something", "soon", "sort", "statement",
    "statements", "still", "such", "sure", "take", "taken", "tell", "than", "that", "the", "their", "them", "then", "there",
    "these", "they", "thing", "things", "think", "this", "those", "thought", "three", "through", "time", "times", "to",
    "today", "together", "told", "too", "took", "true", "two", "under", "until", "up", "upon", "us", "use", "used", "usually",
    "very", "want", "wanted", "was", "way", "we", "well", "went", "were", "what", "when", "where", "which", "while", "who",
    "whom", "whose", "why", "will", "with", "without", "woman", "word", "words", "work", "world", "would", "year", "years",
    "yes", "yet", "you", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ascend() {
        assert!(ASKING.is_sorted() && FORM.is_sorted());
    }

    #[test]
    fn strengths() {
        let check = |text: &str, expected: Strength| {
            let small = text.to_ascii_lowercase();
            let words: Vec<&[u8]> = small.split(' ').map(str::as_bytes).collect();
            assert_eq!(Strength::of(&words), expected, "{text}");
        };
        check("What happens if you swallow gum", Strength::Rare);
        check("Why is Mars red", Strength::Rare);
        check("What is erythema", Strength::Rare);
        check("Which is an example of conduction", Strength::Rare);
        check("The theory of rational expectations", Strength::Rare);
        check("Find 3 over 4 1 over 8", Strength::Rare);
        check("Which of the following is true", Strength::Answer);
        check("What are you doing next", Strength::Answer);
        check("The coronary arteries", Strength::Answer);
        check("Who are you", Strength::Answer);
        check("", Strength::Answer);
        check("Which of the following statements is not true", Strength::Answer);
        check("Which skin surface will produce the most heat", Strength::Words);
        assert_eq!([2, 5, 8].map(Strength::with_answer), [Strength::Answer, Strength::Rare, Strength::Words]);
    }
}
