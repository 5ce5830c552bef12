//! What an interface stands for in the path of a packet.

/// What lies behind an interface, as far as it decides where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The world: an interface with a default route, or a physical one.
    Uplink,
    /// One container or namespace: the host side of a veth whose peer is in another one.
    Pod,
    /// Several of the above, such as a bridge: what comes in there came from one of its ports.
    Shared,
    /// This node itself: loopback.
    Local,
    /// Not known, as in a file that somebody else wrote.
    Unknown,
}
