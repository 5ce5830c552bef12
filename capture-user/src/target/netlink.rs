//! Just enough rtnetlink to read links, addresses and routes.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};

pub(super) use crate::netlink::{attributes, is_overrun, messages, u16_at, u32_at};

use crate::netlink::{self, Answer, DUMP_ATTEMPTS};

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
    for attempt in 1..=DUMP_ATTEMPTS {
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
    let mut answer = Answer::default();
    loop {
        let (datagram, sender) = socket.recv_from_full().await?;
        if sender.port_number() != 0 {
            continue; // not from the kernel
        }
        if let Some(end) = answer.read(&datagram, &mut each) {
            return end;
        }
    }
}
