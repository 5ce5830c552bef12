use super::*;

/// Netfilter on this node rejected what came out of the pod.
fn on_the_node() -> Scene {
    refused()
        .with(|s| {
            s.reset.ttl = 64;
            s.environment = told_everything();
            s.answered_dropped = Some("NETFILTER_DROP");
            s.answered_path.pop();
        })
        .seen(VETH, Role::Pod, Out)
}

/// Netfilter inside the pod rejected what came from outside.
fn in_the_pod() -> Scene {
    from_pod().with(|s| {
        s.reset = refusal();
        s.reset.ttl = 64;
        s.answered = Some(syn());
        s.phase = Phase::SynSent;
        s.environment = told_everything();
        s.answered_dropped = Some("NETFILTER_DROP");
    })
}

#[test]
fn a_packet_that_netfilter_dropped_and_that_was_answered_met_a_reject_rule() {
    on_the_node().is(Cause::RejectRule, Confidence::Kernel);
    in_the_pod().is(Cause::RejectRule, Confidence::Kernel);
    in_the_pod().comes_from(OriginSide::Pod);
}

#[test]
fn a_reject_rule_that_sends_out_where_the_packet_came_in_is_this_nodes() {
    let scene = on_the_node().with(|s| s.environment.complete_since = Some(0));
    scene.is(Cause::RejectRule, Confidence::Kernel);
    scene.comes_from(OriginSide::Local);
}

#[test]
fn a_reject_rule_may_hit_a_segment_in_mid_stream() {
    on_the_node()
        .with(|s| {
            s.reset = passive();
            s.reset.ttl = 64;
            s.answered = Some(data());
            s.phase = Phase::Established;
        })
        .is(Cause::RejectRule, Confidence::Kernel);
}

#[test]
fn a_drop_without_a_reset_like_netfilters_is_no_reject_rule() {
    on_the_node().with(|s| s.reset.header_len = 32).is_unknown();
    on_the_node().with(|s| s.reset.window = 100).is_unknown();
    on_the_node().with(|s| s.reset.ip_id = Some(9)).is_unknown();
    on_the_node()
        .with(|s| s.reset.dont_fragment = false)
        .is_unknown();
    on_the_node()
        .with(|s| s.reset.acknowledgement += 1)
        .is_unknown();
}

#[test]
fn a_reset_from_elsewhere_after_an_unrelated_drop_is_no_reject_rule() {
    // It lost hops on its way here.
    on_the_node().with(|s| s.reset.ttl = 57).is_unknown();
    // It came long after the drop.
    on_the_node().with(|s| s.reset.time += SECOND).is_unknown();
    // It came in, so it wasn't made where the packet was dropped.
    let came_in = on_the_node().seen(ETH0, Role::Uplink, In).verdict();
    assert_ne!(came_in.cause, Cause::RejectRule);
}

#[test]
fn another_drop_reason_is_no_reject_rule() {
    on_the_node()
        .with(|s| s.answered_dropped = Some("TC_EGRESS"))
        .is_unknown();
}

#[test]
fn a_reset_that_a_socket_sent_is_no_reject_rule() {
    let verdict = in_the_pod().told("NO_SOCKET", POD).verdict();
    assert_eq!(verdict.cause, Cause::ClosedPort);
}

#[test]
fn without_drop_events_a_reset_made_here_by_no_socket_is_likely_a_reject_rule() {
    let scene = on_the_node().with(|s| {
        s.answered_dropped = None;
        s.environment.drops_told = false;
        s.environment.complete_since = Some(0);
    });
    scene.is(Cause::RejectRule, Confidence::Heuristic);
    // What it answers went on: then a rule didn't stop it.
    let went_on = scene.clone().with(|s| {
        let tuple = s.tuples[0].reversed();
        s.answered_path.push(stop(ETH0, Role::Uplink, Out, tuple));
    });
    went_on.is_unknown();
    scene
        .clone()
        .with(|s| s.environment.complete_since = None)
        .is_unknown();
    // With drop events, there would be one.
    scene.with(|s| s.environment.drops_told = true).is_unknown();
}

#[test]
fn a_pod_that_refuses_without_a_word_of_the_kernel_may_be_a_machine_of_its_own() {
    // Neither a closed port nor a rule of this kernel: a sandbox has a stack of its own.
    in_the_pod()
        .with(|s| s.answered_dropped = None)
        .is_unknown();
}
