//! The tools and their arguments by the names that clients have for them: a script says `read`, the client hears `Read`,
//! `read_file` or `developer__text_editor`, whatever it declared.

use serde_json::{Map, Value, json};

use super::fit::{fit, fit_named};
use super::reply::Call;
use super::request::Tool;

/// Names of one tool, the script's own first.
const TOOLS: &[&[&str]] = &[
    &["read", "Read", "read_file", "read_text_file", "view"],
    &["write", "Write", "write_file", "create_file"],
    &[
        "edit",
        "Edit",
        "replace",
        "str_replace",
        "edit_file",
        "search_replace",
    ],
    &[
        "shell",
        "Bash",
        "bash",
        "run_shell_command",
        "exec_command",
        "run_command",
        "local_shell",
        "terminal",
    ],
    &["glob", "Glob", "find_files"],
    &["grep", "Grep", "search_file_content", "grep_search"],
    &["list", "LS", "ls", "list_directory", "list_dir", "tree"],
    &["web_fetch", "WebFetch", "webfetch", "fetch"],
    &["web_search", "WebSearch", "websearch", "google_web_search"],
    &[
        "todo",
        "TodoWrite",
        "todo_write",
        "todowrite",
        "write_todos",
        "update_plan",
    ],
    &[
        "agent",
        "Agent",
        "Task",
        "task",
        "subagent",
        "spawn_agent",
        "delegate",
    ],
];

/// Names of one argument.
const ARGUMENTS: &[&[&str]] = &[
    &[
        "path",
        "file_path",
        "filePath",
        "absolute_path",
        "dir_path",
        "file",
    ],
    &["command", "cmd"],
    &["content", "contents", "file_text", "text"],
    &[
        "old",
        "old_string",
        "oldString",
        "old_str",
        "old_text",
        "before",
    ],
    &[
        "new",
        "new_string",
        "newString",
        "new_str",
        "new_text",
        "after",
    ],
    &["pattern", "query", "regex"],
    &["prompt", "task", "instructions"],
];

/// The call of a tool as the client understands it: its own name for the tool and for each argument, and a value that
/// fits for each argument that it requires and the script does not give. A tool that was not declared goes out as it is.
pub(super) fn translate(name: &str, input: &Value, tools: &[Tool]) -> Call {
    let Some(tool) = find(name, tools) else {
        return Call {
            name: name.to_owned(),
            input: input.clone(),
        };
    };
    Call {
        name: tool.name.clone(),
        input: match input {
            Value::Object(given) => Value::Object(arguments(given, &tool.schema)),
            Value::Null => fit(&tool.schema),
            other => other.clone(),
        },
    }
}

/// The declared tool that a script's name means: of that name, else of one of its other names, each of them also behind the
/// prefix of a server (`developer__shell`).
pub(super) fn find<'a>(name: &str, tools: &'a [Tool]) -> Option<&'a Tool> {
    let same: &[&str] = TOOLS
        .iter()
        .find(|names| names.contains(&name))
        .copied()
        .unwrap_or_default();
    std::iter::once(name)
        .chain(same.iter().copied())
        .find_map(|name| {
            tools.iter().find(|tool| tool.name == name).or_else(|| {
                tools.iter().find(|tool| {
                    tool.name
                        .rsplit_once("__")
                        .is_some_and(|(_, last)| last == name)
                })
            })
        })
}

fn arguments(given: &Map<String, Value>, schema: &Value) -> Map<String, Value> {
    let Some(declared) = schema["properties"].as_object() else {
        return given.clone();
    };
    let mut input = Map::new();
    for (name, value) in given {
        let name = ARGUMENTS
            .iter()
            .find(|names| names.contains(&name.as_str()))
            .filter(|_| !declared.contains_key(name))
            .and_then(|names| {
                names
                    .iter()
                    .find(|name| declared.contains_key(**name) && !given.contains_key(**name))
            })
            .map_or(name.as_str(), |name| name);
        let is_list = declared
            .get(name)
            .is_some_and(|schema| schema["type"] == "array");
        // A shell that takes its command as a list of words.
        let value = match value {
            Value::String(command) if is_list && name == "command" => {
                json!(["bash", "-lc", command])
            }
            other => other.clone(),
        };
        input.insert(name.to_owned(), value);
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !input.contains_key(name) {
            input.insert(
                name.to_owned(),
                fit_named(declared.get(name).unwrap_or(&Value::Null), name),
            );
        }
    }
    input
}
