//! The moving parts of Bellwether.

pub mod backend;
