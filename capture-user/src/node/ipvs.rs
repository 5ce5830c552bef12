//! The kernel's load balancer: its services and the servers behind them, over generic netlink.

use std::io;
use std::net::{IpAddr, SocketAddr as Socket};
use std::path::Path;

use netlink_sys::protocols::NETLINK_GENERIC;
use serde::Serialize;

use super::Unavailable;
use super::ask::{Asker, be16, ip, ne64, put, text};
use crate::netlink::{attributes, u16_at, u32_at};

// include/uapi/linux: genetlink.h, ip_vs.h.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const GENLMSGHDR_LEN: usize = 4;
const IPVS_GENL_VERSION: u8 = 1;
const IPVS_CMD_GET_SERVICE: u8 = 4;
const IPVS_CMD_GET_DEST: u8 = 8;
const IPVS_CMD_ATTR_SERVICE: u16 = 1;
const IPVS_CMD_ATTR_DEST: u16 = 2;
const IPVS_SVC_ATTR_AF: u16 = 1;
const IPVS_SVC_ATTR_PROTOCOL: u16 = 2;
const IPVS_SVC_ATTR_ADDR: u16 = 3;
const IPVS_SVC_ATTR_PORT: u16 = 4;
const IPVS_SVC_ATTR_FWMARK: u16 = 5;
const IPVS_SVC_ATTR_SCHED_NAME: u16 = 6;
const IPVS_SVC_ATTR_STATS: u16 = 10;
const IPVS_SVC_ATTR_STATS64: u16 = 12;
const IPVS_DEST_ATTR_ADDR: u16 = 1;
const IPVS_DEST_ATTR_PORT: u16 = 2;
const IPVS_DEST_ATTR_FWD_METHOD: u16 = 3;
const IPVS_DEST_ATTR_WEIGHT: u16 = 4;
const IPVS_DEST_ATTR_ACTIVE_CONNS: u16 = 7;
const IPVS_DEST_ATTR_INACT_CONNS: u16 = 8;
const IPVS_DEST_ATTR_STATS: u16 = 10;
const IPVS_DEST_ATTR_ADDR_FAMILY: u16 = 11;
const IPVS_DEST_ATTR_STATS64: u16 = 12;
const IPVS_STATS_ATTR_CONNS: u16 = 1;
const IPVS_STATS_ATTR_INPKTS: u16 = 2;
const IPVS_STATS_ATTR_OUTPKTS: u16 = 3;
const IPVS_STATS_ATTR_INBYTES: u16 = 4;
const IPVS_STATS_ATTR_OUTBYTES: u16 = 5;
const IP_VS_CONN_F_FWD_MASK: u32 = 7;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets to the servers.
    pub in_packets: u64,
    /// Packets from the servers, where they come through here.
    pub out_packets: u64,
    /// Bytes to the servers.
    pub in_bytes: u64,
    /// Bytes from the servers.
    pub out_bytes: u64,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// What is balanced: `tcp 192.0.2.1:80`, or `fwmark 256` for packets with that mark.
    pub service: String,
    /// What it is called, if somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How a server is chosen: `rr`, `wlc`…
    pub scheduler: String,
    /// What was counted.
    #[serde(flatten)]
    pub count: Count,
    /// The servers.
    pub backends: Vec<Backend>,
    /// How the kernel is told which one is meant.
    #[serde(skip)]
    which: Which,
}

impl Service {
    /// The address that is balanced; none for packets with a mark.
    #[must_use]
    pub fn address(&self) -> Option<Socket> {
        self.which.socket().filter(|_| self.which.fwmark.is_none())
    }

    /// The mark by which it knows its packets; none for those of an address.
    #[must_use]
    pub fn mark(&self) -> Option<u32> {
        self.which.fwmark
    }
}

/// A server behind a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Where it is. Port 0: the packet's own.
    pub address: Socket,
    /// What its address is called, if somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How packets get there: `masquerade`, `local`, `tunnel`, `route`, `bypass`.
    pub method: &'static str,
    /// Its share; 0: no new connections.
    pub weight: u32,
    /// Connections that are open now.
    pub active: u32,
    /// Connections that are closing or silent now.
    pub inactive: u32,
    /// What was counted.
    #[serde(flatten)]
    pub count: Count,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Which {
    family: u16,
    protocol: u16,
    address: Vec<u8>,
    /// In network byte order.
    port: Vec<u8>,
    fwmark: Option<u32>,
}

/// Whether the namespace's kernel has it.
#[must_use]
pub fn is_there() -> bool {
    Path::new("/proc/thread-self/net/ip_vs").exists()
}

/// Reads the services of the namespace.
///
/// # Errors
///
/// Where the kernel has no IPVS, or without `CAP_NET_ADMIN`.
pub fn read() -> Result<Vec<Service>, Unavailable> {
    // Asking for the family would load the module.
    if !is_there() {
        return Err(Unavailable("IPVS isn't loaded in this kernel".to_owned()));
    }
    let asker = Asker::open(NETLINK_GENERIC)?;
    let mut request = header(CTRL_CMD_GETFAMILY, 1);
    put(&mut request, CTRL_ATTR_FAMILY_NAME, b"IPVS\0");
    let Some(family) = asker.ask(GENL_ID_CTRL, &request, family_id)? else {
        return Err(Unavailable("IPVS doesn't speak netlink here".to_owned()));
    };
    let request = header(IPVS_CMD_GET_SERVICE, IPVS_GENL_VERSION);
    let mut services = asker.dump(family, &request, service)?;
    for service in &mut services {
        let mut request = header(IPVS_CMD_GET_DEST, IPVS_GENL_VERSION);
        put(
            &mut request,
            IPVS_CMD_ATTR_SERVICE,
            &service.which.question(),
        );
        let same = service.which.family;
        service.backends = match asker.dump(family, &request, |message| backend(message, same)) {
            // It went meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Vec::new(),
            found => found.map_err(|error: io::Error| Unavailable::from(error))?,
        };
    }
    Ok(services)
}

/// `struct genlmsghdr`.
fn header(command: u8, version: u8) -> Vec<u8> {
    vec![command, version, 0, 0]
}

fn family_id(message: &[u8]) -> Option<u16> {
    let id = attributes(message.get(GENLMSGHDR_LEN..)?)
        .find(|attribute| attribute.kind() == CTRL_ATTR_FAMILY_ID)?;
    u16_at(id.value(), 0)
}

impl Which {
    fn question(&self) -> Vec<u8> {
        let mut nested = Vec::new();
        put(&mut nested, IPVS_SVC_ATTR_AF, &self.family.to_ne_bytes());
        match self.fwmark {
            Some(mark) => put(&mut nested, IPVS_SVC_ATTR_FWMARK, &mark.to_ne_bytes()),
            None => {
                put(
                    &mut nested,
                    IPVS_SVC_ATTR_PROTOCOL,
                    &self.protocol.to_ne_bytes(),
                );
                put(&mut nested, IPVS_SVC_ATTR_ADDR, &self.address);
                put(&mut nested, IPVS_SVC_ATTR_PORT, &self.port);
            }
        }
        nested
    }

    fn socket(&self) -> Option<Socket> {
        let address = address(self.family, &self.address)?;
        Some(Socket::new(address, be16(&self.port)?))
    }

    fn name(&self) -> Option<String> {
        if let Some(mark) = self.fwmark {
            return Some(format!("fwmark {mark}"));
        }
        let protocol = match self.protocol {
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            132 => "sctp".to_owned(),
            other => format!("protocol {other}"),
        };
        Some(format!("{protocol} {}", self.socket()?))
    }
}

/// An address in the first bytes of a `union nf_inet_addr`.
fn address(family: u16, bytes: &[u8]) -> Option<IpAddr> {
    let length = match i32::from(family) {
        libc::AF_INET => 4,
        libc::AF_INET6 => 16,
        _ => return None,
    };
    ip(bytes.get(..length)?)
}

fn service(message: &[u8]) -> Option<Service> {
    let nested = attributes(message.get(GENLMSGHDR_LEN..)?)
        .find(|attribute| attribute.kind() == IPVS_CMD_ATTR_SERVICE)?;
    let mut which = Which::default();
    let (mut scheduler, mut narrow, mut wide) = (String::new(), None, None);
    for attribute in attributes(nested.value()) {
        let value = attribute.value();
        match attribute.kind() {
            IPVS_SVC_ATTR_AF => which.family = u16_at(value, 0)?,
            IPVS_SVC_ATTR_PROTOCOL => which.protocol = u16_at(value, 0)?,
            IPVS_SVC_ATTR_ADDR => which.address = value.to_vec(),
            IPVS_SVC_ATTR_PORT => which.port = value.to_vec(),
            IPVS_SVC_ATTR_FWMARK => which.fwmark = u32_at(value, 0),
            IPVS_SVC_ATTR_SCHED_NAME => scheduler = text(value),
            IPVS_SVC_ATTR_STATS => narrow = Some(count(value)),
            IPVS_SVC_ATTR_STATS64 => wide = Some(count(value)),
            _ => {}
        }
    }
    Some(Service {
        service: which.name()?,
        name: None,
        scheduler,
        count: wide.or(narrow).unwrap_or_default(),
        backends: Vec::new(),
        which,
    })
}

fn backend(message: &[u8], family: u16) -> Option<Backend> {
    let nested = attributes(message.get(GENLMSGHDR_LEN..)?)
        .find(|attribute| attribute.kind() == IPVS_CMD_ATTR_DEST)?;
    let (mut bytes, mut port, mut family) = (Vec::new(), 0, family);
    let (mut narrow, mut wide) = (None, None);
    let mut backend = Backend {
        address: Socket::from(([0, 0, 0, 0], 0)),
        name: None,
        method: "masquerade",
        weight: 0,
        active: 0,
        inactive: 0,
        count: Count::default(),
    };
    for attribute in attributes(nested.value()) {
        let value = attribute.value();
        match attribute.kind() {
            IPVS_DEST_ATTR_ADDR => bytes = value.to_vec(),
            IPVS_DEST_ATTR_PORT => port = be16(value)?,
            IPVS_DEST_ATTR_FWD_METHOD => backend.method = method(u32_at(value, 0)?),
            IPVS_DEST_ATTR_WEIGHT => backend.weight = u32_at(value, 0)?,
            IPVS_DEST_ATTR_ACTIVE_CONNS => backend.active = u32_at(value, 0)?,
            IPVS_DEST_ATTR_INACT_CONNS => backend.inactive = u32_at(value, 0)?,
            IPVS_DEST_ATTR_ADDR_FAMILY => family = u16_at(value, 0)?,
            IPVS_DEST_ATTR_STATS => narrow = Some(count(value)),
            IPVS_DEST_ATTR_STATS64 => wide = Some(count(value)),
            _ => {}
        }
    }
    backend.address = Socket::new(address(family, &bytes)?, port);
    backend.count = wide.or(narrow).unwrap_or_default();
    Some(backend)
}

/// `IP_VS_CONN_F_*`, the forwarding methods.
const fn method(flags: u32) -> &'static str {
    match flags & IP_VS_CONN_F_FWD_MASK {
        0 => "masquerade",
        1 => "local",
        2 => "tunnel",
        3 => "route",
        4 => "bypass",
        _ => "unknown",
    }
}

/// Numbers of 32 bits, or of 64 since Linux 4.1: by their length. Rates are left out.
fn count(nested: &[u8]) -> Count {
    let mut count = Count::default();
    for attribute in attributes(nested) {
        let value = attribute.value();
        let number = ne64(value).or_else(|| u32_at(value, 0).map(u64::from));
        let number = number.unwrap_or_default();
        match attribute.kind() {
            IPVS_STATS_ATTR_CONNS => count.connections = number,
            IPVS_STATS_ATTR_INPKTS => count.in_packets = number,
            IPVS_STATS_ATTR_OUTPKTS => count.out_packets = number,
            IPVS_STATS_ATTR_INBYTES => count.in_bytes = number,
            IPVS_STATS_ATTR_OUTBYTES => count.out_bytes = number,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn message(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut message = header(1, 1);
        message.extend(attribute(kind, &parts.concat()));
        message
    }

    #[test]
    fn a_service_is_an_address_or_a_mark() {
        let mut wide = [0; 16];
        wide[..4].copy_from_slice(&[192, 0, 2, 1]);
        let by_address = [
            attribute(IPVS_SVC_ATTR_AF, &2_u16.to_ne_bytes()),
            attribute(IPVS_SVC_ATTR_PROTOCOL, &6_u16.to_ne_bytes()),
            attribute(IPVS_SVC_ATTR_ADDR, &wide),
            attribute(IPVS_SVC_ATTR_PORT, &80_u16.to_be_bytes()),
            attribute(IPVS_SVC_ATTR_SCHED_NAME, b"rr\0"),
            attribute(IPVS_SVC_ATTR_STATS64, &attribute(1, &5_u64.to_ne_bytes())),
            attribute(IPVS_SVC_ATTR_STATS, &attribute(1, &4_u32.to_ne_bytes())),
        ];
        let told = service(&message(IPVS_CMD_ATTR_SERVICE, &by_address)).expect("a service");
        assert_eq!(
            (told.service.as_str(), told.scheduler.as_str()),
            ("tcp 192.0.2.1:80", "rr")
        );
        assert_eq!(told.count.connections, 5);
        let by_mark = [
            attribute(IPVS_SVC_ATTR_AF, &2_u16.to_ne_bytes()),
            attribute(IPVS_SVC_ATTR_FWMARK, &256_u32.to_ne_bytes()),
        ];
        let told = service(&message(IPVS_CMD_ATTR_SERVICE, &by_mark)).expect("a service");
        assert_eq!(told.service, "fwmark 256");
        // It is asked for by what it is.
        let asked: Vec<_> = attributes(&told.which.question())
            .map(|part| part.kind())
            .collect();
        assert_eq!(asked, [IPVS_SVC_ATTR_AF, IPVS_SVC_ATTR_FWMARK]);
    }

    #[test]
    fn a_backend_has_an_address_a_method_and_a_share() {
        let mut wide = [0; 16];
        wide[..4].copy_from_slice(&[10, 0, 0, 7]);
        let parts = [
            attribute(IPVS_DEST_ATTR_ADDR, &wide),
            attribute(IPVS_DEST_ATTR_PORT, &0_u16.to_be_bytes()),
            attribute(IPVS_DEST_ATTR_FWD_METHOD, &0x203_u32.to_ne_bytes()),
            attribute(IPVS_DEST_ATTR_WEIGHT, &1_u32.to_ne_bytes()),
            attribute(IPVS_DEST_ATTR_ACTIVE_CONNS, &3_u32.to_ne_bytes()),
        ];
        let told = backend(&message(IPVS_CMD_ATTR_DEST, &parts), 2).expect("a backend");
        assert_eq!(told.address, "10.0.0.7:0".parse().expect("an address"));
        assert_eq!((told.method, told.weight, told.active), ("route", 1, 3));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, family: u16) {
            let _ = (service(&bytes), backend(&bytes, family), family_id(&bytes));
        }
    }
}
