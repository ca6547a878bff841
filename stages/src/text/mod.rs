//! Pure helpers over text that several stages share. No stage lives here.

pub mod linear;
pub mod shingles;
