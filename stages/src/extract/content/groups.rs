//! Groups of element names that mean the same for what is inside them.

use super::super::tag::Tag;

/// Groups of tags whose nearest bearer counts.
pub(crate) const TAGS: usize = 22;

/// The group of a tag.
pub(crate) const fn group(tag: Tag) -> Option<usize> {
    Some(match tag {
        Tag::P => 0,
        Tag::Li => 1,
        Tag::Td | Tag::Th => 2,
        Tag::Table => 3,
        Tag::Blockquote => 4,
        Tag::Pre | Tag::Code => 5,
        Tag::Article => 6,
        Tag::Main => 7,
        Tag::Section => 8,
        Tag::Aside => 9,
        Tag::Footer => 10,
        Tag::Header => 11,
        Tag::Nav | Tag::Menu => 12,
        Tag::Form => 13,
        Tag::Button => 14,
        Tag::Figure | Tag::Figcaption => 15,
        Tag::Dl | Tag::Dt | Tag::Dd => 16,
        Tag::A => 17,
        Tag::Details | Tag::Summary => 18,
        Tag::Label => 19,
        Tag::Noscript => 20,
        Tag::Ul | Tag::Ol => 21,
        _ => return None,
    })
}
