//! Answers that have to have a shape (S03).

use serde_json::json;

use super::server::{Reply, Server, say};
use super::tools::{NoTools, Odd};
use super::*;
use crate::backend::llm::conversation::{NativeSchema, StopKind};

fn schema() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false})
}

fn shaped() -> Job {
    Job {
        schema: Some(schema()),
        ..job("Count.")
    }
}

/// The schema that a request asks the provider to keep to.
fn asked(body: &Value) -> Option<&Value> {
    let of_anthropic = body.pointer("/output_config/format/schema");
    of_anthropic.or(body.pointer("/response_format/json_schema/schema"))
}

fn in_words(body: &Value) -> bool {
    body["messages"]
        .to_string()
        .contains("JSON that fits this JSON Schema")
}

#[tokio::test]
async fn the_provider_sees_to_it_where_it_can() {
    for wire in WIRES {
        let server = Server::list(wire, vec![say("{\"n\": 1}").into()]).await;
        let done = finished(
            Bed::new()
                .work(&server.endpoint(), &shaped(), &NoTools)
                .await,
        );
        assert_eq!(done.value.as_deref(), Some("{\"n\": 1}"));
        let body = &server.bodies()[0];
        assert_eq!(asked(body), Some(&schema()));
        assert!(!in_words(body), "the provider tells the model");
    }
}

#[tokio::test]
async fn beside_tools_words_do_and_the_provider_only_at_the_end() {
    let script = || vec![Reply::from(say("It is one.")), say("{\"n\":1}").into()];
    let server = Server::list(Wire::OpenAiChat, script()).await;
    let done = finished(
        Bed::new()
            .work(&server.endpoint(), &shaped(), &Odd::new())
            .await,
    );
    assert_eq!((done.value.as_deref(), done.turns), (Some("{\"n\":1}"), 2));
    let bodies = server.bodies();
    assert!(
        asked(&bodies[0]).is_none() && in_words(&bodies[0]) && bodies[0].get("tools").is_some()
    );
    assert!(asked(&bodies[1]).is_some() && bodies[1].get("tools").is_none());

    let server = Server::list(Wire::Anthropic, script()).await;
    finished(
        Bed::new()
            .work(&server.endpoint(), &shaped(), &Odd::new())
            .await,
    );
    let bodies = server.bodies();
    assert!(
        bodies
            .iter()
            .all(|body| asked(body).is_some() && body.get("tools").is_some())
    );
}

#[tokio::test]
async fn a_schema_that_is_refused_or_beyond_the_provider_is_asked_for_in_words() {
    for wire in WIRES {
        let server = Server::start(wire, |_, body| {
            if asked(body).is_some() {
                return Reply::Refuse(400, &[], json!({"error": {"type": "invalid_request_error", "message": "Invalid schema"}}));
            }
            say("Here:\n```json\n{\"n\": 1e400}\n```").into()
        })
        .await;
        let done = finished(
            Bed::new()
                .work(&server.endpoint(), &shaped(), &NoTools)
                .await,
        );
        assert_eq!(
            (done.value.as_deref(), done.turns),
            (Some("{\"n\": 1e400}"), 1),
            "byte for byte"
        );
        assert!(in_words(&server.bodies()[1]));

        let server = Server::list(wire, vec![say("[3]").into()]).await;
        let mut task = shaped();
        task.schema = Some(json!({"type": "array", "items": {"type": "integer"}}));
        let done = finished(Bed::new().work(&server.endpoint(), &task, &NoTools).await);
        assert_eq!(done.value.as_deref(), Some("[3]"));
        let body = &server.bodies()[0];
        assert!(asked(body).is_none() && in_words(body));
    }
}

#[tokio::test]
async fn an_answer_without_json_is_asked_for_once_more() {
    let server = Server::list(
        Wire::Anthropic,
        vec![say("One.").into(), say("One!").into()],
    )
    .await;
    let mut endpoint = server.endpoint();
    endpoint.native_schema = NativeSchema::Never;
    let done = finished(Bed::new().work(&endpoint, &shaped(), &Odd::new()).await);
    assert_eq!(
        (done.value, done.text.as_str(), done.turns),
        (None, "One!", 2)
    );
    assert!(told(&server.bodies()[1])[2].contains("has no JSON in it"));
}

#[tokio::test]
async fn an_answer_that_is_cut_goes_on_once() {
    for wire in WIRES {
        let server = Server::list(wire, vec![say("one, ").cut().into(), say("two").into()]).await;
        let done = finished(
            Bed::new()
                .work(&server.endpoint(), &job("Count."), &NoTools)
                .await,
        );
        assert_eq!((done.text.as_str(), done.turns), ("one, two", 2));
        assert!(
            told(&server.bodies()[1])
                .last()
                .is_some_and(|line| line.contains("Go on exactly where it stopped"))
        );

        let server = Server::list(
            wire,
            vec![say("{\"n\":").cut().into(), say("{\"n\":2}").into()],
        )
        .await;
        let done = finished(
            Bed::new()
                .work(&server.endpoint(), &shaped(), &NoTools)
                .await,
        );
        assert_eq!(
            done.value.as_deref(),
            Some("{\"n\":2}"),
            "JSON is given again as a whole"
        );

        let server = Server::start(wire, |_, _| say("and ").cut().into()).await;
        let end = stopped(
            Bed::new()
                .work(&server.endpoint(), &job("Count."), &NoTools)
                .await,
        );
        assert_eq!(
            (end.kind, end.last_text.as_deref(), end.turns),
            (StopKind::MaxTokens, Some("and and "), 2)
        );
    }
}

#[tokio::test]
async fn a_call_that_is_cut_goes_back_as_such() {
    let server = Server::list(
        Wire::Anthropic,
        vec![
            say("").call_raw("alone", "{\"path\": \"a").cut().into(),
            say("done").into(),
        ],
    )
    .await;
    finished(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &Odd::new())
            .await,
    );
    let told = told(&server.bodies()[1]);
    assert!(told[2].contains("cut off at the output limit"), "{told:?}");
}
