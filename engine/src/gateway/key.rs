//! Draws the passes' keys: the gateway's one source of chance.

use std::fmt::Write as _;

/// A new key of 256 random bits.
pub(super) fn draw() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    let mut key = String::from("bw-");
    for byte in bytes {
        // A string takes whatever is written to it.
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}
