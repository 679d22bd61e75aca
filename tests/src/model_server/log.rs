//! What the server was asked and what came of it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cache::Usage;
use super::request::{Message, Request, Tool};

/// Exchanges that are kept; of older ones only the sums.
pub const EXCHANGES_MAX: usize = 20_000;
/// Exchanges that go before what only they had is forgotten.
const SWEEP: u64 = 1_000;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of the answer, be it an error, was handed to the connection.
    Whole,
    /// The client went before the end.
    LeftByClient,
    /// The server cut the connection, as a script wanted it.
    CutByServer,
}

impl End {
    const fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::LeftByClient => "leftByClient",
            Self::CutByServer => "cutByServer",
        }
    }
}

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its place in the order of arrival, from 0 on.
    pub number: u64,
    /// What was asked.
    pub request: Request,
    /// The HTTP status of the answer; 0 when the client went before it began.
    pub status: u16,
    /// What it cost: the prompt once the answer had begun, and what had been written when it ended.
    pub spent: Usage,
    /// What the client was told that it cost, if the answer came as far as saying so.
    pub reported: Option<Usage>,
    /// How it ended.
    pub end: End,
}

impl Exchange {
    /// As a line for a file, without the conversation.
    pub fn summary(&self) -> Value {
        let usage = |usage: Usage| {
            json!({
                "input": usage.input,
                "cached": usage.cached,
                "cacheWritten": usage.cache_written,
                "output": usage.output,
                "reasoning": usage.reasoning,
            })
        };
        json!({
            "number": self.number,
            "wire": format!("{:?}", self.request.wire).to_lowercase(),
            "model": self.request.model,
            "key": self.request.key,
            "streaming": self.request.streaming,
            "messages": self.request.messages.len(),
            "tools": self.request.tools.len(),
            "status": self.status,
            "spent": usage(self.spent),
            "reported": self.reported.map(usage),
            "end": self.end.word(),
        })
    }
}

/// Whose requests a sum is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The key; empty for none.
    pub key: String,
    /// The model.
    pub model: String,
}

/// Sums over exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// All requests.
    pub requests: u64,
    /// Those that were answered with a status other than 200, or not at all.
    pub failed: u64,
    /// What they cost.
    pub spent: Usage,
    /// What clients were told that they cost.
    pub reported: Usage,
}

/// The exchanges that have ended.
#[derive(Debug, Default)]
pub(super) struct Log {
    exchanges: VecDeque<Exchange>,
    ledger: BTreeMap<Account, Sum>,
    dropped: u64,
    shared: Shared,
}

impl Log {
    /// Puts what other requests have too in the place of the request's own copy, so that a conversation of many calls is
    /// kept once.
    pub(super) fn share(&mut self, request: &mut Request) {
        let Shared {
            messages,
            tools,
            systems,
            schemas,
        } = &mut self.shared;
        for message in &mut request.messages {
            share(messages, message);
        }
        share(tools, &mut request.tools);
        share(systems, &mut request.system);
        if let Some(schema) = &mut request.schema {
            share(schemas, schema);
        }
    }

    pub(super) fn push(&mut self, exchange: Exchange) {
        let account = Account {
            key: exchange.request.key.clone().unwrap_or_default(),
            model: exchange.request.model.clone(),
        };
        let sum = self.ledger.entry(account).or_default();
        sum.requests += 1;
        sum.failed += u64::from(exchange.status != 200);
        sum.spent = sum.spent.plus(exchange.spent);
        sum.reported = sum.reported.plus(exchange.reported.unwrap_or_default());
        self.exchanges.push_back(exchange);
        if self.exchanges.len() > EXCHANGES_MAX {
            self.exchanges.pop_front();
            self.dropped += 1;
            if self.dropped.is_multiple_of(SWEEP) {
                self.shared.sweep();
            }
        }
    }

    /// In the order of their arrival.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        let mut all: Vec<Exchange> = self.exchanges.iter().cloned().collect();
        all.sort_by_key(|exchange| exchange.number);
        all
    }

    pub(super) fn ledger(&self) -> BTreeMap<Account, Sum> {
        self.ledger.clone()
    }
}

/// What requests have in common.
#[derive(Debug, Default)]
struct Shared {
    messages: HashSet<Arc<Message>>,
    tools: HashSet<Arc<[Tool]>>,
    systems: HashSet<Arc<str>>,
    schemas: HashSet<Arc<Value>>,
}

impl Shared {
    fn sweep(&mut self) {
        self.messages.retain(|each| Arc::strong_count(each) > 1);
        self.tools.retain(|each| Arc::strong_count(each) > 1);
        self.systems.retain(|each| Arc::strong_count(each) > 1);
        self.schemas.retain(|each| Arc::strong_count(each) > 1);
    }
}

fn share<T: Hash + Eq + ?Sized>(known: &mut HashSet<Arc<T>>, item: &mut Arc<T>) {
    match known.get(item) {
        Some(same) => *item = Arc::clone(same),
        None => {
            known.insert(Arc::clone(item));
        }
    }
}
