//! Routes.

use std::io;
use std::net::IpAddr;

use serde::Serialize;

use super::{HEADER_LEN, KINDS, PROTOCOLS, TABLES, ask, family_of, named, scope};
use crate::netlink::{attributes, u16_at, u32_at};
use crate::node::ask::ip;

// include/uapi/linux/rtnetlink.h.
const RTM_GETROUTE: u16 = 26;
const RTM_F_CLONED: u32 = 0x200;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;
const RTAX_MTU: u16 = 2;
const RTNEXTHOP_LEN: usize = 8;

/// A route: `ip route show table all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// The table, by its number, or `main`, `local`, `default`.
    pub table: String,
    /// Where it leads: a prefix, or `default`.
    pub destination: String,
    /// The sources that it is for, where it isn't for all.
    pub source: Option<String>,
    /// The type of service that it is for; 0 for all.
    pub tos: u8,
    /// Its metric.
    pub priority: u32,
    /// What it does: `unicast`, `local`, `blackhole`…
    pub kind: String,
    /// The next hops: one, unless it has several paths. Empty where a next-hop object holds them.
    pub via: Vec<NextHop>,
    /// The next-hop object's id.
    pub nexthop_id: Option<u32>,
    /// The address that packets are sent from.
    pub prefsrc: Option<IpAddr>,
    /// How far it reaches.
    pub scope: String,
    /// Who made it: `kernel`, `static`, `bird`…
    pub protocol: String,
    /// Its MTU, where it has one of its own.
    pub mtu: Option<u32>,
}

/// One way that a route leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NextHop {
    /// The next router, unless the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface's index.
    pub interface: Option<u32>,
    /// Its share, of all of them.
    pub weight: u16,
}

/// The routes of all tables, without those that the kernel keeps as a cache.
///
/// # Errors
///
/// When the kernel refuses a socket or an answer.
pub fn routes() -> io::Result<Vec<Route>> {
    ask(RTM_GETROUTE, route)
}

fn route(message: &[u8]) -> Option<Route> {
    let family = family_of(message)?;
    let [_, dst_len, src_len, tos, table, protocol, reach, kind] = *message.first_chunk::<8>()?;
    if u32_at(message, 8)? & RTM_F_CLONED != 0 {
        return None;
    }
    let (mut destination, mut source) = (None, None);
    let mut number = u32::from(table);
    let mut hop = NextHop {
        weight: 1,
        ..NextHop::default()
    };
    let mut route = Route {
        family,
        table: String::new(),
        destination: String::new(),
        source: None,
        tos,
        priority: 0,
        kind: named(kind.into(), &KINDS),
        via: Vec::new(),
        nexthop_id: None,
        prefsrc: None,
        scope: scope(reach),
        protocol: named(protocol.into(), &PROTOCOLS),
        mtu: None,
    };
    for attribute in attributes(message.get(HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            RTA_DST => destination = ip(value),
            RTA_SRC => source = ip(value),
            RTA_OIF => hop.interface = u32_at(value, 0),
            RTA_GATEWAY => hop.gateway = ip(value),
            RTA_VIA => hop.gateway = value.get(2..).and_then(ip),
            RTA_PRIORITY => route.priority = u32_at(value, 0).unwrap_or_default(),
            RTA_PREFSRC => route.prefsrc = ip(value),
            RTA_METRICS => {
                let mut metrics = attributes(value);
                let mtu = metrics.find(|metric| metric.kind() == RTAX_MTU);
                route.mtu = mtu.and_then(|mtu| u32_at(mtu.value(), 0));
            }
            RTA_MULTIPATH => route.via = next_hops(value),
            RTA_TABLE => number = u32_at(value, 0).unwrap_or(number),
            RTA_NH_ID => route.nexthop_id = u32_at(value, 0),
            _ => {}
        }
    }
    if route.via.is_empty() && (hop.interface.is_some() || hop.gateway.is_some()) {
        route.via.push(hop);
    }
    route.table = named(number, &TABLES);
    route.destination = match destination {
        Some(address) => format!("{address}/{dst_len}"),
        None if dst_len == 0 => "default".to_owned(),
        None => return None,
    };
    route.source = source.map(|address| format!("{address}/{src_len}"));
    Some(route)
}

/// The `struct rtnexthop`s of a route with several paths: a length, flags, the share less one, the
/// interface, attributes.
fn next_hops(mut bytes: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let (Some(length), Some(index)) = (u16_at(bytes, 0), u32_at(bytes, 4)) {
        let length = usize::from(length).max(RTNEXTHOP_LEN);
        let mut hop = NextHop {
            gateway: None,
            interface: Some(index),
            weight: u16::from(bytes[3]) + 1,
        };
        let rest = bytes.get(RTNEXTHOP_LEN..length).unwrap_or_default();
        for attribute in attributes(rest) {
            match attribute.kind() {
                RTA_GATEWAY => hop.gateway = ip(attribute.value()),
                RTA_VIA => hop.gateway = attribute.value().get(2..).and_then(ip),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    #[test]
    fn a_route_leads_somewhere_by_some_way() {
        let attributes = [
            attribute(RTA_DST, &[198, 51, 100, 0]),
            attribute(RTA_GATEWAY, &[192, 0, 2, 1]),
            attribute(RTA_OIF, &4_u32.to_ne_bytes()),
            attribute(RTA_PRIORITY, &100_u32.to_ne_bytes()),
            attribute(RTA_METRICS, &attribute(RTAX_MTU, &1400_u32.to_ne_bytes())),
        ];
        let header = [2, 24, 0, 0, 254, 4, 0, 1];
        let told = route(&message(header, 0, &attributes)).expect("a route");
        assert_eq!(told.destination, "198.51.100.0/24");
        assert_eq!(
            (told.table.as_str(), told.protocol.as_str()),
            ("main", "static")
        );
        assert_eq!((told.kind.as_str(), told.priority), ("unicast", 100));
        assert_eq!(told.mtu, Some(1400));
        let hop = NextHop {
            gateway: Some("192.0.2.1".parse().expect("an address")),
            interface: Some(4),
            weight: 1,
        };
        assert_eq!(told.via, [hop]);
        // The cache isn't told.
        assert!(route(&message(header, RTM_F_CLONED, &attributes)).is_none());
        let default = route(&message([10, 0, 0, 0, 254, 9, 0, 1], 0, &[])).expect("a route");
        assert_eq!(
            (default.family, default.destination.as_str()),
            ("inet6", "default")
        );
    }

    #[test]
    fn every_path_of_a_route_with_several_is_told() {
        let hop = |index: u32, gateway| {
            let mut hop = vec![16, 0, 0, 1];
            hop.extend(index.to_ne_bytes());
            hop.extend(attribute(RTA_GATEWAY, &[192, 0, 2, gateway]));
            hop
        };
        let paths = attribute(RTA_MULTIPATH, &[hop(4, 1), hop(6, 2)].concat());
        let told = route(&message([2, 0, 0, 0, 254, 3, 0, 1], 0, &[paths])).expect("a route");
        let shown: Vec<_> = told
            .via
            .iter()
            .map(|hop| (hop.interface, hop.weight))
            .collect();
        assert_eq!(shown, [(Some(4), 2), (Some(6), 2)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = route(&bytes);
            prop_assert!(next_hops(&bytes).len() <= bytes.len());
        }
    }
}
