//! Faults, seen on the socket.

use std::io::Read as _;

use serde_json::{Value, json};

use super::super::{End, ModelServer, Usage, Wire};
use super::{ask, body, http, path, scripted};

#[test]
fn a_rate_limit_says_how_long_to_wait_and_passes() -> std::io::Result<()> {
    let prompt = scripted(&[
        json!({ "status": 429, "retryAfter": 2, "times": 2 }),
        json!({ "text": "Done." }),
    ]);
    for wire in Wire::ALL {
        let server = ModelServer::start()?;
        for _ in 0..2 {
            let answer = ask(&server, wire, &prompt, true)?;
            assert_eq!(answer.status, 429, "{wire:?}");
            if wire == Wire::Gemini {
                let delay = answer.json()["error"]["details"][0]["retryDelay"].take();
                assert_eq!(delay, "2s");
            } else {
                assert_eq!(answer.headers["retry-after"], "2", "{wire:?}");
            }
        }
        let answer = ask(&server, wire, &prompt, true)?;
        assert_eq!(answer.status, 200, "{wire:?}");
        assert!(answer.body.contains("Done."), "{wire:?}");
        let statuses: Vec<u16> = server.requests().iter().map(|each| each.status).collect();
        assert_eq!(statuses, [429, 429, 200]);
        let sums: Vec<_> = server.ledger().into_values().collect();
        assert_eq!(sums.len(), 1);
        assert_eq!((sums[0].requests, sums[0].failed), (3, 2));
        assert_eq!(sums[0].spent, server.requests()[2].spent);
    }
    Ok(())
}

#[test]
fn a_cut_answer_ends_in_a_reset() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "cut": true })]);
    for wire in Wire::ALL {
        for streaming in [false, true] {
            let server = ModelServer::start()?;
            let answer = ask(&server, wire, &prompt, streaming)?;
            assert_eq!(answer.status, 200);
            assert!(
                answer.reset && !answer.complete,
                "{wire:?}, streaming {streaming}"
            );
            assert!(!answer.body.is_empty(), "{wire:?}, streaming {streaming}");
            let exchange = &server.requests()[0];
            assert_eq!((exchange.end, exchange.reported), (End::CutByServer, None));
            // The prompt is paid for, and so is what was written.
            assert!(exchange.spent.input > 0);
            assert!((1..22).contains(&exchange.spent.output), "{exchange:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stalled_answer_lasts_until_the_client_goes() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "text": "Some words, and then nothing.", "stall": true })]);
    for wire in Wire::ALL {
        for streaming in [false, true] {
            let server = ModelServer::start()?;
            let body = body(wire, &prompt, streaming);
            let headers = "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
            let mut stream = http::begin(&server, path(wire, streaming), headers, &body)?;
            let mut seen = Vec::new();
            let wanted: &[u8] = if streaming {
                b"Some words, and "
            } else {
                b"\r\n\r\n{"
            };
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                let mut bytes = [0; 1024];
                let count = stream.read(&mut bytes)?;
                assert_ne!(count, 0, "the connection was closed");
                seen.extend_from_slice(&bytes[..count]);
            }
            assert_eq!(server.traffic().in_flight, 1);
            assert!(server.requests().is_empty());
            drop(stream);
            server.until(|traffic| traffic.in_flight == 0).await;
            assert_eq!(server.requests()[0].end, End::LeftByClient, "{wire:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_before_the_answer_has_cost_nothing() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let prompt = scripted(&[json!({ "text": "Late.", "delayMs": 3_600_000 })]);
    let headers = "authorization: Bearer k\r\n";
    let request = body(Wire::Chat, &prompt, true);
    let stream = http::begin(&server, path(Wire::Chat, true), headers, &request)?;
    let others = ask(&server, Wire::Ollama, "Hi", false)?;
    assert_eq!(others.status, 200);
    server.until(|traffic| traffic.arrived == 2).await;
    assert_eq!(server.traffic().in_flight, 1);
    drop(stream);
    let traffic = server.until(|traffic| traffic.in_flight == 0).await;
    assert!((1..=2).contains(&traffic.peak));
    let requests = server.requests();
    let left = requests.iter().find(|each| each.end == End::LeftByClient);
    let left = left.unwrap_or_else(|| panic!("{requests:?}"));
    assert_eq!((left.status, left.spent), (0, Usage::default()));
    Ok(())
}

#[test]
fn broken_json_ends_as_if_it_were_whole() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "malformed": true })]);
    for wire in Wire::ALL {
        let server = ModelServer::start()?;
        let answer = ask(&server, wire, &prompt, false)?;
        assert!(answer.complete, "{wire:?}");
        assert!(serde_json::from_str::<Value>(&answer.body).is_err());
        let answer = ask(&server, wire, &prompt, true)?;
        assert!(answer.complete, "{wire:?}");
        let events = answer.events();
        let (last, before) = events.split_last().unwrap_or_else(|| panic!("no events"));
        assert!(last.is_string(), "{wire:?}: {last}");
        assert!(
            !before.is_empty() && before.iter().all(Value::is_object),
            "{wire:?}"
        );
    }
    Ok(())
}

#[test]
fn an_error_may_come_in_the_middle_of_a_stream() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "status": 529, "late": true })]);
    for (wire, pointer, word) in [
        (Wire::Anthropic, "/error/type", "overloaded_error"),
        (Wire::Chat, "/error/code", "server_overloaded"),
        (Wire::Responses, "/response/error/code", "server_overloaded"),
        (Wire::Gemini, "/error/status", "UNAVAILABLE"),
        (
            Wire::Ollama,
            "/error",
            "server busy, please try again.  maximum pending requests exceeded",
        ),
    ] {
        let server = ModelServer::start()?;
        let answer = ask(&server, wire, &prompt, true)?;
        assert_eq!((answer.status, answer.complete), (200, true));
        let events = answer.events();
        assert!(events.len() > 1);
        let last = events.last().and_then(|event| event.pointer(pointer));
        assert_eq!(last, Some(&json!(word)), "{wire:?}");
        if wire == Wire::Responses {
            let numbers = events.iter().map(|event| event["sequence_number"].as_u64());
            assert!(numbers.eq((0..events.len() as u64).map(Some)));
        }
        assert_eq!(server.requests()[0].reported, None);
    }
    Ok(())
}

#[test]
fn a_model_may_decline() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "refusal": true })]);
    let words = "I can't help with that.";
    for (wire, pointer, expected) in [
        (Wire::Anthropic, "/stop_reason", "refusal"),
        (Wire::Chat, "/choices/0/message/refusal", words),
        (Wire::Responses, "/output/0/content/0/refusal", words),
        (Wire::Gemini, "/candidates/0/finishReason", "SAFETY"),
        (Wire::Ollama, "/message/content", words),
    ] {
        let server = ModelServer::start()?;
        let answer = ask(&server, wire, &prompt, false)?.json();
        assert_eq!(answer.pointer(pointer), Some(&json!(expected)), "{wire:?}");
    }
    Ok(())
}

#[test]
fn a_trickle_comes_whole() -> std::io::Result<()> {
    let prompt = scripted(&[json!({ "text": "One piece after the other.", "trickleMs": 1 })]);
    for wire in Wire::ALL {
        let server = ModelServer::start()?;
        let answer = ask(&server, wire, &prompt, true)?;
        assert!(answer.complete, "{wire:?}");
        let exchange = &server.requests()[0];
        assert_eq!(
            (exchange.end, exchange.reported),
            (End::Whole, Some(exchange.spent))
        );
    }
    Ok(())
}
