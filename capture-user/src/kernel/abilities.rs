//! What this kernel and these privileges allow: each ability tried out, not guessed from the
//! kernel's version.

use std::io;

use serde::Serialize;

use super::{limits, probe};
use evidence::Evidence;
use privileges::{GRANT, Privileges, USER_NAMESPACE};

mod evidence;
mod privileges;

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
    // As a capture does: what others have locked already is no obstacle to it.
    limits::raise_memory();
    Findings::gather().abilities()
}

/// Whether this process may let the kernel side read kernel memory and keep kernel addresses,
/// which the packet's identity, following and the kernel's events take.
#[must_use]
pub fn reads_kernel_memory() -> bool {
    let privileges = Privileges::read();
    privileges.perfmon && !privileges.in_user_namespace
}

/// The names of the abilities that verdicts rest on.
pub use evidence::{CONNTRACK_ENTRIES, DROP_REASONS, RESET_EVENTS, RESET_REASONS};

/// What is lost without an ability. Empty for a name that no ability has.
#[must_use]
pub fn effect(name: &str) -> &'static str {
    ABOUT
        .iter()
        .chain(evidence::ABOUT)
        .find(|about| about.name == name)
        .map_or("", |about| about.effect)
}

/// Why the kernel refused what a capture needs, and the remedy, in one line.
pub(super) fn refusal() -> String {
    let privileges = Privileges::read();
    let (why, remedy) = if privileges.bpf && privileges.net_admin && !privileges.perfmon {
        (
            "not permitted: CAP_PERFMON missing".to_owned(),
            GRANT.to_owned(),
        )
    } else {
        privileges.refusal(true)
    };
    format!("{why}; {remedy}; `nodecap doctor` shows what each is for")
}

/// Why there is no bpf(2), and the remedy, in one line.
pub(super) fn no_call() -> String {
    let (why, remedy) = Privileges::read().no_call();
    format!("{why}; {remedy}")
}

/// Whether a refusal can be for want of privilege, as far as that can be told.
pub(super) fn lacks_privilege() -> bool {
    let privileges = Privileges::read();
    !(privileges.bpf && privileges.net_admin && privileges.perfmon) || privileges.in_user_namespace
}

/// Why no program may read kernel memory.
pub(super) fn memory_refusal() -> String {
    Privileges::read().no_memory().0
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
    classifier: io::Result<()>,
    /// None if there was no program to attach.
    tcx: Option<io::Result<()>>,
    xdp: io::Result<()>,
    xdp_frags: io::Result<()>,
    /// None if there was no program to look at.
    jited: Option<bool>,
    clock: Option<String>,
    evidence: Evidence,
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
            classifier,
            tcx,
            xdp: probe::xdp(false),
            xdp_frags: probe::xdp(true),
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
            self.attempted(&TC_PROGRAM, &self.classifier),
            self.tcx(),
            self.attempted(&XDP, &self.xdp),
            self.attempted(&XDP_FRAGS, &self.xdp_frags),
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
            Some(libc::ENOSYS) => self.privileges.no_call(),
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

/// All of them, but for those in `evidence`.
const ABOUT: &[&About] = &[
    &BPF,
    &RING_BUFFER,
    &TC_PROGRAM,
    &TCX,
    &XDP,
    &XDP_FRAGS,
    &JIT,
    &PERFMON,
    &CLOCK,
];

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

const XDP: About = About {
    name: "xdp",
    required: false,
    net_admin: true,
    done: "an XDP program was loaded",
    effect: "no --hook xdp",
    kernel: "use a kernel built with CONFIG_BPF_SYSCALL and CONFIG_NET",
};

const XDP_FRAGS: About = About {
    name: "xdp-frags",
    required: false,
    net_admin: true,
    done: "an XDP program for packets of several buffers was loaded",
    effect: "--hook xdp takes CAP_PERFMON, and is generic where packets can be larger than a page",
    kernel: "use Linux 5.18 or newer",
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
    effect: "no capture on older kernels (Linux 6.1 refuses it, 6.18 doesn't); on newer ones the \
             verifier guards the program against speculation, at a cost for each packet, and \
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
