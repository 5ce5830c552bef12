use super::*;

#[test]
fn a_reset_that_came_in_at_the_uplink_is_from_outside() {
    from_outside().comes_from(OriginSide::Uplink);
    assert_eq!(
        from_outside().verdict().evidence.last().map(String::as_str),
        Some("first seen entering at eth0")
    );
}

#[test]
fn a_reset_that_came_in_at_a_pods_interface_is_from_the_pod() {
    from_pod().comes_from(OriginSide::Pod);
}

#[test]
fn a_reset_on_loopback_is_this_nodes_own() {
    from_outside()
        .seen(LO, Role::Local, Out)
        .comes_from(OriginSide::Local);
    from_outside()
        .seen(LO, Role::Local, In)
        .comes_from(OriginSide::Local);
}

#[test]
fn a_reset_that_only_went_out_is_from_nobody_knows_where() {
    for role in [Role::Uplink, Role::Pod, Role::Shared, Role::Unknown] {
        from_outside()
            .seen(ETH0, role, Out)
            .comes_from(OriginSide::Unknown);
    }
}

#[test]
fn a_reset_that_only_went_out_is_this_nodes_own_where_nothing_could_have_been_missed() {
    from_outside()
        .seen(VETH, Role::Pod, Out)
        .with(|s| s.environment.complete_since = Some(0))
        .comes_from(OriginSide::Local);
}

#[test]
fn a_reset_may_have_come_in_before_everything_was_captured() {
    // It comes ten seconds in, half a millisecond after what it answers.
    let complete_since = |since: u64| {
        from_outside()
            .seen(VETH, Role::Pod, Out)
            .with(|s| s.environment.complete_since = Some(since))
    };
    complete_since(10 * SECOND).comes_from(OriginSide::Unknown);
    complete_since(10 * SECOND - MS / 4).comes_from(OriginSide::Unknown);
    // Had it come in at all, then after what it answers, and so with everything captured.
    complete_since(10 * SECOND - MS).comes_from(OriginSide::Local);
    // It answers nothing that was seen: then only time tells that it can't be from before.
    let unprovoked = |since| complete_since(since).with(|s| s.answered = None);
    unprovoked(10 * SECOND - MS).comes_from(OriginSide::Unknown);
    unprovoked(7 * SECOND).comes_from(OriginSide::Local);
}

#[test]
fn a_reset_that_this_nodes_stack_tells_of_is_its_own_also_where_not_all_is_captured() {
    from_outside()
        .seen(ETH0, Role::Uplink, Out)
        .told("TCP_STATE", NODE)
        .comes_from(OriginSide::Local);
}

#[test]
fn a_reset_that_another_namespace_tells_of_is_never_this_nodes_own() {
    from_outside()
        .seen(ETH0, Role::Uplink, Out)
        .told("NO_SOCKET", POD)
        .with(|s| s.environment.complete_since = Some(0))
        .comes_from(OriginSide::Unknown);
}

#[test]
fn a_reset_told_in_an_unknown_namespace_is_not_taken_for_this_nodes_own() {
    from_outside()
        .seen(ETH0, Role::Uplink, Out)
        .told("NO_SOCKET", 0)
        .with(|s| s.environment.netns = 0)
        .comes_from(OriginSide::Unknown);
}

#[test]
fn a_bridge_or_an_unknown_interface_does_not_tell_whose_reset_it_is() {
    for role in [Role::Shared, Role::Unknown] {
        from_outside()
            .seen(BRIDGE, role, In)
            .comes_from(OriginSide::Unknown);
    }
}

#[test]
fn a_reset_that_comes_back_to_the_uplink_after_it_went_out_there_is_not_from_outside() {
    from_outside()
        .seen(ETH0, Role::Uplink, Out)
        .with(|s| {
            let tuple = s.tuples[0];
            s.path.push(stop(ETH0, Role::Uplink, In, tuple));
        })
        .comes_from(OriginSide::Unknown);
}

#[test]
fn a_case_without_a_sighting_has_no_origin() {
    from_outside()
        .with(|s| s.path.clear())
        .comes_from(OriginSide::Unknown);
}
