//! Just enough netlink to ask the kernel and to read what it says, for every family alike.
//!
//! The messages are taken apart here, attribute by attribute, instead of by a decoder of whole
//! messages: such a decoder drops the message that holds one attribute it can't digest (a name
//! that isn't UTF-8 is enough), and a link that can't be seen or a removal that isn't heard of is
//! worse than an attribute that isn't understood.

use std::io;

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer, NlasIterator};
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

const HEADER_LEN: usize = 16;
/// `NLM_F_DUMP_INTR` (include/uapi/linux/netlink.h): what is dumped changed during the dump.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// How often a dump that something interfered with is begun again. Where it changes all the time,
/// the last answer is as good as the next one would be.
pub(crate) const DUMP_ATTEMPTS: u32 = 8;

/// One netlink message, borrowed from the datagram that it came in.
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// `nlmsg_flags`.
    pub(crate) flags: u16,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram, up to the first malformed one.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = usize::try_from(message.length()).ok()?;
        let message = Message {
            kind: message.message_type(),
            flags: message.flags(),
            payload: message.payload(),
        };
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(message)
    })
}

/// The attributes of a message or of a nested attribute, up to the first malformed one.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// The `u32` at an offset, in host byte order.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// The `u16` at an offset, in host byte order.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// A socket of a family (`NETLINK_*`) that hears the multicast groups in the mask, 0 for none, of
/// the network namespace that the thread is in.
///
/// It must run on a tokio runtime with I/O enabled.
pub(crate) fn open(family: isize, groups: u32) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(family)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    Ok(socket)
}

/// Whether the kernel had to drop news because nobody read them in time.
pub(crate) fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// The error number in an `NLMSG_ERROR` or `NLMSG_DONE`: there it is negative, 0 for none.
pub(crate) fn errno(payload: &[u8]) -> i32 {
    u32_at(payload, 0).map_or(0, |code| code.cast_signed().saturating_neg())
}

/// The kernel's answer to one request, which may take several datagrams.
#[derive(Default)]
pub(crate) struct Answer {
    disturbed: bool,
}

impl Answer {
    /// Reads a datagram of it, and hands the type and the payload of each message to `each`. At the
    /// answer's end: whether it is of one piece, since nothing changed meanwhile; or the kernel's
    /// refusal.
    pub(crate) fn read(
        &mut self,
        datagram: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> Option<io::Result<bool>> {
        for message in messages(datagram) {
            self.disturbed |= message.flags & NLM_F_DUMP_INTR != 0;
            match message.kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    return Some(match errno(message.payload) {
                        0 => Ok(!self.disturbed),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    });
                }
                kind => each(kind, message.payload),
            }
        }
        None
    }
}

/// A message to the kernel.
pub(crate) fn request(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; HEADER_LEN + payload.len()];
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    message[HEADER_LEN..].copy_from_slice(payload);
    let mut header = NetlinkBuffer::new(&mut message);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags(flags);
    header.set_sequence_number(1);
    message
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An attribute with its header and padding.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).expect("a short value");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_datagram_of_two_messages_is_two_messages() {
        let mut datagram = request(18, 0, b"12345");
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram.extend(request(22, 0, b"678"));
        let seen: Vec<_> = messages(&datagram).map(|m| (m.kind, m.payload)).collect();
        assert_eq!(seen, [(18, &b"12345"[..]), (22, &b"678"[..])]);
    }

    #[test]
    fn the_error_number_is_read_from_its_negative() {
        assert_eq!(errno(&(-95_i32).to_ne_bytes()), 95);
        assert_eq!(errno(&0_i32.to_ne_bytes()), 0);
        assert_eq!(errno(&i32::MIN.to_ne_bytes()), i32::MAX);
        assert_eq!(errno(b""), 0);
    }

    /// What an answer of these messages (type, flags, payload) comes to, and how many were handed
    /// on.
    fn answered(datagrams: &[&[(u16, u16, &[u8])]]) -> (Option<Result<bool, Option<i32>>>, usize) {
        let (mut answer, mut heard) = (Answer::default(), 0);
        for messages in datagrams {
            let messages = messages.iter();
            let datagram: Vec<u8> = messages
                .flat_map(|(kind, flags, payload)| request(*kind, *flags, payload))
                .collect();
            if let Some(end) = answer.read(&datagram, |_, _| heard += 1) {
                return (Some(end.map_err(|error| error.raw_os_error())), heard);
            }
        }
        (None, heard)
    }

    #[test]
    fn an_answer_ends_once_and_tells_whether_something_interfered() {
        let (part, done) = (
            &[(16, 0, &b"1234"[..])][..],
            (NLMSG_DONE, 0, &[0_u8; 4][..]),
        );
        assert_eq!(answered(&[part, part]), (None, 2));
        assert_eq!(answered(&[part, &[done]]), (Some(Ok(true)), 1));
        let disturbed = (16, NLM_F_DUMP_INTR, &b"1234"[..]);
        assert_eq!(
            answered(&[&[disturbed], part, &[done]]),
            (Some(Ok(false)), 2)
        );
        let refusal = (NLMSG_ERROR, 0, &(-libc::EPERM).to_ne_bytes()[..]);
        let after = (16, 0, &b"1234"[..]);
        let refused = Some(Err(Some(libc::EPERM)));
        assert_eq!(answered(&[&[refusal, after]]), (refused, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_come_apart_without_a_panic_and_to_an_end(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                prop_assert!(message.payload.len() <= bytes.len());
            }
            for attribute in attributes(&bytes) {
                prop_assert!(attribute.value().len() <= bytes.len());
            }
        }
    }
}
