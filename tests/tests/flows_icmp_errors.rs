//! An ICMP error belongs to the flow that it is about, also beyond a translation.

use lab::scenario::translations::REFUSED_UDP;
use lab::scenario::verdict::Witnessed;
use lab::scenario::{OUTSIDE_SERVER, POD_CLIENT};

#[test]
fn an_error_about_a_translated_datagram_is_counted_with_its_flow() {
    let witnessed = Witnessed::event(&["-i", "any"], REFUSED_UDP.prepare, REFUSED_UDP.happen);
    let said = &witnessed.flows;
    let of = |proto: &str| said.flows.iter().filter(|flow| flow.proto == proto).count();
    assert_eq!((of("udp"), of("icmp")), (1, 0), "{said:#?}");
    let flow = said.flows.iter().find(|flow| flow.proto == "udp");
    let flow = flow.expect("it was counted");
    assert_eq!(flow.client, POD_CLIENT);
    assert_ne!(flow.server, OUTSIDE_SERVER);
    assert_eq!(flow.icmp_errors, Some(1), "{flow:#?}");
    assert_eq!(flow.packets.to_server, 1, "{flow:#?}");
}
