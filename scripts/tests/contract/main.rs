//! The script contract, rule by rule, on a VM with a fake host.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod agent;
mod ask;
mod attempt;
mod body;
mod context;
mod fanout;
mod flow;
mod header;
mod limits;
mod merge;
mod patterns;
mod support;
mod web;
