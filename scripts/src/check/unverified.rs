//! Edits that nothing verifies. A guess from words, so it speaks once a script, and only where no word of it speaks of
//! checking.

use oxc_ast::AstKind;
use oxc_ast::ast::Expression;
use oxc_span::{GetSpan, Span};

use super::body::{Body, Call, Called};
use super::finding::Found;
use crate::script::Meta;

/// Words with which a task begins that changes files.
const EDITING: [&str; 9] = [
    "fix",
    "implement",
    "migrate",
    "refactor",
    "rewrite",
    "edit",
    "port",
    "convert",
    "rename",
];
/// Beginnings of words that speak of verifying.
const VERIFYING: [&str; 24] = [
    "verif", "review", "check", "test", "validat", "audit", "judge", "refut", "critic", "critique",
    "inspect", "assert", "confirm", "lint", "compil", "build", "qa", "prove", "proof", "evaluat",
    "assess", "disput", "adversar", "gate",
];
/// What a task says that changes nothing.
const READING: [&str; 8] = [
    "do not edit",
    "do not modify",
    "do not change",
    "do not write",
    "don't edit",
    "don't modify",
    "read-only",
    "read only",
];

/// As much is looked at of a prompt that is put together: it may hold other calls with prompts of their own.
const SUM_BYTES_MAX: usize = 2_000;

pub(super) fn check(body: &Body<'_, '_>, meta: Option<&Meta>, found: &mut Vec<Found>) {
    let mut writing = Vec::new();
    for call in &body.calls {
        match call.called {
            // Each of these may verify by itself, or is somebody else's work.
            Called::Pattern(_) | Called::Workflow => return,
            Called::Merge if verifies(body, call) => return,
            Called::Merge => writing.push((call, "lands changes")),
            Called::Agent | Called::Attempt => {
                writing.extend(edits(body, call).map(|why| (call, why)));
            }
            _ => {}
        }
    }
    let Some((first, why)) = writing.first() else {
        return;
    };
    let told = meta.is_some_and(|meta| {
        let titles = meta.phases.iter().map(|phase| phase.title.as_str());
        titles
            .chain([meta.description.as_str()])
            .any(speaks_of_verifying)
    });
    let own: Vec<Span> = writing.iter().map(|(call, _)| call.written.span).collect();
    if told || speaks_elsewhere(body, &own) {
        return;
    }
    let message = format!("this {why}, and nothing in the script verifies it");
    let remedy = "let another agent review it, use patterns.converge, or land it by merge(…, { verify: '…' })";
    let place = first.written.callee.span();
    found.push(Found::warning("unverified-edits", place, message, remedy));
}

/// Whether a merge verifies, or may.
pub(crate) fn verifies<'a>(body: &Body<'_, 'a>, call: &Call<'a>) -> bool {
    if call.written.arguments.len() < 2 {
        return false;
    }
    let options = call.argument(1).and_then(|it| body.object(it));
    options.is_none_or(|object| {
        let (fields, is_all) = body.fields(object);
        !is_all || fields.iter().any(|field| field.name == "verify")
    })
}

/// How it is known that a call's agent changes files.
pub(crate) fn edits<'a>(body: &Body<'_, 'a>, call: &Call<'a>) -> Option<&'static str> {
    let (fields, _) = call
        .argument(1)
        .and_then(|it| body.object(it))
        .map(|object| body.fields(object))
        .unwrap_or_default();
    let option = |name: &str| {
        let field = fields.iter().rev().find(|field| field.name == name)?;
        body.string(field.value)
    };
    let prompt = call.argument(0).map(|it| beginning(body, it));
    let prompt = prompt.unwrap_or_default().to_lowercase();
    let reads = READING.iter().any(|words| prompt.contains(words))
        || option("agentType").is_some_and(|name| name == "Explore");
    if reads {
        return None;
    }
    if option("isolation").is_some_and(|isolation| isolation == "worktree") {
        return Some("agent works in a worktree, to change it");
    }
    let begins = |text: &str| {
        let first = text
            .trim_start()
            .split(|letter: char| !letter.is_alphabetic())
            .next();
        first.is_some_and(|word| EDITING.contains(&word.to_lowercase().as_str()))
    };
    begins(&prompt).then_some("agent is asked to change files")
}

/// What of a prompt stands in the text: all of it but what is filled in.
pub(crate) fn beginning(body: &Body<'_, '_>, prompt: &Expression<'_>) -> String {
    let span = prompt.span();
    let mut text = String::new();
    match prompt {
        Expression::TemplateLiteral(template) => {
            for part in &template.quasis {
                text.push_str(part.value.cooked.unwrap_or(part.value.raw).as_str());
                text.push('…');
            }
        }
        Expression::StringLiteral(literal) => text.push_str(&literal.value),
        // The words in a sum of texts, quotation marks and all.
        _ => {
            let end = (span.end as usize).min(span.start as usize + SUM_BYTES_MAX);
            let end = body.text.floor_char_boundary(end);
            let written = body.text.get(span.start as usize..end);
            text.push_str(
                written
                    .unwrap_or_default()
                    .trim_start_matches(['\'', '"', '`']),
            );
        }
    }
    text
}

/// Whether a text has a word that speaks of verifying.
pub(crate) fn speaks_of_verifying(text: &str) -> bool {
    let words = text.split(|letter: char| !letter.is_alphabetic());
    words
        .map(str::to_lowercase)
        .any(|word| VERIFYING.iter().any(|stem| word.starts_with(stem)))
}

/// Whether a text outside these places, or a name, speaks of verifying.
fn speaks_elsewhere(body: &Body<'_, '_>, own: &[Span]) -> bool {
    body.nodes().iter().any(|node| {
        let text = match node.kind() {
            AstKind::StringLiteral(literal) => literal.value.as_str(),
            AstKind::TemplateElement(part) => part.value.raw.as_str(),
            AstKind::BindingIdentifier(name) => name.name.as_str(),
            AstKind::IdentifierName(name) => name.name.as_str(),
            _ => return false,
        };
        let place = node.kind().span();
        speaks_of_verifying(text) && !own.iter().any(|own| own.contains_inclusive(place))
    })
}
