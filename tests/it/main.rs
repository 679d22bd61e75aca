//! The one binary of all end-to-end tests, and of the tests that keep the house in order. One file a subject, one list here.

mod agent_options;
mod agent_types;
mod asking;
mod bed;
mod campaign;
mod check;
mod config;
mod examples;
mod host;
mod house;
mod isolation;
mod journal;
mod models;
mod money;
mod names;
mod notify;
mod plan;
mod processes;
mod resume;
mod retention;
mod rewind;
mod run;
mod schema;
mod verbs;
mod written;
