//! placeholder

pub mod backend;
