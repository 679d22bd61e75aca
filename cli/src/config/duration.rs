//! Durations as people write them: `500ms`, `90s`, `10m`, `2h`, `30d`, several in a row (`1h30m`),
//! or ISO 8601 (`PT90S`, `P30D`).

use std::time::Duration;

use jiff::{SpanRelativeTo, Unit};

const EXPECTED: &str =
    "expected a number with a unit, such as 500ms, 90s, 10m, 2h or 30d, or ISO 8601 such as PT90S";

/// Reads a duration.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let wrong = || format!("`{text}` is no duration: {EXPECTED}");
    if trimmed.starts_with(['P', 'p']) {
        return parse_iso(trimmed).ok_or_else(wrong);
    }
    let mut rest = trimmed;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let milliseconds: u64 = match rest[..letters].trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let part = number
            .checked_mul(milliseconds)
            .map(Duration::from_millis)
            .ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

/// ISO 8601 without months and years, whose length depends on when they begin.
fn parse_iso(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let nanoseconds = span
        .total((Unit::Nanosecond, SpanRelativeTo::days_are_24_hours()))
        .ok()?;
    (nanoseconds >= 0.0).then(|| Duration::try_from_secs_f64(nanoseconds / 1e9).ok())?
}

/// Writes a duration in the longest unit that holds it whole.
pub(crate) fn format(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, name) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ] {
        if milliseconds >= unit && milliseconds.is_multiple_of(unit) {
            return format!("{}{name}", milliseconds / unit);
        }
    }
    format!("{milliseconds}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("500ms", 500),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            (" 5 s ", 5_000),
            ("PT90S", 90_000),
            ("PT1H30M", 5_400_000),
            ("P30D", 2_592_000_000),
            ("PT0.5S", 500),
            ("0s", 0),
        ];
        for (text, milliseconds) in table {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            " ",
            "5",
            "s",
            "5 minutes",
            "-5s",
            "1.5h",
            "5S",
            "P1M",
            "P1Y",
            "-PT5S",
            "PT",
            "P",
            "99999999999999999999s",
            "18446744073709551615d",
            "5é",
        ] {
            let Err(message) = parse(text) else {
                panic!("`{text}` was accepted")
            };
            assert!(message.contains("500ms"), "{message}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["500ms", "90s", "10m", "2h", "30d", "1500ms", "0ms"] {
            assert_eq!(parse(text).map(format), Ok(text.to_owned()));
        }
    }
}
