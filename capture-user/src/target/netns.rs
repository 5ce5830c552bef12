//! Other network namespaces, as this one knows them.
//!
//! The kernel numbers the namespaces that links of this one lead into (`ip netns list-id`), and
//! tells the number of any namespace that is pointed out to it, by a process or by a file. So what
//! leads where is found without entering anything, and without a privilege
//! (`rtnl_net_getid` in net/core/net_namespace.c).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use netlink_packet_core::NLMSG_ERROR;
use netlink_sys::{AsyncSocketExt, SocketAddr, TokioSocket};

use super::links::{self, Link};
use super::netlink::{self, attributes, messages, u32_at};
use crate::netlink::{errno, request};

// include/uapi/linux/rtnetlink.h and net_namespace.h.
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`, padded: any family.
const RTGENMSG: [u8; 4] = [0; 4];

/// Asks the kernel for the numbers of namespaces.
///
/// A number holds as long as the namespace does; the next namespace may get it then.
pub struct Ids {
    socket: TokioSocket,
}

impl Ids {
    /// Opens a socket in the namespace that the thread is in, by whose numbers it answers.
    ///
    /// It must run on a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a netlink socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: netlink::open(0)?,
        })
    }

    /// The number of the namespace that a process is in; none where no link leads into it, which
    /// its own is true of as well.
    ///
    /// # Errors
    ///
    /// `ESRCH` when there is no such process.
    pub async fn of_process(&mut self, pid: u32) -> io::Result<Option<i32>> {
        self.ask(NETNSA_PID, pid).await
    }

    /// The number of the namespace that a file stands for; none as above.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the file stands for no network namespace.
    pub async fn of_file(&mut self, file: &File) -> io::Result<Option<i32>> {
        self.ask(NETNSA_FD, file.as_raw_fd().cast_unsigned()).await
    }

    async fn ask(&mut self, by: u16, value: u32) -> io::Result<Option<i32>> {
        // NLM_F_REQUEST alone: the answer is the only message.
        let message = request(
            RTM_GETNSID,
            netlink_packet_core::NLM_F_REQUEST,
            &question(by, value),
        );
        self.socket
            .send_to(&message, &SocketAddr::new(0, 0))
            .await?;
        loop {
            let (datagram, sender) = self.socket.recv_from_full().await?;
            if sender.port_number() != 0 {
                continue; // not from the kernel
            }
            for message in messages(&datagram) {
                match message.kind {
                    RTM_NEWNSID => return Ok(answer(message.payload)),
                    NLMSG_ERROR => {
                        return Err(io::Error::from_raw_os_error(errno(message.payload)));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn question(by: u16, value: u32) -> Vec<u8> {
    let mut payload = RTGENMSG.to_vec();
    payload.extend(8_u16.to_ne_bytes());
    payload.extend(by.to_ne_bytes());
    payload.extend(value.to_ne_bytes());
    payload
}

/// `NETNSA_NSID_NOT_ASSIGNED` is -1.
fn answer(payload: &[u8]) -> Option<i32> {
    attributes(payload.get(RTGENMSG.len()..)?)
        .find(|attribute| attribute.kind() == NETNSA_NSID)
        .and_then(|attribute| u32_at(attribute.value(), 0))
        .map(u32::cast_signed)
        .filter(|id| *id >= 0)
}

/// The links of another namespace by their index there, with their addresses, without entering it;
/// none where that isn't allowed (it takes `CAP_NET_ADMIN` over that namespace) or isn't possible
/// (before Linux 4.20).
pub async fn links_of(id: i32) -> Option<BTreeMap<u32, Link>> {
    links::list_in(id).await.ok()
}

/// Whether the file stands for the namespace that the thread is in; none where that can't be read.
pub fn is_own(path: &Path) -> Option<bool> {
    let own = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    let other = std::fs::metadata(path).ok()?;
    Some((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;

    fn told(id: i32) -> Vec<u8> {
        let mut payload = RTGENMSG.to_vec();
        payload.extend(attribute(NETNSA_NSID, &id.to_ne_bytes()));
        payload
    }

    #[test]
    fn a_number_is_read_and_minus_one_is_none() {
        assert_eq!(answer(&told(0)), Some(0));
        assert_eq!(answer(&told(7)), Some(7));
        assert_eq!(answer(&told(-1)), None);
        assert_eq!(answer(&RTGENMSG), None);
        assert_eq!(answer(b""), None);
    }

    #[test]
    fn a_question_points_out_one_namespace() {
        let mut expected = RTGENMSG.to_vec();
        expected.extend(attribute(NETNSA_PID, &42_u32.to_ne_bytes()));
        assert_eq!(question(NETNSA_PID, 42), expected);
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime")
    }

    #[test]
    fn what_stands_for_no_namespace_is_refused_by_the_kernel() {
        runtime().block_on(async {
            let mut ids = Ids::open().expect("a socket");
            let none = ids.of_process(u32::MAX >> 1).await.expect_err("no process");
            assert_eq!(none.raw_os_error(), Some(libc::ESRCH));
            let file = File::open("/dev/null").expect("a file");
            let none = ids.of_file(&file).await.expect_err("no namespace");
            assert_eq!(none.raw_os_error(), Some(libc::EINVAL));
        });
    }

    #[test]
    fn ones_own_namespace_is_known_as_such() {
        assert_eq!(is_own(Path::new("/proc/self/ns/net")), Some(true));
        assert_eq!(is_own(Path::new("/proc/self/ns/mnt")), Some(false));
        assert_eq!(is_own(Path::new("/proc/self/ns/none")), None);
    }
}
