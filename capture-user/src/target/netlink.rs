//! Just enough rtnetlink to read links, addresses and routes.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};

pub(super) use crate::netlink::{attributes, is_overrun, messages, u16_at, u32_at};

use crate::netlink::{self, errno};

/// `NLM_F_DUMP_INTR` (include/uapi/linux/netlink.h): what is dumped changed during the dump.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// How often a dump that something interfered with is begun again.
const ATTEMPTS: u32 = 8;

/// A socket that hears the multicast groups in the mask (`RTMGRP_*`), 0 for none, of the network
/// namespace that the thread is in.
pub(super) fn open(groups: u32) -> io::Result<TokioSocket> {
    netlink::open(NETLINK_ROUTE, groups)
}

/// Asks for all objects of a kind and hands each answer to `each`, as message type and payload.
///
/// What changed while the kernel was telling may be missing or told twice: then the dump is begun
/// again, and `each` hears `None` first, to forget what it was told.
///
/// The kernel reads the request strictly (`NETLINK_GET_STRICT_CHK`, since Linux 4.20) if told so:
/// then no attribute of it is ignored in silence.
pub(super) async fn dump(
    request: u16,
    payload: &[u8],
    strictly: bool,
    mut each: impl FnMut(Option<(u16, &[u8])>),
) -> io::Result<()> {
    for attempt in 1..=ATTEMPTS {
        each(None);
        let undisturbed = dump_once(request, payload, strictly, |kind, payload| {
            each(Some((kind, payload)));
        })
        .await?;
        if undisturbed {
            return Ok(());
        }
        tracing::debug!(attempt, request, "what was dumped changed meanwhile");
    }
    // Changing all the time: the last answer is as good as the next one would be.
    Ok(())
}

async fn dump_once(
    request: u16,
    payload: &[u8],
    strictly: bool,
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<bool> {
    let socket = open(0)?;
    if strictly {
        socket.socket_ref().set_netlink_get_strict_chk(true)?;
    }
    socket
        .send_to(
            &netlink::request(request, NLM_F_REQUEST | NLM_F_DUMP, payload),
            &SocketAddr::new(0, 0),
        )
        .await?;
    let mut undisturbed = true;
    loop {
        let (datagram, sender) = socket.recv_from_full().await?;
        if sender.port_number() != 0 {
            continue; // not from the kernel
        }
        for message in messages(&datagram) {
            undisturbed &= message.flags & NLM_F_DUMP_INTR == 0;
            match message.kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    return match errno(message.payload) {
                        0 => Ok(undisturbed),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    };
                }
                kind => each(kind, message.payload),
            }
        }
    }
}
