//! Where the rows of a dataset are written.
