//! What is known besides the packets, and how it is found out: the outside of the flow core.
//!
//! Each source can be missing (no privilege, no such part in the kernel): then it says so in a
//! typed error, with what that weakens, and the capture goes on without it.
//!
//! - [`conntrack`]: the kernel's own translations, over netlink
//! - [`sysctl`]: how the node is set, at the start
//! - [`roles`]: what each interface stands for, and whether a capture sees all of them

pub mod conntrack;
pub mod roles;
pub mod sysctl;
