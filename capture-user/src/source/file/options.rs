//! pcapng's options: a code, a length, a value, padding to 32 bits (draft, section 3.5).

use super::order::Order;
use crate::packet::Gso;

const END: u16 = 0;
/// `opt_comment`.
pub(super) const COMMENT: u16 = 1;

/// The options of a block, up to the last or the first malformed one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Options<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { rest: bytes, order }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16(self.rest, 0)?;
        let len = usize::from(self.order.u16(self.rest, 2)?);
        if code == END {
            self.rest = &[];
            return None;
        }
        let value = self.rest.get(4..4 + len)?;
        self.rest = self
            .rest
            .get(4 + len.next_multiple_of(4)..)
            .unwrap_or_default();
        Some((code, value))
    }
}

/// What a comment of ours says about a super-frame (`sink::pcapng::comment`).
pub(super) fn gso(comment: &[u8]) -> Option<Gso> {
    let text = std::str::from_utf8(comment).ok()?;
    let (_, keys) = text.strip_suffix(']')?.rsplit_once(" [nodecap ")?;
    let value = |key: &str| {
        keys.split(' ')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
            .and_then(|value| value.parse().ok())
    };
    Some(Gso {
        size: value("gso_size")?,
        segments: value("gso_segments").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_one_after_another_up_to_the_end() {
        let bytes = b"\x01\0\x02\0hi\0\0\x05\0\x04\0abcd\0\0\0\0\x01\0\x02\0no\0\0";
        let options: Vec<_> = Options::new(bytes, Order::Little).collect();
        assert_eq!(options, [(1, &b"hi"[..]), (5, b"abcd")]);
    }

    #[test]
    fn an_option_longer_than_what_is_there_is_none() {
        let bytes = b"\0\x01\0\x02hi\0\0\0\x05\0\x09abcd";
        let options: Vec<_> = Options::new(bytes, Order::Big).collect();
        assert_eq!(options, [(1, &b"hi"[..])]);
        // The last value's padding may be missing.
        let bytes = b"\x01\0\x02\0hi";
        assert_eq!(Options::new(bytes, Order::Little).count(), 1);
    }

    #[test]
    fn what_our_comment_says_of_a_super_frame_is_understood() {
        let comment =
            b"GSO super-frame in place of 3 segments. [nodecap gso_size=1448 gso_segments=3]";
        let gso = |size, segments| Some(Gso { size, segments });
        assert_eq!(super::gso(comment), gso(1_448, 3));
        assert_eq!(super::gso(b"Many. [nodecap gso_size=1448]"), gso(1_448, 0));
        for other in [
            &b"A reset. [nodecap reset=pod]"[..],
            b" [nodecap gso_size=70000]",
            b"gso_size=1448",
            b"\xff [nodecap gso_size=1]",
        ] {
            assert_eq!(super::gso(other), None);
        }
    }
}
