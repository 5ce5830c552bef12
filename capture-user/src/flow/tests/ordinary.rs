//! A thousand ordinary connections through a masquerading node, with ports used again, losses and
//! packets out of order: nothing is made of them that they aren't.

use super::super::nat::NatKind;
use super::{ETH0, IN, MS, Node, OUT, Packet, SECOND, SERVER, VETH};

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A connection's packets in order: from the client?, the packet.
fn connection(dice: &mut Dice, port: u16, ip_id: &mut u16) -> Vec<(bool, Packet)> {
    let pod = format!("172.17.0.2:{port}");
    let (mut ours, mut theirs) = (dice.roll(1 << 32) as u32, dice.roll(1 << 32) as u32);
    let mut packets = Vec::new();
    let mut id = || {
        *ip_id = ip_id.wrapping_add(1);
        *ip_id
    };
    let client = |flags, sequence, ack| Packet::tcp(&pod, SERVER, flags, sequence, ack);
    let server = |flags, sequence, ack| Packet::tcp(SERVER, &pod, flags, sequence, ack);
    packets.push((true, client("S", ours, 0).id(id())));
    ours = ours.wrapping_add(1);
    packets.push((false, server("S.", theirs, ours).id(0)));
    theirs = theirs.wrapping_add(1);
    packets.push((true, client(".", ours, theirs).id(id())));
    for _ in 0..dice.roll(4) {
        let len = 1 + dice.roll(1_400) as usize;
        packets.push((true, client("P.", ours, theirs).data(len).id(id())));
        if dice.roll(10) == 0 {
            // Lost further on, and sent again.
            packets.push((true, client("P.", ours, theirs).data(len).id(id())));
        }
        ours = ours.wrapping_add(len as u32);
        for _ in 0..dice.roll(3) {
            let len = 1 + dice.roll(1_400) as usize;
            packets.push((false, server("P.", theirs, ours).data(len).id(id())));
            theirs = theirs.wrapping_add(len as u32);
        }
        packets.push((true, client(".", ours, theirs).id(id())));
    }
    packets.push((true, client("F.", ours, theirs).id(id())));
    ours = ours.wrapping_add(1);
    packets.push((false, server("F.", theirs, ours).id(id())));
    packets.push((true, client(".", ours, theirs.wrapping_add(1)).id(id())));
    // Neighbours that overtake each other, but for the handshake's.
    for at in 4..packets.len() {
        if dice.roll(12) == 0 && packets[at].0 == packets[at - 1].0 {
            packets.swap(at, at - 1);
        }
    }
    packets
}

#[test]
fn a_thousand_ordinary_connections_have_no_reset_and_no_false_translation() {
    for identities in [true, false] {
        let mut node = Node::new();
        let mut dice = Dice(7);
        let mut ip_id = 0;
        let (mut sent, mut sightings) = (0, 0);
        // Few ports, so each is used again and again; and few skbs.
        for round in 0..1_000u64 {
            let port = 40_000 + (round % 20) as u16;
            for (from_client, packet) in connection(&mut dice, port, &mut ip_id) {
                let skb = identities.then(|| 0x1000 + dice.roll(3) * 0x100);
                let outside = format!("192.0.2.1:{port}");
                let lost_before_the_second_hook = dice.roll(50) == 0;
                sent += 1;
                let places = if from_client {
                    [
                        (VETH, IN, packet.clone()),
                        (ETH0, OUT, packet.translated(&outside, SERVER)),
                    ]
                } else {
                    [
                        (ETH0, IN, packet.translated(SERVER, &outside)),
                        (VETH, OUT, packet.clone()),
                    ]
                };
                let count = if lost_before_the_second_hook { 1 } else { 2 };
                for (interface, direction, packet) in &places[..count] {
                    node.see(*interface, *direction, skb, packet);
                    sightings += 1;
                }
                node.wait(dice.roll(3 * MS));
            }
            let comments = node.comments();
            assert!(
                comments
                    .iter()
                    .all(|comment| comment.contains("nodecap nat kind=snat")),
                "{comments:?}"
            );
            node.wait(dice.roll(2 * SECOND));
            let now = node.now;
            node.tracker.expire(now);
        }
        let told = node.end();
        assert!(told.resets.is_empty());
        assert_eq!(told.flows.len(), 1_000, "identities known: {identities}");
        assert_eq!(told.nats.len(), 1_000);
        for nat in &told.nats {
            assert_eq!(nat.kind, NatKind::Snat);
            assert_eq!(nat.before.source.port, nat.after.source.port);
            assert_eq!(nat.before.source.address.to_string(), "172.17.0.2");
            assert_eq!(nat.after.source.address.to_string(), "192.0.2.1");
        }
        let packets: u64 = told.flows.iter().flat_map(|flow| flow.packets).sum();
        assert_eq!(packets, sent);
        let summary = node.tracker.summary();
        assert_eq!((summary.packets, summary.sightings), (sent, sightings));
        assert_eq!((summary.evicted, summary.untracked), (0, 0));
    }
}
