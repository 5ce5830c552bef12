//! Kernel parameters that decide how the node treats connections, read once at the start.
//!
//! `/proc/sys/net` shows the network namespace of the thread that looks, so [`Sysctls::read`] is
//! called by a thread that is in the namespace that it is about.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use crate::flow::reset::Environment;

/// What was found; `None` for what this kernel, or this namespace, doesn't have. Documentation of
/// each: Documentation/networking/{ip-sysctl,nf_conntrack-sysctl}.rst.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sysctls {
    /// `net.netfilter.nf_conntrack_tcp_be_liberal`: only resets out of the window are invalid.
    pub nf_conntrack_tcp_be_liberal: Option<bool>,
    /// `net.netfilter.nf_conntrack_tcp_loose`: connections are picked up mid-stream.
    pub nf_conntrack_tcp_loose: Option<bool>,
    /// `net.netfilter.nf_conntrack_tcp_ignore_invalid_rst`: a reset out of the window doesn't
    /// close the entry.
    pub nf_conntrack_tcp_ignore_invalid_rst: Option<bool>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_established`, in seconds.
    pub nf_conntrack_tcp_timeout_established: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_unacknowledged`, in seconds.
    pub nf_conntrack_tcp_timeout_unacknowledged: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_max_retrans`, in seconds.
    pub nf_conntrack_tcp_timeout_max_retrans: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_syn_sent`, in seconds.
    pub nf_conntrack_tcp_timeout_syn_sent: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_syn_recv`, in seconds.
    pub nf_conntrack_tcp_timeout_syn_recv: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_fin_wait`, in seconds.
    pub nf_conntrack_tcp_timeout_fin_wait: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_close_wait`, in seconds.
    pub nf_conntrack_tcp_timeout_close_wait: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_last_ack`, in seconds.
    pub nf_conntrack_tcp_timeout_last_ack: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_time_wait`, in seconds.
    pub nf_conntrack_tcp_timeout_time_wait: Option<u32>,
    /// `net.netfilter.nf_conntrack_tcp_timeout_close`, in seconds.
    pub nf_conntrack_tcp_timeout_close: Option<u32>,
    /// `net.netfilter.nf_conntrack_udp_timeout`, in seconds.
    pub nf_conntrack_udp_timeout: Option<u32>,
    /// `net.netfilter.nf_conntrack_udp_timeout_stream`, in seconds.
    pub nf_conntrack_udp_timeout_stream: Option<u32>,
    /// `net.netfilter.nf_conntrack_events`: 0 never, 1 always, 2 while somebody listens (since
    /// 5.19).
    pub nf_conntrack_events: Option<u8>,
    /// `net.netfilter.nf_conntrack_count`: entries there now.
    pub nf_conntrack_count: Option<u32>,
    /// `net.netfilter.nf_conntrack_max`: the most that there can be.
    pub nf_conntrack_max: Option<u32>,
    /// `net.ipv4.tcp_abort_on_overflow`: a full accept queue is answered by a reset.
    pub tcp_abort_on_overflow: Option<bool>,
    /// `net.ipv4.tcp_rfc1337`: resets don't end TIME-WAIT.
    pub tcp_rfc1337: Option<bool>,
    /// `net.ipv4.tcp_tw_reuse`: 0 never, 1 always, 2 on loopback.
    pub tcp_tw_reuse: Option<u8>,
    /// `net.ipv4.tcp_fin_timeout`, in seconds.
    pub tcp_fin_timeout: Option<u32>,
    /// `net.ipv4.tcp_keepalive_time`, in seconds.
    pub tcp_keepalive_time: Option<u32>,
    /// `net.ipv4.tcp_keepalive_intvl`, in seconds.
    pub tcp_keepalive_intvl: Option<u32>,
    /// `net.ipv4.tcp_keepalive_probes`: how many go unanswered before the connection is reset.
    pub tcp_keepalive_probes: Option<u32>,
    /// `net.ipv4.tcp_retries2`: retransmissions before an established connection is given up.
    pub tcp_retries2: Option<u32>,
    /// `net.ipv4.ip_forward`.
    pub ip_forward: Option<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub ipv6_forwarding: Option<bool>,
    /// `net.ipv4.ip_default_ttl`: what a packet made here starts with.
    pub ip_default_ttl: Option<u8>,
    /// `net.bridge.bridge-nf-call-iptables`: bridged packets go through netfilter.
    pub bridge_nf_call_iptables: Option<bool>,
}

impl Sysctls {
    /// Reads them for the network namespace that the thread is in. Anybody may.
    #[must_use]
    pub fn read() -> Self {
        Self::read_below(Path::new("/proc/sys/net"))
    }

    fn read_below(net: &Path) -> Self {
        let netfilter = net.join("netfilter");
        let ipv4 = net.join("ipv4");
        Self {
            nf_conntrack_tcp_be_liberal: flag(&netfilter, "nf_conntrack_tcp_be_liberal"),
            nf_conntrack_tcp_loose: flag(&netfilter, "nf_conntrack_tcp_loose"),
            nf_conntrack_tcp_ignore_invalid_rst: flag(
                &netfilter,
                "nf_conntrack_tcp_ignore_invalid_rst",
            ),
            nf_conntrack_tcp_timeout_established: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_established",
            ),
            nf_conntrack_tcp_timeout_unacknowledged: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_unacknowledged",
            ),
            nf_conntrack_tcp_timeout_max_retrans: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_max_retrans",
            ),
            nf_conntrack_tcp_timeout_syn_sent: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_syn_sent",
            ),
            nf_conntrack_tcp_timeout_syn_recv: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_syn_recv",
            ),
            nf_conntrack_tcp_timeout_fin_wait: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_fin_wait",
            ),
            nf_conntrack_tcp_timeout_close_wait: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_close_wait",
            ),
            nf_conntrack_tcp_timeout_last_ack: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_last_ack",
            ),
            nf_conntrack_tcp_timeout_time_wait: number(
                &netfilter,
                "nf_conntrack_tcp_timeout_time_wait",
            ),
            nf_conntrack_tcp_timeout_close: number(&netfilter, "nf_conntrack_tcp_timeout_close"),
            nf_conntrack_udp_timeout: number(&netfilter, "nf_conntrack_udp_timeout"),
            nf_conntrack_udp_timeout_stream: number(&netfilter, "nf_conntrack_udp_timeout_stream"),
            nf_conntrack_events: number(&netfilter, "nf_conntrack_events"),
            nf_conntrack_count: number(&netfilter, "nf_conntrack_count"),
            nf_conntrack_max: number(&netfilter, "nf_conntrack_max"),
            tcp_abort_on_overflow: flag(&ipv4, "tcp_abort_on_overflow"),
            tcp_rfc1337: flag(&ipv4, "tcp_rfc1337"),
            tcp_tw_reuse: number(&ipv4, "tcp_tw_reuse"),
            tcp_fin_timeout: number(&ipv4, "tcp_fin_timeout"),
            tcp_keepalive_time: number(&ipv4, "tcp_keepalive_time"),
            tcp_keepalive_intvl: number(&ipv4, "tcp_keepalive_intvl"),
            tcp_keepalive_probes: number(&ipv4, "tcp_keepalive_probes"),
            tcp_retries2: number(&ipv4, "tcp_retries2"),
            ip_forward: flag(&ipv4, "ip_forward"),
            ipv6_forwarding: flag(net, "ipv6/conf/all/forwarding"),
            ip_default_ttl: number(&ipv4, "ip_default_ttl"),
            bridge_nf_call_iptables: flag(net, "bridge/bridge-nf-call-iptables"),
        }
    }

    /// Tells the verdicts what they need to know of it.
    pub fn fill(&self, environment: &mut Environment) {
        environment.abort_on_overflow = self.tcp_abort_on_overflow;
        environment.conntrack_be_liberal = self.nf_conntrack_tcp_be_liberal;
    }
}

fn number<T: FromStr>(folder: &Path, name: &str) -> Option<T> {
    fs::read_to_string(folder.join(name))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn flag(folder: &Path, name: &str) -> Option<bool> {
    number::<u32>(folder, name).map(|value| value != 0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_none() {
        let net = tempfile::tempdir().unwrap();
        for (name, value) in [
            ("ipv4/tcp_abort_on_overflow", "1\n"),
            ("ipv4/tcp_tw_reuse", "2\n"),
            ("ipv4/tcp_rfc1337", "none of these\n"),
            ("netfilter/nf_conntrack_tcp_be_liberal", "0\n"),
            ("netfilter/nf_conntrack_tcp_timeout_established", "432000\n"),
            ("ipv6/conf/all/forwarding", "1\n"),
        ] {
            let path = net.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }
        let found = Sysctls::read_below(net.path());
        let expected = Sysctls {
            tcp_abort_on_overflow: Some(true),
            tcp_tw_reuse: Some(2),
            nf_conntrack_tcp_be_liberal: Some(false),
            nf_conntrack_tcp_timeout_established: Some(432_000),
            ipv6_forwarding: Some(true),
            ..Sysctls::default()
        };
        assert_eq!(found, expected);
        let mut environment = Environment::default();
        found.fill(&mut environment);
        assert_eq!(environment.abort_on_overflow, Some(true));
        assert_eq!(environment.conntrack_be_liberal, Some(false));
    }

    #[test]
    fn this_machine_has_a_time_to_live() {
        assert!(Sysctls::read().ip_default_ttl.is_some_and(|ttl| ttl > 0));
    }
}
