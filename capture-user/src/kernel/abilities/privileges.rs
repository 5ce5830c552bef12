//! What this process may do, and what else may stand in its way.

use rustix::thread::{CapabilitySet, capabilities};

/// What may stand between the process and bpf(2).
#[derive(Clone, Debug, Default)]
pub(super) struct Privileges {
    pub(super) bpf: bool,
    pub(super) net_admin: bool,
    pub(super) perfmon: bool,
    /// Capabilities of a user namespace of its own don't count for bpf(2).
    pub(super) in_user_namespace: bool,
    pub(super) seccomp: bool,
    pub(super) lockdown: Option<String>,
}

impl Privileges {
    pub(super) fn read() -> Self {
        let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        // CAP_SYS_ADMIN stands for what was split off from it in Linux 5.8 (bpf_capable and
        // perfmon_capable, include/linux/capability.h).
        let holds = |one| held.intersects(one | CapabilitySet::SYS_ADMIN);
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            bpf: holds(CapabilitySet::BPF),
            net_admin: holds(CapabilitySet::NET_ADMIN),
            perfmon: holds(CapabilitySet::PERFMON),
            in_user_namespace: maps_users(&read("/proc/self/uid_map")),
            seccomp: is_filtered(&read("/proc/thread-self/status")),
            lockdown: locked_down(&read("/sys/kernel/security/lockdown")),
        }
    }

    /// The capabilities that are missing for a thing that needs both or just `CAP_BPF`.
    fn missing(&self, net_admin: bool) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !self.bpf {
            missing.push("CAP_BPF");
        }
        if net_admin && !self.net_admin {
            missing.push("CAP_NET_ADMIN");
        }
        missing
    }

    /// Why no program may read kernel memory although the capabilities are there, and what helps.
    pub(super) fn no_memory(&self) -> (String, String) {
        match &self.lockdown {
            Some(mode) => (
                format!("kernel memory can't be read: lockdown is {mode}"),
                "boot with lockdown=integrity, or without lockdown".into(),
            ),
            // A container, and a network namespace of `ip netns`, have no securityfs.
            None => (
                "no program may read kernel memory".into(),
                "where the machine's own /sys/kernel/security/lockdown says confidentiality, boot \
                 with lockdown=integrity; else use a kernel built with CONFIG_BPF_EVENTS"
                    .into(),
            ),
        }
    }

    /// Why there is no bpf(2) at all (`ENOSYS`), and what helps.
    pub(super) fn no_call(&self) -> (String, String) {
        if self.seccomp {
            (
                "bpf(2) answers ENOSYS, and a seccomp filter is in force".into(),
                ALLOW.into(),
            )
        } else {
            (
                "this kernel has no bpf(2)".into(),
                "use a kernel built with CONFIG_BPF_SYSCALL".into(),
            )
        }
    }

    /// Why a thing was refused with `EPERM`, and what helps.
    pub(super) fn refusal(&self, net_admin: bool) -> (String, String) {
        let missing = self.missing(net_admin);
        if !missing.is_empty() {
            let why = format!("not permitted: {} missing", missing.join(" and "));
            return (why, GRANT.into());
        }
        if self.in_user_namespace {
            return (USER_NAMESPACE.0.into(), USER_NAMESPACE.1.into());
        }
        if self.seccomp {
            return (
                "not permitted although the capabilities are there: a seccomp filter is in force"
                    .into(),
                ALLOW.into(),
            );
        }
        if let Some(mode) = &self.lockdown {
            return (
                format!("not permitted although the capabilities are there: lockdown is {mode}"),
                "boot without lockdown=, or allow bpf(2) in the security module's policy".into(),
            );
        }
        (
            "not permitted although the capabilities are there".into(),
            "raise the limit of locked memory (ulimit -l unlimited) on kernels before 5.11, or \
             allow bpf(2) in the security module's policy (SELinux, AppArmor)"
                .into(),
        )
    }
}

pub(super) const GRANT: &str = "run it as root (sudo), or grant the program cap_bpf,cap_net_admin,cap_perfmon \
                     (setcap, systemd's AmbientCapabilities=, a container's capabilities)";

const ALLOW: &str = "allow bpf(2) in the seccomp profile (of the container or the unit)";

pub(super) const USER_NAMESPACE: (&str, &str) = (
    "not permitted: the capabilities are those of a user namespace",
    "run it as root outside the user namespace (a rootless container has one)",
);

/// Whether a `uid_map` isn't the initial user namespace's: that maps all to themselves.
pub(super) fn maps_users(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_whitespace().collect();
    !fields.is_empty() && fields != ["0", "0", "4294967295"]
}

/// Whether a `status` file of /proc tells of a seccomp filter (mode 2).
pub(super) fn is_filtered(status: &str) -> bool {
    status
        .lines()
        .filter_map(|line| line.strip_prefix("Seccomp:"))
        .any(|mode| mode.trim() == "2")
}

/// The lockdown mode in force, if one is: the one in brackets of `none [integrity] …`.
pub(super) fn locked_down(modes: &str) -> Option<String> {
    let mode = modes.split_once('[')?.1.split_once(']')?.0;
    (mode != "none").then(|| mode.to_owned())
}
