//! The reset scenarios are what their labels say, shown by tcpdump alone.

use lab::scenario::proof::assert_occurs;
use lab::scenario::{endings, local, refusals, strays};

/// One test a scenario, so that they run side by side and each has its name.
macro_rules! occurs {
    ($($test:ident: $scenario:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_occurs(&$scenario);
        })*
    };
}

occurs! {
    nobody_listens_in_the_pod: refusals::CLOSED_PORT_IN_POD;
    nobody_listens_behind_a_published_port: refusals::CLOSED_PORT_PUBLISHED;
    nobody_listens_outside: refusals::CLOSED_PORT_OUTSIDE;
    nobody_listens_outside_over_ipv6: refusals::CLOSED_PORT_OUTSIDE_V6;
    a_rule_on_the_node_rejects_a_new_connection: refusals::REJECTED_BY_NODE;
    a_rule_on_the_node_rejects_an_open_connection: refusals::REJECTED_BY_NODE_LATER;
    a_rule_in_the_pod_rejects_a_new_connection: refusals::REJECTED_BY_POD;
    a_rule_outside_rejects_a_new_connection: refusals::REJECTED_OUTSIDE;
    the_backlog_of_the_pod_overflows: refusals::BACKLOG_OVERFLOW;
    the_application_in_the_pod_aborts: endings::ABORTED_BY_POD;
    the_application_outside_aborts: endings::ABORTED_BY_OUTSIDE;
    the_administrator_of_the_pod_kills_a_connection: endings::KILLED_BY_ADMINISTRATOR;
    the_pod_closes_and_leaves_data_unread: endings::UNREAD_DATA_IN_POD;
    the_outside_closes_and_leaves_data_unread: endings::UNREAD_DATA_OUTSIDE;
    the_pod_sends_after_the_outside_has_closed: endings::DATA_AFTER_CLOSE_OUTSIDE;
    the_outside_sends_after_the_pod_has_closed: endings::DATA_AFTER_CLOSE_IN_POD;
    the_pod_gives_up_a_silent_peer: endings::KEEPALIVE_TIMEOUT;
    a_port_is_used_again_in_time_wait: endings::TIME_WAIT;
    the_server_outside_has_lost_its_connection: strays::STATE_LOST_OUTSIDE;
    the_server_in_the_pod_has_lost_its_connection: strays::STATE_LOST_IN_POD;
    a_segment_of_a_published_server_stays_untranslated: strays::INVALID_FROM_PUBLISHED;
    a_segment_for_the_masqueraded_pod_stays_untranslated: strays::INVALID_TO_MASQUERADED;
    the_masquerade_has_expired: strays::EXPIRED_MASQUERADE;
    the_published_port_has_expired: strays::EXPIRED_PUBLISHED;
    a_reset_is_forged: strays::FORGED;
    nobody_listens_on_the_node: local::CLOSED_PORT_ON_NODE;
    a_process_on_the_node_aborts: local::ABORTED_BY_NODE;
}
