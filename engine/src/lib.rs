//! placeholder

pub mod view;
