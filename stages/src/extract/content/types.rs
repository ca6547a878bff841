//! What kind of page a page is, by its markup, its address and the shape of its text.

use crate::text::trees::Trees;

/// A kind of page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageType {
    /// One text: news, a blog post, an essay.
    Article,
    /// A manual or a reference.
    Documentation,
    /// Posts of several writers on one question.
    Forum,
    /// What someone offers to do.
    Service,
    /// One thing that is for sale.
    Product,
    /// Texts that are elsewhere, each with a line or two.
    Listing,
    /// Things that are for sale, many on a page.
    Collection,
}

impl PageType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Article,
        Self::Documentation,
        Self::Forum,
        Self::Service,
        Self::Product,
        Self::Listing,
        Self::Collection,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Documentation => "documentation",
            Self::Forum => "forum",
            Self::Service => "service",
            Self::Product => "product",
            Self::Listing => "listing",
            Self::Collection => "collection",
        }
    }
}

/// The rows that are asked of one page: what is known of it, and which kind is meant.
pub(crate) fn rows(page: &[f32]) -> Vec<f32> {
    let mut rows = Vec::with_capacity(PageType::ALL.len() * (page.len() + PageType::ALL.len()));
    for asked in 0..PageType::ALL.len() {
        rows.extend_from_slice(page);
        rows.extend((0..PageType::ALL.len()).map(|kind| f32::from(u8::from(kind == asked))));
    }
    rows
}

/// The likeliest kind of a page.
pub(crate) fn page_type(model: &Trees, page: &[f32]) -> PageType {
    let probable = model.probabilities(&rows(page));
    let best =
        (1..PageType::ALL.len()).fold(0, |best, at| if probable[at] > probable[best] { at } else { best });
    PageType::ALL[best]
}
