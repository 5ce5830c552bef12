//! Puts packets on an interface one by one, as they are, and is done when they have passed the
//! egress hooks: a program there has run for the packet when [`PacketSocket::send`] returns.
//!
//! A device without a link header (tun) takes packets of any length, from one byte on. Ethernet
//! devices want at least their header.

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, send, socket,
};

use crate::namespace::Namespace;
use crate::tool;

/// What the stack is told that the packets are (`skb->protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// What their link header says.
    ByHeader,
    /// IPv4, whatever is in them.
    Ipv4,
    /// IPv6, whatever is in them.
    Ipv6,
    /// Neither of the two.
    Other,
}

/// A raw packet socket (packet(7)) on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    index: u32,
}

impl PacketSocket {
    /// A socket that sends through `interface` of the namespace.
    ///
    /// # Panics
    ///
    /// Without the privilege, and when there is no such interface.
    #[must_use]
    #[track_caller]
    pub fn new(namespace: &Namespace, interface: &str, announced: Announced) -> Self {
        let protocol = match announced {
            // Zero: the kernel reads it off each packet (packet_parse_headers).
            Announced::ByHeader => None,
            Announced::Ipv4 => Some(SockProtocol::EthIp),
            Announced::Ipv6 => Some(SockProtocol::EthIpv6),
            Announced::Other => Some(SockProtocol::EthLoop),
        };
        let opened = namespace.run(|| -> nix::Result<Self> {
            let address = link_address(interface)?;
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                protocol,
            )?;
            bind(socket.as_raw_fd(), &address)?;
            let index = u32::try_from(address.ifindex()).map_err(|_| Errno::ERANGE)?;
            Ok(Self { socket, index })
        });
        match opened {
            Ok(socket) => socket,
            Err(error) => panic!("no packet socket on {interface} (run as root): {error}"),
        }
    }

    /// The interface's index.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Sends the packet's bytes if the interface is up: whether it was.
    #[must_use]
    pub fn send_if_up(&self, packet: &[u8]) -> bool {
        send(self.socket.as_raw_fd(), packet, MsgFlags::empty()).is_ok()
    }

    /// Sends the packet's bytes and nothing else. What becomes of them behind the egress hooks
    /// doesn't matter here: a tun device that nobody reads from drops them.
    ///
    /// # Panics
    ///
    /// When the kernel refuses the packet before the hooks.
    #[track_caller]
    pub fn send(&self, packet: &[u8]) {
        match send(self.socket.as_raw_fd(), packet, MsgFlags::empty()) {
            Ok(sent) if sent == packet.len() => {}
            Err(Errno::ENOBUFS) => {}
            other => panic!("{} bytes can't be sent: {other:?}", packet.len()),
        }
    }
}

/// The address of a link of this thread's namespace. A link without a hardware address has none
/// in getifaddrs(3), so another link with its index lends it one, in a namespace that is there for
/// nothing else: binding looks at nothing but the index.
fn link_address(interface: &str) -> nix::Result<LinkAddr> {
    if let Some(address) = listed_address(interface)? {
        return Ok(address);
    }
    let index = if_nametoindex(interface)?;
    let lent = std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let add = format!("link add lent index {index} type bridge");
            tool::run(Command::new(tool::path("ip")).args(add.split_whitespace()));
            listed_address("lent")
        });
        elsewhere.join()
    });
    match lent {
        Ok(address) => address?.ok_or(Errno::ENODEV),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn listed_address(interface: &str) -> nix::Result<Option<LinkAddr>> {
    let entries = getifaddrs()?.filter(|entry| entry.interface_name == interface);
    Ok(entries
        .filter_map(|entry| entry.address)
        .find_map(|address| address.as_link_addr().copied()))
}
