//! The translation scenarios are what their labels say, shown by tcpdump alone.

use lab::scenario::proof::assert_translates;
use lab::scenario::translations;

/// One test a scenario, so that they run side by side and each has its name.
macro_rules! translates {
    ($($test:ident: $scenario:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_translates(&$scenario);
        })*
    };
}

translates! {
    the_node_masquerades_the_pod: translations::MASQUERADE;
    the_node_masquerades_the_pod_over_ipv6: translations::MASQUERADE_V6;
    the_node_publishes_a_port: translations::PUBLISHED_PORT;
    the_node_translates_both_ends: translations::BOTH;
    the_pod_reaches_itself_at_its_published_port: translations::HAIRPIN;
    the_node_redirects_the_pod_to_itself: translations::REDIRECT;
    the_node_masquerades_datagrams: translations::MASQUERADED_UDP;
    a_datagram_meets_nobody: translations::REFUSED_UDP;
    the_node_masquerades_echoes: translations::MASQUERADED_ECHO;
    stateless_rules_rewrite_an_address: translations::STATELESS;
    an_ebpf_load_balancer_rewrites_the_destination: translations::BALANCED_BY_EBPF;
}
