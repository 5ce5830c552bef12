//! Questions to the kernel over netlink, and its answers, without waiting for anything else.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::{Socket, SocketAddr};

use crate::netlink::{self, Answer, DUMP_ATTEMPTS};

/// A socket to the kernel.
pub(super) struct Asker {
    socket: Socket,
}

impl Asker {
    /// Opens one of a family (`NETLINK_*`).
    pub(super) fn open(family: isize) -> io::Result<Self> {
        let mut socket = Socket::new(family)?;
        socket.bind_auto()?;
        Ok(Self { socket })
    }

    /// Asks for all objects of a kind, and keeps what `read` makes of each message. What changed
    /// meanwhile may be missing or told twice: then it is asked for again.
    pub(super) fn dump<T>(
        &self,
        kind: u16,
        payload: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut all = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            all.clear();
            self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, payload)?;
            let undisturbed = self.receive(|payload| all.extend(read(payload)))?;
            if undisturbed {
                break;
            }
        }
        Ok(all)
    }

    /// Asks for one thing.
    pub(super) fn ask<T>(
        &self,
        kind: u16,
        payload: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let mut found = None;
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK, payload)?;
        self.receive(|payload| {
            if found.is_none() {
                found = read(payload);
            }
        })?;
        Ok(found)
    }

    fn send(&self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<()> {
        let message = netlink::request(kind, flags, payload);
        self.socket.send_to(&message, &SocketAddr::new(0, 0), 0)?;
        Ok(())
    }

    /// Hears the answer to its end. Whether nothing interfered.
    fn receive(&self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut answer = Answer::default();
        loop {
            let (datagram, sender) = match self.socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            if sender.port_number() != 0 {
                continue; // not from the kernel
            }
            if let Some(end) = answer.read(&datagram, |_, payload| each(payload)) {
                return end;
            }
        }
    }
}

/// Appends an attribute.
pub(super) fn put(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(request.len().next_multiple_of(4), 0);
}

/// The number in an attribute, in network byte order.
pub(super) fn be32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}

/// Likewise.
pub(super) fn be64(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.get(..8)?.try_into().ok()?))
}

/// Likewise.
pub(super) fn be16(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.get(..2)?.try_into().ok()?))
}

/// The number in an attribute, in host byte order.
pub(super) fn ne64(value: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(value.get(..8)?.try_into().ok()?))
}

/// The text in an attribute, up to its NUL.
pub(super) fn text(value: &[u8]) -> String {
    crate::target::name::from_kernel(value)
}

/// An address in as many bytes as it has.
pub(super) fn ip(value: &[u8]) -> Option<std::net::IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(value).ok().map(Into::into),
        _ => None,
    }
}

/// The names of the bits that are set, of those that have one.
pub(super) fn flags(bits: u32, names: &[(u32, &'static str)]) -> Vec<&'static str> {
    names
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| *name)
        .collect()
}
