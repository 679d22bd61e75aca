//! The text of a page.

use encoding_rs::{Encoding, UTF_8};
use htmd::HtmlToMarkdown;
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, RcDom};
use tokio_util::sync::CancellationToken;

use super::fetch::Page;

/// How much HTML is read, in bytes. It becomes a tree many times its size.
const HTML_BYTES_MAX: usize = 2 << 20;
/// How deep elements may lie in each other. Pages have some thirty; the parser needs time in the square of it, and
/// the writing of Markdown a piece of the stack for each.
const DEPTH_MAX: usize = 256;
/// After how many bytes of HTML depth and cancellation are looked at.
const STEP_BYTES: usize = 16 << 10;
/// How far into a page is looked for what it says of its encoding.
const SNIFFED_BYTES: usize = 1_024;
/// What has no text for readers.
const SKIPPED: [&str; 8] = [
    "script", "style", "noscript", "template", "svg", "iframe", "canvas", "object",
];

/// The page as text, HTML as Markdown.
///
/// # Errors
/// It has no text, or none that can be read: why.
pub(super) fn text(page: &Page, stop: &CancellationToken) -> Result<String, String> {
    let declared = page.content_type.as_deref().unwrap_or_default();
    let kind = declared
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    let begins_as_html = || {
        let start = String::from_utf8_lossy(&page.body[..page.body.len().min(SNIFFED_BYTES)]);
        let start = start
            .trim_start_matches('\u{feff}')
            .trim_start()
            .to_lowercase();
        start.starts_with("<!doctype html") || start.starts_with("<html")
    };
    let is_html = match kind.as_str() {
        "text/html" | "application/xhtml+xml" => true,
        "" => begins_as_html(),
        _ => false,
    };
    if !is_html && !is_text(&kind, &page.body) {
        return Err(format!(
            "it is {} of {} bytes, which is not shown",
            if kind.is_empty() {
                "a binary file"
            } else {
                &kind
            },
            page.body.len()
        ));
    }
    let (text, _, _) = encoding(declared, &page.body, is_html).decode(&page.body);
    if !is_html {
        return Ok(text.into_owned());
    }
    markdown(&text, stop)
}

fn is_text(kind: &str, body: &[u8]) -> bool {
    let named = kind.starts_with("text/")
        || ["json", "xml", "javascript", "yaml", "toml", "x-sh"]
            .iter()
            .any(|end| kind.ends_with(end));
    let unnamed = kind.is_empty() || kind == "application/octet-stream";
    named || (unnamed && std::str::from_utf8(body).is_ok() && !body.contains(&0))
}

/// What the server says, else what the page says, else UTF-8.
fn encoding(declared: &str, body: &[u8], is_html: bool) -> &'static Encoding {
    let in_page = || {
        let start = String::from_utf8_lossy(&body[..body.len().min(SNIFFED_BYTES)]);
        charset(&start)
    };
    charset(declared)
        .or_else(|| if is_html { in_page() } else { None })
        .unwrap_or(UTF_8)
}

fn charset(text: &str) -> Option<&'static Encoding> {
    let text = text.to_ascii_lowercase();
    let (_, rest) = text.split_once("charset=")?;
    let label = rest.trim_start_matches(['"', '\'', ' ']);
    let end =
        label.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_:.".contains(letter)));
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

fn markdown(html: &str, stop: &CancellationToken) -> Result<String, String> {
    let mut parser = parse_document(RcDom::default(), ParseOpts::default());
    let mut rest = &html[..floor(html, HTML_BYTES_MAX)];
    let document = parser.tokenizer.sink.sink.document.clone();
    while !rest.is_empty() {
        let (step, after) = rest.split_at(floor(rest, STEP_BYTES));
        parser.process(StrTendril::from_slice(step));
        rest = after;
        if stop.is_cancelled() {
            return Err("cancelled".to_owned());
        }
        if is_deeper(&document, DEPTH_MAX) {
            return Err(format!(
                "its elements lie more than {DEPTH_MAX} deep in each other, and it is not read"
            ));
        }
    }
    let tree = parser.finish();
    // What is closed at the end may still have been moved about.
    if is_deeper(&tree.document, DEPTH_MAX + 2) {
        return Err("its elements lie too deep in each other, and it is not read".to_owned());
    }
    let converter = HtmlToMarkdown::builder()
        .skip_tags(SKIPPED.to_vec())
        .build();
    let mut text = converter.tree_to_markdown(&tree.document);
    if html.len() > HTML_BYTES_MAX {
        text.push_str("\n\n(the page is longer, and the rest was not read)");
    }
    Ok(text)
}

/// Whether a node lies deeper in `root` than `depth`. Without recursion, of which there may be too much here.
fn is_deeper(root: &Handle, depth: usize) -> bool {
    let mut open = vec![(root.clone(), 0)];
    while let Some((node, at)) = open.pop() {
        if at > depth {
            return true;
        }
        open.extend(
            node.children
                .borrow()
                .iter()
                .map(|child| (child.clone(), at + 1)),
        );
    }
    false
}

/// The last place in `text` at or before `at` where a character begins; behind the first character at least.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (1..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content_type: &str, body: &[u8]) -> Page {
        Page {
            url: reqwest::Url::parse("https://example.org/")
                .unwrap_or_else(|error| panic!("{error}")),
            status: 200,
            content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
            body: body.to_vec(),
            is_cut: false,
        }
    }

    fn shown(content_type: &str, body: &[u8]) -> Result<String, String> {
        text(&page(content_type, body), &CancellationToken::new())
    }

    #[test]
    fn html_becomes_markdown_without_its_scripts() {
        let html = b"<!doctype html><html><head><style>p{}</style></head><body><h1>Title</h1>\
            <script>alert(1)</script><p>Some <b>bold</b> text, a <a href='/x'>link</a>.</p>\
            <ul><li>one<li>two</ul><table><tr><th>a</th></tr><tr><td>1</td></tr></table></body></html>";
        let text = shown("text/html", html).unwrap_or_else(|error| panic!("{error}"));
        for part in [
            "# Title",
            "Some **bold** text",
            "[link](/x)",
            "one",
            "two",
            "| 1",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains("alert") && !text.contains("p{}"), "{text}");
        assert_eq!(shown("", html), Ok(text));
    }

    #[test]
    fn encodings_are_those_that_are_said() {
        let cafe = Ok("caf\u{e9}".to_owned());
        assert_eq!(shown("text/plain; charset=iso-8859-1", b"caf\xe9"), cafe);
        assert_eq!(shown("text/plain", "caf\u{e9}".as_bytes()), cafe);
        assert_eq!(
            shown("text/html", b"<meta charset='latin1'><p>caf\xe9"),
            cafe
        );
        assert_eq!(shown("application/json", b"{}"), Ok("{}".to_owned()));
        assert!(shown("image/png", b"\x89PNG").is_err());
        assert!(shown("", b"a\0b").is_err());
    }

    #[test]
    fn a_page_that_nobody_waits_for_is_left() {
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let text = text(&page("text/html", b"<p>text"), &cancelled);
        assert_eq!(text, Err("cancelled".to_owned()));
    }

    #[test]
    fn what_is_nested_without_end_is_refused_before_it_costs_much() {
        for open in [
            "<div>",
            "<ul><li>",
            "<table><tr><td>",
            "<b>",
            "<blockquote>",
        ] {
            let html = open.repeat(HTML_BYTES_MAX / open.len() + 10);
            let refused = shown("text/html", html.as_bytes());
            assert!(
                refused.is_err_and(|reason| reason.contains("deep")),
                "{open}"
            );
        }
        // As deep as is allowed, of what needs the most stack, on a thread like those that tools run on.
        for open in [
            "<div>",
            "<ul><li>",
            "<table><tr><td>",
            "<blockquote>",
            "<b>",
            "<a href=x>",
        ] {
            let html = open.repeat((DEPTH_MAX - 4) / open.matches('<').count() / 4 * 3) + "text";
            let thread = std::thread::Builder::new().stack_size(2 << 20);
            let converted = thread.spawn(move || shown("text/html", html.as_bytes()));
            let converted = converted.unwrap_or_else(|error| panic!("{error}")).join();
            assert!(
                converted.is_ok_and(|text| text.is_ok_and(|text| text.contains("text"))),
                "{open}"
            );
        }
    }
}
