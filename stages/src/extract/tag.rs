//! The element names that extraction tells apart.

macro_rules! tags {
    ($($variant:ident = $name:literal,)+) => {
        /// What a node is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Tag {
            /// Text.
            Text,
            /// An element whose name means nothing here: it is read as its content.
            Other,
            $(#[doc = $name] $variant,)+
        }

        impl Tag {
            /// The tag of an element name in lower case.
            pub(crate) fn of(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

tags! {
    A = "a", Address = "address", Annotation = "annotation", Article = "article", Aside = "aside", Audio = "audio",
    B = "b", Blockquote = "blockquote", Body = "body", Br = "br", Button = "button", Canvas = "canvas",
    Caption = "caption", Center = "center", Code = "code", Datalist = "datalist", Dd = "dd", Del = "del", Details = "details", Dialog = "dialog",
    Div = "div", Dl = "dl", Dt = "dt", Em = "em", Embed = "embed", Fieldset = "fieldset", Figcaption = "figcaption",
    Figure = "figure", Footer = "footer", Form = "form", H1 = "h1", H2 = "h2", H3 = "h3", H4 = "h4", H5 = "h5",
    H6 = "h6", Head = "head", Header = "header", Hgroup = "hgroup", Hr = "hr", I = "i", Iframe = "iframe", Img = "img", Input = "input",
    Kbd = "kbd", Label = "label", Legend = "legend", Li = "li", Link = "link", Main = "main", Map = "map", Math = "math",
    Menu = "menu", Meta = "meta", Nav = "nav", Noscript = "noscript", Object = "object", Ol = "ol", Optgroup = "optgroup", Option = "option",
    P = "p", Pre = "pre", Progress = "progress", Q = "q", Rp = "rp", Rt = "rt", S = "s", Samp = "samp", Script = "script", Section = "section",
    Select = "select", Strike = "strike", Strong = "strong", Style = "style", Sub = "sub", Summary = "summary", Sup = "sup", Svg = "svg",
    Table = "table", Tbody = "tbody", Td = "td", Template = "template", Textarea = "textarea", Tfoot = "tfoot", Th = "th",
    Thead = "thead", Time = "time", Title = "title", Tr = "tr", Tt = "tt", U = "u", Ul = "ul", Video = "video",
}

impl Tag {
    /// Whether the element starts and ends a line.
    pub(crate) const fn is_block(self) -> bool {
        matches!(
            self,
            Self::Address
                | Self::Article
                | Self::Aside
                | Self::Blockquote
                | Self::Body
                | Self::Caption
                | Self::Center
                | Self::Dd
                | Self::Details
                | Self::Dialog
                | Self::Div
                | Self::Dl
                | Self::Dt
                | Self::Fieldset
                | Self::Figcaption
                | Self::Figure
                | Self::Footer
                | Self::Form
                | Self::H1
                | Self::H2
                | Self::H3
                | Self::H4
                | Self::H5
                | Self::H6
                | Self::Header
                | Self::Hgroup
                | Self::Hr
                | Self::Legend
                | Self::Li
                | Self::Main
                | Self::Menu
                | Self::Nav
                | Self::Ol
                | Self::Optgroup
                | Self::Option
                | Self::P
                | Self::Pre
                | Self::Section
                | Self::Summary
                | Self::Table
                | Self::Tbody
                | Self::Td
                | Self::Tfoot
                | Self::Th
                | Self::Thead
                | Self::Tr
                | Self::Ul
        )
    }

    /// The level of a heading.
    pub(crate) const fn heading(self) -> Option<usize> {
        match self {
            Self::H1 => Some(1),
            Self::H2 => Some(2),
            Self::H3 => Some(3),
            Self::H4 => Some(4),
            Self::H5 => Some(5),
            Self::H6 => Some(6),
            _ => None,
        }
    }

    /// Whether the content is never text of the page.
    pub(crate) const fn is_silent(self) -> bool {
        matches!(
            self,
            Self::Audio
                | Self::Canvas
                | Self::Datalist
                | Self::Embed
                | Self::Head
                | Self::Iframe
                | Self::Input
                | Self::Link
                | Self::Map
                | Self::Meta
                | Self::Object
                | Self::Optgroup
                | Self::Option
                | Self::Progress
                | Self::Rp
                | Self::Rt
                | Self::Script
                | Self::Select
                | Self::Style
                | Self::Svg
                | Self::Template
                | Self::Textarea
                | Self::Title
                | Self::Video
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_they_mean() {
        for (name, block, silent, heading) in [
            ("p", true, false, None),
            ("li", true, false, None),
            ("h1", true, false, Some(1)),
            ("h6", true, false, Some(6)),
            ("b", false, false, None),
            ("br", false, false, None),
            ("script", false, true, None),
            ("head", false, true, None),
            ("h7", false, false, None),
            ("P", false, false, None),
            ("", false, false, None),
        ] {
            let tag = Tag::of(name);
            assert_eq!((tag.is_block(), tag.is_silent(), tag.heading()), (block, silent, heading), "{name}");
        }
        assert_eq!(Tag::of("h7"), Tag::Other);
    }
}
