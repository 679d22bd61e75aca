//! What a text calls itself.

/// How far into a text its title is looked for, in lines.
const LINES_MAX: usize = 200;
/// The longest title that is shown, in characters.
const CHARACTERS_MAX: usize = 120;

/// The title in a front matter, else the first Markdown heading, else the first line that is not empty.
pub(super) fn title(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (front, body) = front_matter(text);
    let named = front.lines().find_map(|line| {
        let title = line.strip_prefix("title:")?.trim();
        Some(title.trim_matches(['"', '\'']))
    });
    let lines = || body.lines().take(LINES_MAX).map(str::trim);
    let titles = named
        .into_iter()
        .chain(lines().filter_map(heading))
        .chain(lines());
    titles
        .map(shortened)
        .find(|title| title.contains(char::is_alphanumeric))
}

/// What stands between two lines `---` at the beginning, and what stands behind.
fn front_matter(text: &str) -> (&str, &str) {
    let inside = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"));
    inside
        .and_then(|inside| {
            let (front, rest) = inside.split_once("\n---")?;
            let (_, body) = rest.split_once('\n').unwrap_or((rest, ""));
            Some((front, body))
        })
        .unwrap_or(("", text))
}

/// The text of an ATX heading: `## Costs ##`.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let is_heading = (1..=6).contains(&(line.len() - text.len())) && text.starts_with([' ', '\t']);
    is_heading.then(|| text.trim().trim_end_matches('#').trim_end())
}

fn shortened(title: &str) -> String {
    match title.char_indices().nth(CHARACTERS_MAX) {
        None => title.to_owned(),
        Some((end, _)) => format!("{}…", title[..end].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_called_by_its_front_matter_heading_or_first_line() {
        let long = "word ".repeat(40);
        for (text, expected) in [
            (
                "---\ntitle: \"Of cats\"\nid: 1\n---\n# Cats\n",
                Some("Of cats"),
            ),
            ("---\r\nid: 1\r\n---\r\n\r\n# Cats #\r\n", Some("Cats")),
            ("An introduction.\n\n## Costs\n", Some("Costs")),
            ("\n\n  plain text\nmore\n", Some("plain text")),
            ("#hashtag\n", Some("#hashtag")),
            ("---\nno end\n", Some("no end")),
            ("\u{feff}# Marked", Some("Marked")),
            ("====\n\n", None),
            ("", None),
            (&long, Some(format!("{}…", long[..120].trim_end()).as_str())),
        ] {
            assert_eq!(title(text).as_deref(), expected, "{text:?}");
        }
    }
}
