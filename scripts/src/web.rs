//! What the globals `URL`, `URLSearchParams`, `TextEncoder` and `TextDecoder` ask of the host (B06): pure functions of text and bytes.

use rquickjs::convert::List;
use rquickjs::{ArrayBuffer, Ctx, Function, IntoJs as _, Object, Value};
use url::{Url, form_urlencoded, quirks};

use crate::host::set;

/// Another version may read some address otherwise: part of the VM's identity.
pub(crate) const LIBRARY: &str = "url 2.5";

/// What the standard calls this encoding (<https://encoding.spec.whatwg.org/#names-and-labels>).
const UTF_8_LABELS: [&str; 6] = [
    "utf-8",
    "utf8",
    "unicode-1-1-utf-8",
    "unicode11utf8",
    "unicode20utf8",
    "x-unicode20utf8",
];

/// Adds the functions to the host's table.
pub(crate) fn fill<'js>(ctx: &Ctx<'js>, table: &Object<'js>) -> rquickjs::Result<()> {
    let function = |name: &str, function: Function<'js>| set(ctx, table, name, function);
    let whole = |text: String, base: Option<String>| href(&text, base.as_deref());
    function("url", Function::new(ctx.clone(), whole)?)?;
    let read = |href: String, name: String| part(&href, &name);
    function("urlPart", Function::new(ctx.clone(), read)?)?;
    let write = |href: String, name: String, value: String| with_part(&href, &name, &value);
    function("setUrlPart", Function::new(ctx.clone(), write)?)?;
    let read = |query: String| pairs(&query);
    function("queryPairs", Function::new(ctx.clone(), read)?)?;
    let write = |pairs: Vec<String>| query(&pairs);
    function("queryText", Function::new(ctx.clone(), write)?)?;
    // Copied into the VM's own heap, which has a limit.
    let utf8 = |ctx: Ctx<'js>, text: String| ArrayBuffer::new_copy(ctx, text.as_bytes());
    function("utf8", Function::new(ctx.clone(), utf8)?)?;
    // Bytes come as a text whose characters they are: what a script has a hand on is not looked into from here.
    let decode = |ctx: Ctx<'js>, bytes: String, fatal: bool, stream: bool| {
        let bytes: Vec<u8> = bytes.chars().map(|byte| byte as u8).collect();
        match text(&bytes, fatal, stream) {
            Some((text, used)) => List((text, used as f64)).into_js(&ctx),
            None => Ok(Value::new_undefined(ctx)),
        }
    };
    function("fromUtf8", Function::new(ctx.clone(), decode)?)?;
    let is_utf8 = |label: String| {
        let label = label.trim_matches(['\t', '\n', '\x0c', '\r', ' ']);
        UTF_8_LABELS
            .iter()
            .any(|known| label.eq_ignore_ascii_case(known))
    };
    function("isUtf8Label", Function::new(ctx.clone(), is_utf8)?)
}

/// An address, whole; nothing when it is none.
fn href(text: &str, base: Option<&str>) -> Option<String> {
    let url = match base {
        None => Url::parse(text),
        Some(base) => Url::parse(base).and_then(|base| base.join(text)),
    };
    Some(url.ok()?.into())
}

fn part(href: &str, name: &str) -> Option<String> {
    let url = Url::parse(href).ok()?;
    Some(match name {
        "href" => quirks::href(&url).to_owned(),
        "origin" => quirks::origin(&url),
        "protocol" => quirks::protocol(&url).to_owned(),
        "username" => quirks::username(&url).to_owned(),
        "password" => quirks::password(&url).to_owned(),
        "host" => quirks::host(&url).to_owned(),
        "hostname" => quirks::hostname(&url).to_owned(),
        "port" => quirks::port(&url).to_owned(),
        "pathname" => quirks::pathname(&url).to_owned(),
        "search" => quirks::search(&url).to_owned(),
        "hash" => quirks::hash(&url).to_owned(),
        _ => return None,
    })
}

/// The address with another part; nothing when the part cannot be that.
fn with_part(href: &str, name: &str, value: &str) -> Option<String> {
    let mut url = Url::parse(href).ok()?;
    match name {
        "href" => quirks::set_href(&mut url, value).ok()?,
        "protocol" => quirks::set_protocol(&mut url, value).ok()?,
        "username" => quirks::set_username(&mut url, value).ok()?,
        "password" => quirks::set_password(&mut url, value).ok()?,
        "host" => quirks::set_host(&mut url, value).ok()?,
        "hostname" => quirks::set_hostname(&mut url, value).ok()?,
        "port" => quirks::set_port(&mut url, value).ok()?,
        "pathname" => quirks::set_pathname(&mut url, value),
        "search" => quirks::set_search(&mut url, value),
        "hash" => quirks::set_hash(&mut url, value),
        _ => return None,
    }
    Some(url.into())
}

/// Names and values of a query, in turn.
fn pairs(query: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect()
}

/// The query of names and values.
fn query(pairs: &[String]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for pair in pairs.chunks_exact(2) {
        if let [name, value] = pair {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// The text of bytes, and how many of them it took: in a stream those of a character that is not whole are left. Nothing
/// when they are no UTF-8 and that is `fatal`.
fn text(bytes: &[u8], fatal: bool, stream: bool) -> Option<(String, usize)> {
    let (mut text, mut rest) = (String::new(), bytes);
    loop {
        let error = match str::from_utf8(rest) {
            Ok(good) => {
                text.push_str(good);
                return Some((text, bytes.len()));
            }
            Err(error) => error,
        };
        let (good, bad) = rest.split_at(error.valid_up_to());
        text.push_str(&String::from_utf8_lossy(good));
        let length = match error.error_len() {
            None if stream => return Some((text, bytes.len() - bad.len())),
            None => bad.len(),
            Some(length) => length,
        };
        if fatal {
            return None;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        rest = bad.get(length..).unwrap_or_default();
    }
}
