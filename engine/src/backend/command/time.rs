//! Times as agents write them in errors: how long to wait, or until when.

use bellwether_journal::record::Millis;
use serde_json::Value;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// A wait in milliseconds: a number of seconds, or a text of a number and one of `ms s m h d` (none: seconds).
pub(super) fn wait(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(number) => millis(number.as_f64()?, 1000.0),
        Value::String(text) => {
            let text = text.trim();
            let digits = text.find(|letter: char| letter.is_ascii_alphabetic());
            let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
            let factor = match unit {
                "ms" => 1.0,
                "" | "s" => 1000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
            millis(number.trim().parse().ok()?, factor)
        }
        _ => None,
    }
}

/// A moment in milliseconds since 1970: seconds as a number, or a text of RFC 3339.
pub(super) fn moment(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(number) => millis(number.as_f64()?, 1000.0),
        Value::String(text) => rfc3339(text.trim()),
        _ => None,
    }
}

fn millis(number: f64, factor: f64) -> Option<Millis> {
    let millis = number * factor;
    // What is beyond the largest number is cut to it by the conversion.
    #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
    (millis.is_finite() && millis >= 0.0).then_some(millis.ceil() as Millis)
}

/// `2026-01-31T23:59:60.5+01:00`, with a space or small letters too.
fn rfc3339(text: &str) -> Option<Millis> {
    let field = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let bytes = text.as_bytes();
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if separators.iter().any(|(at, of)| {
        bytes
            .get(*at)
            .is_none_or(|byte| !of.contains(char::from(*byte)))
    }) {
        return None;
    }
    let (year, month, day) = (field(0..4)?, field(5..7)?, field(8..10)?);
    let (hour, minute, second) = (field(11..13)?, field(14..16)?, field(17..19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
            let (digits, zone) = rest.split_at(end);
            (
                format!("{digits:0<3}")
                    .get(..3)?
                    .parse()
                    .ok()
                    .filter(|_| end > 0)?,
                zone,
            )
        }
        None => (0, rest),
    };
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
        }
    };
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    let total = days_since_1970(year, month, day) * MILLIS_PER_DAY + seconds * 1000 + fraction;
    u64::try_from(total).ok()
}

/// Days of the Gregorian calendar. Years begin in March here, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (month * 153 + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waits_are_read_in_all_their_units() {
        for (text, millis) in [
            (json!(2), Some(2000)),
            (json!(0.5), Some(500)),
            (json!("90"), Some(90_000)),
            (json!("500ms"), Some(500)),
            (json!("1.5 m"), Some(90_000)),
            (json!("2h"), Some(7_200_000)),
            (json!("1d"), Some(86_400_000)),
            (json!(1e300), Some(u64::MAX)),
            (json!(-1), None),
            (json!("soon"), None),
            (json!("nan"), None),
            (json!(null), None),
        ] {
            assert_eq!(wait(&text), millis, "{text}");
        }
    }

    #[test]
    fn moments_are_read_as_rfc3339_and_as_seconds() {
        for (text, millis) in [
            (json!("1970-01-01T00:00:00Z"), Some(0)),
            (json!("2000-02-29T12:00:00.25Z"), Some(951_825_600_250)),
            (json!("2026-03-01 01:30:00+01:30"), Some(1_772_323_200_000)),
            (json!("2026-02-28T20:00:00-04:00"), Some(1_772_323_200_000)),
            (json!(1_772_323_200), Some(1_772_323_200_000)),
            (json!("1969-12-31T00:00:00Z"), None),
            (json!("2026-13-01T00:00:00Z"), None),
            (json!("2026-01-01"), None),
            (json!("2026-01-01T00:00:00"), None),
            (json!("2026-01-01T00:00:00.Z"), None),
            (json!("2026-01-01T00:00:00+é0:00"), None),
            (json!("２026-01-01T00:00:00Z"), None),
        ] {
            assert_eq!(moment(&text), millis, "{text}");
        }
    }
}
