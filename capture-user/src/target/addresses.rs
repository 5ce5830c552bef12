//! Addresses that come and go, in this namespace and in those that its links lead to.
//!
//! A container's address may go to another one within a moment. The kernel tells who listens to
//! all namespaces (`NETLINK_LISTEN_ALL_NSID`, since Linux 4.2): each that this one has a number
//! for, to whoever has `CAP_NET_BROADCAST` over it.

use std::io;
use std::net::IpAddr;

use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};

use super::links::decode;
use super::netlink;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` (include/uapi/linux/rtnetlink.h).
const GROUPS: u32 = 0x10 | 0x100;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened to these addresses.
    Of(Vec<IpAddr>),
    /// More happened than was told: to any of them.
    TooMuch,
}

/// Hears of addresses that come and go.
pub struct AddressWatch {
    socket: TokioSocket,
}

impl AddressWatch {
    /// Begins to listen, from the network namespace that the thread is in.
    ///
    /// It must run on a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_NET_BROADCAST`.
    pub fn start() -> io::Result<Self> {
        let socket = netlink::open(GROUPS)?;
        socket.socket_ref().set_listen_all_namespaces(true)?;
        Ok(Self { socket })
    }

    /// The next that is heard; waits for it. Nothing is lost when the future is dropped before it
    /// is ready.
    ///
    /// # Errors
    ///
    /// When the socket fails.
    pub async fn next(&mut self) -> io::Result<Heard> {
        loop {
            match self.socket.recv_from_full().await {
                Ok((datagram, sender)) if sender.port_number() == 0 => {
                    let addresses = addresses(&datagram);
                    if !addresses.is_empty() {
                        return Ok(Heard::Of(addresses));
                    }
                }
                Ok(_) => {} // not from the kernel
                Err(error) if netlink::is_overrun(&error) => return Ok(Heard::TooMuch),
                Err(error) => return Err(error),
            }
        }
    }
}

fn addresses(datagram: &[u8]) -> Vec<IpAddr> {
    netlink::messages(datagram)
        .filter(|message| [RTM_NEWADDR, RTM_DELADDR].contains(&message.kind))
        .filter_map(|message| decode::address(message.payload))
        .map(|(_, address)| address.addr())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::request;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    #[test]
    fn news_of_addresses_are_told_apart_from_others() {
        let body = |address: [u8; 4]| {
            let mut body = vec![2, 24, 0, 0, 7, 0, 0, 0];
            body.extend(attribute(2, &address));
            body
        };
        let mut datagram = request(RTM_NEWADDR, 0, &body([192, 0, 2, 1]));
        datagram.extend(request(RTM_DELADDR, 0, &body([192, 0, 2, 2])));
        datagram.extend(request(16, 0, &body([192, 0, 2, 3])));
        let told: Vec<_> = addresses(&datagram)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["192.0.2.1", "192.0.2.2"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let told = addresses(&bytes);
            prop_assert!(told.len() <= bytes.len());
        }
    }
}
