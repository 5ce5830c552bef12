//! A packet's comment: one sentence for people, then ` [nodecap key=value …]` for programs.

use std::io::Write;

use crate::packet::Gso;

/// Room for the longest comment that [`GsoComment`] makes, both numbers at their largest.
const ROOM: usize = 160;

/// The comment on a super-frame. It lives on the stack: under bulk TCP nearly every packet has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct GsoComment {
    bytes: [u8; ROOM],
    len: usize,
}

impl GsoComment {
    /// Says what the frame stands for. A number of segments that the kernel doesn't know is left
    /// out.
    pub(super) fn new(gso: Gso) -> Self {
        let Gso { size, segments } = gso;
        let mut bytes = [0; ROOM];
        let mut rest = &mut bytes[..];
        let written = match segments {
            0 => write!(
                rest,
                "GSO super-frame in place of several segments with {size} bytes of payload each \
                 at most. [nodecap gso_size={size}]"
            ),
            _ => write!(
                rest,
                "GSO super-frame in place of {segments} segments with {size} bytes of payload \
                 each at most. [nodecap gso_size={size} gso_segments={segments}]"
            ),
        };
        let len = ROOM - rest.len();
        debug_assert!(written.is_ok(), "ROOM is too small");
        Self { bytes, len }
    }

    /// The comment's text, in ASCII.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

    use super::*;

    fn text(size: u16, segments: u16) -> String {
        String::from_utf8(GsoComment::new(Gso { size, segments }).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_super_frame_s_comment_is_a_sentence_and_then_keys_for_programs() {
        assert_eq!(
            text(1448, 3),
            "GSO super-frame in place of 3 segments with 1448 bytes of payload each at most. \
             [nodecap gso_size=1448 gso_segments=3]"
        );
    }

    #[test]
    fn segments_that_the_kernel_did_not_count_are_not_invented() {
        assert_eq!(
            text(1448, 0),
            "GSO super-frame in place of several segments with 1448 bytes of payload each at \
             most. [nodecap gso_size=1448]"
        );
    }

    #[test]
    fn the_longest_comment_has_room() {
        assert!(text(u16::MAX, u16::MAX).ends_with(" gso_segments=65535]"));
        assert!(text(u16::MAX, 0).ends_with(" [nodecap gso_size=65535]"));
    }
}
