//! Budgets as people write them: output tokens (`2000000`, `2M`, `500k`) or money (`$5`, `$0.50`).

use super::key::Value;

/// No budget is larger: whole numbers above it are not exact in JSON.
const MOST: f64 = 9_007_199_254_740_991.0;

/// Reads a budget; `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    let (digits, unit, is_money) = match text.strip_prefix('$') {
        Some(dollars) => (dollars, 1e6, true),
        None => match text.char_indices().next_back()? {
            (at, 'k' | 'K') => (&text[..at], 1e3, false),
            (at, 'm' | 'M') => (&text[..at], 1e6, false),
            _ => (text, 1.0, false),
        },
    };
    let digits = digits.trim().replace('_', "");
    let is_plain = |letter: char| letter.is_ascii_digit() || letter == '.';
    if digits.is_empty() || !digits.chars().all(is_plain) {
        return None;
    }
    let amount = digits.parse::<f64>().ok()? * unit;
    let is_whole = is_money || (amount - amount.round()).abs() < 1e-6;
    #[expect(clippy::cast_sign_loss, reason = "digits have no sign")]
    let rounded = amount.round() as u64;
    if !is_whole || amount > MOST || rounded == 0 {
        return None;
    }
    Some(if is_money {
        Value::Dollars(rounded)
    } else {
        Value::Count(rounded)
    })
}

/// Money as it is read: `$5`, `$0.50`.
pub(crate) fn format(millionths: u64) -> String {
    let (dollars, rest) = (millionths / 1_000_000, millionths % 1_000_000);
    match rest {
        0 => format!("${dollars}"),
        rest if rest % 10_000 == 0 => format!("${dollars}.{:02}", rest / 10_000),
        rest => format!("${dollars}.{rest:06}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u02_budgets_are_tokens_or_money() {
        for (text, value) in [
            ("2000000", Some(Value::Count(2_000_000))),
            ("2_000_000", Some(Value::Count(2_000_000))),
            (" 2M", Some(Value::Count(2_000_000))),
            ("1.5m", Some(Value::Count(1_500_000))),
            ("500k", Some(Value::Count(500_000))),
            ("$5", Some(Value::Dollars(5_000_000))),
            ("$0.50", Some(Value::Dollars(500_000))),
            ("$ 12.345678", Some(Value::Dollars(12_345_678))),
            ("0", None),
            ("$0", None),
            ("-5", None),
            ("1.5", None),
            ("5$", None),
            ("1e6", None),
            ("$", None),
            ("M", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
        for text in ["$5", "$0.50", "$12.345678"] {
            let Some(Value::Dollars(amount)) = parse(text) else {
                panic!("{text}")
            };
            assert_eq!(format(amount), text);
        }
    }
}
