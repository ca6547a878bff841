//! Keeps the pages whose authors let them be used: by opt-outs and licence, under a policy that the recipe writes.
//!
//! Stands before extraction, since it reads the markup in `html`; a row without HTML has what its source tells. Adds two
//! columns, null where there is nothing to tell:
//!
//! * `opt_out`: the author's opt-outs, of the markup and of a column `opt_out` that the source has made of response
//!   headers and robots.txt (`source.warc`, `source.crawl`). In this order: `noindex`, `noai`, `noimageai` (`meta` robots,
//!   `X-Robots-Tag`), `tdm-reservation` (`meta` and header, TDMRep of the W3C), `content-signal` (`Content-Signal:
//!   ai-train=no`, `Content-Usage: train-ai=n`), `ai-txt` (a site's ai.txt, which
//!   `source.crawl` asks for as it does for tdmrep.json). Rules for one crawler by its name do not count here.
//! * `licence`: the Creative Commons licence that the page declares by `rel=license` or `rel=copyright`, by `meta` (`dc.rights`,
//!   `dcterms.license`, `copyright` and the like) or by JSON-LD (not of its pictures), under a short name such as
//!   `cc-by-4.0`, `cc-by-nc-nd-3.0`, `cc0-1.0`, `pd`; ports go by the name without the country, and several by the
//!   alphabet with a comma between. A column `licence` of the source counts too, also with names of other licences.
//!
//! `keep` is an expression over `noindex`, `noai`, `noimageai`, `tdm_reservation`, `content_signal`, `ai_txt` and `licence`
//! (there is one) with `not`, `and`, `or` (in this order of strength) and parentheses; `true` keeps all and only writes
//! the columns. `licence in ["cc-by-4.0", "cc0-1.0"]` asks for names, `licence like "cc-by-4*"` for their beginning; of
//! several licences each has to fit. The default honours every opt-out and asks for no licence.
//!
//! A page goes as `licence` where the policy asks for one and the page would go even if its author opted out of nothing;
//! else as `opt_out`. The value is the number of opt-outs, or 1 where there is a licence and 0 where there is none.
//!
//! ```text
//! <meta name=robots content=noai>                   → opt_out "noai", drop opt_out (1, limit 0)
//! keep = 'licence like "cc-by-4*" and not noai'
//! <p>no licence                                      → drop licence (0, limit 1)
//! <link rel=license href=https://creativecommons.org/licenses/by/4.0/>   → licence "cc-by-4.0", keep
//! ```

mod policy;

use crate::text::rights::{self, Wishes, licence};
use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use encoding_rs::Encoding;
use policy::{Policy, Rights, SIGNALS};
use schemas::{
    Build, Config as _, KeyError, Made, Outcome, Reason, Spec, Stage, StageError, Verdict, column, config,
};
use std::borrow::Cow;
use std::sync::Arc;

/// Every opt-out is honoured.
const KEEP: &str = "not (noindex or noai or noimageai or tdm_reservation or content_signal or ai_txt)";
/// The signal that there is a licence.
const LICENCE: &str = "licence";

config! {
    /// Settings of `filter.rights`.
    pub struct Config {
        /// The policy: which pages stay, as an expression over opt-outs and licence.
        keep: String = KEEP.to_owned();
    }
}

/// Why `filter.rights` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The author opts out.
    OptOut,
    /// The licence is not one that the policy asks for.
    Licence,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::OptOut => "opt_out",
            Self::Licence => "licence",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason {
        name: Drop::OptOut.name(),
        doc: "The author opts out in a way that the policy honours; the value is the number of opt-outs.",
    },
    Reason {
        name: Drop::Licence.name(),
        doc: "Whatever the opt-outs, the policy asks for another licence; the value is 1 where there is one.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |(message, help)| vec![KeyError { key: "keep".into(), message, help }];
    Ok(Made::Stage(Box::new(RightsFilter { policy: Policy::parse(&config.keep).map_err(wrong)? })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.rights",
    version: 1,
    summary: "Keeps the pages whose authors let them be used, by opt-outs and licence.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct RightsFilter {
    policy: Policy,
}

/// What a page and its source say.
#[derive(Default)]
struct Said {
    wishes: Wishes,
    licences: Vec<String>,
}

impl Said {
    fn new(html: &[u8], opt_out: Option<&str>, told: Option<&str>) -> Self {
        let mut said = Self::default();
        said.wishes.add_told(opt_out.unwrap_or_default());
        for name in told.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            said.licences.push(licence::short(name).unwrap_or_else(|| name.to_lowercase()));
        }
        rights::page(&readable(html), &mut said.wishes, &mut said.licences);
        said
    }

    fn licence(&self) -> Option<String> {
        (!self.licences.is_empty()).then(|| self.licences.join(", "))
    }
}

/// The bytes of a page, as UTF-8 where a byte-order mark says that they are of two bytes a character.
fn readable(html: &[u8]) -> Cow<'_, [u8]> {
    match Encoding::for_bom(html) {
        Some((encoding, mark)) if encoding != encoding_rs::UTF_8 => {
            let text = encoding.decode_without_bom_handling(&html[mark..]).0;
            Cow::Owned(text.into_owned().into_bytes())
        }
        _ => Cow::Borrowed(html),
    }
}

impl RightsFilter {
    fn judge(&self, rights: Rights<'_>) -> Verdict {
        if self.policy.keeps(rights) {
            return Verdict::Kept;
        }
        let opted_in = Rights { asked: [false; SIGNALS.len()], ..rights };
        let dropped =
            |drop: Drop, value, limit| Verdict::Dropped { reason: drop.name(), value, limit, twin: None };
        if self.policy.asks_licence() && !self.policy.keeps(opted_in) {
            return dropped(Drop::Licence, f64::from(u8::from(rights.has_licence)), 1.0);
        }
        dropped(Drop::OptOut, rights.asked.iter().filter(|asked| **asked).count() as f64, 0.0)
    }
}

impl Stage for RightsFilter {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::HTML, &DataType::Binary)?;
        let made = [column::OPT_OUT, column::LICENCE];
        for name in made.into_iter().filter(|name| input.field_with_name(name).is_ok()) {
            column::require(input, name, &DataType::Utf8)?;
        }
        Ok(column::with(input, made.map(|name| Field::new(name, DataType::Utf8, true))))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let pages = column::binary(batch, column::HTML)?;
        let known = |name| batch.column_by_name(name).map(|_| column::utf8(batch, name)).transpose();
        let (opt_outs, licences) = (known(column::OPT_OUT)?, known(column::LICENCE)?);
        let mut verdicts = Vec::with_capacity(pages.len());
        let mut columns = [StringBuilder::new(), StringBuilder::new()];
        let mut signals = [(); SIGNALS.len() + 1].map(|()| Float64Builder::with_capacity(pages.len()));
        for (row, html) in pages.iter().enumerate() {
            let told = |column: Option<&'_ arrow::array::StringArray>| {
                column.filter(|c| c.is_valid(row)).map(|c| c.value(row).to_owned())
            };
            let said =
                Said::new(html.unwrap_or_default(), told(opt_outs).as_deref(), told(licences).as_deref());
            let has_licence = !said.licences.is_empty();
            let rights = Rights { asked: said.wishes.asked(), has_licence, licences: &said.licences };
            verdicts.push(self.judge(rights));
            columns[0].append_option(said.wishes.opt_outs());
            columns[1].append_option(said.licence());
            let flags = rights.asked.into_iter().chain([has_licence]);
            signals.iter_mut().zip(flags).for_each(|(s, flag)| s.append_value(f64::from(u8::from(flag))));
        }
        let names = [column::OPT_OUT, column::LICENCE].map(str::to_owned);
        let columns = columns.map(|mut c| Arc::new(c.finish()) as ArrayRef);
        let signals = signals.map(|mut s| Arc::new(s.finish()) as ArrayRef);
        Ok(Outcome {
            verdicts,
            columns: names.into_iter().zip(columns).collect(),
            signals: SIGNALS.into_iter().chain([LICENCE]).zip(signals).collect(),
        })
    }

    fn limits(&self) -> &'static [&'static str] {
        &["keep"]
    }

    fn decide(&self, signals: &RecordBatch) -> Option<Vec<Verdict>> {
        if self.policy.asks_names() {
            return None;
        }
        let column = |name| signals.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let flags: Option<Vec<_>> = SIGNALS.into_iter().chain([LICENCE]).map(column).collect();
        let flags = flags?;
        let verdict = |row: usize| {
            let is = |at: usize| flags[at].value(row) > 0.0;
            let has_licence = is(SIGNALS.len());
            let asked = std::array::from_fn(is);
            self.judge(Rights { asked, has_licence, licences: &[] })
        };
        Some((0..signals.num_rows()).map(verdict).collect())
    }
}

#[cfg(test)]
mod tests;
