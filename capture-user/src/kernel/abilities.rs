//! What this kernel and these privileges allow: each ability tried out, not guessed from the
//! kernel's version.

use std::io;

use rustix::thread::{CapabilitySet, capabilities};
use serde::Serialize;

use super::probe;
use evidence::Evidence;

mod evidence;

/// Something that a capture needs of the kernel, or is better with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// Its stable name.
    pub name: &'static str,
    /// Whether it is there, for this process.
    pub available: bool,
    /// Whether a capture is impossible without it.
    pub required: bool,
    /// What was found out.
    pub why: String,
    /// How to get it, if it isn't there.
    pub remedy: Option<String>,
    /// What is lost without it.
    pub effect: &'static str,
}

/// Tries out each ability. Leaves nothing behind in the kernel.
#[must_use]
pub fn probe() -> Vec<Ability> {
    Findings::gather().abilities()
}

/// Whether this process may let the kernel side read kernel memory and keep kernel addresses,
/// which the packet's identity, following and the kernel's events take.
#[must_use]
pub fn reads_kernel_memory() -> bool {
    let privileges = Privileges::read();
    privileges.perfmon && !privileges.in_user_namespace
}

/// Whether a capture is possible with these abilities.
#[must_use]
pub fn suffice(abilities: &[Ability]) -> bool {
    abilities
        .iter()
        .all(|ability| ability.available || !ability.required)
}

/// What the attempts came to, before anything is made of it.
struct Findings {
    privileges: Privileges,
    array: io::Result<()>,
    ring_buffer: io::Result<()>,
    lpm_trie: io::Result<()>,
    classifier: io::Result<()>,
    /// None if there was no program to attach.
    tcx: Option<io::Result<()>>,
    /// None if there was no program to look at.
    jited: Option<bool>,
    clock: Option<String>,
    evidence: Evidence,
}

/// What may stand between the process and bpf(2).
#[derive(Clone, Debug, Default)]
struct Privileges {
    bpf: bool,
    net_admin: bool,
    perfmon: bool,
    /// Capabilities of a user namespace of its own don't count for bpf(2).
    in_user_namespace: bool,
    seccomp: bool,
    lockdown: Option<String>,
}

impl Privileges {
    fn read() -> Self {
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

    /// Why a thing was refused with `EPERM`, and what helps.
    fn refusal(&self, net_admin: bool) -> (String, String) {
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
                "allow bpf(2) in the seccomp profile (of the container or the unit)".into(),
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

const GRANT: &str = "run it as root (sudo), or grant the program cap_bpf,cap_net_admin,cap_perfmon \
                     (setcap, systemd's AmbientCapabilities=, a container's capabilities)";

const USER_NAMESPACE: (&str, &str) = (
    "not permitted: the capabilities are those of a user namespace",
    "run it as root outside the user namespace (a rootless container has one)",
);

/// Whether a `uid_map` isn't the initial user namespace's: that maps all to themselves.
fn maps_users(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_whitespace().collect();
    !fields.is_empty() && fields != ["0", "0", "4294967295"]
}

/// Whether a `status` file of /proc tells of a seccomp filter (mode 2).
fn is_filtered(status: &str) -> bool {
    status
        .lines()
        .filter_map(|line| line.strip_prefix("Seccomp:"))
        .any(|mode| mode.trim() == "2")
}

/// The lockdown mode in force, if one is: the one in brackets of `none [integrity] …`.
fn locked_down(modes: &str) -> Option<String> {
    let mode = modes.split_once('[')?.1.split_once(']')?.0;
    (mode != "none").then(|| mode.to_owned())
}

impl Findings {
    fn gather() -> Self {
        let (classifier, tcx, jited) = match probe::Classifier::load() {
            Ok(program) => (
                Ok(()),
                Some(program.attach_nowhere()),
                program.is_jited().ok(),
            ),
            Err(error) => (Err(error), None, None),
        };
        let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            privileges: Privileges::read(),
            array: probe::array(),
            ring_buffer: probe::ring_buffer(),
            lpm_trie: probe::lpm_trie(),
            classifier,
            tcx,
            jited,
            clock: std::fs::read_to_string(clock)
                .ok()
                .map(|name| name.trim().to_owned()),
            evidence: Evidence::gather(),
        }
    }

    fn abilities(&self) -> Vec<Ability> {
        let mut abilities = vec![
            self.attempted(&BPF, &self.array),
            self.attempted(&RING_BUFFER, &self.ring_buffer),
            self.attempted(&LPM_TRIE, &self.lpm_trie),
            self.attempted(&TC_PROGRAM, &self.classifier),
            self.tcx(),
        ];
        abilities.extend(self.jit());
        abilities.push(self.perfmon());
        abilities.extend(self.evidence());
        abilities.extend(self.clock());
        abilities
    }

    fn attempted(&self, about: &About, outcome: &io::Result<()>) -> Ability {
        match outcome {
            Ok(()) => about.there(about.done),
            Err(error) => {
                let (why, remedy) = self.explain(about, error);
                about.missing(why, remedy)
            }
        }
    }

    fn explain(&self, about: &About, error: &io::Error) -> (String, String) {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => self.privileges.refusal(about.net_admin),
            Some(libc::ENOSYS) if self.privileges.seccomp => (
                "bpf(2) answers ENOSYS, and a seccomp filter is in force".into(),
                "allow bpf(2) in the seccomp profile (of the container or the unit)".into(),
            ),
            Some(libc::ENOSYS) => (
                "this kernel has no bpf(2)".into(),
                "use a kernel built with CONFIG_BPF_SYSCALL".into(),
            ),
            Some(libc::EINVAL) => ("this kernel doesn't know it".into(), about.kernel.into()),
            _ => (
                format!("tried: {error}"),
                "free memory, then try again".into(),
            ),
        }
    }

    fn tcx(&self) -> Ability {
        match &self.tcx {
            None => TCX.missing(
                "not tried: no program could be loaded".into(),
                "see tc-program".into(),
            ),
            Some(Err(error)) if error.raw_os_error() == Some(libc::ENODEV) => TCX.there(TCX.done),
            Some(Err(error)) => {
                let (why, remedy) = self.explain(&TCX, error);
                TCX.missing(why, remedy)
            }
            // An interface with the largest index there can be: the link is gone again already.
            Some(Ok(())) => TCX.there(TCX.done),
        }
    }

    fn jit(&self) -> Option<Ability> {
        // Without CAP_BPF the kernel shows no lengths.
        if !self.privileges.bpf {
            return None;
        }
        Some(match self.jited? {
            true => JIT.there(JIT.done),
            false => JIT.missing(
                "the kernel interprets a program that it accepted".into(),
                JIT.kernel.into(),
            ),
        })
    }

    fn perfmon(&self) -> Ability {
        let Privileges {
            perfmon,
            in_user_namespace,
            ..
        } = self.privileges;
        match (perfmon, in_user_namespace) {
            (true, false) => PERFMON.there(PERFMON.done),
            (true, true) => PERFMON.missing(USER_NAMESPACE.0.into(), USER_NAMESPACE.1.into()),
            (false, _) => PERFMON.missing("CAP_PERFMON missing".into(), GRANT.into()),
        }
    }

    fn clock(&self) -> Option<Ability> {
        let clock = self.clock.as_deref()?;
        // Those that are read from a device on a slow bus, or tick.
        let slow = ["acpi_pm", "hpet", "pit", "jiffies", "refined-jiffies"].contains(&clock);
        Some(match slow {
            false => CLOCK.there(&format!("the clock source is {clock}")),
            true => CLOCK.missing(format!("the clock source is {clock}"), CLOCK.kernel.into()),
        })
    }
}

/// What doesn't depend on the findings.
struct About {
    name: &'static str,
    required: bool,
    /// Whether it needs `CAP_NET_ADMIN` beside `CAP_BPF`.
    net_admin: bool,
    /// What is said when the attempt succeeded.
    done: &'static str,
    effect: &'static str,
    /// The remedy if it is the kernel that lacks it.
    kernel: &'static str,
}

impl About {
    fn there(&self, why: &str) -> Ability {
        Ability {
            name: self.name,
            available: true,
            required: self.required,
            why: why.to_owned(),
            remedy: None,
            effect: self.effect,
        }
    }

    fn missing(&self, why: String, remedy: String) -> Ability {
        Ability {
            name: self.name,
            available: false,
            required: self.required,
            why,
            remedy: Some(remedy),
            effect: self.effect,
        }
    }
}

const BPF: About = About {
    name: "bpf",
    required: true,
    net_admin: false,
    done: "a map was created",
    effect: "no capture",
    kernel: "use a kernel built with CONFIG_BPF_SYSCALL",
};

const RING_BUFFER: About = About {
    name: "ring-buffer",
    required: true,
    net_admin: false,
    done: "a ring buffer was created",
    effect: "no capture: packets reach the program through it",
    kernel: "use Linux 5.8 or newer",
};

const LPM_TRIE: About = About {
    name: "lpm-trie",
    required: true,
    net_admin: false,
    done: "a trie was created",
    effect: "no capture: addresses are looked up in it",
    kernel: "use Linux 4.11 or newer",
};

const TC_PROGRAM: About = About {
    name: "tc-program",
    required: true,
    net_admin: true,
    done: "a TC classifier was loaded",
    effect: "no capture",
    kernel: "use a kernel built with CONFIG_NET_CLS_ACT",
};

const TCX: About = About {
    name: "tcx",
    required: false,
    net_admin: true,
    done: "the kernel knows attachment by TCX",
    effect: "programs are attached by clsact filters, which a SIGKILL leaves behind until the next \
             capture or `nodecap sweep`",
    kernel: "use Linux 6.6 or newer, built with CONFIG_NET_XGRESS",
};

const JIT: About = About {
    name: "jit",
    required: false,
    net_admin: false,
    done: "the program was compiled to machine code",
    effect: "each packet costs many times as much",
    kernel: "sysctl net.core.bpf_jit_enable=1",
};

const PERFMON: About = About {
    name: "perfmon",
    required: false,
    net_admin: false,
    done: "CAP_PERFMON is there",
    effect: "the verifier guards the program against speculation, at a cost for each packet, and \
             refuses address, port and protocol options",
    kernel: "",
};

const CLOCK: About = About {
    name: "clock",
    required: false,
    net_admin: false,
    done: "",
    effect: "each time stamp costs about a microsecond, and so does each matching packet",
    kernel: "boot with clocksource=tsc if the machine's time stamp counter is stable",
};

#[cfg(test)]
mod tests;
