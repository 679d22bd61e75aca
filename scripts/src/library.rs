//! The patterns of `scripts/library` (X08), as one function of what they stand on.

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Function};

/// Its text: a function of `attempt`, `pipeline` and what `prelude/7-patterns.js` holds for it.
pub(crate) const PATTERNS: &str = concat!(
    "(function (attempt, pipeline, held) { 'use strict';\n",
    include_str!("../library/patterns/tools.js"),
    include_str!("../library/patterns/refute.js"),
    include_str!("../library/patterns/converge.js"),
    "return { refute, converge, __proto__: null };\n})",
);

/// Compiles it.
pub(crate) fn compile<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some("bellwether:patterns".to_owned());
    ctx.eval_with_options(PATTERNS, options)
}
