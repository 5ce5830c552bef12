//! What all options share: a code, a length, a value, padding to 32 bits (draft, section 3.5).

/// `opt_endofopt`: ends a list of options.
pub(super) const END: u16 = 0;
/// `opt_comment`.
pub(super) const COMMENT: u16 = 1;
/// The code and the length in front of each value; also the whole of [`END`].
pub(super) const HEADER_LEN: usize = 4;
/// What one value can hold: its length is a `u16`.
const VALUE_MAX: usize = u16::MAX as usize;

/// Zeroes that bring `len` up to a multiple of four.
pub(super) const fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

/// The bytes that an option with a value of `len` bytes takes.
pub(super) const fn option_len(len: usize) -> usize {
    HEADER_LEN + len + padding(len)
}

/// As much of `text` as fits into an option that has `taken` bytes of its value used already, cut
/// where a character begins.
pub(super) fn fitting(text: &str, taken: usize) -> &str {
    &text[..text.floor_char_boundary(VALUE_MAX.saturating_sub(taken))]
}

/// Appends an option. The caller has made `value` fit: see [`fitting`].
// Most values have a length that the caller knows: inlined, copying them is a store or two.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    debug_assert!(value.len() <= VALUE_MAX);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(&[0; 3][..padding(value.len())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_on_32_bits() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(padding), [0, 3, 2, 1, 0, 3]);
        for len in 0..9 {
            let mut out = Vec::new();
            put(&mut out, COMMENT, &vec![b'x'; len]);
            assert_eq!(out.len(), option_len(len));
            assert_eq!(out.len() % 4, 0);
        }
    }

    #[test]
    fn a_text_too_long_for_an_option_is_cut_between_characters() {
        let long = "é".repeat(40_000);
        assert_eq!(fitting(&long, 0).len(), 65_534);
        assert_eq!(fitting(&long, 2).len(), 65_532);
        assert_eq!(fitting("short", 1), "short");
    }
}
