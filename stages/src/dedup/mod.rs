//! Stages that drop documents that say what another says.
