//! Where an expression isn't one any more.
//!
//! libpcap says `syntax error`, and nothing of where. Its parser reads word by word and stops at the
//! first that can't follow those before it. So behind the words up to a certain one a number is put
//! that is too large to be read at all: if it is the number that libpcap complains of, it has come
//! past them.

use crate::kernel::libpcap;
use crate::target::links::Framing;

/// More than 32 bits.
const TOO_LARGE: &str = "99999999999";

/// What libpcap says of a text that it refused, with the place where it says none.
pub(super) fn located(said: String, text: &str, framing: Framing) -> String {
    if !said.ends_with("syntax error") {
        return said;
    }
    let words = words(text);
    let is_passed = |&(_, end): &(usize, usize)| {
        let probe = format!("{} {TOO_LARGE}", text.get(..end).unwrap_or_default());
        libpcap::compile(&probe, framing).is_err_and(|said| said.contains(TOO_LARGE))
    };
    // Whoever stops at one word has stopped at it in every longer text.
    match words.get(words.partition_point(is_passed)) {
        Some(&(start, end)) => {
            let word = text.get(start..end).unwrap_or_default();
            let before = text.get(..start).unwrap_or_default().chars().count();
            format!("{said} at `{word}`, character {}", before + 1)
        }
        None => format!("{said} at its end"),
    }
}

/// Where words begin and end: names and numbers, and single signs.
fn words(text: &str) -> Vec<(usize, usize)> {
    let of_a_name = |sign: char| sign.is_alphanumeric() || "._-:\\".contains(sign);
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut goes_on = false;
    for (at, sign) in text.char_indices() {
        let end = at + sign.len_utf8();
        match words.last_mut() {
            Some(word) if goes_on && of_a_name(sign) => word.1 = end,
            _ if sign.is_whitespace() => {}
            _ => words.push((at, end)),
        }
        goes_on = of_a_name(sign);
    }
    words
}
