//! A check of a whole tree, for want of a compiler: what a merge is verified with where no other command is at hand.

use std::path::Path;

use anyhow::{Result, bail};

use crate::imports::EXPORT;
use crate::repository::Repository;
use crate::source::EXTENSIONS;
use crate::tokens::{Role, Tokens};

/// What a tree holds that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// JavaScript and TypeScript files that parse.
    pub files: usize,
    /// References to the imported client.
    pub uses: usize,
}

/// Checks that every source parses, that the client is there, and that nobody uses its name without importing it.
///
/// # Errors
/// The first thing that does not hold, with its file.
pub fn check(repository: &Repository, client: &str) -> Result<Checked> {
    let mut checked = Checked::default();
    if repository.read(client).is_err() {
        bail!("there is no client at {client}");
    }
    for one in repository.tracked()? {
        let path = Path::new(&one.path);
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !one.is_file || !ending.is_some_and(|ending| EXTENSIONS.contains(&ending)) {
            continue;
        }
        let text = repository.read(&one.path)?;
        let tokens = match Tokens::read(path, &text, Path::new(client)) {
            Ok(tokens) => tokens,
            Err(problem) => bail!("{}:{}: {}", one.path, problem.line, problem.message),
        };
        checked.files += 1;
        let roles = (0..tokens.words.len()).map(|index| tokens.role(index));
        checked.uses += roles.filter(|role| *role == Role::Client).count();
        if tokens.unbound.iter().any(|name| name == EXPORT) {
            bail!("{}: {EXPORT} is used and not imported", one.path);
        }
    }
    Ok(checked)
}
