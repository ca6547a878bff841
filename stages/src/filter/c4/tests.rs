//! Lines and documents that go, and those that stay.

use super::*;

fn one() -> Config {
    Config { sentences_min: 1, ..Config::default() }
}

/// Without the rules that take lines out or drop a document.
fn off() -> Config {
    Config {
        terminal: false,
        word_chars_max: 0,
        line_words_min: 0,
        sentences_min: 0,
        lorem_ipsum: false,
        ..Config::default()
    }
}

/// A text that is kept says what is left of it, one that is dropped says why.
fn check(config: Config, text: &str, expected: Result<&str, &str>) {
    let (judgement, left) = C4::new(config).judge(text);
    let found = match judgement.verdict {
        Verdict::Dropped { reason, .. } => Err(reason),
        Verdict::Kept => Ok(text),
        Verdict::Edited => Ok(left.as_str()),
    };
    assert_eq!(found, expected, "{text:?}: {:?}", judgement.signals);
    if let Ok(left) = expected
        && !left.contains('[')
    {
        let (_, again) = C4::new(off()).judge(left);
        assert_eq!(again, left, "what was left stays");
    }
}

#[test]
fn lines_go_and_the_rest_stays() {
    let mill = "The mill stands by the river.";
    check(one(), mill, Ok(mill));
    for line in [
        "Home | About",
        "This line goes on...",
        "Two words.",
        "We use JavaScript here.",
        "Read our Privacy Policy now.",
        "This site uses \u{212a}ooKies, it uses cookies.",
        &format!("A {} word.", "x".repeat(1001)),
        "A line with a mark.[1] [2]",
    ] {
        check(one(), &format!("{line}\n{mill}"), Ok(mill));
        check(one(), &format!("{mill}\r\n{line}\u{2028}"), Ok(mill));
        check(one(), line, Err("too_few_sentences"));
    }
    check(
        one(),
        &format!("  {mill}[12][]\u{85}\t[edit]{mill}[citation needed] "),
        Ok(&format!("{mill}\n{mill}")),
    );
    check(one(), "He said \u{661} [\u{661}]it.", Ok("He said \u{661} it."));
    check(one(), "He said [x] [1 it.", Ok("He said [x] [1 it."));
}

#[test]
fn documents_go() {
    check(Config::default(), "", Err("too_few_sentences"));
    check(Config::default(), "One is here. Two is here. Three. Four.", Err("too_few_sentences"));
    check(
        Config::default(),
        "One is here. Two is here. Three. Four. Five.",
        Ok("One is here. Two is here. Three. Four. Five."),
    );
    check(one(), "This is Lorem Ipsum text.", Err("lorem_ipsum"));
    check(one(), "This is { a text.", Err("curly_bracket"));
    check(
        Config { lorem_ipsum: false, ..one() },
        "This is Lorem Ipsum text.",
        Ok("This is Lorem Ipsum text."),
    );
    let long = "x ".repeat(100) + "y.";
    let paragraphs = Config { paragraphs_min: 3, ..one() };
    check(paragraphs.clone(), &format!("{long}\n{long}"), Err("too_few_paragraphs"));
    check(paragraphs, &format!("{long}\n{long}\n{long}"), Ok(&format!("{long}\n{long}\n{long}")));
}

/// The rules that drop a document see only the lines that the rule on line ends has left, so without it more is dropped.
#[test]
fn without_the_rule_on_line_ends_more_documents_go() {
    let text = "if (x) { y }\nThe mill stands by the river.";
    check(one(), text, Ok("The mill stands by the river."));
    check(Config { terminal: false, ..one() }, text, Err("curly_bracket"));
}

#[test]
fn a_limit_of_zero_is_no_rule() {
    let text = format!("{}\n\nx", "y".repeat(2000));
    check(off(), &text, Ok(&text));
    check(off(), "", Ok(""));
}

#[test]
fn bad_words_stand_between_characters_of_no_word() {
    let bad = |list: &str, inside: bool| BadWords::new(list, inside).expect("the list has words");
    let found = |text: &str| bad("darn\nheck it\n\n", false).is_in(text);
    assert!(found("Darn!") && found("oh,darn") && found("what the HECK IT is"));
    assert!(!found("darned") && !found("a_darn") && !found("heck") && !found(""));
    assert!(bad("darn", true).is_in("darned") && BadWords::new("\n \n", false).is_none());
}
