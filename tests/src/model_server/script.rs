//! Scripts: what the model is to do, written into the prompt.
//!
//! A script is a fenced block in a message of the user, one step a line:
//!
//! ````text
//! ```model
//! {"tool": "read", "input": {"path": "hello.txt"}}
//! {"tools": [{"tool": "grep", "input": {"pattern": "x"}}, {"tool": "glob", "input": {"pattern": "*.rs"}}]}
//! {"status": 429, "retryAfter": 2, "times": 1}
//! {"text": "Done.", "delayMs": 5, "outputTokens": 100}
//! ```
//! ````
//!
//! Nothing is remembered: the step to play follows from what the model did behind the last message with a script. A step of
//! tools is done when its calls stand there, a step of words when an answer in words does. What the client adds of its own
//! counts for nothing. Only how often a fault with `times` was played is kept, by the server, for each step of each script:
//! who wants a count of their own adds a comment, such as `// agent 7`.
//!
//! Tools and their arguments go out by the names that the client declares (`aliases.rs` has them), required arguments that the
//! step leaves out are made up, and `"exact": true` keeps a call as it is written. A request that declares no tools at all, as
//! clients send them to find a title, gets words instead of calls, or a value that fits its schema.
//!
//! | a step | |
//! |---|---|
//! | `tool`, `input`, `exact`, or `tools` with a list of them | calls |
//! | `text`; with `tokens` it is repeated until it has so many | words, alone or before the calls |
//! | `json` | a value: as text, or through the tool that the request insists on |
//! | `fit` | a value made from the request's schema |
//! | `reasoning`, `reasoningTokens` | what is thought first, how much it counts |
//! | `outputTokens` | what the answer counts, thinking included |
//! | `delayMs`, `trickleMs` | how long until the answer begins, and for each piece of it |
//! | `status` with `retryAfter`, `late`; `quota`, `contextExceeded`, `cut`, `stall`, `malformed`, `refusal` | what goes wrong, alone or with an answer |
//! | `times` | how often it does before the step's own answer, or the next step, comes |

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::aliases::{find, translate};
use super::fit::fit;
use super::reply::{Call, Fault, Reply};
use super::request::{Request, Role, ToolChoice};

/// What a fault breaks off when its step says nothing.
const FILLER: &str =
    "This answer is long enough to be broken off before its end has come, wherever that is.";
/// What is said when a script has no step left.
const OVER: &str = "The script has no step left.";
/// What is said instead of calls to a client without tools.
const NO_TOOLS: &str = "There is no tool to call.";
/// The most tokens that a step may ask for: 40 MB.
const TOKENS_MAX: u64 = 10_000_000;

/// A call in a script.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScriptCall {
    /// The tool, by any of its names.
    tool: String,
    /// Its arguments; left out, they are made from the tool's schema.
    #[serde(default)]
    input: Value,
    /// Names and arguments go out as they stand, whatever the client declared.
    #[serde(default)]
    exact: bool,
}

/// A line of a script.
#[expect(
    clippy::struct_excessive_bools,
    reason = "it is a line of JSON, in which each of them is a word of its own"
)]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Step {
    tool: Option<String>,
    input: Value,
    exact: bool,
    tools: Vec<ScriptCall>,
    text: Option<String>,
    tokens: Option<u64>,
    json: Option<Value>,
    fit: bool,
    reasoning: String,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    delay_ms: u64,
    trickle_ms: u64,
    times: Option<u32>,
    status: Option<u16>,
    retry_after: Option<u64>,
    late: bool,
    quota: bool,
    context_exceeded: bool,
    cut: bool,
    stall: bool,
    malformed: bool,
    refusal: bool,
}

impl Step {
    fn calls(&self) -> usize {
        usize::from(self.tool.is_some()) + self.tools.len()
    }

    fn answers(&self) -> bool {
        self.calls() > 0 || self.text.is_some() || self.json.is_some() || self.fit
    }

    fn fault(&self) -> Option<Fault> {
        let named = [
            (self.quota, Fault::Quota),
            (self.context_exceeded, Fault::ContextExceeded),
            (self.cut, Fault::Cut),
            (self.stall, Fault::Stall),
            (self.malformed, Fault::Malformed),
            (self.refusal, Fault::Refusal),
        ];
        let status = self.status.map(|status| Fault::Status {
            status,
            retry_after: self.retry_after,
            late: self.late,
        });
        status.or_else(|| {
            named
                .into_iter()
                .find_map(|(set, fault)| set.then_some(fault))
        })
    }
}

/// A script and the text that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) source: String,
}

impl Script {
    /// Reads steps, one a line. Empty lines and those that begin with `//` say nothing.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for (number, line) in source.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            let wrong = |problem: &str| format!("line {} of the script: {problem}", number + 1);
            let step: Step =
                serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
            if !step.answers() && step.fault().is_none() {
                return Err(wrong("it names neither an answer nor a fault"));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return Err("a script without a step".to_owned());
        }
        Ok(Self {
            steps,
            source: source.to_owned(),
        })
    }
}

/// The text of the last fenced block `model` in a prompt.
fn block(text: &str) -> Option<String> {
    let mut last = None;
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut open, line.trim()) {
            (None, "```model") => open = Some(Vec::new()),
            (Some(lines), "```") => {
                last = Some(lines.join("\n"));
                open = None;
            }
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    last
}

/// Something that the model did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It called so many tools.
    Calls(usize),
    /// It answered in words alone.
    Words,
}

/// A script to play, and what the model has done of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Play {
    pub(super) script: Script,
    turns: Vec<Turn>,
}

impl Play {
    /// What is to be played for a request: the script of the last message that carries one, else `default` from the first
    /// message on, else nothing.
    pub(super) fn of(request: &Request, default: Option<&Script>) -> Result<Option<Self>, String> {
        let scripted = request
            .messages
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, message)| message.role == Role::User)
            .find_map(|(place, message)| Some((place, block(&message.text())?)));
        let (from, script) = match (scripted, default) {
            (Some((place, source)), _) => (place, Script::parse(&source)?),
            (None, Some(script)) => (0, script.clone()),
            (None, None) => return Ok(None),
        };
        let turns = request.messages[from..]
            .iter()
            .filter(|message| message.role == Role::Assistant)
            .filter_map(|message| match message.calls() {
                0 if message.text().is_empty() => None,
                0 => Some(Turn::Words),
                calls => Some(Turn::Calls(calls)),
            })
            .collect();
        Ok(Some(Self { script, turns }))
    }

    /// The step whose turn it is, and whether it fails. `played` says how often a step's fault was played before. A script
    /// that is over repeats its last words; one that ends with calls of tools has no step then.
    pub(super) fn next(&self, played: impl Fn(usize) -> u32) -> Option<(usize, bool)> {
        let mut turns = self.turns.iter();
        let mut last = None;
        for (place, step) in self.script.steps.iter().enumerate() {
            let fails =
                step.fault().is_some() && step.times.is_none_or(|times| played(place) < times);
            if !step.answers() && !fails {
                // A fault that has been played out.
                continue;
            }
            if !done(step, &mut turns) {
                return Some((place, fails));
            }
            last = (step.calls() == 0).then_some((place, fails));
        }
        last
    }

    /// What a step answers to a request.
    pub(super) fn reply(&self, place: usize, fails: bool, request: &Request) -> Reply {
        let step = &self.script.steps[place];
        let mut reply = Reply {
            reasoning: step.reasoning.clone(),
            output_tokens: step.output_tokens.map(|tokens| tokens.min(TOKENS_MAX)),
            reasoning_tokens: step.reasoning_tokens.map(|tokens| tokens.min(TOKENS_MAX)),
            delay: Duration::from_millis(step.delay_ms),
            trickle: Duration::from_millis(step.trickle_ms),
            fault: step.fault().filter(|_| fails),
            ..Reply::default()
        };
        if let Some(text) = &step.text {
            reply.text = step
                .tokens
                .map_or_else(|| text.clone(), |tokens| stretched(text, tokens));
        }
        if step.calls() > 0 && request.tools.is_empty() {
            // A question beside the work, such as for a title or which model is to do it.
            reply.text = match &request.schema {
                Some(schema) => fit(schema).to_string(),
                None => NO_TOOLS.to_owned(),
            };
            return reply;
        }
        if let Some(tool) = &step.tool {
            reply
                .calls
                .push(call(tool, &step.input, step.exact, request));
        }
        for each in &step.tools {
            reply
                .calls
                .push(call(&each.tool, &each.input, each.exact, request));
        }
        if let Some(value) = &step.json {
            give(&mut reply, value.clone(), request);
        } else if step.fit && step.calls() == 0 {
            fitting(&mut reply, request);
        }
        if !step.answers() && reply.fault != Some(Fault::Refusal) {
            FILLER.clone_into(&mut reply.text);
        }
        reply
    }
}

/// Takes from the turns what a step did; `false` when they end before it is done.
fn done<'a>(step: &Step, turns: &mut impl Iterator<Item = &'a Turn>) -> bool {
    let mut missing = step.calls();
    for turn in turns {
        match turn {
            // A client may hand back calls that were made together one by one.
            Turn::Calls(calls) if step.calls() > 0 => {
                missing = missing.saturating_sub(*calls);
                if missing == 0 {
                    return true;
                }
            }
            Turn::Words if step.calls() == 0 => return true,
            Turn::Calls(_) | Turn::Words => {}
        }
    }
    false
}

/// The answer when a script has no step left.
pub(super) fn over() -> Reply {
    Reply::text(OVER)
}

/// The answer to a prompt without a script: a value that fits where a schema is asked for, else words that say so.
pub(super) fn unscripted(request: &Request) -> Reply {
    let mut reply = Reply::default();
    fitting(&mut reply, request);
    reply
}

fn fitting(reply: &mut Reply, request: &Request) {
    match (&request.schema, forced(request)) {
        (Some(schema), _) => reply.text = fit(schema).to_string(),
        (None, Some(tool)) => reply
            .calls
            .push(translate(tool, &Value::Null, &request.tools)),
        (None, None) => {
            "The prompt carries no script for this model.".clone_into(&mut reply.text);
        }
    }
}

/// Answers a value: as text, or through the tool that the request insists on.
fn give(reply: &mut Reply, value: Value, request: &Request) {
    match forced(request).filter(|_| request.schema.is_none()) {
        Some(tool) => reply.calls.push(Call {
            name: tool.to_owned(),
            input: value,
        }),
        None => reply.text.push_str(&value.to_string()),
    }
}

/// The one tool that the model has to call.
fn forced(request: &Request) -> Option<&str> {
    match &request.tool_choice {
        ToolChoice::Named(name) => Some(name),
        ToolChoice::Required if request.tools.len() == 1 => Some(&request.tools[0].name),
        _ => None,
    }
}

fn call(tool: &str, input: &Value, exact: bool, request: &Request) -> Call {
    if exact {
        return Call {
            name: tool.to_owned(),
            input: input.clone(),
        };
    }
    match (input, find(tool, &request.tools)) {
        (Value::Null, None) => Call {
            name: tool.to_owned(),
            input: Value::Object(serde_json::Map::new()),
        },
        _ => translate(tool, input, &request.tools),
    }
}

/// The text again and again, until it has so many tokens.
fn stretched(text: &str, tokens: u64) -> String {
    let text = if text.is_empty() { "word" } else { text };
    let bytes = (tokens.min(TOKENS_MAX) * 4) as usize;
    let mut long = String::with_capacity(bytes + text.len());
    while long.len() < bytes {
        long.push_str(text);
        long.push(' ');
    }
    let mut end = bytes;
    while !long.is_char_boundary(end) {
        end -= 1;
    }
    long.truncate(end);
    long
}
