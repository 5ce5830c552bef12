//! What a capture doesn't see isn't taken for what didn't happen: one direction alone (`-Q`, a mirrored
//! port, another way back), a connection joined late, segments captured twice.

use super::super::reset::Cause;
use super::{ETH0, IN, MS, Node, OUT, POD, Packet, SECOND, SERVER, VETH};

const CLIENT: &str = "198.51.100.7:50000";
const SERVICE: &str = "192.0.2.1:443";

/// The client's segments alone, as they come in.
struct Client(Node);

impl Client {
    fn new() -> Self {
        Self(Node::new())
    }

    fn sends(&mut self, flags: &'static str, sequence: u32, ack: u32, data: usize) -> &mut Self {
        let packet = Packet::tcp(CLIENT, SERVICE, flags, sequence, ack);
        let id = u16::try_from(self.0.now / 1_000 % 65_535).unwrap() + 1;
        let mut packet = packet.ttl(57).data(data).id(id);
        packet.stamps = Some((1, 1));
        self.0.at(ETH0, IN, &packet);
        self.0.wait(10 * MS);
        self
    }

    fn cause(&mut self) -> Cause {
        let told = self.0.end();
        assert_eq!(told.resets.len(), 1, "{told:#?}");
        told.resets[0].cause
    }
}

#[test]
fn that_there_was_nothing_to_read_is_not_said_of_a_peer_that_nobody_saw() {
    let mut client = Client::new();
    client
        .sends("S", 1_000, 0, 0)
        .sends(".", 1_001, 9_001, 0)
        .sends("P.", 1_001, 9_001, 100)
        // Half a megabyte came from the server, by another way.
        .sends(".", 1_101, 509_001, 0)
        .sends("R.", 1_101, 509_001, 0);
    assert_eq!(client.cause(), Cause::Unknown);
}

#[test]
fn nor_of_what_the_reset_itself_acknowledges_and_nobody_saw() {
    for (acknowledged, cause) in [(9_001, Cause::ApplicationAbort), (9_501, Cause::Unknown)] {
        let mut node = Node::new();
        let seen = |node: &mut Node, from, to, flags, sequence, ack| {
            let side = if from == POD { IN } else { OUT };
            let mut packet = Packet::tcp(from, to, flags, sequence, ack);
            packet.stamps = Some((1, 1));
            node.at(VETH, side, &packet);
            node.wait(MS);
        };
        seen(&mut node, POD, SERVER, "S", 1_000, 0);
        seen(&mut node, SERVER, POD, "S.", 9_000, 1_001);
        seen(&mut node, POD, SERVER, ".", 1_001, 9_001);
        seen(&mut node, POD, SERVER, "R.", 1_001, acknowledged);
        assert_eq!(node.end().resets[0].cause, cause, "{acknowledged}");
    }
}

#[test]
fn that_nobody_answered_is_not_said_of_a_peer_that_nobody_saw() {
    let mut client = Client::new();
    client.sends(".", 5_000, 9_001, 0);
    for _ in 0..3 {
        client.0.wait(15 * SECOND);
        client.sends(".", 4_999, 9_001, 0);
    }
    client.sends("R.", 5_000, 9_001, 0);
    assert_eq!(client.cause(), Cause::Unknown);
    // An upload, with a segment sent again now and then.
    let mut client = Client::new();
    client.sends("S", 1_000, 0, 0).sends(".", 1_001, 9_001, 0);
    for part in 0..6 {
        client.sends("P.", 1_001 + part * 100, 9_001, 100);
        client.sends("P.", 1_001 + part * 100, 9_001, 100);
        client.0.wait(60 * SECOND);
    }
    client.sends("R.", 1_601, 9_001, 0);
    assert_eq!(client.cause(), Cause::Unknown);
}

#[test]
fn what_a_side_acknowledges_it_has_heard() {
    // The server's way is seen at first, then it takes another one.
    let mut client = Client::new();
    client.sends("S", 1_000, 0, 0);
    let accepts = Packet::tcp(SERVICE, CLIENT, "S.", 9_000, 1_001);
    client.0.at(ETH0, OUT, &accepts);
    client.sends(".", 1_001, 9_001, 0);
    for part in 0..6 {
        // All is answered, with ten bytes.
        client.sends("P.", 1_001 + part * 100, 9_001 + part * 10, 100);
        client.sends("P.", 1_001 + part * 100, 9_001 + part * 10, 100);
    }
    client.sends("R.", 1_601, 9_061, 0);
    assert_eq!(client.cause(), Cause::Unknown);
}

#[test]
fn a_server_that_accepts_the_next_connection_of_a_port_is_not_going_on_after_its_reset() {
    let mut node = Node::new();
    let server = |node: &mut Node, flags, sequence, ack, data| {
        let packet = Packet::tcp(SERVICE, CLIENT, flags, sequence, ack);
        let mut packet = packet.data(data);
        packet.stamps = Some((1, 1));
        node.at(ETH0, OUT, &packet);
        node.wait(500 * MS);
    };
    server(&mut node, "S.", 9_000, 1_001, 0);
    server(&mut node, "P.", 9_001, 1_101, 100);
    server(&mut node, "R.", 9_101, 1_101, 0);
    // Linux begins the next one further on.
    server(&mut node, "S.", 15_600_000, 70_001, 0);
    server(&mut node, "P.", 15_600_001, 70_101, 100);
    server(&mut node, "P.", 15_600_101, 70_201, 100);
    let told = node.end();
    assert_eq!(told.flows.len(), 2, "{:#?}", told.flows);
    assert_eq!(told.flows[0].resets.len(), 1);
    assert_ne!(told.flows[0].resets[0].cause, Cause::Injected);
}

#[test]
fn a_client_that_resets_an_earlier_connection_and_opens_with_the_same_syn_is_one_flow() {
    let mut node = Node::new();
    let client = |node: &mut Node, flags, sequence, ack| {
        node.at(VETH, IN, &Packet::tcp(POD, SERVER, flags, sequence, ack));
        node.wait(MS);
    };
    let server = |node: &mut Node, flags, sequence, ack| {
        node.at(VETH, OUT, &Packet::tcp(SERVER, POD, flags, sequence, ack));
        node.wait(MS);
    };
    client(&mut node, "S", 5_000, 0);
    // A half-open connection's acknowledgement, which is reset.
    server(&mut node, ".", 80_000, 70_000);
    client(&mut node, "R", 70_000, 0);
    node.wait(SECOND);
    client(&mut node, "S", 5_000, 0);
    server(&mut node, "S.", 90_000, 5_001);
    client(&mut node, ".", 5_001, 90_001);
    assert_eq!(node.end().flow().packets, [4, 2]);
}

#[test]
fn a_segment_that_was_captured_twice_was_not_sent_again() {
    let mut node = Node::new();
    let twice = |node: &mut Node, packet: &Packet| {
        for _ in 0..2 {
            node.see(
                VETH,
                if packet.from.to_string() == POD {
                    IN
                } else {
                    OUT
                },
                None,
                packet,
            );
        }
    };
    twice(&mut node, &Packet::tcp(POD, SERVER, "S", 1_000, 0));
    twice(
        &mut node,
        &Packet::tcp(SERVER, POD, "S.", 9_000, 1_001).id(0),
    );
    twice(
        &mut node,
        &Packet::tcp(POD, SERVER, ".", 1_001, 9_001).id(8),
    );
    for part in 0..8 {
        let data = Packet::tcp(POD, SERVER, "P.", 1_001 + part * 10, 9_001).data(10);
        twice(&mut node, &data.id(100 + part as u16));
    }
    // Sent again indeed, with another identification, and that captured twice as well.
    let again = Packet::tcp(POD, SERVER, "P.", 1_071, 9_001)
        .data(10)
        .id(200);
    twice(&mut node, &again);
    let told = node.end();
    let tcp = told.flow().tcp.unwrap();
    assert_eq!(tcp.retransmits[0], 1);
    assert_eq!(told.flow().packets, [22, 2]);
}
