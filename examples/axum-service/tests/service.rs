//! The service over a real socket, cut off in the middle and started again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum_service::{open, serve};
use bellwether::{AgentBackend, AttemptContext, Ended, Engine, Task};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

const SCRIPT: &str = "export const meta = { name: 'steps', description: 'Two steps' }
    return [await agent('one'), await agent('hold two')]";

/// Agents answer with their prompt; one that begins with `hold` waits to be released.
#[derive(Default)]
struct Backend {
    prompts: Mutex<Vec<String>>,
    released: watch::Sender<bool>,
}

impl AgentBackend for Backend {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        self.prompts.lock().unwrap().push(task.prompt.to_string());
        let mut released = self.released.subscribe();
        Box::pin(async move {
            if task.prompt.starts_with("hold") {
                tokio::select! {
                    _ = released.wait_for(|released| *released) => {}
                    () = context.cancelled.cancelled() => return Ended::cancelled(),
                }
            }
            Ended::completed(json!(*task.prompt).to_string())
        })
    }
}

/// The service in a runtime of its own: dropping that cuts off everything at once, as a kill of its process does.
struct Process {
    runtime: Runtime,
    address: SocketAddr,
    backend: Arc<Backend>,
    stop: Arc<Notify>,
    serving: tokio::task::JoinHandle<()>,
}

impl Process {
    fn start(journal: &Path, resume: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let backend = Arc::new(Backend::default());
        let builder = Engine::builder()
            .journal(journal)
            .backend("scripted", Arc::clone(&backend) as Arc<_>);
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let (address, serving) = runtime.block_on(async {
            let engine = open(builder, resume).await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serving = tokio::spawn(async move {
                let stop = async move { stopped.notified().await };
                serve(listener, engine, "scripted", stop).await.unwrap();
            });
            (address, serving)
        });
        Self {
            runtime,
            address,
            backend,
            stop,
            serving,
        }
    }

    /// Sends a request; gives the status and the body.
    fn request(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
        self.runtime.block_on(async {
            let mut stream = self.send(method, path, key, body).await;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            (status, serde_json::from_str(body).unwrap_or_default())
        })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, "", &Value::Null)
    }

    fn prompts(&self) -> Vec<String> {
        self.backend.prompts.lock().unwrap().clone()
    }

    /// Reads a run's events, up to the first that is wanted or to their end; `listening` is called behind the first line.
    fn events(&self, run: &str, listening: impl FnOnce(), wanted: impl Fn(&str) -> bool) -> bool {
        self.runtime.block_on(async {
            let path = format!("/runs/{run}/events");
            let mut lines = self.send("GET", &path, "", &Value::Null).await.lines();
            let mut listening = Some(listening);
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == "event: listening"
                    && let Some(listening) = listening.take()
                {
                    listening();
                }
                if wanted(&line) {
                    return true;
                }
            }
            false
        })
    }
}

#[test]
fn a_service_that_is_cut_off_goes_on_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.redb");

    let first = Process::start(&journal, false);
    let (status, accepted) = first.request("POST", "/runs", "abc", &json!({ "script": SCRIPT }));
    assert_eq!(status, 202, "{accepted}");
    let run = accepted["runId"].as_str().unwrap().to_owned();
    let (status, again) = first.request("POST", "/runs", "abc", &json!({ "script": SCRIPT }));
    assert_eq!((status, again["runId"].as_str()), (202, Some(run.as_str())));
    let other = json!({ "script": SCRIPT, "args": 1 });
    assert_eq!(first.request("POST", "/runs", "abc", &other).0, 409);
    let (status, refused) = first.request("POST", "/runs", "x", &json!({ "script": "return 1" }));
    assert_eq!(status, 422, "{refused}");
    assert_eq!(first.get("/runs/r-00000000").0, 404);
    let path = format!("/runs/{run}");
    while first.prompts().len() < 2 {
        std::thread::yield_now();
    }
    drop(first);

    // Nothing resumes by itself.
    let second = Process::start(&journal, false);
    let (status, shown) = second.get(&path);
    assert_eq!((status, &shown["status"]), (200, &json!("interrupted")));
    assert_eq!(second.get(&format!("{path}/events")).0, 409);
    drop(second);

    // Told to, it goes on; and a shutdown in order leaves the run resumable too.
    let third = Process::start(&journal, true);
    assert_eq!(third.get(&path).1["status"], json!("running"));
    let stop = Arc::clone(&third.stop);
    assert!(third.events(
        &run,
        || stop.notify_one(),
        |line| line.contains("\"stopped\"")
    ));
    third.runtime.block_on(third.serving).unwrap();
    assert!(
        !third
            .backend
            .prompts
            .lock()
            .unwrap()
            .contains(&"one".to_owned())
    );
    drop(third.runtime);

    let fourth = Process::start(&journal, true);
    let release = || _ = fourth.backend.released.send_replace(true);
    assert!(fourth.events(&run, release, |line| line.contains("\"completed\"")));
    let (_, shown) = fourth.get(&path);
    assert_eq!(shown["result"], json!(["one", "hold two"]), "{shown}");
    assert_eq!(fourth.prompts(), ["hold two"]);
    assert_eq!(fourth.get("/runs").1[0]["runId"], json!(run));
    assert_eq!(
        fourth
            .request("POST", &format!("{path}/stop"), "", &Value::Null)
            .0,
        409
    );
}
