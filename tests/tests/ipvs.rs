//! IPVS: connections that the node balances, and what is said when it has forgotten one.

use lab::need;
use lab::scenario::ipvs;
use lab::scenario::proof::{assert_occurs, assert_translates};
use lab::scenario::verdict::{assert_followed, assert_judged};

#[test]
fn the_scenario_balances_a_connection() {
    need!("ipvs", "program ipvsadm");
    assert_translates(&ipvs::BALANCED);
}

#[test]
fn a_balanced_connection_is_followed_to_the_server() {
    need!("ipvs", "program ipvsadm");
    assert_followed(&ipvs::BALANCED);
}

#[test]
fn the_scenario_forgets_a_silent_connection() {
    need!("ipvs", "program ipvsadm");
    assert_occurs(&ipvs::EXPIRED_BALANCED);
}

#[test]
fn a_reset_for_a_connection_that_the_balancer_forgot_is_judged() {
    need!("ipvs", "program ipvsadm");
    assert_judged(&ipvs::EXPIRED_BALANCED);
}
