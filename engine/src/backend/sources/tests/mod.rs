//! Quotations against texts, and tasks against folders.

mod folders;
mod properties;
mod quotations;
