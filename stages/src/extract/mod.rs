//! Stages that make text out of pages.
