//! Moves a repository from `fetch()` to one HTTP client, a file a branch: what the agents of `migrate.js` do beside the
//! codemod, and the demonstration that kills their engine in the middle.

pub mod agent;
pub mod arguments;
pub mod candidates;
pub mod check;
pub mod clock;
pub mod discover;
pub mod imports;
pub mod ledger;
pub mod repository;
pub mod review;
pub mod sites;
pub mod source;
pub mod tokens;
pub mod verify;
