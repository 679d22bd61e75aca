//! Whether the VM can follow every flow of a script exactly.

use oxc_ast::ast::Program;
use oxc_semantic::Semantic;

/// Not yet: every script's contexts hold all settlements.
pub(crate) fn is_followed(_ast: &Program<'_>, _semantic: &Semantic<'_>) -> bool {
    false
}
