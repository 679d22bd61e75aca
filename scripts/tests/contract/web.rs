//! What a script finds of the web's standards (B06).

use bellwether_scripts::TurnStatus;
use serde_json::{Value, json};

use crate::support::{PATCHES, run};

/// Each expression, and what it comes to; a text that begins with `!` is the code of what it throws.
fn each(cases: &[(&str, Value)]) {
    for (expression, expected) in cases {
        let body =
            format!("try {{ return {expression} }} catch (error) {{ return '!' + error.code }}");
        assert_eq!(run(&body).value(), *expected, "{expression}");
    }
}

#[test]
fn b06_addresses() {
    let parts = "(u => ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'].map(p => u[p]))";
    each(&[
        (
            &format!(
                "{parts}(new URL('HTTPS://user:pa%20ss@EXAMPLE.com:8443/a/../b c?x=1&y=%20#frag'))"
            ),
            json!([
                "https://user:pa%20ss@example.com:8443/b%20c?x=1&y=%20#frag",
                "https://example.com:8443",
                "https:",
                "user",
                "pa%20ss",
                "example.com:8443",
                "example.com",
                "8443",
                "/b%20c",
                "?x=1&y=%20",
                "#frag"
            ]),
        ),
        (
            "String(new URL('../c?q', 'http://h/a/b/'))",
            json!("http://h/a/c?q"),
        ),
        (
            "JSON.stringify({ u: new URL('http://bücher.example') })",
            json!("{\"u\":\"http://xn--bcher-kva.example/\"}"),
        ),
        ("new URL('/only/a/path')", json!("!ERR_INVALID_URL")),
        ("new URL('http://h:99999/')", json!("!ERR_INVALID_URL")),
        ("URL('http://h/')", json!("!undefined")),
        (
            "[URL.canParse('x:y'), URL.canParse('y'), URL.canParse('y', 'http://h'), URL.parse('y')]",
            json!([true, false, true, null]),
        ),
        (
            "(u => { u.port = '80'; u.hash = 'h'; u.pathname = '/p q'; u.protocol = 'ftp'; u.host = ''; return u.href })(new URL('http://h:8080/x'))",
            json!("ftp://h/p%20q#h"),
        ),
        (
            "(u => { u.href = 'nothing' })(new URL('http://h/'))",
            json!("!ERR_INVALID_URL"),
        ),
        // The query and its object are one.
        (
            "(u => { u.searchParams.append('b c', '&='); const first = u.search; u.search = '?z=1&a=2&z=3'; return [first, u.searchParams.getAll('z'), u.searchParams.size, u.searchParams === u.searchParams] })(new URL('http://h/?a=1'))",
            json!(["?a=1&b+c=%26%3D", ["1", "3"], 3, true]),
        ),
        (
            "Object.prototype.toString.call(new URL('http://h/')) && new URL('http://h/') instanceof URL",
            json!(true),
        ),
    ]);
}

#[test]
fn b06_queries() {
    each(&[
        (
            "String(new URLSearchParams('?a=1&b=%C3%A9+x&c'))",
            json!("a=1&b=%C3%A9+x&c="),
        ),
        (
            "String(new URLSearchParams({ a: 1, b: [2, 3] }))",
            json!("a=1&b=2%2C3"),
        ),
        (
            "String(new URLSearchParams([['a', 'b'], ['a', 'c']]))",
            json!("a=b&a=c"),
        ),
        (
            "String(new URLSearchParams(new Map([['k', 'v']])))",
            json!("k=v"),
        ),
        (
            "String(new URLSearchParams(new URLSearchParams('x=y')))",
            json!("x=y"),
        ),
        ("new URLSearchParams([['a']])", json!("!URL")),
        (
            "[...new URLSearchParams('a=1&b=2')]",
            json!([["a", "1"], ["b", "2"]]),
        ),
        (
            "[[...new URLSearchParams('a=1&b=2').keys()], [...new URLSearchParams('a=1&b=2').values()]]",
            json!([["a", "b"], ["1", "2"]]),
        ),
        (
            "Object.fromEntries(new URLSearchParams('a=1&b=2').entries())",
            json!({ "a": "1", "b": "2" }),
        ),
        (
            "(q => [q.get('a'), q.get('n'), q.has('a'), q.has('a', '9'), q.getAll('a')])(new URLSearchParams('a=1&a=2'))",
            json!(["1", null, true, false, ["1", "2"]]),
        ),
        (
            "(q => { q.set('a', 'x'); q.set('new', 'y'); q.delete('b'); return String(q) })(new URLSearchParams('a=1&b=2&a=3&c=4'))",
            json!("a=x&c=4&new=y"),
        ),
        (
            "(q => { q.delete('a', '1'); return String(q) })(new URLSearchParams('a=1&a=2'))",
            json!("a=2"),
        ),
        (
            "(q => { q.sort(); return String(q) })(new URLSearchParams('z=1&a=2&m=3&a=1&b=9'))",
            json!("a=2&a=1&b=9&m=3&z=1"),
        ),
        (
            "(seen => { new URLSearchParams('a=1&b=2').forEach((value, name) => seen.push(name + value)); return seen })([])",
            json!(["a1", "b2"]),
        ),
        (
            "String(new URLSearchParams({ lone: '\\ud800' }))",
            json!("lone=%EF%BF%BD"),
        ),
    ]);
}

#[test]
fn b06_text_and_bytes() {
    each(&[
        (
            "[...new TextEncoder().encode('aé€😀')]",
            json!([97, 195, 169, 226, 130, 172, 240, 159, 152, 128]),
        ),
        (
            "[new TextEncoder().encode().length, [...new TextEncoder().encode('\\ud800')]]",
            json!([0, [239, 191, 189]]),
        ),
        (
            "(b => [new TextEncoder().encodeInto('a€😀', b), [...b]])(new Uint8Array(6))",
            json!([{ "read": 2, "written": 4 }, [97, 226, 130, 172, 0, 0]]),
        ),
        (
            "new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 0xff, 98, 0xe2, 0x82]))",
            json!("a\u{fffd}b\u{fffd}"),
        ),
        (
            "new TextDecoder('UTF8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])).length",
            json!(2),
        ),
        (
            "new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))",
            json!("!ERR_ENCODING_INVALID_ENCODED_DATA"),
        ),
        (
            "new TextDecoder('shift_jis')",
            json!("!ERR_ENCODING_NOT_SUPPORTED"),
        ),
        (
            "new TextDecoder().decode('text')",
            json!("!ERR_INVALID_ARG_TYPE"),
        ),
        (
            "new TextDecoder().decode(new DataView(new TextEncoder().encode('abcd').buffer, 1, 2))",
            json!("bc"),
        ),
        (
            "(d => [0xf0, 0x9f, 0x98, 0x80, 97].map(byte => d.decode(new Uint8Array([byte]), { stream: true })).concat(d.decode()))(new TextDecoder())",
            json!(["", "", "", "😀", "a", ""]),
        ),
        (
            "(t => new TextDecoder().decode(new TextEncoder().encode(t)) === t)('Zürich 😀 '.repeat(10_000))",
            json!(true),
        ),
    ]);
}

/// Whatever a script does to its own world before it first names one of them.
#[test]
fn b06_they_hold_in_a_world_that_was_changed() {
    for patch in PATCHES {
        let body = format!(
            "const equal = (one, other) => {{ if (one !== other) throw new Error(one + ' is not ' + other) }}
            const query = 'b=2&a=1'
            {patch}
            const url = new URL('http://h/p?' + query)
            url.searchParams.sort()
            equal(url.href, 'http://h/p?a=1&b=2')
            equal(new TextDecoder().decode(new TextEncoder().encode('é')), 'é')
            return 'held'"
        );
        assert_eq!(run(&body).value(), "held", "{patch}");
    }
}

/// They are ordinary globals: a script may name its own so, and replace them.
#[test]
fn b06_they_may_be_replaced() {
    each(&[
        (
            "(() => { globalThis.URL = 5; return [URL, typeof URLSearchParams] })()",
            json!([5, "function"]),
        ),
        (
            "(() => { const URL = 'mine'; return URL })()",
            json!("mine"),
        ),
        (
            "[typeof URL, URL.name, TextDecoder.name, delete globalThis.URL, typeof globalThis.URL]",
            json!(["function", "URL", "TextDecoder", true, "undefined"]),
        ),
    ]);
}

/// The heap's limit holds for what the host makes too.
#[test]
fn b07_bytes_count_for_the_heap() {
    let body = "const text = 'x'.repeat(1 << 20); const kept = []; for (;;) kept.push(new TextEncoder().encode(text))";
    let TurnStatus::LimitReached(error) = run(body).status else {
        panic!("it went on");
    };
    assert_eq!(error.code.as_deref(), Some("LIMIT_HEAP"));
}
