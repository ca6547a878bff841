//! The tokens of spaCy, its sentences, and time that grows with the text alone.

use super::*;
use proptest::prelude::*;

fn check(text: &str, expected: &[&str]) {
    assert_eq!(words(text), expected, "{text:?}");
}

/// What spaCy 3.8.18 gives, asked once.
#[test]
#[rustfmt::skip] // One line a text.
fn words_are_those_of_spacy() {
    check("", &[]);
    check("Mr. O'Neil can't pay 10km (e.g. $5/day)!", &["Mr.", "O'Neil", "ca", "n't", "pay", "10", "km", "(", "e.g.", "$", "5", "/", "day", ")", "!"]);
    check("(see foo):", &["(", "see", "foo", "):"]);
    check("Hello.World, end.Next a,b well-known x--y a---b c~d 1-2 1--2 3+4", &["Hello", ".", "World", ",", "end", ".", "Next", "a", ",", "b", "well", "-", "known", "x", "--", "y", "a", "---", "b", "c", "~", "d", "1", "-", "2", "1", "-", "-2", "3", "+", "4"]);
    check("US$5 C$7 5US$ 20°C. 10a.m. 30%. A.B. USA. etc... ....x …… a…b", &["US$", "5", "C$", "7", "5", "US$", "20", "°", "C", ".", "10", "a.m.", "30", "%", ".", "A.B.", "USA", ".", "etc", "...", "....", "x", "…", "…", "a", "…", "b"]);
    check("see http://www.example.com/a?b=c, mail jo.doe@example.org. ftp://x@y.co:80/ 10.0.0.1 8.8.8.8:80 foo.Bar", &["see", "http://www.example.com/a?b=c", ",", "mail", "jo.doe@example.org", ".", "ftp://x@y.co:80/", "10.0.0.1", "8.8.8.8:80", "foo", ".", "Bar"]);
    check("'tis dogs' dog's it’s ‘quoted’ \"x\" ''y''", &["'", "tis", "dogs", "'", "dog", "'s", "it", "’s", "‘", "quoted", "’", "\"", "x", "\"", "''", "y", "''"]);
    check("a\n\nb  c\u{2028}d\u{a0}e\u{1c}f", &["a", "b", "c", "d", "e", "f"]);
    check(" :-) foo:) : ) <3 x</3 (*_*) ):", &[":-)", "foo", ":)", ":", ")", "<3", "x</3", "(*_*)", "):"]);
    check("日本語。中文、 naïve café—bar😀baz 😀", &["日本語。中文", "、", "naïve", "café", "—", "bar", "😀", "baz", "😀"]);
    check("+49 +x 5+ c++ .5 ..5 -5 --x #tag @user _x_ `code` a/b w/o and/or/x", &["+49", "+", "x", "5", "+", "c++", ".5", "..", "5", "-5", "--x", "#", "tag", "@user", "_", "x", "_", "`", "code", "`", "a", "/", "b", "w/o", "and/or", "/", "x"]);
    check("I'm we'd've y'all gonna dont Cause 'Cause", &["I", "'m", "we", "'d", "'ve", "y'", "all", "gon", "na", "do", "nt", "Cause", "'Cause"]);
    check("IS_ALPHA x", &["IS_ALPHA", "x"]);
    check("http:// www. a.b a.bc _a.bc x.y.zz:1 x.y.zz:12 é.fr", &["http://", "www", ".", "a.b", "a.bc", "_", "a.bc", "x.y.zz:1", "x.y.zz:12", "é.fr"]);
    check("тест. 5км х/ф", &["тест", ".", "5", "км", "х", "/", "ф"]);
    check("a''b '''", &["a''b", "'", "''"]);
    check("O.K. o.O x=y x==y x<=y a:b a::b 1:30pm 5pm", &["O.K.", "o.O", "x", "=", "y", "x==y", "x<=y", "a", ":", "b", "a::b", "1:30pm", "5", "pm"]);
}

#[test]
fn sentences_end_with_a_mark_and_the_punctuation_behind_it() {
    for (text, count) in [
        ("", 1),
        (" ", 1),
        ("Mr. Smith went.", 1),
        ("He went. She stayed! (Why?) So.", 4),
        ("Yes... ok", 1),
        ("One.  ", 2),
        ("One. ", 1),
        ("终于。 好", 2),
        ("终于 。 好", 2),
    ] {
        assert_eq!(sentences(text), count, "{text:?}");
    }
}

/// What datatrove 0.10.1 gives, asked once.
#[test]
fn ends_of_sentences_are_those_of_spacy() {
    let cases: &[(&str, &[usize])] = &[
        ("", &[]),
        ("He went. She stayed! (Why?) So.", &[8, 22, 27, 31]),
        ("One.  ", &[4, 6]),
        ("One. ", &[4]),
        ("One.  Two\n\n. Three", &[4, 12, 18]),
        ("Mr. Smith went... ok? \n\nNew line! \"Yes.\" he said.", &[21, 35, 40, 49]),
        ("No end", &[6]),
        (" Lead. x", &[6, 8]),
        ("终于。 好。再见", &[9, 22]),
        ("a.b. C. d?! e", &[4, 11, 13]),
        ("é. ü! z", &[3, 7, 9]),
    ];
    for (text, ends) in cases {
        assert_eq!(sentence_ends(text), *ends, "{text:?}");
    }
}

#[test]
fn long_chunks_take_linear_time() {
    for text in [
        "(",
        ")",
        ".",
        "a.",
        "a@",
        "'",
        "''a",
        ":(",
        "1km",
        "a-",
        "x,y",
        "\u{2026}",
        "http://a.",
        "-)",
        "8)",
        "US$",
    ] {
        let long = text.repeat(200_000 / text.len());
        assert_eq!(words(&long).concat(), long, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_character_is_lost(text in "([a-cA-CUS0-9]{0,3}[ \n\t\u{a0}.,:;'\u{2019}\"()<>/@#$%*+=~_\u{2026}\u{2014}\u{b0}\u{b2}\u{e9}\u{65e5}\u{1f600}-]{0,3}){0,12}") {
        let solid: String = text.chars().filter(|c| !is_python_space(*c)).collect();
        prop_assert_eq!(words(&text).concat(), solid);
    }
}
