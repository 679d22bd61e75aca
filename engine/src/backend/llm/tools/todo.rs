//! `todo`: the agent's list of what is to be done, for itself.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::names::Name;
use super::tool::{Tool, parsed};

/// How many items a list may have.
const ITEMS_MAX: usize = 100;

/// The tool.
#[derive(Default)]
pub(super) struct Todo(Mutex<Vec<Item>>);

#[derive(Deserialize)]
struct Arguments {
    items: Option<Vec<Item>>,
}

#[derive(Clone, Deserialize)]
struct Item {
    text: String,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

impl Tool for Todo {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Todo.as_str().into(),
            description: format!(
                "Keeps your list of what is to be done, and shows it. `items` is the whole list, in place of the old one, at most {ITEMS_MAX}; \
                 without `items` the list is only shown. For work of several steps; nobody else reads it."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "items": {
                        "type": "array",
                        "maxItems": ITEMS_MAX,
                        "items": {
                            "type": "object",
                            "properties": {
                                "text": {"type": "string", "description": "What is to be done"},
                                "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]}
                            },
                            "required": ["text", "status"],
                            "additionalProperties": false
                        },
                        "description": "The whole list"
                    }
                },
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, _: CancellationToken) -> BoxFuture<'_, Answer> {
        let answer = parsed::<Arguments>(arguments).map_or_else(
            |answer| answer,
            |arguments| {
                let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(new) = arguments.items {
                    *items = new;
                }
                Answer::done(shown(&items))
            },
        );
        Box::pin(std::future::ready(answer))
    }
}

fn shown(items: &[Item]) -> String {
    if items.is_empty() {
        return "the list is empty".to_owned();
    }
    let open = items.iter().filter(|item| item.status != Status::Completed);
    let mut text = format!("{} of {} open\n", open.count(), items.len());
    for item in items {
        let mark = match item.status {
            Status::Pending => "[ ]",
            Status::InProgress => "[>]",
            Status::Completed => "[x]",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{mark} {}", item.text);
    }
    text
}
