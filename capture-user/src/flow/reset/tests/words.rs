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
