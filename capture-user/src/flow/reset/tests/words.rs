use super::*;

#[test]
fn every_name_is_the_one_that_serde_writes() {
    for cause in Cause::ALL {
        assert_eq!(serde_json::json!(cause), cause.as_str());
    }
    for side in [
        OriginSide::Uplink,
        OriginSide::Pod,
        OriginSide::Local,
        OriginSide::Unknown,
    ] {
        assert_eq!(serde_json::json!(side), side.as_str());
    }
    use Confidence::*;
    for confidence in [Kernel, Conntrack, Packet, Heuristic] {
        assert_eq!(serde_json::json!(confidence), confidence.as_str());
    }
    use Phase::*;
    for phase in [
        SynSent,
        SynReceived,
        Established,
        Closing,
        Closed,
        Phase::Unknown,
    ] {
        assert_eq!(serde_json::json!(phase), phase.as_str());
    }
}

#[test]
fn a_sentence_says_who_and_why_and_how_sure() {
    let scene = refused().told("NO_SOCKET", POD);
    assert_eq!(
        scene.verdict().sentence(&scene.tuples[0], "eth0"),
        "192.0.2.9:443 reset its connection with 172.17.0.2:41022: it came into the node at eth0; \
         nobody listens on that port (the kernel says so)"
    );
}

#[test]
fn a_sentence_never_accuses_the_source_of_an_injected_reset() {
    let scene = from_outside().with(|s| {
        s.sender.segments_after_reset = 1;
        s.sender.ttl = Some(44);
    });
    let sentence = scene.verdict().sentence(&scene.tuples[0], "eth0");
    assert!(
        sentence.starts_with("A reset in the name of 192.0.2.9:443"),
        "{sentence}"
    );
}

#[test]
fn an_interface_without_a_name_is_called_by_its_number() {
    assert_eq!(saved_file().name(ETH0), "eth0");
    assert_eq!(saved_file().name(17), "interface 17");
}

#[test]
fn the_table_in_the_documentation_has_every_cause() {
    let table = include_str!("../../../../../docs/verdicts.md");
    for cause in Cause::ALL {
        assert!(
            table.contains(&format!("| `{cause}` |")),
            "{cause} isn't explained"
        );
    }
}
