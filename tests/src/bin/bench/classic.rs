//! The kernel's own classic filter, as a packet socket runs it for tcpdump.
//!
//! `BPF_PROG_TEST_RUN` takes no classic program. So many sockets with the same filter, which takes
//! nothing, sit on one interface, and packets are sent there: the time that this takes, less what
//! it takes with filters that return at once, is the filter's own. What a program returns is made
//! 0, so that nothing is queued; it runs the same instructions for a packet that matches.

use std::time::Instant;

use capture_user::filter::expression::classic::Program;
use lab::packet_socket::{Announced, PacketSocket};
use lab::topology::Wire;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::Failure;

/// Sockets at a time: so many that sending a packet costs little beside them.
const SOCKETS: usize = 200;
/// Packets at a time: a few milliseconds.
const PACKETS: usize = 500;

/// `ETH_P_ALL`, in network byte order: a packet socket that sees what is sent too.
const ALL: i32 = 0x0300;

/// `BPF_RET | BPF_K` and `BPF_RET | BPF_A`.
const RETURNS: [u16; 2] = [0x06, 0x16];

/// A program that takes nothing, at once.
const NOTHING: [SockFilter; 1] = [SockFilter::new(RETURNS[0], 0, 0, 0)];

/// Where packets are sent and filtered.
pub(crate) struct Classic {
    sender: PacketSocket,
    /// The same for all programs: closing one waits for a grace period, replacing its filter doesn't.
    sockets: Vec<Socket>,
    /// Held for what is on it.
    _wire: Wire,
}

impl Classic {
    pub(crate) fn new() -> Result<Self, Failure> {
        let wire = Wire::new();
        let sender = PacketSocket::new(&wire.namespace, Wire::SENDER, Announced::ByHeader);
        let sockets = wire.namespace.run(|| -> std::io::Result<Vec<Socket>> {
            (0..SOCKETS)
                .map(|_| {
                    let protocol = Some(Protocol::from(ALL));
                    let socket = Socket::new(Domain::PACKET, Type::RAW, protocol)?;
                    socket.attach_filter(&NOTHING)?;
                    Ok(socket)
                })
                .collect()
        })?;
        Ok(Self {
            sender,
            sockets,
            _wire: wire,
        })
    }

    /// Nanoseconds that the program takes for the packet, beyond one that returns at once.
    pub(crate) fn cost(&self, program: &Program, packet: &[u8]) -> Result<f64, Failure> {
        let code: Vec<_> = program
            .instructions()
            .iter()
            .map(|it| match it.code {
                code if RETURNS.contains(&code) => SockFilter::new(RETURNS[0], 0, 0, 0),
                code => SockFilter::new(code, it.jt, it.jf, it.k),
            })
            .collect();
        let without = self.run(&NOTHING, packet)?;
        let with = self.run(&code, packet)?;
        Ok((with - without) / (SOCKETS * PACKETS) as f64)
    }

    /// Nanoseconds to send all packets past all sockets.
    fn run(&self, code: &[SockFilter], packet: &[u8]) -> Result<f64, Failure> {
        for socket in &self.sockets {
            socket.attach_filter(code)?;
        }
        let send = || {
            for _ in 0..PACKETS {
                self.sender.send(packet);
            }
        };
        send();
        let start = Instant::now();
        send();
        Ok(start.elapsed().as_nanos() as f64)
    }
}
