use super::*;

const CLIENT: &str = "172.17.0.2:41022";
const SERVICE: &str = "10.96.0.9:80";
const BACKEND: &str = "172.17.0.9:8080";
const SERVER: &str = "192.0.2.9:443";
const NODES: &str = "192.0.2.1:41022";

/// A service's address: a pod asked the service, conntrack has it talk to the backend.
fn service(change: Change) -> Mapping {
    Mapping {
        original: tuple(CLIENT, SERVICE),
        reply: tuple(BACKEND, CLIENT),
        change,
    }
}

/// Masquerade: a pod talks to a server outside from the node's address.
fn masquerade(change: Change) -> Mapping {
    Mapping {
        original: tuple(CLIENT, SERVER),
        reply: tuple(SERVER, NODES),
        change,
    }
}

/// The backend's reply reached the client untranslated (Kubernetes issue 74839).
fn untranslated_reply() -> Scene {
    let reset = tuple(CLIENT, BACKEND);
    from_pod()
        .with(|s| {
            s.tuples = vec![reset, tuple(CLIENT, SERVICE)];
            s.answered_path = vec![
                stop(7, Role::Pod, In, reset.reversed()),
                stop(VETH, Role::Pod, Out, reset.reversed()),
            ];
            s.mapping = Some(service(Change::Made));
            s.environment.conntrack_be_liberal = Some(false);
        })
        .seen(VETH, Role::Pod, In)
}

fn told(scene: Scene, netns: u32) -> Scene {
    scene.with(|s| {
        let environment = s.environment.clone();
        *s = s.clone().told("NO_SOCKET", netns);
        s.environment.conntrack_be_liberal = environment.conntrack_be_liberal;
    })
}

/// The server's packet came for a masqueraded connection, and the node itself answered it.
fn node_answers(change: Change) -> Scene {
    let reset = tuple(NODES, SERVER);
    let scene = from_outside()
        .with(|s| {
            s.reset.ttl = 64;
            s.tuples = vec![reset, tuple(CLIENT, SERVER)];
            s.answered_path = vec![stop(ETH0, Role::Uplink, In, reset.reversed())];
            s.mapping = Some(masquerade(change));
            s.environment.conntrack_be_liberal = Some(false);
        })
        .seen(ETH0, Role::Uplink, Out);
    told(scene, NODE)
}

#[test]
fn a_reply_that_conntrack_let_pass_untranslated_is_conntrack_invalid() {
    told(untranslated_reply(), POD).is(Cause::ConntrackInvalid, Confidence::Conntrack);
    node_answers(Change::Made).is(Cause::ConntrackInvalid, Confidence::Conntrack);
}

#[test]
fn of_an_entry_whose_end_may_go_unheard_conntrack_invalid_is_likely_and_after_a_silence_unknown() {
    let older = |idle| {
        let scene = told(untranslated_reply(), POD);
        scene.with(|s| {
            s.mapping = Some(service(Change::Present));
            s.idle = idle;
        })
    };
    older(10 * MS).is(Cause::ConntrackInvalid, Confidence::Heuristic);
    older(1500 * SECOND).is_unknown();
    // One that was announced, and then the kernel's word was lost.
    let lost = |idle| {
        told(untranslated_reply(), POD).with(|s| {
            s.environment.removals_lost = Some(SECOND);
            s.idle = idle;
        })
    };
    lost(10 * MS).is(Cause::ConntrackInvalid, Confidence::Heuristic);
    lost(1500 * SECOND).is_unknown();
}

#[test]
fn without_kernel_events_the_tuple_at_the_pod_tells_the_same() {
    untranslated_reply().is(Cause::ConntrackInvalid, Confidence::Conntrack);
    // … unless what it answers wasn't seen arriving with that tuple.
    untranslated_reply()
        .with(|s| s.answered_path.clear())
        .is_unknown();
}

#[test]
fn where_the_setting_is_not_known_conntrack_invalid_is_likely() {
    told(untranslated_reply(), POD)
        .with(|s| s.environment.conntrack_be_liberal = None)
        .is(Cause::ConntrackInvalid, Confidence::Heuristic);
}

#[test]
fn with_a_liberal_conntrack_an_untranslated_reply_is_unknown() {
    told(untranslated_reply(), POD)
        .with(|s| s.environment.conntrack_be_liberal = Some(true))
        .is_unknown();
}

#[test]
fn an_answer_past_the_translating_node_while_the_connection_opens_is_not_conntracks_fault() {
    told(untranslated_reply(), POD)
        .with(|s| s.phase = Phase::SynReceived)
        .is_unknown();
}

#[test]
fn a_client_that_resets_its_own_tuple_is_not_conntracks_fault() {
    let scene = from_pod()
        .with(|s| {
            s.tuples = vec![tuple(CLIENT, SERVICE), tuple(CLIENT, BACKEND)];
            s.mapping = Some(service(Change::Present));
        })
        .seen(VETH, Role::Pod, In)
        .told("NO_SOCKET", POD);
    scene.is(Cause::NoConnection, Confidence::Kernel);
}

#[test]
fn a_server_that_lost_a_masqueraded_connection_has_no_connection() {
    let scene = from_outside()
        .with(|s| {
            s.tuples = vec![tuple(SERVER, NODES), tuple(SERVER, CLIENT)];
            s.mapping = Some(masquerade(Change::Present));
        })
        .seen(ETH0, Role::Uplink, In)
        .told("NO_SOCKET", POD);
    scene.is(Cause::NoConnection, Confidence::Kernel);
}

#[test]
fn a_node_that_answers_for_a_connection_that_conntrack_forgot_is_idle_expiry() {
    let scene = node_answers(Change::Removed).with(|s| s.idle = 400 * SECOND);
    scene.is(Cause::IdleExpiry, Confidence::Conntrack);
    scene.comes_from(OriginSide::Local);
    let evidence = scene.verdict().evidence;
    assert!(
        evidence
            .iter()
            .any(|c| c == "400.0 s without a packet before it"),
        "{evidence:?}"
    );
}

#[test]
fn a_pods_packet_that_left_untranslated_after_conntrack_forgot_is_idle_expiry() {
    let reset = tuple(SERVER, CLIENT);
    from_outside()
        .with(|s| {
            s.tuples = vec![reset, tuple(SERVER, NODES)];
            s.mapping = Some(masquerade(Change::Removed));
            s.idle = 5 * SECOND;
        })
        .told("NO_SOCKET", POD)
        .is(Cause::IdleExpiry, Confidence::Conntrack);
}

#[test]
fn an_entry_that_went_without_a_silence_or_after_a_close_is_unknown() {
    node_answers(Change::Removed)
        .with(|s| s.idle = SECOND / 2)
        .is_unknown();
    node_answers(Change::Removed)
        .with(|s| {
            s.idle = 400 * SECOND;
            s.receiver.sent_fin = true;
            s.phase = Phase::Closing;
        })
        .is_unknown();
}

#[test]
fn a_balancer_that_answers_by_itself_after_a_long_silence_has_likely_forgotten() {
    let scene = node_answers(Change::Present).with(|s| s.mapping = None);
    scene
        .clone()
        .with(|s| s.idle = 901 * SECOND)
        .is(Cause::IdleExpiry, Confidence::Heuristic);
    scene.with(|s| s.idle = SECOND).is_unknown();
}

#[test]
fn a_pod_that_knows_nothing_of_a_translated_connection_is_judged_by_what_reached_it() {
    let published = from_pod()
        .with(|s| {
            let inner = s.tuples[0];
            let outer = tuple("192.0.2.1:8080", "198.51.100.7:50000");
            s.tuples.push(outer);
            s.answered_path = vec![
                stop(ETH0, Role::Uplink, In, outer.reversed()),
                stop(VETH, Role::Pod, Out, inner.reversed()),
            ];
        })
        .told("NO_SOCKET", POD);
    published.is(Cause::NoConnection, Confidence::Kernel);
    // Nothing shows that what it answers was translated.
    published.with(|s| s.answered_path.truncate(1)).is_unknown();
}
