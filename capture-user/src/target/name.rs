//! Interface names as text.
//!
//! The kernel takes any byte in a name except NUL, `/`, `:` and white space (`dev_valid_name` in
//! net/core/dev.c): terminal escapes and bytes that aren't UTF-8 among them. Whoever may create an
//! interface in a container chooses such a name, and the node's administrator reads it.

use std::fmt::{self, Display, Formatter, Write as _};

/// A name as the kernel gives it (a NUL ends it), with `\xNN` for each byte that isn't UTF-8.
///
/// A name so rewritten no longer finds its interface: `#INDEX` does.
#[must_use]
pub fn from_kernel(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(name, "\\x{byte:02x}");
        }
    }
    name
}

/// The text with everything escaped that a terminal could act on or that can't be seen.
#[must_use]
pub fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// See [`printable`].
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(&'a str);

impl Display for Printable<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            // `escape_debug` escapes these for the sake of Rust literals only.
            '\'' | '"' | '\\' => out.write_char(char),
            _ => write!(out, "{}", char.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_kept_up_to_its_nul() {
        assert_eq!(from_kernel(b"veth0\0"), "veth0");
        assert_eq!(from_kernel(b"veth0\0rest"), "veth0");
        assert_eq!(from_kernel(b"veth0"), "veth0");
        assert_eq!(from_kernel("zürich".as_bytes()), "zürich");
        assert_eq!(from_kernel(b""), "");
    }

    #[test]
    fn bytes_that_are_not_utf8_stay_told_apart() {
        assert_eq!(from_kernel(b"a\xff\xc3b\0"), "a\\xff\\xc3b");
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_in_print() {
        assert_eq!(printable("\x1b[31mred").to_string(), "\\u{1b}[31mred");
        assert_eq!(printable("a\nb\u{7f}").to_string(), "a\\nb\\u{7f}");
        assert_eq!(printable("\u{202e}0hte").to_string(), "\\u{202e}0hte");
        assert_eq!(printable("it's \"x\"\\é").to_string(), "it's \"x\"\\é");
    }
}
