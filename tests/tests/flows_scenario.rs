//! The ordinary traffic is what it is meant to be, shown by tcpdump and the kernels' own counters.

use lab::frames::end_marker;
use lab::replay;
use lab::scenario::ordinary;
use lab::tcpdump::Tcpdump;
use lab::topology::Node;

#[test]
fn packets_get_lost_and_overtake_each_other_and_nothing_is_reset() {
    let lab = Node::new();
    ordinary::prepare(&lab);
    let resets = "tcp[tcpflags] & tcp-rst != 0 or ether proto 0x88b5";
    let tcpdumps = [Node::POD_PORT, Node::UPLINK]
        .map(|interface| (interface, Tcpdump::start(&lab.node, interface, &[resets])));
    let peers = ordinary::happen(&lab);
    for (interface, tcpdump) in tcpdumps {
        replay::send(&lab.node, interface, &[end_marker()]);
        let dumped = tcpdump.finish();
        assert_eq!(
            dumped.counts.captured, 1,
            "a reset at {interface}: {:?}",
            dumped.file
        );
    }
    assert!(!peers.is_empty());
    ordinary::assert_was_bad(&lab);
}
