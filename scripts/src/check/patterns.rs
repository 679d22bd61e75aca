//! Options of the patterns (X08): one that a pattern does not have is an error there.

use oxc_span::GetSpan;

use super::body::{Body, Call, Called, Field};
use super::finding::Found;
use super::nearest;
use super::options::{self, Told, thrown};
use super::surroundings::Surroundings;

/// The options of each pattern, and at which argument they stand; a test compares them with the library.
pub(super) const PATTERNS: [(&str, usize, &[&str]); 2] = [
    (
        "refute",
        1,
        &[
            "reviewers",
            "quorum",
            "approvals",
            "extra",
            "label",
            "agentOptions",
        ],
    ),
    (
        "converge",
        0,
        &[
            "task",
            "claim",
            "implement",
            "verify",
            "reviewers",
            "quorum",
            "approvals",
            "extra",
            "rounds",
            "label",
            "agentOptions",
        ],
    ),
];

pub(super) fn check(body: &Body<'_, '_>, surroundings: &dyn Surroundings, found: &mut Vec<Found>) {
    let mut told = Told::new();
    for call in &body.calls {
        let Called::Pattern(name) = call.called else {
            continue;
        };
        let Some((_, index, known)) = PATTERNS.iter().find(|(pattern, ..)| *pattern == name) else {
            let names = PATTERNS.map(|(name, ..)| name);
            let remedy = match nearest(name, &names) {
                Some(near) => format!("did you mean `patterns.{near}`?"),
                None => format!("there are {}", names.join(", ")),
            };
            let message = format!("there is no pattern `{name}`");
            let place = call.written.callee.span();
            found.push(thrown(
                body,
                call,
                "unknown-pattern",
                place,
                message,
                remedy,
            ));
            continue;
        };
        let options = call.argument(*index).and_then(|it| body.object(it));
        if let Some(object) = options {
            let (fields, _) = body.fields(object);
            for field in &fields {
                found.extend(options::unknown(body, call, field, known));
                of_agents(body, call, field, surroundings, &mut told, found);
            }
        }
    }
}

/// Options of agents within those of a pattern.
fn of_agents<'a>(
    body: &Body<'_, 'a>,
    call: &Call<'a>,
    field: &Field<'a>,
    surroundings: &dyn Surroundings,
    told: &mut Told,
    found: &mut Vec<Found>,
) {
    let own: &[&str] = match field.name.as_str() {
        "agentOptions" => &[],
        "implement" => &["prompt"],
        _ => return,
    };
    let Some(object) = body.object(field.value) else {
        return;
    };
    let (mut fields, _) = body.fields(object);
    fields.retain(|field| !own.contains(&field.name.as_str()));
    options::of_agent(body, call, &fields, surroundings, told, found);
}
