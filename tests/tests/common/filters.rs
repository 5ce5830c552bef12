//! Filters on clsact qdiscs: ours by name, and others'.

use lab::namespace::Namespace;

/// A classic BPF program for `tc … bpf da bytecode`, which lets every packet go on.
pub(crate) const PASS: &str = "'1,6 0 0 4294967295,'";

/// The lines by which `tc` shows a link's filters, both ways.
#[track_caller]
pub(crate) fn filters(namespace: &Namespace, link: &str) -> Vec<String> {
    ["ingress", "egress"]
        .iter()
        .flat_map(|way| {
            let shown = namespace.tc(&format!("filter show dev {link} {way}"));
            let lines: Vec<_> = shown.lines().map(|line| format!("{way} {line}")).collect();
            lines
        })
        .collect()
}

/// Those of them that are nodecap's.
#[track_caller]
pub(crate) fn our_filters(namespace: &Namespace, link: &str) -> Vec<String> {
    let mut filters = filters(namespace, link);
    filters.retain(|line| line.contains("nodecap:"));
    filters
}

/// Whether the link has a clsact qdisc.
#[track_caller]
pub(crate) fn has_clsact(namespace: &Namespace, link: &str) -> bool {
    namespace
        .tc(&format!("qdisc show dev {link}"))
        .contains("clsact")
}
