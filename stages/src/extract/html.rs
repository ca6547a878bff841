//! Makes Markdown out of web pages: the main content with its structure, without menus, footers and furniture.
//!
//! bytes → encoding (by the WHATWG rules) → tree (the tree builder of html5ever) → flat list of nodes → what is
//! never text goes → blocks with features → a model's choice → Markdown. The columns `text` and `title` are set,
//! `html` and `content_type` go. A row that has text and no HTML (a WET record) passes through.
//!
//! ```text
//! <nav>Home</nav><main><h1>A</h1><p>One &amp; <code>two</code>.</p></main>   → text "# A\n\nOne & `two`.", title "A"
//! <title>A</title>                                                           → drop empty (0, limit 1)
//! ```

pub use super::content::PageType;
use super::content::{Model, Policy};
pub use super::fit::{FIT, fold};
use super::{about, block, charset, content, markdown, page, prune, title};
use arrow::array::{Array, ArrayRef, Float64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemas::{
    Build, Config as _, FilePath, KeyError, Made, Outcome, Reason, Spec, Stage, StageError, Verdict, choice,
    column, config,
};
use std::sync::Arc;
use url::Url;

choice! {
    /// How text is written.
    pub enum Format {
        /// With marks for headings, lists, code, tables, emphasis.
        Markdown = "markdown",
        /// The same lines without marks.
        Plain = "plain",
    }
}

choice! {
    /// What is left of links.
    pub enum Links {
        /// Their text.
        Text = "text",
        /// Their text with the address, as Markdown writes it.
        Markdown = "markdown",
    }
}

choice! {
    /// What is worse: text that is missing or text that is too much.
    pub enum Focus {
        /// Neither.
        Balanced = "balanced",
        /// Text that is too much.
        Precision = "precision",
        /// Text that is missing.
        Recall = "recall",
    }
}

choice! {
    /// What chooses the main content.
    pub enum Choose {
        /// A model that has learned from pages of many kinds.
        Model = "model",
        /// The rules of a reading mode: one article, without title, comments and what is around it.
        Reader = "reader",
    }
}

choice! {
    /// What becomes of a part of a page.
    pub enum Keep {
        /// What is most useful by what the model has learned: on a page of comments they are the content.
        Auto = "auto",
        /// It is kept.
        Always = "always",
        /// It goes.
        Never = "never",
    }
}

impl Focus {
    /// The β of the F measure whose expectation is made as large as it gets. A little below one is what does best
    /// under F1 itself: probabilities of whole pages are less sure than those of blocks.
    const fn lean(self) -> f32 {
        match self {
            Self::Balanced => 0.9,
            Self::Precision => 0.4,
            Self::Recall => 1.6,
        }
    }
}

/// The model that ships.
const WEIGHTS: &[u8] = include_bytes!("../../assets/content.bin");

config! {
    /// Settings of `extract.html`.
    pub struct Config {
        /// How text is written.
        format: Format = Format::Markdown;
        /// What is left of links.
        links: Links = Links::Text;
        /// Whether alternative texts stand in for images.
        image_alt: bool = false;
        /// Whether the boilerplate goes; else all visible text is kept.
        main_content: bool = true;
        /// What chooses the main content.
        choose: Choose = Choose::Model;
        /// Whether the choice of the main content leans to precision or to recall.
        focus: Focus = Focus::Balanced;
        /// Whether the heading that is the title is a part of the text.
        title: Keep = Keep::Auto;
        /// Whether lines of author, date and tags are.
        byline: Keep = Keep::Auto;
        /// Whether what readers wrote below a page is.
        comments: Keep = Keep::Auto;
        /// Whether captions of pictures are.
        captions: Keep = Keep::Auto;
        /// Whether the columns `page_type`, `author` and `date` are added.
        facts: bool = false;
        /// Weights made by `gristmill fit extract.html`; empty for those that ship.
        weights: FilePath = FilePath::default();
        /// Longest page read, in bytes; the rest is cut off.
        page_bytes_max: u64 = 10_000_000, in 1_000..=1_000_000_000;
        /// Largest share of bytes that are no text (control characters, undecodable) in a page.
        binary_share_max: f64 = 0.1, in 0.0..=1.0;
        /// Least confidence in the choice of the main content: the F measure that it is expected to have.
        confidence_min: f64 = 0.0, in 0.0..=1.0;
        /// Fewest characters of text kept.
        chars_min: u64 = 1, in 1..=1_000_000_000;
    }
}

/// Why `extract.html` drops a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Fewer than `chars_min` characters of text are left.
    Empty,
    /// More than `binary_share_max` of the page is not text.
    Binary,
    /// The choice of the main content is less sure than `confidence_min`.
    Unsure,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Binary => "binary",
            Self::Unsure => "unsure",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "Fewer than `chars_min` characters of text are left." },
    Reason { name: Drop::Binary.name(), doc: "More than `binary_share_max` of the page is not text." },
    Reason {
        name: Drop::Unsure.name(),
        doc: "The choice of the main content is less sure than `confidence_min`.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |message| vec![KeyError { key: "weights".into(), message, help: None }];
    let extractor = if config.weights.is_empty() {
        Extractor::new(config)
    } else {
        let path = settings.resolve(&config.weights);
        let bytes = std::fs::read(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        Extractor::with_weights(config, &bytes)
            .ok_or_else(|| wrong(format!("{}: no weights of `extract.html`", path.display())))?
    };
    Ok(Made::Stage(Box::new(Extract(extractor))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "extract.html",
    version: 11,
    summary: "Makes Markdown out of web pages: the main content with its structure.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The signals, every one a Float64: characters of the text, share of them in links, how good the choice is
/// expected to be (F measure, 0 to 1).
const SIGNALS: [&str; 3] = ["text_chars", "link_density", "confidence"];

/// The columns of `facts`.
const FACTS: [&str; 3] = ["page_type", "author", "date"];

/// What was made of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extracted {
    /// The main content.
    pub text: String,
    /// The title, if the page has one.
    pub title: Option<String>,
    /// Share of the text's characters that are in links: 0 to 1.
    pub link_density: f64,
    /// The F measure that the choice is expected to have: 0 to 1.
    pub confidence: f64,
    /// The kind of the page; with `facts`, of a page with text.
    pub page_type: Option<PageType>,
    /// Who wrote it, with `facts`.
    pub author: Option<String>,
    /// When it was published, as `2024-05-31`, with `facts`.
    pub date: Option<String>,
}

/// Settings with the model that they name, ready for pages.
#[derive(Debug, Clone)]
pub struct Extractor {
    config: Config,
    model: Model,
}

impl Extractor {
    /// With the model that ships.
    pub fn new(config: Config) -> Self {
        Self::with_weights(config, WEIGHTS).expect("the weights that ship are whole")
    }

    /// With weights that `gristmill fit extract.html` made; `None` where they are something else.
    pub fn with_weights(config: Config, weights: &[u8]) -> Option<Self> {
        let model = Model::read(weights)?;
        Some(Self { config, model })
    }

    /// Extracts the main content of a decoded page. `url` is what relative links start from.
    pub fn extract(&self, html: &str, url: Option<&str>) -> Extracted {
        let config = &self.config;
        let tree = page::parse(html);
        let page = page::Page::new(&tree);
        let style = markdown::Style {
            markdown: config.format == Format::Markdown,
            links: config.links == Links::Markdown,
            image_alt: config.image_alt,
            base: url.and_then(|url| Url::parse(url).ok()),
        };
        let pruned = if config.main_content { prune::candidates(&page) } else { prune::prune(&page) };
        let blocks = block::blocks(&page, &pruned.removed);
        let address = url.unwrap_or_default();
        let about = if config.facts {
            about::About::new(&page, &pruned.hints, address)
        } else {
            about::About::default()
        };
        let choice = if config.main_content {
            content::choose(&page, pruned, &blocks, &self.model, address, &self.policy())
        } else {
            content::all(&page, pruned, &blocks)
        };
        Extracted {
            text: markdown::write(&page, &choice.removed, &style),
            title: title::title(&page, &choice.removed, style.base.as_ref()),
            link_density: choice.link_density,
            confidence: choice.confidence,
            page_type: choice.page_type,
            author: about.author,
            date: about.date,
        }
    }

    fn policy(&self) -> Policy {
        let Config { choose, title, byline, comments, captions, facts, focus, .. } = &self.config;
        let kept = |keep: Keep| match keep {
            Keep::Auto => None,
            Keep::Always => Some(true),
            Keep::Never => Some(false),
        };
        Policy {
            lean: focus.lean(),
            reader: *choose == Choose::Reader,
            title: kept(*title),
            byline: kept(*byline),
            comments: kept(*comments),
            captions: kept(*captions),
            page_type: *facts,
        }
    }
}

/// Extracts the main content of one decoded page with the model that ships; for many, keep an [`Extractor`].
pub fn extract(html: &str, url: Option<&str>, config: &Config) -> Extracted {
    Extractor::new(config.clone()).extract(html, url)
}

struct Extract(Extractor);

/// Share of the characters that no text has: controls other than white space, and what could not be decoded.
fn binary_share(text: &str) -> f64 {
    let odd = text.chars().filter(|c| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    odd.count() as f64 / text.chars().count().max(1) as f64
}

impl Extract {
    fn judge(&self, html: &[u8], content_type: Option<&str>, url: Option<&str>) -> (Verdict, Extracted) {
        let end = html.len().min(usize::try_from(self.0.config.page_bytes_max).unwrap_or(usize::MAX));
        let (decoded, _) = charset::decode(&html[..end], content_type);
        let dropped =
            |reason: Drop, value, limit| Verdict::Dropped { reason: reason.name(), value, limit, twin: None };
        let binary = binary_share(&decoded);
        if binary > self.0.config.binary_share_max {
            let verdict = dropped(Drop::Binary, binary, self.0.config.binary_share_max);
            return (verdict, Extracted::default());
        }
        let extracted = self.0.extract(&decoded, url);
        let chars = extracted.text.chars().count() as u64;
        let verdict = if chars < self.0.config.chars_min {
            dropped(Drop::Empty, chars as f64, self.0.config.chars_min as f64)
        } else if extracted.confidence < self.0.config.confidence_min {
            dropped(Drop::Unsure, extracted.confidence, self.0.config.confidence_min)
        } else {
            Verdict::Edited
        };
        (verdict, extracted)
    }
}

impl Stage for Extract {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::HTML, &DataType::Binary)?;
        column::require(input, column::TEXT, &DataType::Utf8)?;
        let facts = if self.0.config.facts { &FACTS[..] } else { &[] };
        let kept = input.fields().iter().filter(|field| {
            let name = field.name().as_str();
            ![column::HTML, column::CONTENT_TYPE, column::TITLE].contains(&name) && !facts.contains(&name)
        });
        let mut fields: Vec<Arc<Field>> = kept.cloned().collect();
        let text = fields.iter().position(|f| f.name() == column::TEXT).unwrap_or(fields.len());
        fields.insert(text, Arc::new(Field::new(column::TITLE, DataType::Utf8, true)));
        fields.extend(facts.iter().map(|name| Arc::new(Field::new(*name, DataType::Utf8, true))));
        Ok(Arc::new(Schema::new(fields)))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let pages = column::binary(batch, column::HTML)?;
        let given = column::utf8(batch, column::TEXT)?;
        let optional = |name| batch.column_by_name(name).map(|_| column::utf8(batch, name)).transpose();
        let (types, urls, titles) =
            (optional(column::CONTENT_TYPE)?, optional(column::URL)?, optional(column::TITLE)?);
        let value = |of: Option<&arrow::array::StringArray>, row: usize| {
            of.filter(|values| values.is_valid(row)).map(|values| values.value(row).to_owned())
        };
        let mut verdicts = Vec::with_capacity(batch.num_rows());
        let (mut texts, mut out_titles) = (StringBuilder::new(), StringBuilder::new());
        let mut facts = FACTS.map(|_| StringBuilder::new());
        let mut signals = SIGNALS.map(|_| Float64Builder::new());
        for row in 0..batch.num_rows() {
            if pages.is_null(row) && given.is_valid(row) {
                verdicts.push(Verdict::Kept);
                texts.append_value(given.value(row));
                out_titles.append_option(value(titles, row));
                signals[0].append_value(given.value(row).chars().count() as f64);
                signals[1].append_null();
                signals[2].append_null();
                facts.iter_mut().for_each(StringBuilder::append_null);
                continue;
            }
            let html = if pages.is_null(row) { &[][..] } else { pages.value(row) };
            let (verdict, made) = self.judge(html, value(types, row).as_deref(), value(urls, row).as_deref());
            verdicts.push(verdict);
            signals[0].append_value(made.text.chars().count() as f64);
            signals[1].append_value(made.link_density);
            signals[2].append_value(made.confidence);
            facts[0].append_option(made.page_type.map(PageType::name));
            facts[1].append_option(made.author);
            facts[2].append_option(made.date);
            texts.append_value(made.text);
            out_titles.append_option(made.title.or_else(|| value(titles, row)));
        }
        let mut columns: Vec<(String, ArrayRef)> = vec![
            (column::TEXT.into(), Arc::new(texts.finish())),
            (column::TITLE.into(), Arc::new(out_titles.finish())),
        ];
        if self.0.config.facts {
            let made = facts.iter_mut().map(|fact| Arc::new(fact.finish()) as ArrayRef);
            columns.extend(FACTS.iter().map(|name| (*name).into()).zip(made));
        }
        let signals =
            SIGNALS.iter().zip(signals).map(|(name, mut s)| (*name, Arc::new(s.finish()) as ArrayRef));
        Ok(Outcome { verdicts, columns, signals: signals.collect() })
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
