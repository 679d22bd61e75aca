//! What a model is told, and what it is told when it calls wrongly.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{
    Answer, Definition, Means, NotAdded, Permitted, Switches, Tool, Toolbox, Workplace,
};
use super::Agent;

struct Echo(&'static str, Value);

impl Tool for Echo {
    fn definition(&self) -> Definition {
        Definition {
            name: self.0.to_owned(),
            description: "Says what it is told".to_owned(),
            parameters: self.1.clone(),
        }
    }

    fn call(&self, arguments: Value, _: CancellationToken) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::done(arguments.to_string())))
    }
}

#[tokio::test]
async fn all_built_in_tools_are_there_and_their_schemas_are_small_and_closed() {
    let agent = super::shell::agent();
    let names: Vec<_> = agent
        .toolbox
        .definitions()
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["read", "write", "edit", "glob", "grep", "shell", "todo"]
    );
    for tool in agent.toolbox.definitions() {
        let parameters = &tool.parameters;
        assert_eq!(parameters["type"], "object", "{}", tool.name);
        assert_eq!(parameters["additionalProperties"], false, "{}", tool.name);
        assert!(
            tool.description.len() < 600,
            "{}: {}",
            tool.name,
            tool.description.len()
        );
        let properties = parameters["properties"].as_object();
        let properties = properties.unwrap_or_else(|| panic!("{}", tool.name));
        for required in parameters["required"].as_array().into_iter().flatten() {
            assert!(
                properties.contains_key(required.as_str().unwrap_or_default()),
                "{}",
                tool.name
            );
        }
        // Each argument that the schema knows, the tool knows, too: with nulls for all, only what is required is
        // missed.
        let nulls = properties
            .keys()
            .map(|name| (name.clone(), Value::Null))
            .collect();
        let answer = agent.call(&tool.name, Value::Object(nulls)).await;
        assert!(
            !answer.text.contains("unexpected"),
            "{}: {}",
            tool.name,
            answer.text
        );
    }
}

#[tokio::test]
async fn a_wrong_call_is_answered_with_what_would_be_right() {
    let agent = Agent::new();
    let text = agent.refused("Bash", json!({})).await;
    assert!(!text.contains("called `shell`"), "it has none: {text}");
    let text = agent.refused("Read", json!({"file_path": "a"})).await;
    assert!(
        text.starts_with("there is no tool `Read`; it is called `read` here; there are `read`, "),
        "{text}"
    );
    let text = agent.refused("raed", json!({})).await;
    assert!(text.contains("it is called `read` here"), "{text}");
    let text = agent
        .refused(
            "read",
            json!({"file_path": "a", "offset": "ten", "limit": 0}),
        )
        .await;
    for part in [
        "do not fit `read`",
        "`offset`",
        "`limit`",
        "\"path\"",
        "file_path",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = agent.refused("read", json!("a.txt")).await;
    assert!(text.contains("not of type \"object\""), "{text}");
    let huge = json!({"path": "a.txt", "offset": 1e30});
    agent.refused("read", huge).await;
    agent.put("a.txt", "x\n");
    let nulls = json!({"path": "a.txt", "offset": null, "limit": null});
    assert_eq!(agent.done("read", nulls).await, "     1\tx\n");
}

#[tokio::test]
async fn the_list_is_kept() {
    let agent = Agent::new();
    assert_eq!(agent.done("todo", json!({})).await, "the list is empty");
    let items = json!({"items": [
        {"text": "look", "status": "completed"},
        {"text": "change", "status": "in_progress"},
        {"text": "test", "status": "pending"},
    ]});
    let shown = "2 of 3 open\n[x] look\n[>] change\n[ ] test\n";
    assert_eq!(agent.done("todo", items).await, shown);
    assert_eq!(agent.done("todo", Value::Null).await, shown);
    let text = agent
        .refused("todo", json!({"items": [{"text": "x", "status": "done"}]}))
        .await;
    assert!(text.contains("`items/0/status`"), "{text}");
    assert_eq!(agent.done("todo", json!({})).await, shown);
}

#[tokio::test]
async fn tools_can_be_added_but_not_those_that_are_forbidden() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let workplace = Workplace::new(folder.path(), "a-1").unwrap_or_else(|error| panic!("{error}"));
    let tools = ["Read".to_owned(), "Task".to_owned()];
    let (permitted, _) = Permitted::new(Some(&tools), &[], Switches::default());
    let mut toolbox = Toolbox::new(workplace, &permitted, &Means::default());
    let object = json!({"type": "object"});
    let mut add = |name, schema: &Value| toolbox.add(Arc::new(Echo(name, schema.clone())));
    assert_eq!(add("agent", &object), Ok(()));
    assert_eq!(add("return_result", &object), Ok(()));
    assert_eq!(
        add("web_search", &object),
        Err(NotAdded::Forbidden("web_search".into()))
    );
    assert_eq!(
        add("read", &object),
        Err(NotAdded::NameTaken("read".into()))
    );
    let wrong = add("odd", &json!({"type": "nothing"}));
    assert!(matches!(wrong, Err(NotAdded::Schema { .. })), "{wrong:?}");
    let names: Vec<_> = toolbox
        .definitions()
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names, ["read", "agent", "return_result"]);
    let cancelled = CancellationToken::new();
    let answer = toolbox
        .call("agent", &json!({"prompt": "go"}), &cancelled)
        .await;
    assert_eq!(answer, Answer::done("{\"prompt\":\"go\"}"));
}
