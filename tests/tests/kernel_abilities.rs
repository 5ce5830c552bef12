//! On each kernel of the matrix, `nodecap doctor` finds exactly what that kernel has.

use std::collections::BTreeMap;

use lab::ability::{self, missing};
use lab::need;

/// Each ability with the first Linux that has it, as far as Debian builds it, or nothing for one
/// that all kernels of the matrix have.
const HISTORY: [(&str, Option<&str>); 13] = [
    ("bpf", None),
    ("ring-buffer", None),
    ("tc-program", None),
    // e420bed02507 "bpf: Add fd-based tcx multi-prog infra with link support"
    ("tcx", Some("kernel 6.6")),
    ("xdp", None),
    // c2f2cdbeffda "bpf: introduce BPF_F_XDP_HAS_FRAGS flag in prog_flags loading the ebpf program"
    ("xdp-frags", Some("kernel 5.18")),
    ("jit", None),
    ("perfmon", None),
    ("packet-identity", None),
    ("reset-events", None),
    // 19822a980e19 "trace: tcp: fully support trace_tcp_send_reset"
    ("reset-reasons", Some("kernel 6.10")),
    // c504e5c2f964 "net: skb: introduce kfree_skb_reason()"
    ("drop-reasons", Some("kernel 5.17")),
    ("conntrack-entries", None),
];

/// Told of, and nothing that a kernel brings: an emulated machine keeps time otherwise.
const NOT_THE_KERNELS: &str = "clock";

#[test]
fn the_doctor_finds_what_this_kernel_has_and_nothing_else() {
    // Elsewhere a distribution may have left something out, or put it into an older kernel.
    need!("guest");
    let history = BTreeMap::from(HISTORY);
    for name in ability::names().filter(|name| *name != NOT_THE_KERNELS) {
        let since = history.get(name);
        assert!(since.is_some(), "no history of {name}");
        let expected = since.and_then(|since| *since).and_then(missing);
        let found = missing(name);
        assert_eq!(
            found.is_some(),
            expected.is_some(),
            "{name}: missing because {found:?}, and {expected:?}"
        );
    }
    for name in history.keys() {
        assert!(ability::names().any(|told| told == *name), "{name}");
    }
}
