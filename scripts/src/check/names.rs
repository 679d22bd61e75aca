//! Names that nothing stands behind, and those behind which something stands that throws (B04, B05).

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::UnaryOperator;
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use super::body::Body;
use super::finding::Found;
use super::nearest;

/// Every global that a script has; a test compares it with what the VM has.
pub(super) const GLOBALS: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "AsyncDisposableStack",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "DisposableStack",
    "Error",
    "EvalError",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "String",
    "SuppressedError",
    "Symbol",
    "SyntaxError",
    "TypeError",
    "URIError",
    "URL",
    "URLSearchParams",
    "TextDecoder",
    "TextEncoder",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakSet",
    "agent",
    "args",
    "ask",
    "attempt",
    "budget",
    "clearTimeout",
    "console",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "globalThis",
    "isFinite",
    "isNaN",
    "log",
    "merge",
    "now",
    "parallel",
    "parseFloat",
    "parseInt",
    "patterns",
    "phase",
    "pipeline",
    "queueMicrotask",
    "random",
    "setTimeout",
    "sleep",
    "structuredClone",
    "undefined",
    "unescape",
    "workflow",
];

const NODE: &str =
    "a script has no Node API: give what it needs in `args`, and let agents use files and programs";
const NETWORK: &str = "a script has no network: let an agent fetch it";
const REPLAY: &str = "a script is replayed, and this would not come out the same: do without it";
const CLOCK: &str =
    "now() gives the time, recorded so that a replay sees the same; or pass it in `args`";
const CHANCE: &str =
    "random() is recorded, so that a replay sees the same; or let things vary by their index";
const TIMER: &str = "sleep(ms) and setTimeout(callback, ms) are the timers there are";
const CODE: &str = "write the code into the script";

/// What scripts elsewhere have and these have not (B04), and what helps.
const ABSENT: &[(&str, &str)] = &[
    ("process", NODE),
    ("module", NODE),
    ("exports", NODE),
    ("Buffer", NODE),
    ("__dirname", NODE),
    ("__filename", NODE),
    ("global", "globalThis is the global object"),
    ("window", "globalThis is the global object"),
    ("fetch", NETWORK),
    ("XMLHttpRequest", NETWORK),
    ("WebSocket", NETWORK),
    ("performance", CLOCK),
    ("crypto", CHANCE),
    ("setInterval", TIMER),
    ("setImmediate", TIMER),
    ("clearInterval", TIMER),
    ("Intl", REPLAY),
    ("WebAssembly", REPLAY),
    ("SharedArrayBuffer", REPLAY),
    ("Atomics", REPLAY),
    ("WeakRef", REPLAY),
    ("FinalizationRegistry", REPLAY),
    ("eval", CODE),
];

/// For so many names that are not there the nearest is looked for.
const NEAREST_MAX: usize = 50;

pub(super) fn check(body: &Body<'_, '_>, found: &mut Vec<Found>) {
    let near = near_names(body);
    let mut missed = 0;
    let unresolved = body.scoping().root_unresolved_references();
    // Whoever has the global object may have made names of its own.
    let is_open = unresolved.contains_key("globalThis");
    for (name, references) in unresolved {
        let uses: Vec<NodeId> = references
            .iter()
            .map(|&id| body.scoping().get_reference(id).node_id())
            .collect();
        let name = name.as_str();
        match name {
            "Date" | "Math" | "Function" => {
                found.extend(uses.iter().filter_map(|&id| throwing(body, name, id)));
            }
            _ if GLOBALS.contains(&name) || matches!(name, "arguments" | "require") => {}
            _ if is_open && !ABSENT.iter().any(|(absent, _)| *absent == name) => {}
            _ => {
                missed += 1;
                let near = if missed > NEAREST_MAX {
                    &[]
                } else {
                    near.as_slice()
                };
                found.extend(missing(body, name, &uses, near));
            }
        }
    }
}

/// A use of a global that is there and throws.
fn throwing(body: &Body<'_, '_>, name: &str, id: NodeId) -> Option<Found> {
    let nodes = body.nodes();
    let span = nodes.kind(id).span();
    let parent = nodes.parent_kind(id);
    let clock = |place: Span, written: &str| {
        let message = format!("{written} is not available");
        wrong(body, id, "clock", place, message, CLOCK)
    };
    match (name, parent) {
        ("Date", AstKind::StaticMemberExpression(member)) if member.property.name == "now" => {
            Some(clock(member.span, "Date.now()"))
        }
        ("Date", AstKind::NewExpression(new))
            if new.callee.span() == span && new.arguments.is_empty() =>
        {
            Some(clock(new.span, "new Date() without an argument"))
        }
        ("Date", AstKind::CallExpression(call)) if call.callee.span() == span => {
            Some(clock(call.span, "Date()"))
        }
        ("Math", AstKind::StaticMemberExpression(member)) if member.property.name == "random" => {
            let message = "Math.random() is not available";
            Some(wrong(body, id, "chance", member.span, message, CHANCE))
        }
        ("Function", AstKind::NewExpression(new)) if new.callee.span() == span => {
            let message = "new Function() is not available";
            Some(wrong(body, id, "code-from-text", new.span, message, CODE))
        }
        ("Function", AstKind::CallExpression(call)) if call.callee.span() == span => {
            let message = "Function() is not available";
            Some(wrong(body, id, "code-from-text", call.span, message, CODE))
        }
        _ => None,
    }
}

fn wrong(
    body: &Body<'_, '_>,
    id: NodeId,
    code: &'static str,
    place: Span,
    message: impl Into<String>,
    remedy: &str,
) -> Found {
    if body.is_caught(id) {
        Found::warning(code, place, message, remedy)
    } else {
        Found::error(code, place, message, remedy)
    }
}

/// The first use of a name that nothing stands behind. A script that asks for its type knows that.
fn missing(body: &Body<'_, '_>, name: &str, uses: &[NodeId], near: &[&str]) -> Option<Found> {
    let nodes = body.nodes();
    let asks = |id: NodeId| {
        matches!(nodes.parent_kind(id), AstKind::UnaryExpression(unary)
            if unary.operator == UnaryOperator::Typeof)
    };
    if !body.is_javascript() || uses.iter().any(|&id| asks(id)) {
        return None;
    }
    let first = *uses.iter().min_by_key(|&&id| nodes.kind(id).span().start)?;
    let place = nodes.kind(first).span();
    let mut told = if let Some((_, remedy)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
        wrong(
            body,
            first,
            "absent-name",
            place,
            format!("`{name}` is not available"),
            remedy,
        )
    } else {
        let remedy = match nearest(name, near) {
            _ if name == "meta" => {
                "`meta` is no variable of the script; put what both need where it is needed".to_owned()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it, or pass it in `args`; a run throws a ReferenceError where it comes there".to_owned(),
        };
        Found::warning(
            "unknown-name",
            place,
            format!("`{name}` is not defined"),
            remedy,
        )
    };
    if let Some(other) = uses.iter().find(|&&id| id != first) {
        told = told.related(nodes.kind(*other).span(), "and here");
    }
    Some(told)
}

/// What somebody may have meant: the globals, and what the script declares.
fn near_names<'b>(body: &'b Body<'_, '_>) -> Vec<&'b str> {
    let own: HashSet<&str> = body.scoping().symbol_names().collect();
    let mut names: Vec<&str> = own.into_iter().chain(GLOBALS.iter().copied()).collect();
    names.sort_unstable();
    names
}
