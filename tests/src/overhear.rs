//! Listening in to a namespace, for scenarios that go on from what its kernel has sent.

use std::io::{ErrorKind, Read};

use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::Namespace;
use crate::segment::Segment;
use crate::wait::wait_for;

/// `ETH_P_ALL`, in network byte order as packet(7) wants it.
const EVERY_PROTOCOL: i32 = 3u16.to_be() as i32;

/// Every TCP segment that a namespace sends and receives, in that order.
#[derive(Debug)]
pub struct Overhear {
    socket: Socket,
    heard: Vec<Segment>,
}

impl Overhear {
    /// Listens from now on.
    ///
    /// # Panics
    ///
    /// Without the privilege to listen.
    #[must_use]
    #[track_caller]
    pub fn new(namespace: &Namespace) -> Self {
        let opened = namespace.run(|| {
            let socket = Socket::new(
                Domain::PACKET,
                Type::RAW,
                Some(Protocol::from(EVERY_PROTOCOL)),
            )?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        });
        match opened {
            Ok(socket) => Self {
                socket,
                heard: Vec::new(),
            },
            Err(error) => panic!("no packet socket (run as root): {error}"),
        }
    }

    /// Waits until a segment like this has passed and returns the latest of them.
    ///
    /// # Panics
    ///
    /// When none comes.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, like: impl Fn(&Segment) -> bool) -> Segment {
        wait_for(what, || {
            self.listen();
            self.heard
                .iter()
                .rev()
                .find(|segment| like(segment))
                .copied()
        })
    }

    #[track_caller]
    fn listen(&mut self) {
        let mut frame = vec![0; 1 << 17];
        loop {
            match self.socket.read(&mut frame) {
                Ok(len) => self.heard.extend(Segment::of(&frame[..len])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the packet socket: {error}"),
            }
        }
    }
}
