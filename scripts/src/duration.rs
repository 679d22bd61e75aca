//! ISO 8601 durations (X04), as far as they are a fixed length of time: weeks, days, hours, minutes, seconds.

/// Milliseconds of `P3D`, `PT1H30M`, `PT0.5S` and the like; `None` for any other text.
#[must_use]
pub fn milliseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let date = parts(date, &[('W', 604_800_000.0), ('D', 86_400_000.0)])?;
    let time = parts(time, &[('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)])?;
    Some(date + time)
}

/// The sum of numbers each followed by one of `units`, in their order.
fn parts(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let (mut rest, mut units, mut sum) = (text, units.iter(), 0.0);
    while !rest.is_empty() {
        let end =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ',')?;
        let (number, unit_on) = rest.split_at(end);
        let unit = unit_on.chars().next()?;
        let &(_, scale) = units.by_ref().find(|&&(name, _)| name == unit)?;
        sum += number.replace(',', ".").parse::<f64>().ok()? * scale;
        rest = &unit_on[unit.len_utf8()..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_of_fixed_length_are_read() {
        for (text, expected) in [
            ("PT90S", Some(90_000.0)),
            ("PT0.5S", Some(500.0)),
            ("P1DT2H3M4S", Some(93_784_000.0)),
            ("P2W", Some(1_209_600_000.0)),
            ("P", None),
            ("PT", None),
            ("P1M", None),
            ("PT1S2H", None),
            ("90s", None),
            ("P1é", None),
            ("PT.S", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
