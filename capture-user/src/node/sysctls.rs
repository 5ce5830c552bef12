//! Kernel parameters that decide what becomes of packets.
//!
//! `/proc/sys/net` shows the network namespace of the thread that looks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Those that are read, below `/proc/sys/net`: forwarding and filtering by the path back; the
/// bridge's way through netfilter; how full tables may get; how TCP opens, keeps and ends
/// connections; what connection tracking takes for valid, and for how long. What a namespace, or
/// the kernel, doesn't have is left out. Documentation/networking has a text on each.
const READ: [&str; 62] = [
    "bridge/bridge-nf-call-arptables",
    "bridge/bridge-nf-call-ip6tables",
    "bridge/bridge-nf-call-iptables",
    "core/dev_weight",
    "core/netdev_budget",
    "core/netdev_max_backlog",
    "core/rmem_max",
    "core/somaxconn",
    "core/wmem_max",
    "ipv4/conf/all/accept_local",
    "ipv4/conf/all/arp_announce",
    "ipv4/conf/all/arp_ignore",
    "ipv4/conf/all/forwarding",
    "ipv4/conf/all/proxy_arp",
    "ipv4/conf/all/route_localnet",
    "ipv4/conf/all/rp_filter",
    "ipv4/conf/default/rp_filter",
    "ipv4/ip_default_ttl",
    "ipv4/ip_forward",
    "ipv4/ip_local_port_range",
    "ipv4/ip_local_reserved_ports",
    "ipv4/ip_nonlocal_bind",
    "ipv4/ip_no_pmtu_disc",
    "ipv4/neigh/default/gc_thresh1",
    "ipv4/neigh/default/gc_thresh2",
    "ipv4/neigh/default/gc_thresh3",
    "ipv4/tcp_abort_on_overflow",
    "ipv4/tcp_congestion_control",
    "ipv4/tcp_ecn",
    "ipv4/tcp_fin_timeout",
    "ipv4/tcp_keepalive_intvl",
    "ipv4/tcp_keepalive_probes",
    "ipv4/tcp_keepalive_time",
    "ipv4/tcp_max_syn_backlog",
    "ipv4/tcp_max_tw_buckets",
    "ipv4/tcp_mtu_probing",
    "ipv4/tcp_retries2",
    "ipv4/tcp_rfc1337",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_timestamps",
    "ipv4/tcp_tw_reuse",
    "ipv4/vs/conn_reuse_mode",
    "ipv4/vs/conntrack",
    "ipv4/vs/expire_nodest_conn",
    "ipv4/vs/expire_quiescent_template",
    "ipv6/conf/all/disable_ipv6",
    "ipv6/conf/all/forwarding",
    "ipv6/neigh/default/gc_thresh3",
    "netfilter/nf_conntrack_acct",
    "netfilter/nf_conntrack_buckets",
    "netfilter/nf_conntrack_events",
    "netfilter/nf_conntrack_generic_timeout",
    "netfilter/nf_conntrack_max",
    "netfilter/nf_conntrack_tcp_be_liberal",
    "netfilter/nf_conntrack_tcp_ignore_invalid_rst",
    "netfilter/nf_conntrack_tcp_loose",
    "netfilter/nf_conntrack_tcp_timeout_close_wait",
    "netfilter/nf_conntrack_tcp_timeout_established",
    "netfilter/nf_conntrack_tcp_timeout_time_wait",
    "netfilter/nf_conntrack_udp_timeout",
    "netfilter/nf_conntrack_udp_timeout_stream",
    "netfilter/nf_flowtable_tcp_timeout",
];
/// Those that each interface has, below `/proc/sys/net/ipv4/conf/NAME`.
const OF_AN_INTERFACE: [&str; 2] = ["rp_filter", "forwarding"];

/// Reads them: by their names, as `sysctl` has them, their values as they stand. `links` are the
/// names of interfaces. Anybody may.
#[must_use]
pub fn read<'a>(links: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    read_below(Path::new("/proc/sys/net"), links)
}

fn read_below<'a>(net: &Path, links: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let of_links = links
        // A name with a slash can't be, `.` is nobody's.
        .filter(|name| !name.contains('/') && !matches!(*name, "." | ".."))
        .flat_map(|name| OF_AN_INTERFACE.map(|what| format!("ipv4/conf/{name}/{what}")));
    let all = READ.into_iter().map(str::to_owned).chain(of_links);
    all.filter_map(|path| {
        let value = fs::read_to_string(net.join(&path)).ok()?;
        let value: Vec<_> = value.split_whitespace().collect();
        // As sysctl(8) has it: a dot in an interface's name trades places with the slash.
        let name: String = path
            .chars()
            .map(|char| match char {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect();
        Some((format!("net.{name}"), value.join(" ")))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_the_names_that_sysctl_has() {
        let net = tempfile::tempdir().expect("a folder");
        let write = |path: &str, value: &str| {
            let path = net.path().join(path);
            let folder = path.parent().expect("a folder");
            fs::create_dir_all(folder).expect("a folder");
            fs::write(path, value).expect("a file");
        };
        write("ipv4/ip_forward", "1\n");
        write("ipv4/ip_local_port_range", "32768\t60999\n");
        write("ipv4/conf/eth0.7/rp_filter", "2\n");
        let read = read_below(net.path(), ["eth0.7", "..", "lo"].into_iter());
        let expected = [
            ("net.ipv4.conf.eth0/7.rp_filter", "2"),
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.ip_local_port_range", "32768 60999"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, expected.into());
    }
}
