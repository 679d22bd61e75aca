//! Workflows that a script runs and that are not there (W02).

use oxc_span::GetSpan;

use super::body::{Body, Called};
use super::finding::Found;
use super::options::thrown;
use super::surroundings::Surroundings;

pub(super) fn check(body: &Body<'_, '_>, surroundings: &dyn Surroundings, found: &mut Vec<Found>) {
    let calls = body.calls.iter();
    for call in calls.filter(|call| call.called == Called::Workflow) {
        let Some(target) = call.argument(0) else {
            if call.written.arguments.is_empty() {
                let message = "workflow() is called without a workflow";
                let remedy = "give a name or { scriptPath: '…' }";
                found.push(thrown(
                    body,
                    call,
                    "workflow",
                    call.written.span,
                    message,
                    remedy,
                ));
            }
            continue;
        };
        let problem = match body.object(target) {
            Some(object) => {
                let (fields, is_all) = body.fields(object);
                let path = fields.iter().rev().find(|field| field.name == "scriptPath");
                if path.is_none() && is_all {
                    let message = "workflow(target, args): the target has no `scriptPath`";
                    let remedy = "give a name or { scriptPath: '…' }";
                    found.push(thrown(
                        body,
                        call,
                        "workflow",
                        target.span(),
                        message,
                        remedy,
                    ));
                }
                let path = path.and_then(|field| body.string(field.value));
                path.and_then(|path| surroundings.script(&path))
            }
            None => body
                .string(target)
                .and_then(|name| surroundings.workflow(&name)),
        };
        found.extend(problem.map(|problem| {
            let (message, remedy) = (problem.message, problem.remedy);
            thrown(body, call, problem.code, target.span(), message, remedy)
        }));
    }
}
