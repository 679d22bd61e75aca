//! Times as providers write them: how long to wait, or until when. Pure.

use std::time::Duration;

use http::HeaderMap;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// A wait beyond this is a mistake of somebody's, not a wait.
pub(super) const WAIT_MAX: Duration = Duration::from_hours(24 * 366);

/// The moment of an answer in milliseconds since 1970: its own `date`, since its other times are by the same clock.
pub(super) fn now(headers: &HeaderMap, now: u64) -> u64 {
    text(headers, "date").and_then(http_date).unwrap_or(now)
}

/// `retry-after-ms`, or `retry-after` as seconds or a date.
pub(super) fn said(headers: &HeaderMap, local: u64) -> Option<Duration> {
    if let Some(millis) = text(headers, "retry-after-ms").and_then(|text| text.parse::<f64>().ok())
    {
        return seconds(millis / 1_000.0);
    }
    let text = text(headers, "retry-after")?;
    match text.parse::<f64>() {
        Ok(number) => seconds(number),
        Err(_) => Some(until(http_date(text)?, now(headers, local))),
    }
}

/// The limits of `anthropic-ratelimit-*-reset` and `x-ratelimit-reset*`. Those whose `remaining` is 0 must all be
/// waited for; where none is said to be used up, the first that is lifted may help.
pub(super) fn reset(headers: &HeaderMap, local: u64) -> Option<Duration> {
    let now = now(headers, local);
    let (mut exhausted, mut first): (Option<Duration>, Option<Duration>) = (None, None);
    for (name, value) in headers {
        let Some(remaining) = remaining_of(name.as_str()) else {
            continue;
        };
        let Some(wait) = value
            .to_str()
            .ok()
            .and_then(|value| moment_or_wait(value, now))
        else {
            continue;
        };
        if text(headers, &remaining).and_then(|text| text.parse::<f64>().ok()) == Some(0.0) {
            exhausted = exhausted.max(Some(wait));
        }
        first = Some(first.map_or(wait, |first| first.min(wait)));
    }
    exhausted.or(first)
}

/// The header that says how much is left, for one that says when there is more.
fn remaining_of(name: &str) -> Option<String> {
    if let Some(limit) = name.strip_prefix("anthropic-ratelimit-") {
        let limit = limit.strip_suffix("-reset")?;
        return Some(format!("anthropic-ratelimit-{limit}-remaining"));
    }
    let limit = name.strip_prefix("x-ratelimit-reset")?;
    Some(format!("x-ratelimit-remaining{limit}"))
}

/// A moment (RFC 3339, or since 1970), or a wait.
fn moment_or_wait(text: &str, now: u64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        // Since 1970 in milliseconds, in seconds, or a wait in seconds.
        return if number >= 1e12 {
            seconds((number - now as f64).max(0.0) / 1_000.0)
        } else if number >= 1e9 {
            seconds((number - now as f64 / 1_000.0).max(0.0))
        } else {
            seconds(number)
        };
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(until(u64::try_from(moment.as_millisecond()).ok()?, now));
    }
    duration(text)
}

/// `34s`, `1.5s`, `120ms`, `6m0s`, `1h2m3s`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let duration: SignedDuration = text.trim().parse().ok()?;
    let duration = Duration::try_from(duration).ok()?;
    (duration <= WAIT_MAX).then_some(duration)
}

/// `Please try again in 1.2s.`, as `OpenAI` writes it into its messages.
pub(super) fn try_again_in(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("try again in ")?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.')
        .unwrap_or(rest.len());
    duration(rest[..end].trim_end_matches('.'))
}

/// The moment of `You will regain access on 2026-02-01 at 00:00 UTC.`, in seconds since 1970.
pub(super) fn access_again_on(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("regain access on ")?;
    let date: Date = rest.get(..10)?.parse().ok()?;
    let time = rest.get(10..).unwrap_or_default().strip_prefix(" at ");
    let (hour, minute) = time
        .and_then(|time| Some((time.get(..2)?.parse().ok()?, time.get(3..5)?.parse().ok()?)))
        .unwrap_or((0, 0));
    let time = jiff::civil::Time::new(hour, minute, 0, 0).ok()?;
    let moment = date
        .to_datetime(time)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?;
    u64::try_from(moment.timestamp().as_second()).ok()
}

fn http_date(text: &str) -> Option<u64> {
    let moment = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    u64::try_from(moment.timestamp().as_millisecond()).ok()
}

fn until(moment: u64, now: u64) -> Duration {
    Duration::from_millis(moment.saturating_sub(now)).min(WAIT_MAX)
}

fn seconds(number: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(number).ok()?;
    (duration <= WAIT_MAX).then_some(duration)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}
