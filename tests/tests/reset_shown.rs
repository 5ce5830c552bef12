//! A reset's verdict is seen by everybody who looks: in the packets' comments, in the lines of a
//! terminal and in a summary; and it never names a side that the capture couldn't see.

use lab::flows::FlowsFile;
use lab::frames::transport::RST;
use lab::nodecap::Nodecap;
use lab::read::Captured;
use lab::scenario::verdict::Witnessed;
use lab::scenario::{endings, refusals};
use lab::scratch::Scratch;
use lab::segment::Segment;
use lab::tools;
use lab::topology::Node;
use lab::wait::wait_until;

fn is_reset(packet: &&Captured) -> bool {
    Segment::of(&packet.data).is_some_and(|segment| segment.has(RST))
}

/// The keys for programs in a packet's comment.
fn keys(packet: &Captured) -> Option<&str> {
    let comment = packet
        .comments
        .iter()
        .find(|comment| comment.contains("[nodecap reset "))?;
    let (sentence, keys) = comment.split_once(" [nodecap ")?;
    assert!(!sentence.is_empty(), "{comment}");
    keys.strip_suffix(']')
}

#[test]
fn every_sighting_of_a_reset_carries_its_verdict_and_one_id() {
    let witnessed = Witnessed::by(&["-i", "any"], &endings::ABORTED_BY_POD);
    let resets: Vec<_> = witnessed.file.packets.iter().filter(is_reset).collect();
    // In at the pod's port and the bridge, out at the uplink.
    assert!(resets.len() >= 2, "{resets:#?}");
    for reset in &resets {
        let keys = keys(reset).unwrap_or_default();
        for key in [
            "cause=application-abort",
            "origin=pod",
            "interface=veth-pod",
        ] {
            assert!(keys.split(' ').any(|one| one == key), "{key}: {reset:#?}");
        }
        assert_eq!(reset.packet_id, resets[0].packet_id);
        assert!(reset.packet_id.is_some());
    }
    let others = witnessed.file.packets.iter().filter(|one| !is_reset(one));
    for other in others {
        assert_eq!(keys(other), None, "{other:#?}");
    }
    tools::assert_readable(&witnessed.path());
}

#[test]
fn the_lines_say_who_reset_the_connection_and_why() {
    let lab = Node::new();
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["-n", "--proto", "tcp"])
        .start();
    (refusals::CLOSED_PORT_OUTSIDE.happen)(&lab);
    let finished = capture.stop();
    let said = finished.stdout_text();
    let lines: Vec<&str> = said.lines().collect();
    let reset = lines.iter().position(|line| line.contains("Flags [R.]"));
    let reset = reset.unwrap_or_else(|| panic!("no reset in {said}"));
    let annotation = lines[reset + 1..]
        .iter()
        .take_while(|line| line.starts_with(char::is_whitespace))
        .find(|line| line.contains("192.0.2.9:443"));
    assert!(annotation.is_some(), "{said}");
}

#[test]
fn a_reset_is_told_when_it_happens() {
    let lab = Node::new();
    let scratch = Scratch::new();
    let flows = scratch.path("flows.jsonl");
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["--flows".as_ref(), flows.as_os_str()])
        .start();
    (refusals::CLOSED_PORT_OUTSIDE.happen)(&lab);
    wait_until("the reset in the flows file", || {
        let text = std::fs::read_to_string(&flows).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.contains(r#""type":"reset""#)
    });
    capture.stop();
    assert_eq!(FlowsFile::read(&flows).resets.len(), 1);
}

#[test]
fn a_side_that_was_not_captured_is_not_claimed() {
    // Both go out at the uplink, and whether the pod or the node made them isn't seen there.
    let witnessed = Witnessed::by(&["-i", Node::UPLINK], &endings::ABORTED_BY_POD);
    let [reset] = &witnessed.flows.resets[..] else {
        panic!("{:#?}", witnessed.flows);
    };
    assert_eq!(reset.origin.side, "unknown", "{reset:#?}");

    // It comes out of the bridge, and where it came into that isn't seen.
    let witnessed = Witnessed::by(&["-i", Node::POD_PORT], &endings::ABORTED_BY_OUTSIDE);
    let [reset] = &witnessed.flows.resets[..] else {
        panic!("{:#?}", witnessed.flows);
    };
    assert_eq!(reset.origin.side, "unknown", "{reset:#?}");
}
