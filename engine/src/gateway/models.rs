//! The list of models as each wire writes it. Pure.

use bytes::Bytes;
use serde_json::{Value, json};

use super::wire::Wire;

/// All models. A name with wildcards stands for none.
pub(super) fn list(wire: Wire, names: &[String]) -> Bytes {
    let models: Vec<Value> = names.iter().map(|name| model(wire, name)).collect();
    let list = match wire {
        Wire::Messages => json!({
            "data": models,
            "has_more": false,
            "first_id": names.first(),
            "last_id": names.last(),
        }),
        Wire::ChatCompletions | Wire::Responses => json!({ "object": "list", "data": models }),
        Wire::GenerateContent => json!({ "models": models }),
    };
    list.to_string().into()
}

/// One of them.
pub(super) fn one(wire: Wire, names: &[String], name: &str) -> Option<Bytes> {
    let name = names.iter().find(|other| *other == name)?;
    Some(model(wire, name).to_string().into())
}

fn model(wire: Wire, name: &str) -> Value {
    match wire {
        // The moment has no meaning here, and libraries want one.
        Wire::Messages => json!({
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "1970-01-01T00:00:00Z",
        }),
        Wire::ChatCompletions | Wire::Responses => json!({
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "bellwether",
        }),
        Wire::GenerateContent => json!({
            "name": format!("models/{name}"),
            "displayName": name,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}
