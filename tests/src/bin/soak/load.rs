//! Everything that happens on a busy node, from several threads until it is over.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use lab::Signal;
use lab::frames::{Flow, Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::Capture;
use lab::replay;
use lab::topology::{Node, add_wire};

use crate::signal;

/// The wire that frames are put on, and the end at which they come in.
pub(crate) const SENDER: &str = "soak-in";
pub(crate) const CATCHER: &str = "soak-out";
/// How the names of the others begin, that come and go.
pub(crate) const PODS: [&str; 2] = ["pod-", "in-"];
/// The interfaces that stay: loopback, the bridge, the pod's, the uplink, and the wire's.
pub(crate) const LASTING: usize = 6;
/// Different flows on the wire in each round: more than are remembered.
const FLOWS: u16 = 12_000;

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Load {
    sent: AtomicU64,
    pods: AtomicU64,
    overloads: AtomicU64,
}

impl Load {
    /// Frames that were put on the wire.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Pods that came and went.
    pub(crate) fn pods(&self) -> u64 {
        self.pods.load(Ordering::Relaxed)
    }

    /// How often the capture was held up.
    pub(crate) fn overloads(&self) -> u64 {
        self.overloads.load(Ordering::Relaxed)
    }

    /// Starts all of it.
    pub(crate) fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        lab: &'env Node,
        capture: &'env Capture,
        over: &'env AtomicBool,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let pid = capture.process().pid();
        let going = || !over.load(Ordering::Relaxed);
        vec![
            scope.spawn(move || self.traffic(&lab.node, capture, going)),
            scope.spawn(move || self.pods_come_and_go(&lab.node, going)),
            scope.spawn(move || connections(lab, going)),
            scope.spawn(move || {
                while going() {
                    pause(Duration::from_secs(5), &going);
                    signal(pid, Signal::SIGHUP);
                }
            }),
        ]
    }

    /// Frames of all kinds, and of more flows than are remembered. Every while the capture is stopped
    /// for as long as it takes to fill the ring.
    fn traffic(&self, node: &Namespace, capture: &Capture, going: impl Fn() -> bool) {
        let pid = capture.process().pid();
        let rich = corpus::rich();
        let flows: Vec<Frame> = (0..FLOWS)
            .map(|n| {
                let from = format!("10.9.{}.{}:{}", n >> 8, n & 0xff, 1_024 + n);
                Flow::new(&from, "192.0.2.77:5000").udp(b"a datagram of a flow of its own")
            })
            .collect();
        let put = |frames: &[Frame], times| {
            let sent = replay::flood(node, SENDER, frames, times);
            self.sent.fetch_add(sent, Ordering::Relaxed);
        };
        // Whatever has a bound reaches it at once, so that memory has its level: a queue whose thread
        // takes nothing, for as long as it takes to fill it.
        for thread in ["writer", "flows"] {
            let held = capture.process().hold(thread);
            put(&flows, 3);
            put(&rich, 400);
            drop(held);
        }
        let mut overload = Instant::now();
        while going() {
            put(&rich, 100);
            put(&flows, 1);
            if overload.elapsed() > Duration::from_secs(10) {
                overload = Instant::now();
                signal(pid, Signal::SIGSTOP);
                put(&flows, 1);
                put(&rich, 400);
                signal(pid, Signal::SIGCONT);
                self.overloads.fetch_add(1, Ordering::Relaxed);
            }
            pause(Duration::from_millis(200), &going);
        }
    }

    /// Interfaces that appear, carry a few packets and go: most as veth pairs, some with a namespace
    /// that is deleted with them.
    fn pods_come_and_go(&self, node: &Namespace, going: impl Fn() -> bool) {
        let frames = corpus::rich();
        let mut number = 0_u64;
        while going() {
            number += 1;
            let port = format!("pod-{number}");
            if number.is_multiple_of(8) {
                let pod = Namespace::silent();
                let pid = pod.pid();
                node.ip(&format!(
                    "link add {port} type veth peer name eth0 netns {pid}"
                ));
                node.ip(&format!("link set {port} up"));
                pod.ip("link set eth0 up");
                replay::send(&pod, "eth0", &frames);
            } else {
                let inside = format!("in-{number}");
                add_wire(node, &port, &inside, 1_500);
                replay::send(node, &inside, &frames);
                node.ip(&format!("link del {port}"));
            }
            self.pods.fetch_add(1, Ordering::Relaxed);
            pause(Duration::from_millis(50), &going);
        }
    }
}

/// Connections of the pod, through the masquerade, to where nobody listens.
fn connections(lab: &Node, going: impl Fn() -> bool) {
    let closed: SocketAddr = (std::net::Ipv4Addr::new(192, 0, 2, 9), 81).into();
    while going() {
        lab.pod.run(|| {
            for _ in 0..20 {
                drop(TcpStream::connect(closed));
            }
        });
        pause(Duration::from_millis(200), &going);
    }
}

/// Sleeps, unless it is over.
fn pause(time: Duration, going: &impl Fn() -> bool) {
    let begun = Instant::now();
    while going() && begun.elapsed() < time {
        sleep(Duration::from_millis(10).min(time));
    }
}
