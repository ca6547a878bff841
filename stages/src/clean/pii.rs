//! Puts placeholders where personal numbers and addresses stand: e-mail, phone, IP, card, account, social security, secret keys.
//!
//! | key | placeholder | found by |
//! |---|---|---|
//! | `email` | `<EMAIL>` | RFC 5322 dot-atom and a host name |
//! | `phone` | `<PHONE>` | E.164, North American and trunk-zero shapes; others beside a word such as "phone:" |
//! | `ip` | `<IP>` | IPv4 and IPv6 that can be reached from anywhere; with `ip_local` the others too |
//! | `card` | `<CARD>` | issuer, length and Luhn sum |
//! | `iban` | `<IBAN>` | country, length and sum modulo 97 |
//! | `ssn` | `<SSN>` | area, group and serial of the United States in their usual form, others beside "SSN" |
//! | `secret` | `<SECRET>` | prefixes of issuers, signed web tokens, private key blocks; a random value given to a name such as `api_key` |
//!
//! A placeholder says only what stood there, so the result depends on neither the order of documents nor that of the rules. All kinds
//! are sought, whichever are on: switching one off leaves its findings be and changes nothing else. Names and addresses of houses
//! are not sought.
//!
//! ```text
//! "Write to jane@site.org or call +1-984-182-0190."  → "Write to <EMAIL> or call <PHONE>."
//! ```

use crate::text::pii::{Kind, find};
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{Build, Config as _, Made, Outcome, Rewrite, Spec, Stage, StageError, Verdict, column, config};
use std::borrow::Cow;
use std::sync::Arc;

config! {
    /// Settings of `clean.pii`.
    pub struct Config {
        /// Whether e-mail addresses are replaced.
        email: bool = true;
        /// Whether phone numbers are replaced.
        phone: bool = true;
        /// Whether IP addresses are replaced.
        ip: bool = true;
        /// Whether payment card numbers are replaced.
        card: bool = true;
        /// Whether bank account numbers are replaced.
        iban: bool = true;
        /// Whether social security numbers of the United States are replaced.
        ssn: bool = true;
        /// Whether keys, tokens and private keys are replaced.
        secret: bool = true;
        /// Whether IP addresses count that no one can reach from outside: private, loopback, documentation, multicast.
        ip_local: bool = false;
    }
}

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(Pii(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.pii",
    version: 2,
    summary: "Replaces e-mail addresses, phone numbers, IP addresses, cards, accounts and keys by placeholders.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

struct Pii(Config);

/// Kinds with the names of their signals.
const SIGNALS: [(Kind, &str); Kind::COUNT] = [
    (Kind::Email, "emails"),
    (Kind::Phone, "phones"),
    (Kind::Ip, "ips"),
    (Kind::Card, "cards"),
    (Kind::Iban, "ibans"),
    (Kind::Ssn, "ssns"),
    (Kind::Secret, "secrets"),
];

impl Pii {
    const fn replaces(&self, kind: Kind) -> bool {
        match kind {
            Kind::Email => self.0.email,
            Kind::Phone => self.0.phone,
            Kind::Ip => self.0.ip,
            Kind::Card => self.0.card,
            Kind::Iban => self.0.iban,
            Kind::Ssn => self.0.ssn,
            Kind::Secret => self.0.secret,
        }
    }

    /// The text with placeholders; adds what was replaced to `counts`, in the order of [`SIGNALS`].
    fn replace<'a>(&self, text: &'a str, counts: &mut [f64; Kind::COUNT]) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        // A placeholder is shorter than what it replaces, so words come nearer to numbers: look again until nothing is found.
        // That ends, for every finding has a digit, an at sign or five hyphens, and no placeholder has.
        loop {
            let mut found = find(&text, self.0.ip_local);
            found.retain(|(_, kind)| self.replaces(*kind));
            if found.is_empty() {
                return text;
            }
            let mut out = String::with_capacity(text.len());
            let mut copied = 0;
            for (range, kind) in found {
                out.push_str(&text[copied..range.start]);
                out.push_str(kind.placeholder());
                copied = range.end;
                let at = SIGNALS.iter().position(|(each, _)| *each == kind).expect("SIGNALS has every kind");
                counts[at] += 1.0;
            }
            out.push_str(&text[copied..]);
            text = Cow::Owned(out);
        }
    }
}

impl Rewrite for Pii {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, &mut [0.0; Kind::COUNT])
    }
}

impl Stage for Pii {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        Ok(input.clone())
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        let mut replaced = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut counts = Vec::with_capacity(texts.len());
        for text in texts {
            let mut count = [0.0; Kind::COUNT];
            let text = self.replace(text.unwrap_or_default(), &mut count);
            verdicts.push(if matches!(text, Cow::Owned(_)) { Verdict::Edited } else { Verdict::Kept });
            replaced.append_value(text);
            counts.push(count);
        }
        let columns = vec![(column::TEXT.to_owned(), Arc::new(replaced.finish()) as ArrayRef)];
        let signals = SIGNALS.iter().enumerate().map(|(at, (_, name))| {
            let values: Float64Array = counts.iter().map(|count| Some(count[at])).collect();
            (*name, Arc::new(values) as ArrayRef)
        });
        Ok(Outcome { verdicts, columns, signals: signals.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(config: Config, text: &str, expected: &str) {
        let stage = Pii(config);
        assert_eq!(stage.rewrite(text), expected, "{text:?}");
        assert!(matches!(stage.rewrite(expected), Cow::Borrowed(_)), "{expected:?} is rewritten again");
    }

    #[test]
    fn each_kind_has_its_placeholder() {
        let on = Config::default;
        check(on(), "", "");
        check(on(), "jane@site.org, +1-984-182-0190", "<EMAIL>, <PHONE>");
        check(on(), "from 86.121.97.248 and 127.0.0.1", "from <IP> and 127.0.0.1");
        check(on(), "4111 1111 1111 1111 / DE89 3704 0044 0532 0130 00", "<CARD> / <IBAN>");
        check(Config { ip_local: true, ..on() }, "127.0.0.1", "<IP>");
        check(on(), "SSN 536-22-1234, AKIAQ7ZR2LK9XW4TN8VB", "SSN <SSN>, <SECRET>");
    }

    #[test]
    fn switching_a_kind_off_changes_nothing_else() {
        let text = "card 4111111111111111, fax 4111111111111111, a@b.com";
        check(Config::default(), text, "card <CARD>, fax <CARD>, <EMAIL>");
        let off = Config { card: false, ..Config::default() };
        check(off, text, "card 4111111111111111, fax 4111111111111111, <EMAIL>");
    }

    /// A peer gave clean text a score of 1.
    #[test]
    fn clean_text_counts_nothing() {
        let mut counts = [0.0; Kind::COUNT];
        let text = "The mill of 1847 stands at 12 Water Lane, 3.5 km from the town, and costs $4,000.";
        assert!(matches!(Pii(Config::default()).replace(text, &mut counts), Cow::Borrowed(_)));
        assert_eq!(counts, [0.0; Kind::COUNT]);
    }

    /// A peer's placeholders were numbered over the run, so the output followed the order of documents.
    #[test]
    fn the_order_of_documents_does_not_matter() {
        let texts =
            ["a@b.com, c@d.org", "call +1-984-182-0190", "999.1.1.1, 1.2.3.4.5", "from 86.121.97.248"];
        let stage = Pii(Config::default());
        let run = |order: &[usize]| {
            let text: ArrayRef =
                Arc::new(arrow::array::StringArray::from_iter_values(order.iter().map(|n| texts[*n])));
            let batch = RecordBatch::try_from_iter([(column::TEXT, text)]).unwrap();
            let outcome = stage.apply(&batch).unwrap();
            let after = outcome.select(&batch, &stage.output(&batch.schema()).unwrap()).unwrap();
            let after = column::utf8(&after, column::TEXT).unwrap();
            let mut pairs: Vec<(usize, String)> =
                order.iter().copied().zip(after.iter().flatten().map(str::to_owned)).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(run(&[0, 1, 2, 3]), run(&[3, 1, 0, 2]));
        assert_eq!(run(&[2])[0].1, texts[2]);
    }

    #[test]
    fn counts_are_signals() {
        let text: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("a@b.com c@d.org"), None]));
        let batch = RecordBatch::try_from_iter_with_nullable([(column::TEXT, text, true)]).unwrap();
        let outcome = Pii(Config::default()).apply(&batch).unwrap();
        assert_eq!(outcome.verdicts, [Verdict::Edited, Verdict::Kept]);
        assert_eq!(outcome.signals.len(), Kind::COUNT);
        let emails = outcome.signals[0].1.as_any().downcast_ref::<Float64Array>().unwrap();
        assert_eq!(emails.values(), &[2.0, 0.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn twice_is_once(
            text in "(tel|fax:|card| |\n|\\.|-|/|a@b.de|@|\\+|\\(|\\)|é|:|555-867-5309|4111111111111111|86.1.2.33|0?[0-9]{1,4}|DE89370400440532013000){0,16}"
        ) {
            let stage = Pii(Config::default());
            let once = stage.rewrite(&text).into_owned();
            prop_assert_eq!(stage.rewrite(&once), once.as_str());
        }
    }
}
