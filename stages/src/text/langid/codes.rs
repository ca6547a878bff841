//! The languages that can be told, and their codes.

use super::script::Script;

/// What is written in a script of ours but in none of its languages.
pub const UND: &str = "und";

/// Scripts that more than one language is written in, with the languages told apart.
#[rustfmt::skip]
pub const GROUPS: [(Script, &[&str]); 5] = [
    (Script::Latin, &[
        "afr", "aka", "aze", "bos", "cat", "ces", "cym", "dan", "deu", "eng", "epo", "est", "eus", "fin", "fra", "gle", "hrv", "hun",
        "ind", "isl", "ita", "jav", "lat", "lav", "lit", "lug", "mri", "msa", "nld", "nno", "nob", "pol", "por", "ron", "slk", "slv",
        "sna", "som", "sot", "spa", "sqi", "swa", "swe", "tgl", "tsn", "tso", "tuk", "tur", "und", "uzb", "vie", "xho", "yor", "zul",
    ]),
    (Script::Cyrillic, &["bel", "bul", "kaz", "mkd", "mon", "rus", "srp", "ukr"]),
    (Script::Arabic, &["ara", "pes", "und", "urd"]),
    (Script::Devanagari, &["hin", "mar", "nep", "und"]),
    (Script::Hebrew, &["heb", "yid"]),
];

/// Scripts that one language decides for, Japanese kana apart.
const ONLY: &[(Script, &str)] = &[
    (Script::Greek, "ell"),
    (Script::Armenian, "hye"),
    (Script::Georgian, "kat"),
    (Script::Ethiopic, "amh"),
    (Script::Thaana, "div"),
    (Script::Bengali, "ben"),
    (Script::Gurmukhi, "pan"),
    (Script::Gujarati, "guj"),
    (Script::Oriya, "ori"),
    (Script::Tamil, "tam"),
    (Script::Telugu, "tel"),
    (Script::Kannada, "kan"),
    (Script::Malayalam, "mal"),
    (Script::Sinhala, "sin"),
    (Script::Thai, "tha"),
    (Script::Lao, "lao"),
    (Script::Tibetan, "bod"),
    (Script::Myanmar, "mya"),
    (Script::Khmer, "khm"),
    (Script::Hangul, "kor"),
    (Script::Han, "cmn"),
    (Script::Kana, "jpn"),
];

/// The language that a script alone decides for.
pub fn only(script: Script) -> Option<&'static str> {
    ONLY.iter().find(|(s, _)| *s == script).map(|(_, language)| *language)
}

/// Every language that can be told, in the order of the codes.
pub fn all() -> Vec<&'static str> {
    let grouped = GROUPS.iter().flat_map(|(_, labels)| labels.iter().copied());
    let mut all: Vec<_> =
        grouped.chain(ONLY.iter().map(|(_, language)| *language)).filter(|l| *l != UND).collect();
    all.sort_unstable();
    all
}

/// The label of a code: ISO 639-3, 639-1, or the name of a macro-language or its main member.
pub fn label(code: &str) -> Option<&'static str> {
    let long = SHORT.iter().find(|(short, _)| *short == code).map_or(code, |(_, long)| *long);
    all().into_iter().find(|label| *label == long)
}

/// ISO 639-1 codes, and other codes of the same language, of the languages that can be told.
#[rustfmt::skip]
pub const SHORT: &[(&str, &str)] = &[
    ("eo", "epo"), ("en", "eng"), ("ru", "rus"), ("zh", "cmn"), ("zho", "cmn"), ("es", "spa"), ("pt", "por"), ("it", "ita"),
    ("bn", "ben"), ("fr", "fra"), ("de", "deu"), ("uk", "ukr"), ("ka", "kat"), ("ar", "ara"), ("arb", "ara"), ("hi", "hin"),
    ("ja", "jpn"), ("he", "heb"), ("yi", "yid"), ("ydd", "yid"), ("pl", "pol"), ("am", "amh"), ("jv", "jav"), ("ko", "kor"),
    ("nb", "nob"), ("no", "nob"), ("nor", "nob"), ("nn", "nno"), ("da", "dan"), ("sv", "swe"), ("fi", "fin"), ("tr", "tur"),
    ("nl", "nld"), ("hu", "hun"), ("cs", "ces"), ("el", "ell"), ("bg", "bul"), ("be", "bel"), ("mr", "mar"), ("kn", "kan"),
    ("ro", "ron"), ("sl", "slv"), ("hr", "hrv"), ("sr", "srp"), ("bs", "bos"), ("mk", "mkd"), ("lt", "lit"), ("lv", "lav"),
    ("lvs", "lav"), ("et", "est"), ("ekk", "est"), ("ta", "tam"), ("vi", "vie"), ("ur", "urd"), ("th", "tha"), ("gu", "guj"),
    ("uz", "uzb"), ("uzn", "uzb"), ("pa", "pan"), ("az", "aze"), ("azj", "aze"), ("id", "ind"), ("ms", "msa"), ("zsm", "msa"),
    ("te", "tel"), ("fa", "pes"), ("fas", "pes"), ("ml", "mal"), ("or", "ori"), ("ory", "ori"), ("my", "mya"), ("ne", "nep"),
    ("npi", "nep"), ("si", "sin"), ("km", "khm"), ("tk", "tuk"), ("ak", "aka"), ("twi", "aka"), ("zu", "zul"), ("sn", "sna"),
    ("af", "afr"), ("la", "lat"), ("sk", "slk"), ("ca", "cat"), ("tl", "tgl"), ("fil", "tgl"), ("hy", "hye"), ("cy", "cym"),
    ("eu", "eus"), ("ga", "gle"), ("is", "isl"), ("kk", "kaz"), ("lg", "lug"), ("mi", "mri"), ("mn", "mon"), ("khk", "mon"),
    ("so", "som"), ("st", "sot"), ("sq", "sqi"), ("als", "sqi"), ("sw", "swa"), ("swh", "swa"), ("tn", "tsn"), ("ts", "tso"),
    ("xh", "xho"), ("yo", "yor"), ("dv", "div"), ("lo", "lao"), ("bo", "bod"),
];
