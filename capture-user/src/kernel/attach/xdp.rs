//! XDP: before the stack has made an skb of what came in. By a link that dies with the process
//! (Linux 5.9); in the driver where that has it, else in the stack.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::super::error::{KernelError, errno};
use super::super::sys;
use super::rtnetlink::Rtnetlink;

// include/uapi/linux/bpf.h and if_link.h
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Who runs an XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// The driver, for what comes in from the wire before anything else is done with it.
    Native,
    /// The stack, on a finished skb: no faster than TC.
    Generic {
        /// Why the driver doesn't.
        why: String,
    },
}

/// Detaches when it is dropped, and with the process.
pub(super) type XdpLink = OwnedFd;

/// Attaches a program.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    index: u32,
    interface: &str,
) -> Result<(XdpLink, XdpMode), KernelError> {
    let link = |mode| sys::link(&program, index, BPF_XDP, mode);
    let failed = |source: std::io::Error| match errno(&source) {
        // A program in the other mode is in the way with EEXIST (dev_xdp_attach, net/core/dev.c).
        Some(Errno::BUSY | Errno::EXIST) => KernelError::XdpTaken {
            interface: interface.to_owned(),
            by: who_is_there(index),
        },
        _ => KernelError::Attach {
            interface: interface.to_owned(),
            source: Box::new(source),
        },
    };
    let native = match link(XDP_FLAGS_DRV_MODE) {
        Ok(link) => return Ok((link, XdpMode::Native)),
        Err(error) => error,
    };
    match errno(&native) {
        Some(
            Errno::BUSY | Errno::EXIST | Errno::PERM | Errno::ACCESS | Errno::NODEV | Errno::NXIO,
        ) => Err(failed(native)),
        _ => {
            let link = link(XDP_FLAGS_SKB_MODE).map_err(failed)?;
            let why = match errno(&native) {
                Some(Errno::OPNOTSUPP) => "its driver has no XDP".to_owned(),
                _ => format!("its driver refuses: {native}"),
            };
            Ok((link, XdpMode::Generic { why }))
        }
    }
}

/// The program on an interface, as far as it can be told.
fn who_is_there(index: u32) -> String {
    let programs = Rtnetlink::open()
        .map_err(Into::into)
        .and_then(|netlink| netlink.xdp_programs(index))
        .unwrap_or_default();
    let programs: Vec<_> = programs.iter().map(ToString::to_string).collect();
    match programs.as_slice() {
        [] => "another XDP program".to_owned(),
        programs => programs.join(" and "),
    }
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: u32,
    pub(super) mode: &'static str,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, mode } = self;
        // Only CAP_SYS_ADMIN may look a program up.
        let info = sys::program_by_id(*id).and_then(|program| sys::program_info(&program));
        match info {
            Ok(info) => {
                let name = String::from_utf8_lossy(&info.name);
                let name = name.trim_end_matches('\0').escape_default();
                write!(f, "the {mode} XDP program `{name}` (number {id})")
            }
            Err(_) => write!(f, "the {mode} XDP program number {id}"),
        }
    }
}
