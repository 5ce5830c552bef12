//! Just enough rtnetlink for queueing disciplines and filters (`tc`): add, delete, list; and to see
//! which XDP programs an interface has.
//!
//! Blocking: the kernel answers before the call that asks returns.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::refused::{Refused, outcome, text};
use super::xdp;
use crate::netlink::{attributes, messages, request, u32_at};
use crate::packet::Direction;

// include/uapi/linux/rtnetlink.h
const RTM_GETLINK: u16 = 18;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
// include/uapi/linux/pkt_cls.h
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// Never in the network card instead of here: a card would not tell us anything.
const TCA_CLS_FLAGS_SKIP_HW: u32 = 1;
// include/uapi/linux/pkt_sched.h
const CLSACT_HANDLE: u32 = 0xffff_0000;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_MIN_INGRESS: u32 = 0xffff_fff2;
const TC_H_MIN_EGRESS: u32 = 0xffff_fff3;
/// `ETH_P_ALL` in network byte order, as `tcm_info` holds it.
const EVERY_PROTOCOL: u16 = 0x0003_u16.to_be();
// include/uapi/linux/if_link.h: each mode's attribute with the number of its program.
const IFLA_XDP: u16 = 43;
const XDP_PROGRAM_IDS: [(u16, &str); 3] = [(5, "native"), (6, "generic"), (7, "offloaded")];
/// `sizeof(struct ifinfomsg)`.
const IFINFOMSG_LEN: usize = 16;
/// `sizeof(struct tcmsg)`.
const TCMSG_LEN: usize = 20;

/// A queueing discipline, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Qdisc {
    pub(super) index: u32,
    pub(super) handle: u32,
    pub(super) kind: Vec<u8>,
}

impl Qdisc {
    /// Whether it is where programs for what comes in and goes out are hung up: `clsact`, or
    /// `ingress`, the older one without a way out.
    pub(super) fn takes_filters(&self) -> bool {
        self.handle == CLSACT_HANDLE
    }
}

/// A filter, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) kind: Vec<u8>,
    /// 0 for what the filters of one priority have in common.
    pub(super) handle: u32,
    pub(super) priority: u16,
    /// `TCA_BPF_NAME`, for one of kind `bpf`.
    pub(super) name: Option<String>,
}

/// Where a filter of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) index: u32,
    pub(super) direction: Direction,
    pub(super) priority: u16,
    pub(super) handle: u32,
}

/// What the kernel says to one of several requests.
pub(super) type Answer = Result<(), Refused>;

/// A socket of the network namespace that it was opened in, wherever it is used.
pub(super) struct Rtnetlink(Socket);

impl Rtnetlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self(socket))
    }

    /// Adds a clsact qdisc and in it a filter that runs an eBPF program, and says what became of
    /// each: `EEXIST` if the interface has such a qdisc, or an ingress qdisc.
    ///
    /// Both in one datagram, which the kernel works off within the system call that sends it
    /// (`netlink_rcv_skb`), the second also if it refuses the first. A signal is heard after that;
    /// only where a module has to be loaded for the filter, once since the machine has started, a
    /// kill still comes between.
    pub(super) fn add_clsact_with_bpf(
        &self,
        at: &At,
        name: &str,
        program: i32,
    ) -> Result<(Answer, Answer), Refused> {
        let mut qdisc = tcmsg(at.index, CLSACT_HANDLE, TC_H_CLSACT, 0);
        attribute(&mut qdisc, TCA_KIND, b"clsact\0");
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        let mut both = request(RTM_NEWQDISC, flags, &qdisc);
        // Messages start at multiples of four, and these payloads end there.
        both.extend(request(RTM_NEWTFILTER, flags, &at.bpf(name, program)));
        self.0.send_to(&both, &SocketAddr::new(0, 0), 0)?;
        let qdisc = self.answers(|_| {})?;
        let filter = self.answers(|_| {})?;
        Ok((qdisc, filter))
    }

    /// Takes the clsact qdisc away, with every filter in it.
    pub(super) fn delete_clsact(&self, index: u32) -> Result<(), Refused> {
        let payload = tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
        self.ask(RTM_DELQDISC, 0, &payload, |_| {})
    }

    /// The clsact or ingress qdisc of an interface.
    pub(super) fn clsact(&self, index: u32) -> Result<Option<Qdisc>, Refused> {
        let payload = tcmsg(index, 0, TC_H_CLSACT, 0);
        let mut found = None;
        let asked = self.ask(RTM_GETQDISC, NLM_F_ECHO, &payload, |payload| {
            found = qdisc(payload).or_else(|| found.take());
        });
        match asked {
            Ok(()) => Ok(found),
            Err(refused) if refused.errno() == libc::ENOENT => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Every interface's qdiscs.
    pub(super) fn qdiscs(&self) -> Result<Vec<Qdisc>, Refused> {
        let mut found = Vec::new();
        self.ask(RTM_GETQDISC, NLM_F_DUMP, &tcmsg(0, 0, 0, 0), |payload| {
            found.extend(qdisc(payload));
        })?;
        Ok(found)
    }

    /// The filters on an interface's clsact qdisc, one way; none if it has no such qdisc.
    pub(super) fn filters(&self, index: u32, direction: Direction) -> Result<Vec<Filter>, Refused> {
        let payload = tcmsg(index, 0, parent(direction), 0);
        let mut found = Vec::new();
        self.ask(RTM_GETTFILTER, NLM_F_DUMP, &payload, |payload| {
            found.extend(filter(payload));
        })?;
        Ok(found)
    }

    /// Adds a filter that runs an eBPF program and does what that returns (direct action).
    /// `EEXIST` if the handle is taken, `EINVAL` if the priority is another kind of filter's.
    pub(super) fn add_bpf(&self, at: &At, name: &str, program: i32) -> Result<(), Refused> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RTM_NEWTFILTER, flags, &at.bpf(name, program), |_| {})
    }

    /// Takes away one filter of kind `bpf`. `ENOENT` if it isn't there.
    pub(super) fn delete_bpf(&self, at: &At) -> Result<(), Refused> {
        let mut payload = at.tcmsg();
        attribute(&mut payload, TCA_KIND, b"bpf\0");
        self.ask(RTM_DELTFILTER, 0, &payload, |_| {})
    }

    /// The XDP programs on an interface.
    pub(super) fn xdp_programs(&self, index: u32) -> Result<Vec<xdp::Program>, Refused> {
        // Family, padding and type, then the index, flags, and which flags to change.
        let mut payload = vec![0; IFINFOMSG_LEN];
        payload[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut found = Vec::new();
        self.ask(RTM_GETLINK, 0, &payload, |payload| {
            found.extend(xdp_programs(payload));
        })?;
        Ok(found)
    }

    /// Sends a request and hands each answer's payload to `each`, until the kernel says that it
    /// is done.
    fn ask(
        &self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        each: impl FnMut(&[u8]),
    ) -> Result<(), Refused> {
        let dumps = flags & NLM_F_DUMP == NLM_F_DUMP;
        let ack = if dumps { 0 } else { NLM_F_ACK };
        let message = request(kind, NLM_F_REQUEST | ack | flags, payload);
        self.0.send_to(&message, &SocketAddr::new(0, 0), 0)?;
        self.answers(each)?
    }

    /// Hands the payload of each answer to one request to `each`, and says what became of it.
    fn answers(&self, mut each: impl FnMut(&[u8])) -> io::Result<Result<(), Refused>> {
        loop {
            let (datagram, sender) = self.0.recv_from_full()?;
            if sender.port_number() != 0 {
                continue; // not from the kernel
            }
            for message in messages(&datagram) {
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => return Ok(outcome(message.payload)),
                    _ => each(message.payload),
                }
            }
        }
    }
}

impl At {
    fn tcmsg(&self) -> Vec<u8> {
        let info = u32::from(self.priority) << 16 | u32::from(EVERY_PROTOCOL);
        tcmsg(self.index, self.handle, parent(self.direction), info)
    }

    /// A filter here that runs an eBPF program and does what that returns (direct action).
    fn bpf(&self, name: &str, program: i32) -> Vec<u8> {
        let mut options = Vec::new();
        attribute(&mut options, TCA_BPF_FD, &program.to_ne_bytes());
        attribute(
            &mut options,
            TCA_BPF_NAME,
            &[name.as_bytes(), b"\0"].concat(),
        );
        for (kind, flags) in [
            (TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
            (TCA_BPF_FLAGS_GEN, TCA_CLS_FLAGS_SKIP_HW),
        ] {
            attribute(&mut options, kind, &flags.to_ne_bytes());
        }
        let mut payload = self.tcmsg();
        attribute(&mut payload, TCA_KIND, b"bpf\0");
        attribute(&mut payload, TCA_OPTIONS, &options);
        payload
    }
}

fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::In => TC_H_MIN_INGRESS,
        Direction::Out => TC_H_MIN_EGRESS,
    }
}

/// `struct tcmsg`: family and padding, then four numbers.
fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for number in [index, handle, parent, info] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Names of 40 bytes are the longest values here.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

fn value(bytes: &[u8], kind: u16) -> Option<Vec<u8>> {
    attributes(bytes)
        .find(|attribute| attribute.kind() == kind)
        .map(|attribute| attribute.value().to_vec())
}

fn kind(payload: &[u8]) -> Option<Vec<u8>> {
    let mut kind = value(payload.get(TCMSG_LEN..)?, TCA_KIND)?;
    kind.retain(|byte| *byte != 0);
    Some(kind)
}

fn qdisc(payload: &[u8]) -> Option<Qdisc> {
    Some(Qdisc {
        index: u32_at(payload, 4)?,
        handle: u32_at(payload, 8)?,
        kind: kind(payload)?,
    })
}

fn xdp_programs(payload: &[u8]) -> Vec<xdp::Program> {
    let Some(xdp) = payload
        .get(IFINFOMSG_LEN..)
        .and_then(|attributes| value(attributes, IFLA_XDP))
    else {
        return Vec::new();
    };
    XDP_PROGRAM_IDS
        .iter()
        .filter_map(|(kind, mode)| {
            let id = u32_at(&value(&xdp, *kind)?, 0)?;
            Some(xdp::Program { id, mode })
        })
        .collect()
}

fn filter(payload: &[u8]) -> Option<Filter> {
    let kind = kind(payload)?;
    let name = (kind == b"bpf")
        .then(|| value(payload.get(TCMSG_LEN..)?, TCA_OPTIONS))
        .flatten()
        .and_then(|options| value(&options, TCA_BPF_NAME))
        .map(|name| text(&name));
    Some(Filter {
        kind,
        handle: u32_at(payload, 8)?,
        priority: u16::try_from(u32_at(payload, 16)? >> 16).ok()?,
        name,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_of_ours_is_read_as_it_was_written() {
        let at = At {
            index: 7,
            direction: Direction::Out,
            priority: 1,
            handle: 0x4e00_0001,
        };
        let mut options = Vec::new();
        attribute(&mut options, TCA_BPF_NAME, b"nodecap:1:2\0");
        let mut payload = at.tcmsg();
        attribute(&mut payload, TCA_KIND, b"bpf\0");
        attribute(&mut payload, TCA_OPTIONS, &options);
        assert_eq!(
            filter(&payload),
            Some(Filter {
                kind: b"bpf".to_vec(),
                handle: 0x4e00_0001,
                priority: 1,
                name: Some("nodecap:1:2".to_owned()),
            })
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_taken_without_a_panic(payload: Vec<u8>) {
            let _ = (qdisc(&payload), filter(&payload));
            let _ = xdp_programs(&payload);
        }
    }
}
