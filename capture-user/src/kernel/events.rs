//! The kernel side's events, as the evidence that they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;

use aya::maps::MapData;
use capture_common::event::{Event, EventKind, EventTuple};
use zerocopy::FromBytes as _;

use super::identity::IdentityKey;
use super::reasons::Reasons;
use super::ring::{Next, Ring};
use super::types::Types;
use crate::flow::evidence::{Change, Drop, Evidence, Fact, KernelReset, Mapping};
use crate::flow::tuple::{Endpoint, Tuple};

/// The reader of the events' ring. Whoever reads it must come by its timer: it wakes nobody.
pub struct Events {
    ring: Ring,
    /// Programs that are loaded later refer to the map by this file descriptor.
    _map: MapData,
    key: IdentityKey,
    reasons: &'static Reasons,
}

impl Events {
    pub(super) fn new(map: MapData, bytes: u32, key: IdentityKey) -> std::io::Result<Self> {
        Ok(Self {
            ring: Ring::new(map.fd().as_fd().try_clone_to_owned()?, 0, bytes, key)?,
            _map: map,
            key,
            reasons: &Types::of_this_kernel().reasons,
        })
    }

    /// The next event, if there is one. They come in nearly the order of their times: two CPUs
    /// may tell at once.
    pub fn next_event(&mut self) -> Option<Evidence> {
        self.ring.look();
        while let Next::Record(position) = self.ring.advance() {
            let event = self
                .ring
                .bytes(position)
                .and_then(|bytes| Event::read_from_prefix(bytes).ok())
                .map(|(event, _)| Event {
                    identity: self.key.apply(event.identity),
                    ..event
                });
            self.ring.release(self.ring.position());
            if let Some(evidence) = event.and_then(|event| evidence(&event, self.reasons)) {
                return Some(evidence);
            }
        }
        None
    }
}

/// What an event says; nothing, if it is none that is known.
fn evidence(event: &Event, reasons: &Reasons) -> Option<Evidence> {
    let tuple = |tuple| tuple_of(event, tuple);
    let reset = || {
        Some(KernelReset {
            tuple: tuple(&event.tuple)?,
            reason: reasons.of_reset(event.reason),
            netns: event.netns,
        })
    };
    let fact = match event.kind {
        EventKind::RESET_SENT => Fact::ResetSent(reset()?),
        EventKind::RESET_RECEIVED => Fact::ResetReceived(reset()?),
        EventKind::DROPPED => Fact::Dropped(Drop {
            identity: event.identity,
            tuple: tuple(&event.tuple),
            reason: reasons.of_drop(event.reason),
        }),
        EventKind::CONNTRACK => Fact::Conntrack(Mapping {
            original: tuple(&event.tuple)?,
            reply: tuple(&event.reply)?,
            change: Change::Present,
        }),
        _ => return None,
    };
    Some(Evidence {
        time: event.ktime,
        fact,
    })
}

fn tuple_of(event: &Event, tuple: &EventTuple) -> Option<Tuple> {
    let address = |bytes: [u8; 16]| match event.version {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        6 => Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    };
    Some(Tuple {
        source: Endpoint {
            address: address(tuple.source)?,
            port: tuple.source_port,
        },
        destination: Endpoint {
            address: address(tuple.destination)?,
            port: tuple.destination_port,
        },
        protocol: u8::try_from(event.protocol).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::event::NO_REASON;

    fn event(kind: u32) -> Event {
        let mut tuple = EventTuple {
            source_port: 41_022,
            destination_port: 443,
            ..EventTuple::default()
        };
        tuple.source[..4].copy_from_slice(&[172, 17, 0, 2]);
        tuple.destination[..4].copy_from_slice(&[192, 0, 2, 9]);
        Event {
            ktime: 7,
            identity: 11,
            kind,
            reason: NO_REASON,
            netns: 13,
            version: 4,
            protocol: 6,
            tuple,
            reply: tuple,
        }
    }

    #[test]
    fn a_resets_tuple_time_and_namespace_come_through() {
        let told = evidence(&event(EventKind::RESET_SENT), &Reasons::default());
        let Some(Evidence {
            time: 7,
            fact: Fact::ResetSent(reset),
        }) = told
        else {
            panic!("{told:?}");
        };
        assert_eq!(reset.tuple.source.to_string(), "172.17.0.2:41022");
        assert_eq!(reset.tuple.destination.to_string(), "192.0.2.9:443");
        assert_eq!((reset.netns, reset.reason), (13, None));
    }

    #[test]
    fn an_event_of_no_known_kind_or_ip_version_is_left_out() {
        assert_eq!(evidence(&event(99), &Reasons::default()), None);
        let strange = Event {
            version: 5,
            ..event(EventKind::RESET_SENT)
        };
        assert_eq!(evidence(&strange, &Reasons::default()), None);
    }
}
