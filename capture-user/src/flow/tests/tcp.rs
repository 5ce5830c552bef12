//! One connection as a bystander sees it.

use super::{ETH0, IN, MS, Node, OUT, POD, Packet, SECOND, SERVER, VETH};

/// Both ends' packets on the container's interface alone.
struct Line(Node);

impl Line {
    fn new() -> Self {
        Self(Node::new())
    }

    fn client(&mut self, flags: &'static str, sequence: u32, ack: u32, data: usize) {
        self.0.at(
            VETH,
            IN,
            &Packet::tcp(POD, SERVER, flags, sequence, ack).data(data),
        );
    }

    fn server(&mut self, flags: &'static str, sequence: u32, ack: u32, data: usize) {
        self.0.at(
            VETH,
            OUT,
            &Packet::tcp(SERVER, POD, flags, sequence, ack).data(data),
        );
    }

    fn open(&mut self) {
        self.client("S", 1_000, 0, 0);
        self.0.wait(MS);
        self.server("S.", 9_000, 1_001, 0);
        self.client(".", 1_001, 9_001, 0);
    }

    fn state(&mut self) -> &'static str {
        self.0.end().flow().state
    }
}

#[test]
fn a_handshake_is_timed_from_the_syn_to_its_last_acknowledgement() {
    let mut line = Line::new();
    line.open();
    let told = line.0.end();
    let flow = told.flow();
    assert_eq!(flow.state, "established");
    assert_eq!(flow.packets, [2, 1]);
    // A millisecond and two steps of 20 µs.
    assert_eq!(flow.tcp.unwrap().handshake_us, Some(1_040));
    assert_eq!(flow.client.to_string(), POD);
    assert_eq!(flow.server.to_string(), SERVER);
}

#[test]
fn every_phase_has_its_state() {
    type Step = fn(&mut Line);
    let steps: [(Step, &str); 6] = [
        (|line| line.client("S", 1_000, 0, 0), "syn-sent"),
        (|line| line.server("S.", 9_000, 1_001, 0), "syn-received"),
        (|line| line.client(".", 1_001, 9_001, 0), "established"),
        (|line| line.client("F.", 1_001, 9_001, 0), "closing"),
        (|line| line.server("F.", 9_001, 1_002, 0), "closed"),
        (|line| line.server("R", 9_002, 0, 0), "reset"),
    ];
    for count in 1..=steps.len() {
        let mut line = Line::new();
        for (step, _) in &steps[..count] {
            step(&mut line);
        }
        assert_eq!(line.state(), steps[count - 1].1);
    }
}

#[test]
fn a_connection_joined_late_is_unknown_until_both_sides_were_seen() {
    let mut line = Line::new();
    line.client("P.", 5_000, 7_000, 10);
    assert_eq!(line.state(), "unknown");
    let mut line = Line::new();
    line.server("P.", 7_000, 5_000, 10);
    line.client(".", 5_000, 7_010, 0);
    let told = line.0.end();
    assert_eq!(told.flow().state, "established");
    // The well-known port is the server's, whoever is seen first.
    assert_eq!(told.flow().client.to_string(), POD);
    assert_eq!(told.flow().packets, [1, 1]);
    assert_eq!(told.flow().tcp.unwrap().handshake_us, None);
}

#[test]
fn a_segment_sent_again_is_a_retransmission() {
    let mut line = Line::new();
    line.open();
    line.client("P.", 1_001, 9_001, 100);
    line.0.wait(200 * MS);
    line.client("P.", 1_001, 9_001, 100);
    line.0.wait(400 * MS);
    line.client("P.", 1_001, 9_001, 100);
    line.server(".", 9_001, 1_101, 0);
    let told = line.0.end();
    let tcp = told.flow().tcp.unwrap();
    assert_eq!((tcp.retransmits, tcp.out_of_order), ([2, 0], [0, 0]));
    assert_eq!(told.flow().packets, [5, 2]);
}

#[test]
fn a_segment_that_another_overtook_is_out_of_order() {
    let mut line = Line::new();
    line.open();
    line.client("P.", 1_101, 9_001, 100);
    line.client("P.", 1_001, 9_001, 100);
    let tcp = line.0.end().flow().tcp.unwrap();
    assert_eq!((tcp.retransmits, tcp.out_of_order), ([0, 0], [1, 0]));
}

#[test]
fn a_gap_filled_late_was_a_loss() {
    let mut line = Line::new();
    line.open();
    line.client("P.", 1_101, 9_001, 100);
    line.0.wait(30 * MS);
    line.client("P.", 1_001, 9_001, 100);
    let tcp = line.0.end().flow().tcp.unwrap();
    assert_eq!((tcp.retransmits, tcp.out_of_order), ([1, 0], [0, 0]));
}

#[test]
fn sequence_numbers_wrap() {
    let mut line = Line::new();
    let start = u32::MAX - 150;
    line.client("S", start, 0, 0);
    line.server("S.", u32::MAX, start.wrapping_add(1), 0);
    let mut next = start.wrapping_add(1);
    for _ in 0..4 {
        line.client("P.", next, 0, 100);
        next = next.wrapping_add(100);
    }
    line.server(".", 0, next, 0);
    line.client("F.", next, 0, 0);
    let told = line.0.end();
    assert_eq!(told.flow().tcp.unwrap().retransmits, [0, 0]);
    assert_eq!(told.flow().state, "closing");
}

#[test]
fn keep_alives_and_closed_windows_are_counted_and_are_no_retransmissions() {
    let mut line = Line::new();
    line.open();
    line.client("P.", 1_001, 9_001, 100);
    line.0.at(
        VETH,
        OUT,
        &Packet::tcp(SERVER, POD, ".", 9_001, 1_101).window(0),
    );
    for _ in 0..3 {
        line.0.wait(5 * SECOND);
        line.client(".", 1_100, 9_001, 0);
        line.0.at(
            VETH,
            OUT,
            &Packet::tcp(SERVER, POD, ".", 9_001, 1_101).window(0),
        );
    }
    line.server(".", 9_001, 1_101, 0);
    line.0.at(
        VETH,
        OUT,
        &Packet::tcp(SERVER, POD, ".", 9_001, 1_101).window(0),
    );
    let tcp = line.0.end().flow().tcp.unwrap();
    assert_eq!(tcp.keepalives, [3, 0]);
    assert_eq!(tcp.zero_windows, [0, 2]);
    assert_eq!(tcp.retransmits, [0, 0]);
}

#[test]
fn a_new_syn_on_a_closed_or_reset_connection_begins_another() {
    for ending in ["F.", "R."] {
        let mut line = Line::new();
        line.open();
        line.client(ending, 1_001, 9_001, 0);
        line.server("F.", 9_001, 1_002, 0);
        line.0.wait(3 * SECOND);
        line.client("S", 700_000, 0, 0);
        line.server("S.", 800_000, 700_001, 0);
        let told = line.0.end();
        assert_eq!(told.flows.len(), 2, "{ending}");
        let packets: u64 = told.flows.iter().flat_map(|flow| flow.packets).sum();
        assert_eq!(packets, 7);
    }
}

#[test]
fn a_new_syn_out_of_window_begins_another_connection_and_one_inside_does_not() {
    for (sequence, flows) in [(1_001 + 20_000, 1), (3_000_000_000, 2), (1_000, 1)] {
        let mut line = Line::new();
        line.open();
        line.client("S", sequence, 0, 0);
        assert_eq!(line.0.end().flows.len(), flows, "{sequence}");
    }
}

#[test]
fn a_late_copy_of_the_same_syn_begins_nothing() {
    let mut line = Line::new();
    line.client("S", 1_000, 0, 0);
    line.server("R.", 0, 1_001, 0);
    line.0.wait(SECOND);
    line.client("S", 1_000, 0, 0);
    line.server("R.", 0, 1_001, 0);
    let told = line.0.end();
    assert_eq!(told.flow().packets, [2, 2]);
    assert_eq!(told.resets.len(), 1);
}

#[test]
fn a_super_frame_is_one_packet_with_all_its_bytes() {
    let mut line = Line::new();
    line.open();
    line.client("P.", 1_001, 9_001, 60_000);
    line.server(".", 9_001, 61_001, 0);
    line.client("P.", 61_001, 9_001, 10);
    let told = line.0.end();
    assert_eq!(told.flow().packets, [4, 2]);
    assert_eq!(told.flow().tcp.unwrap().retransmits, [0, 0]);
    assert!(told.flow().bytes[0] > 60_000);
}

#[test]
fn an_icmp_error_belongs_to_the_flow_it_quotes() {
    let mut node = Node::new();
    let question = Packet::udp(POD, "192.0.2.9:53", b"who is it");
    node.at(VETH, IN, &question);
    node.at(
        VETH,
        OUT,
        &Packet::unreachable("192.0.2.9:0", "172.17.0.2:0", &question),
    );
    // One about nobody that is known.
    let stray = Packet::udp("192.0.2.77:1", "192.0.2.78:2", b"stray");
    node.at(
        ETH0,
        IN,
        &Packet::unreachable("192.0.2.9:0", "192.0.2.1:0", &stray),
    );
    let annotations = node.conclude();
    assert_eq!(annotations[0].flow, Some(1));
    assert_eq!(annotations[1].flow, Some(1));
    assert_eq!(annotations[2].flow, None);
    let told = node.end();
    assert_eq!(told.flow().icmp_errors, 1);
    assert_eq!(told.flow().packets, [1, 0]);
    let summary = node.tracker.summary();
    assert_eq!((summary.icmp_errors, summary.untracked), (1, 1));
}

#[test]
fn echoes_with_one_identifier_are_one_flow() {
    let mut node = Node::new();
    for sequence in 0..3 {
        node.at(
            VETH,
            IN,
            &Packet::echo("172.17.0.2:77", "192.0.2.9:77", sequence, false),
        );
        node.at(
            VETH,
            OUT,
            &Packet::echo("192.0.2.9:77", "172.17.0.2:77", sequence, true),
        );
    }
    node.at(
        VETH,
        IN,
        &Packet::echo("172.17.0.2:78", "192.0.2.9:78", 0, false),
    );
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    assert_eq!(told.flows[0].packets, [3, 3]);
    assert_eq!(told.flows[0].state, "answered");
    assert_eq!(told.flows[1].state, "unanswered");
}
