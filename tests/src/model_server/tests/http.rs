//! An HTTP client that hides nothing: the bytes as they came and how the connection ended.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::super::ModelServer;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    /// The body, without the marks of chunks.
    pub(super) body: String,
    /// Whether the body came as far as was promised.
    pub(super) complete: bool,
    /// Whether the connection was reset.
    pub(super) reset: bool,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The data of a stream's events, those that are no JSON as text.
    pub(super) fn events(&self) -> Vec<Value> {
        let lines = self.body.lines().filter_map(|line| {
            let data = line
                .strip_prefix("data: ")
                .or_else(|| line.starts_with('{').then_some(line));
            data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data)))
        });
        lines.collect()
    }
}

/// Sends a request whose connection closes behind it, with a key.
pub(super) fn post(server: &ModelServer, path: &str, body: &Value) -> io::Result<Answer> {
    let mut stream = begin(
        server,
        path,
        "x-api-key: key-1\r\nanthropic-version: 2023-06-01\r\n",
        body,
    )?;
    let mut bytes = Vec::new();
    let reset = match stream.read_to_end(&mut bytes) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => return Err(error),
    };
    Ok(parsed(&bytes, reset))
}

/// Sends a request and leaves its answer to be read.
pub(super) fn begin(
    server: &ModelServer,
    path: &str,
    headers: &str,
    body: &Value,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(crate::GUARD))?;
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream)
}

fn parsed(bytes: &[u8], reset: bool) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .unwrap_or_else(|| panic!("no status: {head}"));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let (body, complete) = if headers
        .get("transfer-encoding")
        .is_some_and(|how| how == "chunked")
    {
        unchunked(rest)
    } else {
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        (rest.to_owned(), length == Some(rest.len()))
    };
    Answer {
        status,
        headers,
        body,
        complete,
        reset,
    }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else {
            break;
        };
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = behind.get(..size) else {
            body.push_str(behind);
            break;
        };
        body.push_str(chunk);
        rest = behind[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    (body, false)
}
