//! That no bytes can bring the pure parts down, and that what passes is what came.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::events::{EVENT_BYTES_MAX, Piece, Splitter, data};
use super::super::failure::{Reported, sort};
use super::super::json::{Object, apply};
use super::super::provider::Provider;
use super::super::request::Request;
use super::super::tap::{Content, Tap};
use super::super::wait;
use super::super::wire::{InPath, Wire};

const WIRES: [Wire; 4] = [
    Wire::Messages,
    Wire::ChatCompletions,
    Wire::Responses,
    Wire::GenerateContent,
];

/// Parts that streams are made of, so that random ones come near to real ones.
const PARTS: &[&str] = &[
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "data:",
    "data: ",
    "event: error",
    ": note",
    "[DONE]",
    "\u{feff}",
    "ä",
    r#"{"type":"message_delta","usage":{"output_tokens":5}}"#,
    r#"{"type":"message_start","message":{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":9}}}"#,
    r#"{"type":"content_block_delta","delta":{"text":"abc"}}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    r#"{"choices":[{"delta":{"content":"x","tool_calls":null}}]}"#,
    r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#,
    r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6}}"#,
    r#"{"error":{"code":1,"details":[{"retryDelay":"1s"}]}}"#,
];

fn stream() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PARTS), 0..40).prop_map(|parts| parts.concat())
}

/// A text cut at some places.
fn chunks(text: &[u8], cuts: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| Bytes::copy_from_slice(&text[pair[0]..pair[1]]))
        .collect()
}

fn tapped(wire: Wire, hides: bool, chunks: &[Bytes]) -> (Vec<u8>, Tap) {
    let mut tap = Tap::new(wire, Content::Events, None, hides);
    let mut passed = Vec::new();
    for chunk in chunks {
        passed.extend_from_slice(&tap.pass(chunk.clone()));
    }
    passed.extend_from_slice(&tap.end());
    (passed, tap)
}

/// The events of a text, by the letter of the standard and by lines.
fn by_lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line == "\n" {
            if !lines.is_empty() {
                events.push(lines.join("\n"));
            }
            lines.clear();
            continue;
        }
        let line = line.trim_end_matches('\n');
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name == "data" {
            lines.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    events
}

proptest! {
    #[test]
    fn chunks_change_neither_the_bytes_nor_the_count(
        text in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = [Bytes::copy_from_slice(text.as_bytes())];
        let cut = chunks(text.as_bytes(), &cuts);
        for wire in WIRES {
            let (passed, mut tap) = tapped(wire, false, &cut);
            prop_assert_eq!(&passed, text.as_bytes());
            let (_, mut once) = tapped(wire, false, &whole);
            prop_assert_eq!(tap.counted(), once.counted());
            prop_assert_eq!(tap.outcome(), once.outcome());
            let (hidden, mut hiding) = tapped(wire, true, &cut);
            prop_assert_eq!(&hidden, &tapped(wire, true, &whole).0);
            prop_assert_eq!(hiding.counted(), once.counted());
            if wire != Wire::ChatCompletions {
                prop_assert_eq!(&hidden, text.as_bytes());
            }
        }
    }

    #[test]
    fn events_are_those_of_the_standard(
        // A byte order mark has its meaning only at the beginning.
        text in stream().prop_map(|text| text.replace('\u{feff}', "")),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut splitter = Splitter::new();
        let (mut events, mut bytes) = (Vec::new(), Vec::new());
        for chunk in chunks(text.as_bytes(), &cuts) {
            splitter.push(&chunk, |piece| if let Piece::Event(event) = piece {
                bytes.extend_from_slice(&event);
                if let Some(data) = data(&event) {
                    events.push(String::from_utf8_lossy(&data).into_owned());
                }
            });
        }
        bytes.extend_from_slice(&splitter.rest());
        prop_assert_eq!(bytes, text.as_bytes());
        prop_assert_eq!(events, by_lines(&text));
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,80}") {
        for wire in WIRES {
            for content in [Content::Events, Content::Document, Content::Compressed] {
                let mut tap = Tap::new(wire, content, Some(9), true);
                tap.pass(bytes.clone().into());
                tap.end();
                tap.counted();
                tap.outcome();
            }
            let in_path = InPath { model: "m", is_streaming: true };
            let in_path = (wire == Wire::GenerateContent).then_some(in_path);
            let provider = Provider::new("p");
            for body in [Bytes::from(bytes.clone()), Bytes::from(text.clone())] {
                if let Ok(request) = Request::read(wire, body, in_path) {
                    request.edited(&provider, "m", Some(1));
                }
            }
        }
        sort(Some(429), &Reported::read(&bytes), None);
        wait::duration(&text);
        wait::try_again_in(&format!("try again in {text}"));
        wait::access_again_on(&format!("regain access on {text}"));
    }

    #[test]
    fn requests_keep_all_but_what_is_changed(
        fields in prop::collection::vec((field(), value()), 0..8),
        space in "[ \n\t]{0,3}",
        left in 1_u64..5_000,
    ) {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
            .collect();
        let text = format!("{space}{{{space}{}}}{space}", fields.join(","));
        let provider = Provider::new("p");
        for wire in WIRES {
            let in_path = InPath { model: "asked", is_streaming: true };
            let in_path = (wire == Wire::GenerateContent).then_some(in_path);
            let Ok(request) = Request::read(wire, text.clone().into(), in_path) else { continue };
            let (same, hides) = request.edited(&provider, &request.model, None);
            if !hides {
                prop_assert_eq!(&same, text.as_bytes());
            }
            let (edited, _) = request.edited(&provider, "other", Some(left));
            let again = Request::read(wire, edited.clone(), in_path);
            let again = again.unwrap_or_else(|error| panic!("{error}: {edited:?}"));
            let most = again.max_output_tokens().unwrap_or(u64::MAX) / again.choices;
            prop_assert!(most <= left, "{:?}", edited);
            if wire != Wire::GenerateContent {
                prop_assert_eq!(&again.model, "other");
            }
            let value = |bytes: &[u8]| -> Value {
                serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}"))
            };
            let (mut before, mut after) = (value(text.as_bytes()), value(&edited));
            for object in [&mut before, &mut after] {
                if let Some(fields) = object.as_object_mut() {
                    fields.retain(|name, _| name.starts_with("kept"));
                }
            }
            prop_assert_eq!(before, after);
        }
    }
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "model",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "stream_options",
        "thinking",
        "generationConfig",
        "generation_config",
        "kept",
        "kept2",
        "max\\u005ftokens",
    ])
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "\"m\"",
        "true",
        "null",
        "7",
        "100000",
        "1e3",
        "{}",
        "{ }",
        "[1, 2.50]",
        "\"äö\\n\\\"\"",
        r#"{"include_usage":false}"#,
        r#"{"type":"enabled","budget_tokens":4000}"#,
        r#"{"maxOutputTokens":9999,"candidateCount":2}"#,
        r#"{"max_output_tokens": null}"#,
        "12345678901234567890123",
    ])
}

#[test]
fn an_event_that_is_too_large_passes_unread_and_the_next_is_read() {
    let mut tap = Tap::new(Wire::ChatCompletions, Content::Events, Some(500), true);
    let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
    let mut passed = tap.pass(Bytes::from_static(b"data: ")).len();
    for _ in 0..EVENT_BYTES_MAX / piece.len() + 3 {
        passed += tap.pass(piece.clone()).len();
        // What it holds is bounded.
        assert!(passed == 0 || passed > EVENT_BYTES_MAX);
    }
    passed += tap.pass(Bytes::from_static(b"\n\n")).len();
    assert_eq!(
        passed,
        6 + (EVENT_BYTES_MAX / piece.len() + 3) * piece.len() + 2
    );
    // No estimate passes what was allowed.
    assert_eq!(tap.counted(), (super::tokens(0, 500, 0, 0, 0), false));
    let usage =
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    assert_eq!(tap.pass(Bytes::from_static(usage)), "");
    assert_eq!(tap.counted(), (super::tokens(1, 2, 0, 0, 0), true));
}

#[test]
fn an_object_within_an_object() {
    let text = r#"{"a": {"b":[{"c":1}], "d" : 2 } }"#;
    let read = |within, wanted| {
        Object::read(text, within, wanted).unwrap_or_else(|error| panic!("{error}"))
    };
    let outer = read(0..text.len(), &["a"]);
    let at = outer.field("a").unwrap_or_default();
    assert_eq!(&text[at.clone()], r#"{"b":[{"c":1}], "d" : 2 }"#);
    let inner = read(at, &["c", "d", "e"]);
    let edits = vec![
        inner.set("e", "5"),
        inner.set("d", "33"),
        outer.set("z", "0"),
    ];
    assert_eq!(
        apply(text, edits),
        r#"{"z":0,"a": {"e":5,"b":[{"c":1}], "d" : 33 } }"#
    );
}
