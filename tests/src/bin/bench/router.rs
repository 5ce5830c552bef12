//! The packet's path: a namespace that forwards from one veth to another, which is where captures
//! are put, and one with both far ends.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::TcAttachType;
use aya::programs::tc::{self, NlOptions, TcAttachOptions};
use lab::frames::{DESTINATION_MAC, Flow, Frame};
use lab::namespace::Namespace;
use lab::tool;

use crate::Failure;
use crate::code::Code;
use crate::generator::{Generator, Pace, Sent};

/// ```text
///  node                                ends
///  watched  198.51.100.1    ────────── far-watched
///  plain    198.51.100.129  ────────── far-plain
///  out      203.0.113.1     ────────── far-out, where they end
/// ```
pub(crate) struct Router {
    /// What forwards. It has a tmpfs of its own on /dev/shm, which goes with it.
    pub(crate) node: Namespace,
    _ends: Namespace,
    /// What takes them there.
    _taker: Option<Code>,
    watched: u32,
    plain: u32,
}

impl Router {
    /// Where captures listen to what comes in.
    pub(crate) const WATCHED: &str = "watched";
    /// Where the same comes in and no capture listens.
    const PLAIN: &str = "plain";
    const OUT: &str = "out";

    pub(crate) fn new(fate: Fate) -> Result<Self, Failure> {
        let (node, ends) = (Namespace::silent(), Namespace::silent());
        // The packets' source is behind only one of the two.
        node.sysctl("net.ipv4.conf.all.rp_filter", "0");
        node.sysctl("net.ipv4.conf.default.rp_filter", "0");
        let mac = DESTINATION_MAC.map(|byte| format!("{byte:02x}")).join(":");
        for (near, address) in [
            (Self::WATCHED, "198.51.100.1/25"),
            (Self::PLAIN, "198.51.100.129/25"),
            (Self::OUT, "203.0.113.1/24"),
        ] {
            let pid = ends.pid();
            node.ip(&format!(
                "link add {near} address {mac} type veth peer name far-{near} netns {pid}"
            ));
            node.ip(&format!("addr add {address} dev {near}"));
            node.ip(&format!("link set {near} up"));
            ends.ip(&format!("link set far-{near} up"));
        }
        // Not far-out's own address.
        let neighbour = "neigh add 203.0.113.2 lladdr 02:00:00:00:00:99 nud permanent dev";
        node.ip(&format!("{neighbour} {}", Self::OUT));
        node.sysctl("net.ipv4.ip_forward", "1");
        tool::run(
            node.command("mount")
                .args(["-t", "tmpfs", "tmpfs", Self::MEMORY]),
        );
        let index = |name: &str| -> Result<u32, Failure> {
            let path = Path::new("/sys/class/net").join(name).join("ifindex");
            Ok(fs::read_to_string(node.outside(&path))?.trim().parse()?)
        };
        let taker = match fate {
            Fate::Taken => Some(ends.run(|| taker("far-out"))?),
            Fate::Dropped => None,
        };
        Ok(Self {
            _taker: taker,
            watched: index(Self::WATCHED)?,
            plain: index(Self::PLAIN)?,
            node,
            _ends: ends,
        })
    }

    const MEMORY: &str = "/dev/shm";

    /// A file in memory, as a program in the node names it.
    pub(crate) fn file(name: &str) -> PathBuf {
        Path::new(Self::MEMORY).join(name)
    }

    /// Sends packets through the node, in where captures listen.
    pub(crate) fn send(&self, packets: u64, pace: Pace) -> Result<Sent, Failure> {
        let mut generator = Generator::new(forwarded())?;
        let send = || generator.send([self.watched], packets, pace);
        self.node.run(send).map(|[sent]| sent)
    }

    /// Sends packets through the node, so many in where captures listen and so many in where they
    /// don't, by turns.
    pub(crate) fn send_both(&self, packets: u64, pace: Pace) -> Result<Both, Failure> {
        let mut generator = Generator::new(forwarded())?;
        let send = || generator.send([self.watched, self.plain], packets, pace);
        let [watched, plain] = self.node.run(send)?;
        Ok(Both { watched, plain })
    }
}

/// What becomes of the packets in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are taken, as by a network card or a socket.
    Taken,
    /// They are dropped, since they are for somebody else.
    Dropped,
}

/// `TC_ACT_STOLEN`, linux/pkt_cls.h. It ends in `consume_skb`, of which the tracepoint for drops isn't told.
const TC_ACT_STOLEN: i32 = 4;

/// A program that takes what comes in at an interface, for as long as it is held.
fn taker(interface: &str) -> Result<Code, Failure> {
    let mut code = Code::returning(TC_ACT_STOLEN)?;
    tc::qdisc_add_clsact(interface)?;
    // TCX knows no such verdict.
    let options = TcAttachOptions::Netlink(NlOptions::default());
    code.program()?
        .attach_with_options(interface, TcAttachType::Ingress, options)?;
    Ok(code)
}

/// What was sent by turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both {
    /// In where captures listen.
    pub(crate) watched: Sent,
    /// In where they don't.
    pub(crate) plain: Sent,
}

/// Every frame's length in bytes, its link header included.
pub(crate) const FRAME_LEN: usize = 1_400;

/// A UDP packet that the router forwards.
fn forwarded() -> Frame {
    let headers = 14 + 20 + 8;
    let payload = vec![0x5a; FRAME_LEN - headers];
    Flow::new("198.51.100.2:40000", "203.0.113.2:9").udp(&payload)
}
