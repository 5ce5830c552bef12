//! Becoming an ordinary user who keeps the three capabilities that a capture goes on to need.
//!
//! Identities are set for all threads of the process at once (nptl(7)), capabilities for the one
//! that asks: so this comes before any thread is made, and every later one inherits it.

use std::io;
use std::path::Path;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{Access, access};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// What a capture that is under way goes on to need: programs and maps, attaching to interfaces
/// that appear later, reading kernel memory in programs that are loaded only then.
const KEPT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::PERFMON);

/// An ordinary user, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `uid_t`
    pub user: u32,
    /// The primary group.
    pub group: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// Whether this thread may become another user.
#[must_use]
pub fn may_relinquish() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    capabilities(None).is_ok_and(|held| held.effective.contains(needed))
}

/// Becomes that user, for good: of the capabilities that it holds, the process keeps those that a
/// capture goes on to need, and no program that it starts has any.
///
/// # Errors
///
/// Where the kernel refuses a part of it. Then the process is half changed, and must end.
pub fn relinquish(identity: &Identity) -> io::Result<()> {
    let held = capabilities(None)?;
    // Refused without CAP_SETPCAP: then there is nothing to be had from it either, since no program
    // that is started gets new privileges.
    for one in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(one);
    }
    let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let group = Gid::from_raw(identity.group);
    setresgid(group, group, group)?;
    set_keep_capabilities(true)?;
    let user = Uid::from_raw(identity.user);
    setresuid(user, user, user)?;
    set_keep_capabilities(false)?;
    // Before Linux 4.3 there is none to be cleared.
    let _ = clear_ambient_capability_set();
    let kept = held.permitted & KEPT;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    set_no_new_privs(true)?;
    Ok(())
}

/// What [`check`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To make files in a folder.
    MakeFiles,
    /// To read a file.
    Read,
}

/// Whether that user may do that there. Tried out by a thread that becomes the user and then ends.
///
/// # Errors
///
/// What access(2) says, or why it can't be tried.
pub fn check(identity: &Identity, path: &Path, wanted: Wanted) -> io::Result<()> {
    let access_as_user = || -> io::Result<()> {
        use rustix::process::{Gid, Uid};
        let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        // These change the calling thread alone: they are the system calls themselves.
        set_thread_groups(&groups)?;
        let group = Gid::from_raw(identity.group);
        set_thread_res_gid(group, group, group)?;
        let user = Uid::from_raw(identity.user);
        set_thread_res_uid(user, user, user)?;
        let wanted = match wanted {
            Wanted::MakeFiles => Access::WRITE_OK | Access::EXEC_OK,
            Wanted::Read => Access::READ_OK,
        };
        Ok(access(path, wanted)?)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("relinquish".to_owned())
            .spawn_scoped(scope, access_as_user)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    })
}
