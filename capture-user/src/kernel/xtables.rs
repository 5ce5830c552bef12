//! The tables of iptables-legacy, which the kernel tells by getsockopt(2) and by nothing else.
//!
//! Bytes as the kernel has them come out; [`crate::node::iptables`] reads them.

#![expect(
    unsafe_code,
    reason = "getsockopt(2) has no safe wrapper for options of any size: one call, in one function"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::net::{AddressFamily, SocketType, socket};

/// `XT_TABLE_MAXNAMELEN`, with the NUL.
const NAME_LEN: usize = 32;
/// The length of `struct ipt_getinfo`.
pub const INFO_LEN: usize = 84;
/// Where `struct ipt_getinfo` says how long all entries are: a `u32`.
const SIZE_AT: usize = 80;
/// `struct ipt_get_entries` up to its entries: a name, their length, and padding.
const ENTRIES_AT: usize = 40;
/// More than any table takes that a kernel works with.
const LONGEST: usize = 256 << 20;
/// How often a table that changes meanwhile is asked for.
const ATTEMPTS: u32 = 8;

/// Whose tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// iptables-legacy.
    V4,
    /// ip6tables-legacy.
    V6,
}

/// A table as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `struct ipt_getinfo`.
    pub info: [u8; INFO_LEN],
    /// `struct ipt_entry` (or `ip6t_entry`), one behind the other.
    pub entries: Vec<u8>,
}

/// What is asked for. For both the kernel writes into the buffer and nowhere else, which isn't so
/// of every option that there is.
#[derive(Clone, Copy)]
#[repr(i32)]
enum Question {
    /// `IPT_SO_GET_INFO` (include/uapi/linux/netfilter_ipv4/ip_tables.h; IPv6 has the same numbers).
    Info = 64,
    /// `IPT_SO_GET_ENTRIES`.
    Entries = 65,
}

/// Reads a table of the network namespace that the thread is in. It must be there: asking for
/// another one may load it.
///
/// # Errors
///
/// `EPERM` without `CAP_NET_ADMIN`; `ENOENT` where there is no such table.
pub fn table(family: Family, name: &str) -> io::Result<Table> {
    // Any socket of the family takes these options, not just a raw one, which takes a privilege.
    let domain = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let socket = socket(domain, SocketType::DGRAM, None)?;
    let mut last = io::Error::from_raw_os_error(libc::EAGAIN);
    for _ in 0..ATTEMPTS {
        let mut info = [0; INFO_LEN];
        put_name(&mut info, name)?;
        get(&socket, family, Question::Info, &mut info)?;
        let size = &info[SIZE_AT..SIZE_AT + 4];
        let mut entries = vec![0; ENTRIES_AT];
        put_name(&mut entries, name)?;
        entries[NAME_LEN..NAME_LEN + 4].copy_from_slice(size);
        let size = size.try_into().map_or(0, u32::from_ne_bytes);
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(io::Error::other(
                "the table is longer than anything sensible",
            ));
        }
        entries.resize(ENTRIES_AT + length, 0);
        match get(&socket, family, Question::Entries, &mut entries) {
            Ok(()) => {
                entries.drain(..ENTRIES_AT);
                return Ok(Table { info, entries });
            }
            // It has another length by now.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn put_name(buffer: &mut [u8], name: &str) -> io::Result<()> {
    match buffer.get_mut(..name.len()) {
        Some(place) if name.len() < NAME_LEN => {
            place.copy_from_slice(name.as_bytes());
            Ok(())
        }
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

fn get(
    socket: &impl AsFd,
    family: Family,
    question: Question,
    buffer: &mut [u8],
) -> io::Result<()> {
    let level = match family {
        Family::V4 => libc::SOL_IP,
        Family::V6 => libc::SOL_IPV6,
    };
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads and writes at most `length` bytes of the buffer, which has as many:
    // it refuses either question where the length isn't exactly what it needs. Any bytes are valid
    // in there. Both pointers outlast the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            question as i32,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_nobody_could_have_is_refused() {
        for name in [
            "no-such-table",
            "a name that is longer than a table's name is",
        ] {
            for family in [Family::V4, Family::V6] {
                assert!(table(family, name).is_err(), "{name}");
            }
        }
    }
}
