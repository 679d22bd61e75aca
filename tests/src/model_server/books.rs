//! What the server keeps: the log, the prompt cache, how often faults were played, and the requests under way.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::cache::{Cache, Usage};
use super::log::{End, Exchange, Log};
use super::reply::{Fault, Reply};
use super::request::Request;
use super::script::{Play, Script, over, unscripted};
use super::wire::Frame;

/// Answers requests with a function.
pub(super) type Responder = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;
/// Hears of every exchange that has ended.
pub(super) type Observer = Box<dyn Fn(&Exchange) + Send + Sync>;

/// The requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Those that were understood.
    pub arrived: u64,
    /// Those that were answered with an error since they were not understood, or had no key.
    pub rejected: u64,
    /// Those under way.
    pub in_flight: u64,
    /// The most that were under way at once.
    pub peak: u64,
}

/// Where answers come from.
pub(super) enum Source {
    /// The script in the prompt, else this one.
    Script(Option<Script>),
    /// A function.
    Function(Responder),
}

/// What the server keeps.
pub(super) struct Books {
    source: Source,
    observer: Option<Observer>,
    log: Mutex<Log>,
    cache: Mutex<Cache>,
    /// How often the fault of a step was played, by the hash of script and step.
    played: Mutex<HashMap<u64, u32>>,
    traffic: watch::Sender<Traffic>,
}

impl Books {
    pub(super) fn new(source: Source, observer: Option<Observer>) -> Self {
        Self {
            source,
            observer,
            log: Mutex::default(),
            cache: Mutex::default(),
            played: Mutex::default(),
            traffic: watch::Sender::default(),
        }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(super) fn traffic(&self) -> watch::Receiver<Traffic> {
        self.traffic.subscribe()
    }

    /// Counts a request that was not understood.
    pub(super) fn reject(&self) {
        self.traffic.send_modify(|traffic| traffic.rejected += 1);
    }

    /// Takes a request in.
    pub(super) fn arrive(books: &Arc<Self>, mut request: Request) -> Ticket {
        books.log().share(&mut request);
        let mut number = 0;
        books.traffic.send_modify(|traffic| {
            number = traffic.arrived;
            traffic.arrived += 1;
            traffic.in_flight += 1;
            traffic.peak = traffic.peak.max(traffic.in_flight);
        });
        Ticket {
            books: Arc::clone(books),
            exchange: Exchange {
                number,
                request,
                status: 0,
                spent: Usage::default(),
                reported: None,
                end: End::LeftByClient,
            },
            usage: Usage::default(),
            to_write: 0,
            written: 0,
            ended: false,
        }
    }

    /// What is to be answered.
    pub(super) fn reply(&self, request: &Request) -> Reply {
        let default = match &self.source {
            Source::Function(function) => return function(request),
            Source::Script(default) => default.as_ref(),
        };
        match Play::of(request, default) {
            Ok(Some(play)) => {
                let key = |place: usize| {
                    let mut hasher = DefaultHasher::new();
                    (&play.script.source, place).hash(&mut hasher);
                    hasher.finish()
                };
                let next = {
                    let mut played = lock(&self.played);
                    let next = play.next(|place| played.get(&key(place)).copied().unwrap_or(0));
                    if let Some((place, true)) = next {
                        *played.entry(key(place)).or_default() += 1;
                    }
                    next
                };
                next.map_or_else(over, |(place, fails)| play.reply(place, fails, request))
            }
            Ok(None) => unscripted(request),
            Err(problem) => Reply::fault(Fault::Invalid(problem)),
        }
    }

    /// What the prompt cache has of a request, which from now on is in it.
    pub(super) fn read_cache(&self, request: &Request) -> Usage {
        lock(&self.cache).read(request)
    }
}

/// A request under way. Dropped before its end, the client has gone.
pub(super) struct Ticket {
    books: Arc<Books>,
    exchange: Exchange,
    /// What the whole answer costs.
    usage: Usage,
    /// The bytes that the whole answer has.
    to_write: u64,
    written: u64,
    ended: bool,
}

impl Ticket {
    pub(super) const fn request(&self) -> &Request {
        &self.exchange.request
    }

    /// The answer begins: its status, and what it costs when all its bytes are written.
    pub(super) const fn begin(&mut self, status: u16, usage: Usage, to_write: u64) {
        self.exchange.status = status;
        self.usage = usage;
        self.to_write = to_write;
    }

    /// A piece is handed to the connection.
    pub(super) const fn hand_out(&mut self, frame: &Frame) {
        self.written += frame.written;
        if frame.tells_usage {
            self.exchange.reported = Some(self.usage);
        }
    }

    /// The exchange is over.
    pub(super) fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.exchange.end = end;
        // Thinking comes first, so what is missing of an answer is missing of its words.
        let part = |tokens: u64| {
            if self.written >= self.to_write {
                tokens
            } else {
                tokens.saturating_mul(self.written).div_ceil(self.to_write)
            }
        };
        self.exchange.spent = Usage {
            output: part(self.usage.output),
            reasoning: part(self.usage.reasoning),
            ..self.usage
        };
        if let Some(observer) = &self.books.observer {
            observer(&self.exchange);
        }
        self.books.log().push(self.exchange.clone());
        self.books
            .traffic
            .send_modify(|traffic| traffic.in_flight -= 1);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(End::LeftByClient);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
