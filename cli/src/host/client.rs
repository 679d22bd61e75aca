//! Asking the process that holds a journal.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use bellwether::Status;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::lock::Claim;
use super::socket::is_same_user;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;

/// Who holds the journal, and what runs there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostInfo {
    /// The process.
    pub(crate) claim: Claim,
    /// Its runs.
    pub(crate) runs: Vec<LiveRun>,
    /// How many commands watch a run, or wait for an answer.
    #[serde(default)]
    pub(crate) attached: usize,
}

/// A run that a host carries out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveRun {
    /// The run.
    pub(crate) run_id: String,
    /// Its name.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) status: Status,
}

/// An error as it crosses the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    /// How a command ends for it.
    pub(crate) exit: u8,
    /// The sentence.
    pub(crate) message: String,
    /// What helps.
    pub(crate) help: Option<String>,
    /// Whether nothing was begun and another host will answer.
    #[serde(default)]
    pub(crate) again: bool,
}

impl From<ErrorBody> for CommandError {
    fn from(body: ErrorBody) -> Self {
        let exit = [ExitCode::Failed, ExitCode::Usage, ExitCode::Unfinished]
            .into_iter()
            .find(|code| code.number() == body.exit)
            .unwrap_or(ExitCode::Host);
        let error = Self::exit(exit, body.message);
        let error = if body.again {
            error.asked_again()
        } else {
            error
        };
        match body.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// A way to a host. Each request has its own connection: a host that leaves between two of them is
/// noticed at once.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: std::path::PathBuf,
    /// Who answered.
    pub(crate) host: HostInfo,
}

impl Client {
    /// Asks who is at the socket; `None` when nobody is.
    pub(crate) async fn connect(socket: &Path) -> Option<Self> {
        let response = send(socket, Method::GET, "/v1/host", Bytes::new())
            .await
            .ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let host = serde_json::from_slice(&body).ok()?;
        Some(Self {
            socket: socket.to_path_buf(),
            host,
        })
    }

    /// The answer to a question, as JSON text.
    ///
    /// # Errors
    /// What the host says, or that it is gone.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// The answer to a request, as JSON text.
    ///
    /// # Errors
    /// What the host says, or that it is gone.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<String> {
        self.ask(Method::POST, path, Bytes::from(body.to_string()))
            .await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<String> {
        let response = self.open(method, path, body).await?;
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| self.gone(&error))?;
        String::from_utf8(bytes.to_bytes().to_vec()).map_err(|error| self.gone(&error))
    }

    /// The lines of an answer that may be long, each given to `line` until that says `false`.
    ///
    /// # Errors
    /// What the host says, or that it is gone.
    pub(crate) async fn lines(&self, path: &str, line: &mut dyn FnMut(&str) -> bool) -> Result<()> {
        let mut lines = self.stream(path).await?;
        while let Some(text) = lines.next().await? {
            if !line(&text) {
                break;
            }
        }
        Ok(())
    }

    /// The lines of an answer that comes over time.
    ///
    /// # Errors
    /// What the host says, or that it is gone.
    pub(crate) async fn stream(&self, path: &str) -> Result<LineStream> {
        let body = self
            .open(Method::GET, path, Bytes::new())
            .await?
            .into_body();
        Ok(LineStream {
            client: self.clone(),
            body,
            rest: Vec::new(),
            lines: VecDeque::new(),
        })
    }

    async fn open(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let response = send(&self.socket, method, path, body)
            .await
            .map_err(|error| {
                let gone = self.gone(error.as_ref());
                // Nobody has heard it.
                match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                    Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                        gone.asked_again()
                    }
                    _ => gone,
                }
            })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| self.gone(&error))?;
        match serde_json::from_slice::<ErrorBody>(&bytes.to_bytes()) {
            Ok(body) => Err(body.into()),
            Err(_) => Err(CommandError::host(format!(
                "process {}, which holds the journal, answers {status}: it is bellwether {}, and this is {}",
                self.host.claim.pid,
                self.host.claim.version,
                env!("CARGO_PKG_VERSION")
            ))),
        }
    }

    fn gone(&self, error: &dyn std::error::Error) -> CommandError {
        CommandError::host(format!(
            "process {}, which held the journal, left before it had answered ({error})",
            self.host.claim.pid
        ))
        .help("nothing is lost: ask again")
        .gone()
    }
}

/// Lines as they come.
#[derive(Debug)]
pub(crate) struct LineStream {
    client: Client,
    body: Incoming,
    rest: Vec<u8>,
    lines: VecDeque<String>,
}

impl LineStream {
    /// The next line; `None` behind the last. Nothing is lost when the wait for it is given up.
    ///
    /// # Errors
    /// That the host is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| self.client.gone(&error))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            self.rest.extend_from_slice(data);
            let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
                continue;
            };
            let after = self.rest.split_off(end + 1);
            let whole = std::mem::replace(&mut self.rest, after);
            let whole = String::from_utf8_lossy(&whole);
            self.lines.extend(whole.lines().map(str::to_owned));
        }
    }
}

type SendError = Box<dyn std::error::Error + Send + Sync>;

async fn send(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Response<Incoming>, SendError> {
    let stream = UnixStream::connect(socket).await?;
    if !is_same_user(&stream) {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer's body.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "bellwether")
        .header(hyper::header::CONNECTION, "close")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    Ok(sender.send_request(request).await?)
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

/// An answer of the host as a value.
///
/// # Errors
/// When the host speaks otherwise than this program.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        CommandError::host(format!(
            "the process that holds the journal answers otherwise than expected: {error}"
        ))
        .help("it may be another version of bellwether: `bellwether --version`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_no_separator() {
        assert_eq!(segment("r-7k2m9q4d"), "r-7k2m9q4d");
        assert_eq!(segment("../x?y"), "%2E%2E%2Fx%3Fy");
        assert_eq!(segment("é"), "%C3%A9");
    }

    #[test]
    fn errors_keep_their_class_over_the_socket() {
        for (exit, number) in [(2, 2), (3, 3), (1, 1), (5, 5), (77, 5)] {
            let body = ErrorBody {
                exit,
                message: "m".into(),
                help: Some("h".into()),
                again: false,
            };
            let error = CommandError::from(body);
            assert_eq!(error.exit_code().number(), number);
            assert_eq!(error.help_text(), Some("h"));
        }
    }
}
