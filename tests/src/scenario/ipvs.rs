//! IPVS, the kernel's own load balancer: it translates like a published port, with a table of its
//! own that conntrack knows nothing of. Needs the ability `ipvs` and the program `ipvsadm`.

use super::translations::{KnownBy, Translation, view};
use super::{
    OUTSIDE_CLIENT, POD_SERVER, PUBLISHED, Reset, Scenario, Shape, Side, outside_with_published,
};
use crate::sockets::{say, wait_until_broken};
use crate::tool;
use crate::topology::Node;
use crate::wait::wait_until;

/// Runs ipvsadm on the node, and returns what it printed.
#[track_caller]
fn ipvsadm(lab: &Node, words: &str) -> String {
    let output = tool::run(
        lab.node
            .command("ipvsadm")
            .args(words.split_ascii_whitespace()),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Balances [`PUBLISHED`] over one server: [`POD_SERVER`].
fn balanced(lab: &Node) {
    ipvsadm(lab, &format!("-A -t {PUBLISHED} -s rr"));
    ipvsadm(lab, &format!("-a -t {PUBLISHED} -r {POD_SERVER} -m"));
}

/// The pod's server behind the load balancer.
pub static BALANCED: Translation = Translation {
    name: "the node balances connections over the pod",
    prepare: balanced,
    happen: |lab| Box::new(outside_with_published(lab)),
    proto: "tcp",
    kind: "dnat",
    before: view(OUTSIDE_CLIENT, PUBLISHED, Node::UPLINK, "in"),
    after: view(OUTSIDE_CLIENT, POD_SERVER, Node::POD_PORT, "out"),
    // It takes its packets out of conntrack's hands (ip_vs_notrack), unless told otherwise.
    known_by: KnownBy::PacketsAlone,
};

/// The load balancer forgets a silent connection; then the client speaks, and the node, which
/// schedules only what starts with a SYN, answers for itself.
pub static EXPIRED_BALANCED: Scenario = Scenario {
    name: "the load balancer has forgotten the connection when the client speaks",
    prepare: |lab| {
        balanced(lab);
        // Seconds for established, closing and UDP; the first is 900 unless set.
        ipvsadm(lab, "--set 1 1 1");
    },
    happen: |lab| {
        let mut connection = outside_with_published(lab);
        wait_until("IPVS without a connection", || {
            !ipvsadm(lab, "-L -c -n").contains("TCP")
        });
        say(&mut connection.client, b"at last");
        wait_until_broken(&connection.client);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (PUBLISHED, OUTSIDE_CLIENT),
        flow: (PUBLISHED, OUTSIDE_CLIENT),
        side: Side::NodeToUplink,
        cause: "idle-expiry",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: Some(
            "IPVS tells nobody of its entries, and no timer that is known is as short as this",
        ),
    }],
};
