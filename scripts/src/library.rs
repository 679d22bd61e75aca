//! The JavaScript of `scripts/library`, each as one function of what it stands on.

/// The text of the patterns (X08): a function of `attempt`, `pipeline` and what `prelude/7-patterns.js` holds for it.
pub(crate) const PATTERNS: &str = concat!(
    "(function (attempt, pipeline, held) { 'use strict';\n",
    include_str!("../library/patterns/tools.js"),
    include_str!("../library/patterns/refute.js"),
    include_str!("../library/patterns/converge.js"),
    "return { refute, converge, __proto__: null };\n})",
);

/// The text of what comes from the web's standards (B06): a function of the host's table and of what `prelude/7-web.js`
/// holds for it.
pub(crate) const WEB: &str = concat!(
    "(function (host, held) { 'use strict';\n",
    include_str!("../library/web/url.js"),
    include_str!("../library/web/text.js"),
    "return { URL, URLSearchParams, TextEncoder, TextDecoder, __proto__: null };\n})",
);
