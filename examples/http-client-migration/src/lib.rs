//! Moves a repository from `fetch()` to one HTTP client, a file an agent: what the agents of
//! `migrate.js` do, and the demonstration that kills their engine in the middle.

pub mod agent;
pub mod arguments;
pub mod clock;
pub mod discover;
pub mod edit;
pub mod imports;
pub mod ledger;
pub mod repository;
pub mod sites;
pub mod source;
pub mod tokens;
pub mod verify;
