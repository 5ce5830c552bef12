use super::*;

/// The true peer goes on after it.
fn goes_on() -> Scene {
    from_outside().with(|s| {
        s.sender.ttl = Some(57);
        s.sender.segments_after_reset = 2;
    })
}

#[test]
fn a_reset_with_another_ttl_after_which_the_peer_goes_on_is_injected() {
    goes_on()
        .with(|s| s.reset.ttl = 61)
        .is(Cause::Injected, Confidence::Packet);
}

#[test]
fn a_reset_that_may_be_fragmented_after_which_the_peer_goes_on_is_injected() {
    goes_on()
        .with(|s| {
            s.reset.dont_fragment = false;
            s.sender.dont_fragment = Some(true);
        })
        .is(Cause::Injected, Confidence::Packet);
}

#[test]
fn a_reset_that_answers_nothing_after_which_the_peer_goes_on_is_injected() {
    goes_on()
        .with(|s| s.reset.time += 5 * SECOND)
        .is(Cause::Injected, Confidence::Packet);
}

#[test]
fn a_socket_that_seems_to_give_up_and_goes_on_is_imitated() {
    goes_on()
        .with(|s| s.reset = active())
        .is(Cause::Injected, Confidence::Packet);
}

#[test]
fn two_signs_on_a_lively_connection_make_it_likely() {
    from_outside()
        .with(|s| {
            s.reset.ttl = 61;
            s.reset.dont_fragment = false;
            s.sender.ttl = Some(57);
            s.sender.dont_fragment = Some(true);
        })
        .is(Cause::Injected, Confidence::Heuristic);
}

#[test]
fn an_answer_from_nearer_may_be_that_of_a_hop_that_has_forgotten_the_connection() {
    let nearer = from_outside().with(|s| {
        s.round_trip = Some(80 * MS);
        s.reset.ttl = 61;
        s.sender.ttl = Some(57);
    });
    nearer.clone().is_unknown();
    // Its stack sets the don't-fragment flag.
    nearer
        .with(|s| {
            s.reset.dont_fragment = false;
            s.sender.dont_fragment = Some(true);
        })
        .is(Cause::Injected, Confidence::Heuristic);
}

#[test]
fn one_sign_alone_proves_nothing() {
    from_outside()
        .with(|s| {
            s.sender.ttl = Some(57);
            s.reset.ttl = 61;
        })
        .is_unknown();
}

#[test]
fn an_honest_answer_after_which_the_peer_goes_on_is_not_called_injected() {
    // A segment that came to it untranslated, on another node: its connection lives on.
    goes_on().is_unknown();
}

#[test]
fn a_reset_that_a_socket_here_sent_is_not_injected() {
    let verdict = goes_on()
        .with(|s| s.reset.ttl = 61)
        .told("NO_SOCKET", POD)
        .verdict();
    assert_eq!(verdict.cause, Cause::NoConnection);
}

#[test]
fn a_reset_that_answers_nothing_out_of_a_pod_whose_sockets_did_not_send_it_and_go_on_is_injected() {
    let scene = from_pod().with(|s| {
        s.environment = told_everything();
        s.sender.segments_after_reset = 1;
        s.reset.sequence += 1;
    });
    scene.is(Cause::Injected, Confidence::Packet);
    // What the kernel told of that moment didn't all find room.
    scene.with(|s| s.told_all = false).is_unknown();
}

#[test]
fn a_guest_s_honest_answer_out_of_a_pod_is_not_called_injected() {
    // Asked about an earlier connection of its ports it resets that, and then opens the new one. No socket
    // of this kernel has anything to do with it.
    let scene = from_pod().with(|s| {
        s.environment = told_everything();
        s.sender.segments_after_reset = 1;
    });
    scene.clone().is_unknown();
    // Where its segments have another TTL it isn't the guest's.
    scene
        .with(|s| s.sender.ttl = Some(63))
        .is(Cause::Injected, Confidence::Packet);
}

#[test]
fn a_reset_that_this_node_made_without_a_socket_and_after_which_it_goes_on_is_injected() {
    let scene = from_pod()
        .with(|s| {
            s.environment = told_everything();
            s.environment.complete_since = Some(0);
            s.sender.segments_after_reset = 1;
        })
        .seen(ETH0, Role::Uplink, Out);
    scene.is(Cause::Injected, Confidence::Packet);
    // Without drop events a reject rule would look the same.
    scene
        .with(|s| s.environment.drops_told = false)
        .is_unknown();
}

#[test]
fn a_refusal_after_which_the_server_accepts_is_no_closed_port() {
    let scene = refused().with(|s| s.sender.segments_after_reset = 1);
    assert_ne!(scene.verdict().cause, Cause::ClosedPort);
}
