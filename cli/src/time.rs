//! Times as people and files have them. The clock is the library's.

use bellwether::{Clock as _, SystemClock};
use jiff::Timestamp;

/// Now, RFC 3339 in UTC, to the second.
pub(crate) fn now_text() -> String {
    let seconds = i64::try_from(SystemClock.now() / 1_000).unwrap_or_default();
    Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// A length of time for a table: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 4h`.
pub(crate) fn elapsed(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, milliseconds % 1_000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `HH:MM:SS` of an RFC 3339 time in UTC; the text itself when it is none.
pub(crate) fn clock(text: &str) -> &str {
    text.get(11..19)
        .filter(|_| text.len() >= 20)
        .unwrap_or(text)
}

/// `YYYY-MM-DD HH:MM:SS` of an RFC 3339 time in UTC.
pub(crate) fn date_and_clock(text: &str) -> String {
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(clock)) => format!("{date} {clock}"),
        _ => text.to_owned(),
    }
}

/// `YYYY-MM-DD HH:MM` of an RFC 3339 time in UTC.
pub(crate) fn date_and_minute(text: &str) -> String {
    let mut text = date_and_clock(text);
    if text.len() == 19 {
        text.truncate(16);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_and_true() {
        let table = [
            (0, "0.0s"),
            (450, "0.4s"),
            (9_999, "9.9s"),
            (12_300, "12s"),
            (185_000, "3m 05s"),
            (7_800_000, "2h 10m"),
            (273_600_000, "3d 4h"),
        ];
        for (milliseconds, text) in table {
            assert_eq!(elapsed(milliseconds), text);
        }
    }

    #[test]
    fn times_are_cut_from_their_text() {
        assert_eq!(clock("2026-01-02T03:04:05.678Z"), "03:04:05");
        assert_eq!(clock("soon"), "soon");
        assert_eq!(
            date_and_clock("2026-01-02T03:04:05Z"),
            "2026-01-02 03:04:05"
        );
        assert_eq!(date_and_minute("2026-01-02T03:04:05Z"), "2026-01-02 03:04");
        assert!(now_text().parse::<Timestamp>().is_ok());
    }
}
