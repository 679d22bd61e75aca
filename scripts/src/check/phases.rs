//! Phases that a header announces and nothing uses.

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_span::Span;

use super::body::{Body, Called};
use super::finding::Found;
use super::literal::plain;
use super::nearest;
use crate::script::Meta;

/// A phase is compared with so many titles that the header does not have.
const STRANGE_MAX: usize = 100;

/// Speaks only where every title in the script can be read. A title that stands anywhere in the body as a text counts as
/// used, since it may come to `phase()` by any road.
pub(super) fn check(body: &Body<'_, '_>, meta: &Meta, header: Span, found: &mut Vec<Found>) {
    let Some(used) = titles(body) else {
        return;
    };
    let written = texts(body);
    let announced: HashSet<&str> = meta.phases.iter().map(|it| it.title.as_str()).collect();
    // Those that a phase of the header may have meant.
    let strange: Vec<&str> = used
        .iter()
        .map(String::as_str)
        .filter(|title| !announced.contains(title))
        .take(STRANGE_MAX)
        .collect();
    for phase in &meta.phases {
        let title = phase.title.as_str();
        if used.contains(title) || written.contains(title) {
            continue;
        }
        let remedy = match nearest(title, &strange) {
            Some(near) => format!("the script says `{near}`: write both alike"),
            None => {
                "name it by phase('…') or by the option `phase`, or take it out of `meta.phases`"
                    .to_owned()
            }
        };
        let message = format!("the phase `{title}` is never used");
        let place = place(body.text, header, title);
        found.push(Found::warning("unused-phase", place, message, remedy));
    }
}

/// The titles that the script gives; `None` when one of them cannot be read.
fn titles(body: &Body<'_, '_>) -> Option<HashSet<String>> {
    let mut titles = HashSet::new();
    for call in &body.calls {
        match call.called {
            Called::Phase => {
                titles.insert(body.string(call.argument(0)?)?);
            }
            Called::Agent | Called::Attempt | Called::Merge | Called::Ask => {
                if call.written.arguments.len() < 2 {
                    continue;
                }
                let (fields, is_all) = body.fields(body.object(call.argument(1)?)?);
                match fields.iter().rev().find(|field| field.name == "phase") {
                    Some(phase) => {
                        titles.insert(body.string(phase.value)?);
                    }
                    None if is_all => {}
                    None => return None,
                }
            }
            // Their agents have options of their own.
            Called::Pattern(_) => return None,
            _ => {}
        }
    }
    Some(titles)
}

/// All texts that stand in the body.
fn texts(body: &Body<'_, '_>) -> HashSet<String> {
    let texts = body.nodes().iter().filter_map(|node| match node.kind() {
        AstKind::StringLiteral(text) => Some(text.value.to_string()),
        AstKind::TemplateLiteral(template) => plain(template),
        _ => None,
    });
    texts.collect()
}

/// Where a header says a title; the header itself where it says it in another way.
fn place(text: &str, header: Span, title: &str) -> Span {
    let literal = text.get(header.start as usize..header.end as usize);
    let quotes = ['\'', '"', '`'];
    let found = quotes.iter().find_map(|quote| {
        let quoted = format!("{quote}{title}{quote}");
        let phases = literal?.find("phases")?;
        let at = literal?[phases..].find(&quoted)?;
        Some((phases + at, quoted.len()))
    });
    match found {
        Some((at, length)) => {
            let start = header.start + at as u32;
            Span::new(start, start + length as u32)
        }
        None => header,
    }
}
