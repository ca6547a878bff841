//! Lists, dialects, and the defects of the peer.

use super::*;
use arrow::array::{Float64Array, StringArray};
use schemas::Value;
use std::path::PathBuf;

/// A folder with lists, taken away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gristmill-url-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl std::ops::Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A stage with files of the given content, each under the name of its key, and other settings as strings.
fn stage(
    folder: &Folder,
    files: &[(&str, &str)],
    settings: &[(&str, Value)],
) -> Result<UrlFilter, Vec<KeyError>> {
    let mut pairs: Vec<(String, Value)> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    for (key, content) in files {
        std::fs::write(folder.0.join(key), content).unwrap();
        pairs.push(((*key).to_owned(), Value::from(*key)));
    }
    UrlFilter::new(&Settings::new(pairs).with_base(&folder.0))
}

fn check(stage: &UrlFilter, url: &str, expected: Option<&str>) {
    let (verdict, signals) = stage.judge(Some(url));
    let found = match verdict {
        Verdict::Dropped { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(found, expected, "{url}: {signals:?}");
}

fn datatrove() -> (&'static str, Value) {
    ("dialect", Value::from("datatrove-0.10"))
}

const NONE: (&str, Value) = ("lists", Value::Boolean(false));
const SUFFIXES: (&str, &str) = ("suffixes", "com\nco.uk\nuk\norg\n");

#[test]
fn the_words_that_ship() {
    let ours = UrlFilter::new(&Settings::default()).unwrap();
    check(&ours, "https://example.com/free-porn/1", Some("hard_blacklisted"));
    check(&ours, "https://example.com/FREE-PORN/1", Some("hard_blacklisted"));
    check(&ours, "https://example.com/%70orn/1", Some("hard_blacklisted"));
    check(&ours, "https://example.com/%D0%BF%D0%BE%D1%80%D0%BD%D0%BE/1", Some("hard_blacklisted"));
    check(&ours, "https://casino.example/slots?bonus=1", Some("soft_blacklisted"));
    check(&ours, "https://bestfreeporn4you.example/", Some("blacklisted_subword"));
    for harmless in [
        "https://example.com/essex/casino",
        "https://example.com/popcorn-pics",
        "https://example.com/scunthorpe/middlesex/sussex",
        "https://example.com/author/siriporn",
        "https://example.com/sex-education-in-schools",
        "https://example.com/man1/ssh-keygen.1.html",
        "https://example.com/wiki/Casino_Royale_(film)",
        "https://example.com/health/viagra-side-effects",
        "https://example.com/lgbt/lesbian-and-gay-history",
        "https://example.com/analysis/cocktails/therapist",
        "https://example.com/%ff%",
        "not an address",
    ] {
        check(&ours, harmless, None);
    }
}

#[test]
fn no_list_names_a_group_of_people() {
    let groups = [
        "gay",
        "lesbian",
        "lesbians",
        "gays",
        "trans",
        "transgender",
        "queer",
        "bisexual",
        "shemale",
        "black",
        "white",
        "asian",
        "asians",
        "latina",
        "ebony",
        "arab",
        "muslim",
        "jew",
        "jewish",
        "indian",
        "teen",
        "teens",
        "women",
        "girl",
        "girls",
        "mature",
        "granny",
        "refugee",
        "migrant",
        "disabled",
    ];
    for list in [HARD, SOFT, SUBWORDS] {
        assert!(entries(list).all(|entry| !groups.contains(&entry)));
        assert!(entries(list).count() > 30);
        assert!(
            entries(list).all(|entry| Dialect::Ours.squeeze(entry) == entry),
            "entries are words as they are sought"
        );
    }
    // A sub-word that is short stands in too many innocent words.
    assert!(entries(SUBWORDS).all(|entry| entry.chars().count() >= 6));
}

#[test]
fn each_list_has_its_reason() {
    let folder = Folder::new("lists");
    let files = [
        ("domains", "# comment\nbad.com\nblog.example.org\nBÜCHER.com\n"),
        ("urls", "https://example.com/a?b=1\n"),
        ("words", "hard\n"),
        ("soft_words", "one\ntwo\nthree\n"),
        ("subwords", "inside\n"),
    ];
    let ours = stage(&folder, &[files.as_slice(), &[SUFFIXES]].concat(), &[NONE]).unwrap();
    check(&ours, "http://bad.com/", Some("domain"));
    check(&ours, "http://USER@www.Bad.com.:80/", Some("domain"));
    check(&ours, "bad.com/no-scheme", Some("domain"));
    check(&ours, "http://xn--bcher-kva.com/", Some("domain"));
    check(&ours, "http://blog.example.org/", Some("subdomain"));
    check(&ours, "http://a.blog.example.org/", None);
    check(&ours, "http://example.org/", None);
    check(&ours, "http://notbad.com/bad.com", None);
    check(&ours, "https://example.com/a?b=1", Some("url"));
    check(&ours, "HTTPS://EXAMPLE.com:443/a?b=1#part", Some("url"));
    check(&ours, "https://example.com/a?b=2", None);
    check(&ours, "http://example.com/Hard.html", Some("hard_blacklisted"));
    check(&ours, "http://example.com/hardly", None);
    check(&ours, "http://example.com/one/One/one", None);
    check(&ours, "http://one.example.com/two", Some("soft_blacklisted"));
    check(&ours, "http://example.com/xinsidex", Some("blacklisted_subword"));
    check(&ours, "http://example.com/in/side", None);
    // Without a list of suffixes, a host and all below it.
    let ours = stage(&folder, &files, &[NONE]).unwrap();
    check(&ours, "http://a.blog.example.org/", Some("domain"));
    check(&ours, "http://www.bad.com/", Some("domain"));
    check(&ours, "http://notbad.com/", None);
    let strict = stage(&folder, &files, &[NONE, ("soft_words_min", Value::Integer(3))]).unwrap();
    check(&strict, "http://one.example.com/two", None);
    let off = stage(&folder, &files, &[NONE, ("soft_words_min", Value::Integer(0))]).unwrap();
    check(&off, "http://one.two.three.example.com/", None);
}

/// Which words datatrove finds: case-sensitive where it splits, joined where it seeks sub-words.
#[test]
fn words_of_datatrove_are_those_of_the_raw_address() {
    let folder = Folder::new("datatrove");
    let files = [("words", "HARD\n"), ("soft_words", "one\ntwo\n"), ("subwords", "In-Side\n")];
    let peer = stage(&folder, &files, &[NONE, datatrove()]).unwrap();
    check(&peer, "http://example.com/hard", Some("hard_blacklisted"));
    check(&peer, "http://example.com/HARD", None);
    check(&peer, "http://example.com/%68ard", None);
    check(&peer, "http://example.com/one_two", Some("soft_blacklisted"));
    check(&peer, "http://example.com/One/two", None);
    check(&peer, "http://example.com/in/side", Some("blacklisted_subword"));
    check(&peer, "http://example.com/IN-SIDE", Some("blacklisted_subword"));
    check(&peer, "http://example.com/\u{e9}one\u{e9}two", Some("soft_blacklisted"));
}

#[test]
fn hosts_of_datatrove_need_suffixes() {
    let folder = Folder::new("suffixes");
    let domains = ("domains", "10.0.0.1\nexample.com\nlocalhost\na.b.example.co.uk\n");
    let errors = stage(&folder, &[domains], &[datatrove()]).err().unwrap();
    assert_eq!(errors[0].key, "suffixes");
    let peer = stage(&folder, &[domains, SUFFIXES], &[NONE, datatrove()]).unwrap();
    check(&peer, "http://example.com/", Some("domain"));
    check(&peer, "http://a.example.com/", Some("domain"));
    check(&peer, "http://a.b.example.co.uk/", Some("subdomain"));
    check(&peer, "http://b.example.co.uk/", None);
    check(&peer, "http://10.0.0.1/", None);
    let ours = stage(&folder, &[domains, SUFFIXES], &[NONE]).unwrap();
    check(&ours, "http://10.0.0.1/", Some("domain"));
    check(&ours, "http://localhost:8080/", Some("domain"));
}

/// In datatrove 0.10.1 a word of a list that is nothing but marks becomes the empty word, which every address that ends in a slash
/// has, and a blank line becomes the empty domain, which every host without a suffix has.
#[test]
fn a_blank_or_empty_entry_drops_nothing() {
    let folder = Folder::new("blank");
    let files = [
        ("words", "\n---\n \n"),
        ("soft_words", "--\n...\n"),
        ("subwords", "\n-\n"),
        ("domains", "\n\n"),
        SUFFIXES,
    ];
    for settings in [vec![NONE], vec![NONE, datatrove()]] {
        let stage = stage(&folder, &files, &settings).unwrap();
        check(&stage, "http://localhost/a/", None);
        check(&stage, "http://example.com/", None);
    }
}

#[test]
fn a_list_that_is_not_there_is_told() {
    let settings = Settings::new(vec![("words".into(), Value::from("nowhere.txt"))]);
    let errors = UrlFilter::new(&settings).err().unwrap();
    assert_eq!((errors.len(), errors[0].key.as_str()), (1, "words"));
}

/// A filter that never fires because its column is null must not look like one that found nothing.
#[test]
fn documents_without_an_address_are_told_apart() {
    let urls: ArrayRef = Arc::new(StringArray::from(vec![None, Some(" "), Some("http://example.com/porn")]));
    let batch = RecordBatch::try_from_iter_with_nullable([(column::URL, urls, true)]).unwrap();
    for (policy, reason) in [("keep", None), ("drop", Some("no_url"))] {
        let settings = Settings::new(vec![("without_url".into(), Value::from(policy))]);
        let outcome = UrlFilter::new(&settings).unwrap().apply(&batch).unwrap();
        let reasons = outcome.verdicts.iter().map(|verdict| match verdict {
            Verdict::Dropped { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [reason, reason, Some("hard_blacklisted")]);
        let hard = outcome.signals[3].1.as_any().downcast_ref::<Float64Array>().unwrap();
        assert_eq!(hard.iter().collect::<Vec<_>>(), [None, None, Some(1.0)]);
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let batch = RecordBatch::try_from_iter([(column::TEXT, text)]).unwrap();
    let error = UrlFilter::new(&Settings::default()).unwrap().apply(&batch).unwrap_err();
    assert!(error.to_string().contains("column `url` is missing"));
}
