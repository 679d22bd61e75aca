//! A script that was read: its header, its text, and the program made from it.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::rewrite::Program;

/// A script that may be started. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Script {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    meta: Meta,
    source: Arc<str>,
    file_name: Arc<str>,
    program: Program,
}

/// A script's header (H03).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// What the script is called by; never empty.
    pub name: String,
    /// What it does; never empty.
    pub description: String,
    /// Its name for people.
    pub title: Option<String>,
    /// When to use it.
    pub when_to_use: Option<String>,
    /// JSON Schema of its arguments (G01), unchecked.
    pub args_schema: Option<Value>,
    /// Its phases as announced.
    pub phases: Vec<Phase>,
    /// The whole header as written, with the fields that mean nothing to us.
    pub all: Map<String, Value>,
}

/// A phase that a header announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its title, by which `phase()` and `options.phase` name it.
    pub title: String,
    /// What happens in it.
    pub detail: Option<String>,
    /// The model that its agents use, for people to read.
    pub model: Option<String>,
}

impl Script {
    pub(crate) fn new(meta: Meta, source: &str, file_name: &str, program: Program) -> Self {
        let (source, file_name) = (Arc::from(source), Arc::from(file_name));
        Self {
            inner: Arc::new(Inner {
                meta,
                source,
                file_name,
                program,
            }),
        }
    }

    /// The header.
    pub fn meta(&self) -> &Meta {
        &self.inner.meta
    }

    /// The author's whole text.
    pub fn source(&self) -> &Arc<str> {
        &self.inner.source
    }

    /// The file's name or path as the caller gave it; relative `scriptPath`s start from its folder (W02).
    pub fn file_name(&self) -> &Arc<str> {
        &self.inner.file_name
    }

    /// Whether the VM follows every flow of this script, so that each call's context holds exactly what it waited for;
    /// else every context holds all that was settled before (`docs/replay.md`).
    pub fn is_followed_exactly(&self) -> bool {
        self.inner.program.exact
    }

    pub(crate) fn program(&self) -> &Program {
        &self.inner.program
    }
}

/// Reads a script: header and body, by syntax alone; nothing of it is run.
///
/// # Errors
/// A [`Refusal`] that names the place and what is allowed.
///
/// ```
/// use bellwether_scripts::{Limits, parse};
///
/// let source = "export const meta = { name: 'hello', description: 'Greets' }\nreturn await agent('Say hello')";
/// let script = parse(source, "hello.js", &Limits::default())?;
/// assert_eq!(script.meta().name, "hello");
///
/// let refusal = parse("return 1", "no-meta.js", &Limits::default()).unwrap_err();
/// assert_eq!((refusal.line, refusal.column), (1, 1));
/// # Ok::<(), Box<bellwether_scripts::Refusal>>(())
/// ```
pub fn parse(source: &str, file_name: &str, limits: &Limits) -> Result<Script, Box<Refusal>> {
    crate::parse::parse(source, file_name, limits)
}
