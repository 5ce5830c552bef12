//! ICMP and ICMPv6.

use super::ip::{Ip, ipv4, ipv6};
use super::transport::{ICMP, ICMP6, SCTP, TCP, UDP, addresses, ports};
use super::{be16, be32};
use crate::flow::tuple::Tuple;

/// The tuple of an ICMP or ICMPv6 message, or what its error quotes, and what of its first eight
/// bytes no translation changes: an echo's identifier is one that does.
pub(super) fn icmp(ip: &Ip<'_>) -> (Option<Tuple>, Option<Option<Tuple>>, u64) {
    let Some(header) = ip.rest.first_chunk::<8>() else {
        return (None, None, 0);
    };
    let [kind, code, _, _, id0, id1, sequence0, sequence1] = *header;
    let stable = u64::from_be_bytes([kind, code, 0, 0, 0, 0, sequence0, sequence1]);
    let (echo, error) = if ip.protocol == ICMP {
        // RFC 792: echo and its reply; unreachable, source quench, redirect, time exceeded,
        // parameter problem.
        (matches!(kind, 0 | 8), matches!(kind, 3 | 4 | 5 | 11 | 12))
    } else {
        // RFC 4443: errors are those below 128; four are in use.
        (matches!(kind, 128 | 129), matches!(kind, 1..=4))
    };
    if error {
        let packet = ip.rest.get(8..).unwrap_or_default();
        let quoted = if ip.protocol == ICMP {
            ipv4(packet, u32::MAX)
        } else {
            ipv6(packet, u32::MAX)
        };
        let Some(quoted) = quoted.filter(|quoted| quoted.later_fragment == 0) else {
            return (None, Some(None), stable);
        };
        let mut stable = stable ^ u64::from(quoted.label) << 16;
        let tuple = match quoted.protocol {
            TCP | UDP | SCTP => {
                if quoted.protocol == TCP {
                    stable ^= be32(quoted.rest, 4).map_or(0, |sequence| u64::from(sequence) << 24);
                }
                ports(&quoted)
            }
            ICMP | ICMP6 => match icmp_echo_id(&quoted) {
                Some(id) => Some(addresses(&quoted, id)),
                None => Some(addresses(&quoted, 0)),
            },
            _ => Some(addresses(&quoted, 0)),
        };
        return (None, Some(tuple), stable);
    }
    let id = if echo {
        u16::from_be_bytes([id0, id1])
    } else {
        0
    };
    (Some(addresses(ip, id)), None, stable)
}

fn icmp_echo_id(ip: &Ip<'_>) -> Option<u16> {
    matches!(
        (ip.protocol, ip.rest.first()?),
        (ICMP, 0 | 8) | (ICMP6, 128 | 129)
    )
    .then(|| be16(ip.rest, 4))
    .flatten()
}
