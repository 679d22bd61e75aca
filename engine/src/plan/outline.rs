//! The shape of a script, drawn from its syntax tree: what is parallel, sequential, looped, gated, verified. Nothing of it runs.

use crate::options::{ResumeOptions, Script, StartOptions};
use crate::run;

pub use bellwether_scripts::Refusal;
pub use bellwether_scripts::outline::{AgentSays, Bound, Kind, Node, Outline, Role, Row};

/// Reads the shape of a script, whether or not it would run. Of `start` the limit on its length counts.
///
/// # Errors
/// The first place that cannot be parsed.
///
/// ```
/// use bellwether::plan::outline::{Bound, Kind, outline};
/// use bellwether::{Script, StartOptions};
///
/// let script = Script::text(
///     "export const meta = { name: 'n', description: 'd' }
///      let round = 0
///      while (round < 5) { round++; await agent('Find more') }",
/// );
/// let shape = outline(&script, &StartOptions::new()).map_err(|refusal| refusal.to_string())?;
/// assert_eq!((shape.nodes[0].kind, shape.nodes[0].bound), (Kind::Loop, Some(Bound::AtMost(5))));
/// # Ok::<(), String>(())
/// ```
pub fn outline(script: &Script, start: &StartOptions) -> Result<Outline, Box<Refusal>> {
    let limits = run::vm_limits(start, &ResumeOptions::default());
    let name = run::file_name(script.path.as_deref());
    bellwether_scripts::outline::outline(&script.source, &name, &limits)
}
