//! A verdict in words: the names that files have for it, and clauses for people.

use std::borrow::Cow;
use std::fmt;

use super::{Cause, Confidence, Environment, OriginSide, Phase};
use crate::packet::InterfaceId;

impl Environment {
    /// What to call an interface in a sentence.
    #[must_use]
    pub fn name(&self, interface: InterfaceId) -> Cow<'_, str> {
        self.interfaces.name(interface).map_or_else(
            || Cow::Owned(format!("interface {interface}")),
            Cow::Borrowed,
        )
    }
}

impl Cause {
    /// Every cause, in the order of the contract.
    pub const ALL: [Self; 13] = [
        Self::ClosedPort,
        Self::NoConnection,
        Self::RejectRule,
        Self::ApplicationAbort,
        Self::UnreadData,
        Self::DataAfterClose,
        Self::BacklogOverflow,
        Self::Timeout,
        Self::TimeWait,
        Self::ConntrackInvalid,
        Self::IdleExpiry,
        Self::Injected,
        Self::Unknown,
    ];

    /// Its name in files and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClosedPort => "closed-port",
            Self::NoConnection => "no-connection",
            Self::RejectRule => "reject-rule",
            Self::ApplicationAbort => "application-abort",
            Self::UnreadData => "unread-data",
            Self::DataAfterClose => "data-after-close",
            Self::BacklogOverflow => "backlog-overflow",
            Self::Timeout => "timeout",
            Self::TimeWait => "time-wait",
            Self::ConntrackInvalid => "conntrack-invalid",
            Self::IdleExpiry => "idle-expiry",
            Self::Injected => "injected",
            Self::Unknown => "unknown",
        }
    }

    /// What it means, as a clause that follows `because`.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::ClosedPort => "nobody listens on that port",
            Self::NoConnection => "its stack has no such connection (any more)",
            Self::RejectRule => "a firewall rule rejected the packet",
            Self::ApplicationAbort => "its application aborted the connection",
            Self::UnreadData => "its application closed without reading what had arrived",
            Self::DataAfterClose => "data arrived after its application had closed",
            Self::BacklogOverflow => "its application accepts too slowly, the queue was full",
            Self::Timeout => "the other side had stopped answering",
            Self::TimeWait => "an earlier connection of the same ports was still remembered",
            Self::ConntrackInvalid => {
                "conntrack called a packet invalid, which so went on untranslated"
            }
            Self::IdleExpiry => "a hop on the way had forgotten the idle connection",
            Self::Injected => "somebody between the two ends made it",
            Self::Unknown => "the evidence does not say why",
        }
    }
}

impl Confidence {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Conntrack => "conntrack",
            Self::Packet => "packet",
            Self::Heuristic => "heuristic",
        }
    }

    /// How sure that is, as a clause.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Kernel => "the kernel says so",
            Self::Conntrack => "conntrack's tables say so",
            Self::Packet => "the packets prove it",
            Self::Heuristic => "likely, not proved",
        }
    }
}

impl OriginSide {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Pod => "pod",
            Self::Local => "local",
            Self::Unknown => "unknown",
        }
    }
}

impl Phase {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for OriginSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
