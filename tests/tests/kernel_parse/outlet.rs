//! Devices that a bench's packets leave through, past the program at their egress hook.

use std::rc::Rc;

use capture_user::kernel::Kernel;
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::namespace::Namespace;
use lab::packet_socket::{Announced, PacketSocket};
use lab::topology::Wire;

use crate::reference::Start;

/// A device in a namespace of its own, where nobody else sends.
pub(crate) struct Outlet {
    namespace: Namespace,
    device: &'static str,
    framing: Framing,
    by_header: PacketSocket,
    ipv4: PacketSocket,
    ipv6: PacketSocket,
    other: PacketSocket,
}

impl Outlet {
    /// A tun device, which has no link header.
    pub(crate) fn tun() -> Rc<Self> {
        Self::tun_of(Framing::Bare)
    }

    /// A tun device that the program for Ethernet is attached to nevertheless: it lets frames of
    /// less than an Ethernet header through, which no Ethernet device does.
    pub(crate) fn tun_of_ethernet() -> Rc<Self> {
        Self::tun_of(Framing::Ethernet)
    }

    fn tun_of(framing: Framing) -> Rc<Self> {
        let namespace = Namespace::silent();
        namespace.ip("tuntap add mode tun name tun0");
        namespace.ip("link set tun0 mtu 65535 up");
        Self::new(namespace, "tun0", framing)
    }

    /// A veth device. Of a frame above a page's size the packet socket puts only the Ethernet
    /// header into the skb's linear part and the rest into page fragments (`packet_alloc_skb`,
    /// net/packet/af_packet.c), so the program has to ask the kernel for the other headers.
    pub(crate) fn veth() -> Rc<Self> {
        let wire = Wire::with_mtu(65_535);
        Self::new(wire.namespace, Wire::SENDER, Framing::Ethernet)
    }

    fn new(namespace: Namespace, device: &'static str, framing: Framing) -> Rc<Self> {
        let socket = |announced| PacketSocket::new(&namespace, device, announced);
        Rc::new(Self {
            by_header: socket(Announced::ByHeader),
            ipv4: socket(Announced::Ipv4),
            ipv6: socket(Announced::Ipv6),
            other: socket(Announced::Other),
            namespace,
            device,
            framing,
        })
    }

    pub(crate) fn index(&self) -> u32 {
        self.by_header.index()
    }

    #[track_caller]
    pub(crate) fn attach(&self, kernel: &mut Kernel) {
        let attached = self
            .namespace
            .run(|| kernel.attach(self.index(), self.device, self.framing, Direction::Out));
        if let Err(error) = attached {
            panic!("{error}");
        }
    }

    /// Lets the packet leave. The program has seen it when this returns.
    #[track_caller]
    pub(crate) fn send(&self, start: Start, packet: &[u8]) {
        let socket = match start {
            Start::Ethernet => &self.by_header,
            Start::Network(0x0800) => &self.ipv4,
            Start::Network(0x86dd) => &self.ipv6,
            Start::Network(_) => &self.other,
        };
        socket.send(packet);
    }
}
