//! The one binary of all end-to-end tests, and of the tests that keep the house in order. One file a subject, one list here.

mod bed;
mod campaign;
mod house;
mod resume;
mod run;
