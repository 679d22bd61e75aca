//! A fake of the providers' model servers, which speaks their wire formats and does what the prompt says.
//!
//! Anthropic Messages, OpenAI chat completions and responses, Gemini and Ollama, streamed and not, with tools, schemas, usage,
//! prompt caching and the errors of each. What the model does stands in the prompt as a script (see [`script`]), or is said by
//! a function. The server remembers no conversation: the same request gets the same answer, so agents may be killed, retried
//! and resumed as they like.
//!
//! Tokens are counted, not guessed: bytes through four, rounded up, of what a model reads and of what it writes. So the
//! server's [`ledger`](ModelServer::ledger) is the truth that others' counts are held against.

mod aliases;
mod books;
mod cache;
mod fit;
mod line;
mod log;
mod reply;
mod request;
pub mod script;
mod serve;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use books::Traffic;
pub use cache::Usage;
pub use log::{Account, EXCHANGES_MAX, End, Exchange, Sum};
pub use reply::{Call, Fault, Reply};
pub use request::{CacheMarks, CacheTime, Message, Part, Request, Role, Tool, ToolChoice};
pub use wire::Wire;

use books::{Books, Observer, Responder, Source};
use line::{Line, Lines};
use script::Script;

/// Threads that answer.
const THREADS: usize = 2;

/// How a server is to be.
#[derive(Default)]
pub struct Settings {
    port: u16,
    script: Option<Script>,
    observer: Option<Observer>,
    responder: Option<Responder>,
}

impl Settings {
    /// Listens on this port instead of any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Plays this script, one step a line, for prompts that carry none.
    ///
    /// # Errors
    /// When a line of it is no step.
    pub fn script(mut self, source: &str) -> io::Result<Self> {
        let script = Script::parse(source)
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
        self.script = Some(script);
        Ok(self)
    }

    /// Answers with a function instead of scripts. It must not block.
    #[must_use]
    pub fn responder(mut self, responder: Arc<dyn Fn(&Request) -> Reply + Send + Sync>) -> Self {
        self.responder = Some(responder);
        self
    }

    /// Tells of every exchange when it has ended. It must not block.
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the port is taken or the system has no threads to give.
    pub fn start(self) -> io::Result<ModelServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // Threads of its own, so that it answers whatever becomes of the test's clock and runtime.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("model-server")
            .enable_all()
            .build()?;
        let source = match self.responder {
            Some(responder) => Source::Function(responder),
            None => Source::Script(self.script),
        };
        let books = Arc::new(Books::new(source, self.observer));
        let routes = serve::routes(Arc::clone(&books));
        let lines = {
            let _inside = runtime.enter();
            Lines(tokio::net::TcpListener::from_std(listener)?)
        };
        let service = routes.into_make_service_with_connect_info::<Line>();
        runtime.spawn(async move { axum::serve(lines, service).await });
        Ok(ModelServer {
            address,
            books,
            runtime: Some(runtime),
        })
    }
}

/// A running server. It ends when it is dropped.
pub struct ModelServer {
    address: SocketAddr,
    books: Arc<Books>,
    runtime: Option<Runtime>,
}

impl ModelServer {
    /// A server that plays the scripts in prompts, on a free port.
    ///
    /// # Errors
    /// See [`Settings::start`].
    pub fn start() -> io::Result<Self> {
        Settings::default().start()
    }

    /// A server that answers with a function, on a free port.
    ///
    /// # Errors
    /// See [`Settings::start`].
    pub fn start_with(responder: Arc<dyn Fn(&Request) -> Reply + Send + Sync>) -> io::Result<Self> {
        Settings::default().responder(responder).start()
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, without a slash at the end. Base URLs of clients add to it: `/v1` for OpenAI and Anthropic,
    /// `/v1beta` for Gemini, nothing for Ollama.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The exchanges that have ended, in the order of their arrival; the last [`EXCHANGES_MAX`] of them.
    pub fn requests(&self) -> Vec<Exchange> {
        self.books.log().exchanges()
    }

    /// Sums over all exchanges that have ended, by key and model.
    pub fn ledger(&self) -> BTreeMap<Account, Sum> {
        self.books.log().ledger()
    }

    /// The requests so far.
    pub fn traffic(&self) -> Traffic {
        *self.books.traffic().borrow()
    }

    /// Waits until the requests are as wanted, and says how they then were.
    pub async fn until(&self, wanted: impl FnMut(&Traffic) -> bool) -> Traffic {
        let mut traffic: watch::Receiver<Traffic> = self.books.traffic();
        let reached = traffic.wait_for(wanted).await.map(|traffic| *traffic);
        // The sender lives as long as the server.
        reached.unwrap_or_else(|_| self.traffic())
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
