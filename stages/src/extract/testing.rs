//! What the tests of extraction share: pages written in a line, and what is made of them.

use super::html::{Config, extract};
use super::page::{self, Page};
use expect_test::Expect;

/// Checks the Markdown of a page of which everything visible is kept.
pub(crate) fn check(html: &str, expect: &Expect) {
    expect.assert_eq(&extract(html, None, &Config { main_content: false, ..Config::default() }).text);
}

/// Hands the nodes of a page to a test.
pub(crate) fn with_page<T>(html: &str, test: impl FnOnce(&Page<'_>) -> T) -> T {
    test(&Page::new(&page::parse(html)))
}
