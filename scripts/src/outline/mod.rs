//! `outline`: the shape of a script, read off its syntax tree. Nothing is executed, so it can be drawn of a script that would not
//! run, as long as it can be parsed.
//!
//! Calls stand where they are made: functions of the script are followed where they are called, functions that are given to
//! `parallel`, `pipeline`, `map` and the like stand in what calls them. What cannot be placed stands at the end.

mod asked;
mod bound;
mod draw;
mod fan;
mod functions;
mod rows;
#[cfg(test)]
mod tests;

use oxc_allocator::Allocator;
use oxc_semantic::{NodeId, SemanticBuilder};
use oxc_span::SourceType;
use serde::Serialize;

pub use rows::Row;

use crate::check::body::Body;
use crate::header;
use crate::limits::Limits;
use crate::parse::{self, body_of, deep, is_short_enough, parsed, text_of};
use crate::refusal::Refusal;

/// The shape of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Outline {
    /// The workflow's name; `None` when its header does not give it.
    pub name: Option<String>,
    /// What the script does, in its order.
    pub nodes: Vec<Node>,
    /// Whether the script has more than is drawn.
    pub left_out: bool,
}

/// A part of the shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The author's line, from 1; 0 where there is none.
    pub line: u32,
    /// What more is to be said: a label, a condition, what is gone through.
    pub text: String,
    /// How often what is in it is done, of loops and fan-outs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// What the words of an agent's task, or the options of a merge, say that it does about changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// An agent's options that stand in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<AgentSays>,
    /// What is in it, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
    /// The function that a recursion is one of.
    #[serde(skip)]
    recursion_of: Option<NodeId>,
}

/// What a part of the shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Kind {
    /// `phase(…)`.
    Phase,
    /// `agent(…)`.
    Agent,
    /// `attempt(…)`.
    Attempt,
    /// `workflow(…)`.
    Workflow,
    /// `merge(…)`.
    Merge,
    /// `ask(…)`: a person answers.
    Ask,
    /// A function of `patterns`.
    Pattern,
    /// All at once: `parallel`, `Promise.all`, `map` with agents in it.
    Parallel,
    /// At once, and the first counts: `Promise.race`, `Promise.any`.
    Race,
    /// `pipeline(…)`.
    Pipeline,
    /// A stage of a pipeline.
    Stage,
    /// One round after another.
    Loop,
    /// Only under a condition.
    Gate,
    /// Else.
    Else,
    /// When something was thrown.
    Catch,
    /// A function of the script that is called.
    Function,
    /// A function that is called within itself.
    Recursion,
    /// What could not be placed: it is called through a value, or not at all.
    Elsewhere,
}

impl Kind {
    /// The kind in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Agent => "agent",
            Self::Attempt => "attempt",
            Self::Workflow => "workflow",
            Self::Merge => "merge",
            Self::Ask => "ask",
            Self::Pattern => "pattern",
            Self::Parallel => "parallel",
            Self::Race => "race",
            Self::Pipeline => "pipeline",
            Self::Stage => "stage",
            Self::Loop => "loop",
            Self::Gate => "gated: if",
            Self::Else => "gated: else",
            Self::Catch => "gated: on an error",
            Self::Function => "call",
            Self::Recursion => "recursion",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// Whether something is done there, and not only arranged.
    const fn is_work(self) -> bool {
        matches!(
            self,
            Self::Agent
                | Self::Attempt
                | Self::Workflow
                | Self::Merge
                | Self::Ask
                | Self::Pattern
                | Self::Parallel
                | Self::Race
                | Self::Pipeline
        )
    }
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "count")]
#[non_exhaustive]
pub enum Bound {
    /// So often.
    Exactly(u64),
    /// So often, or less.
    AtMost(u64),
    /// Until the budget of a run that has one is used up.
    Budget,
    /// The text does not say.
    NoneFound,
}

/// What is done about changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Role {
    /// Files are changed.
    Edits,
    /// Something is verified.
    Verifies,
}

/// Options of an agent that stand in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AgentSays {
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its agent type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// Its isolation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Whether its answer must fit a schema.
    pub schema: bool,
}

/// Reads the shape of a script.
///
/// # Errors
/// The first place that cannot be parsed.
///
/// ```
/// use bellwether_scripts::Limits;
/// use bellwether_scripts::outline::outline;
///
/// let source = "export const meta = { name: 'n', description: 'd' }
/// for (let round = 0; round < 3; round++) {
///   await parallel(args.files.map((file) => () => agent(`Fix ${file}`)))
/// }";
/// let shape = outline(source, "fix.js", &Limits::default())?;
/// assert_eq!(
///     shape.to_string(),
///     "2  loop for round < 3 (3 times)\n\
///      3  └─ parallel over args.files (no bound found)\n\
///      3     └─ agent \"Fix {file}\"  edits\n"
/// );
/// # Ok::<(), Box<bellwether_scripts::Refusal>>(())
/// ```
pub fn outline(source: &str, file_name: &str, limits: &Limits) -> Result<Outline, Box<Refusal>> {
    let of_file =
        |(message, help): parse::OfFile| Box::new(Refusal::of_file(file_name, message, help));
    is_short_enough(source, limits).map_err(of_file)?;
    deep(source, || read(source, file_name)).map_err(of_file)?
}

fn read(source: &str, file_name: &str) -> Result<Outline, Box<Refusal>> {
    let (text, nul) = text_of(source);
    if let Some(nul) = nul {
        return Err(Box::new(Refusal::at(
            file_name,
            source,
            nul,
            parse::NUL.0,
            parse::NUL.1,
        )));
    }
    let allocator = Allocator::default();
    let script = parse::syntax(&allocator, &text)
        .map_err(|error| Box::new(parse::syntax_refusal(source, file_name, &error)))?;
    let header = header::read(&script);
    let body = body_of(&text, header.span);
    let allocator = Allocator::default();
    let program = parsed(&allocator, &body, SourceType::mjs()).program;
    let semantic = SemanticBuilder::new()
        .with_build_nodes(true)
        .build(&program)
        .semantic;
    let body = Body::of(&semantic, &text);
    let (nodes, left_out) = draw::draw(&body);
    Ok(Outline {
        name: header.meta.map(|meta| meta.name),
        nodes,
        left_out,
    })
}
