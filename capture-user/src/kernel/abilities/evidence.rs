//! What makes verdicts better: each ability with the verdicts that it decides.

use std::io;

use super::super::probe;
use super::super::types::Types;
use super::privileges::GRANT;
use super::{Ability, About, Findings};

/// What the attempts came to.
pub(super) struct Evidence {
    /// Taking a packet's address for a number.
    pub(super) identity: io::Result<()>,
    /// Reading kernel memory.
    pub(super) memory: io::Result<()>,
    /// Attaching to `tcp_send_reset` and `tcp_receive_reset`.
    pub(super) reset_tracepoints: io::Result<()>,
    /// … with the third argument, the reason.
    pub(super) reasons: io::Result<()>,
    /// Attaching to `kfree_skb` with the third argument, the reason.
    pub(super) drop_tracepoint: io::Result<()>,
    /// Finding in this kernel's type information what the tracepoints hand over.
    pub(super) resets: Result<(), String>,
    /// The same for packets that are dropped.
    pub(super) drops: Result<(), String>,
    /// The same for conntrack's entries.
    pub(super) conntrack: Result<(), String>,
}

impl Evidence {
    pub(super) fn gather() -> Self {
        let layout = Types::of_this_kernel().layout.clone();
        let received = probe::tracepoint(c"tcp_receive_reset", 1);
        Self {
            identity: probe::Classifier::load_with_address().map(drop),
            memory: probe::Classifier::load_reading_memory().map(drop),
            reset_tracepoints: probe::tracepoint(c"tcp_send_reset", 2).and(received),
            reasons: probe::tracepoint(c"tcp_send_reset", 3),
            drop_tracepoint: probe::tracepoint(c"kfree_skb", 3),
            resets: layout.resets,
            drops: layout.drops,
            conntrack: layout.conntrack,
        }
    }
}

impl Findings {
    pub(super) fn evidence(&self) -> Vec<Ability> {
        let Evidence {
            identity,
            memory,
            reset_tracepoints,
            reasons,
            drop_tracepoint,
            resets,
            drops,
            conntrack,
        } = &self.evidence;
        vec![
            self.readable(&ABOUT_IDENTITY, identity, &Ok(())),
            self.readable(
                &ABOUT_RESET_EVENTS,
                first_error(reset_tracepoints, memory),
                resets,
            ),
            self.readable(&ABOUT_RESET_REASONS, first_error(reasons, memory), resets),
            self.readable(
                &ABOUT_DROP_REASONS,
                first_error(drop_tracepoint, memory),
                drops,
            ),
            self.readable(&ABOUT_CONNTRACK_ENTRIES, memory, conntrack),
        ]
    }

    /// An ability that takes `CAP_PERFMON` and this kernel's type information.
    fn readable(
        &self,
        about: &About,
        attempt: &io::Result<()>,
        layout: &Result<(), String>,
    ) -> Ability {
        match (attempt, layout) {
            (Ok(()), Ok(())) => about.there(about.done),
            (Ok(()), Err(why)) => about.missing(why.clone(), BTF.into()),
            (Err(error), _) => {
                let (why, remedy) = self.explain_evidence(about, error);
                about.missing(why, remedy)
            }
        }
    }

    fn explain_evidence(&self, about: &About, error: &io::Error) -> (String, String) {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::EINVAL) if !self.privileges.perfmon => {
                ("not permitted: CAP_PERFMON missing".into(), GRANT.into())
            }
            Some(libc::EINVAL) if self.evidence.memory.is_err() => self.privileges.no_memory(),
            Some(libc::ENOENT) => (
                "this kernel has no such tracepoint".into(),
                about.kernel.into(),
            ),
            _ => self.explain(about, error),
        }
    }
}

/// What failed, if one of them did.
fn first_error<'a>(one: &'a io::Result<()>, other: &'a io::Result<()>) -> &'a io::Result<()> {
    if one.is_err() { one } else { other }
}

/// What helps where the kernel doesn't describe itself.
const BTF: &str = "use a kernel built with CONFIG_DEBUG_INFO_BTF";

/// `tcp:tcp_send_reset` and `tcp:tcp_receive_reset`.
pub const RESET_EVENTS: &str = "reset-events";
/// The reason that `tcp:tcp_send_reset` gives.
pub const RESET_REASONS: &str = "reset-reasons";
/// The reason that `skb:kfree_skb` gives.
pub const DROP_REASONS: &str = "drop-reasons";
/// The conntrack entry that a packet has.
pub const CONNTRACK_ENTRIES: &str = "conntrack-entries";

/// All of them.
pub(super) const ABOUT: &[&About] = &[
    &ABOUT_IDENTITY,
    &ABOUT_RESET_EVENTS,
    &ABOUT_RESET_REASONS,
    &ABOUT_DROP_REASONS,
    &ABOUT_CONNTRACK_ENTRIES,
];

const ABOUT_IDENTITY: About = About {
    name: "packet-identity",
    required: false,
    net_admin: true,
    done: "a program may keep a packet's address",
    effect: "packets aren't followed beyond a translation, and translations are found by \
             fingerprint alone",
    kernel: "use Linux 5.10 or newer",
};

const ABOUT_RESET_EVENTS: About = About {
    name: RESET_EVENTS,
    required: false,
    net_admin: false,
    done: "tcp:tcp_send_reset and tcp:tcp_receive_reset can be read",
    effect: "no verdict on a reset has the kernel's own word; a reject rule isn't told from a \
             socket for certain",
    kernel: "use a kernel built with CONFIG_TRACEPOINTS",
};

const ABOUT_RESET_REASONS: About = About {
    name: RESET_REASONS,
    required: false,
    net_admin: false,
    done: "tcp:tcp_send_reset gives its reason",
    effect: "closed-port, no-connection, application-abort, unread-data, data-after-close and \
             time-wait rest on the packets alone, and resets of no socket aren't told",
    kernel: "use Linux 6.10 or newer",
};

const ABOUT_DROP_REASONS: About = About {
    name: DROP_REASONS,
    required: false,
    net_admin: false,
    done: "skb:kfree_skb gives its reason",
    effect: "reject-rule and closed-port rest on the packets alone",
    kernel: "use Linux 5.17 or newer",
};

const ABOUT_CONNTRACK_ENTRIES: About = About {
    name: CONNTRACK_ENTRIES,
    required: false,
    net_admin: true,
    done: "a packet's conntrack entry can be read",
    effect: "connections that were translated before the capture began are followed only once a \
             packet of theirs has been seen on both sides",
    kernel: BTF,
};

#[cfg(test)]
impl Evidence {
    /// A kernel with everything.
    pub(super) fn all() -> Self {
        Self {
            identity: Ok(()),
            memory: Ok(()),
            reset_tracepoints: Ok(()),
            reasons: Ok(()),
            drop_tracepoint: Ok(()),
            resets: Ok(()),
            drops: Ok(()),
            conntrack: Ok(()),
        }
    }

    /// Every attempt refused.
    pub(super) fn none(errno: i32) -> Self {
        let refused = || Err(io::Error::from_raw_os_error(errno));
        Self {
            identity: refused(),
            memory: refused(),
            reset_tracepoints: refused(),
            reasons: refused(),
            drop_tracepoint: refused(),
            ..Self::all()
        }
    }
}
