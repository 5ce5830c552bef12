//! Connections that one end ends otherwise than by the book.

use std::thread;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::{
    Kept, MASKED_CLIENT, OUTSIDE_CLIENT, OUTSIDE_SERVER, POD_CLIENT, POD_SERVER, Reset, Scenario,
    Shape, Side, masqueraded, outside_with_pod, pod_with_outside, routed,
};
use crate::frames::transport::RST;
use crate::overhear::Overhear;
use crate::sockets::{
    Connection, abort, connect, hear_the_end, leave_unread, say, wait_until_broken,
};
use crate::tool;
use crate::topology::Node;
use crate::wait::{wait_for, wait_until};

/// What the pod's client sends to the outside server.
const fn by_pod(cause: &'static str, phase: &'static str, shape: Shape) -> Reset {
    Reset {
        seen: (POD_CLIENT, OUTSIDE_SERVER),
        flow: (POD_CLIENT, OUTSIDE_SERVER),
        side: Side::Pod,
        cause,
        phase: Some(phase),
        shape,
        or_unknown: None,
    }
}

/// What the outside server sends to the pod's client.
const fn by_outside(cause: &'static str, phase: &'static str, shape: Shape) -> Reset {
    Reset {
        seen: (OUTSIDE_SERVER, MASKED_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::Uplink,
        cause,
        phase: Some(phase),
        shape,
        or_unknown: None,
    }
}

/// The pod's application closes with `SO_LINGER` of zero.
pub static ABORTED_BY_POD: Scenario = Scenario {
    name: "the pod's application aborts",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { client, server } = pod_with_outside(lab);
        abort(client);
        wait_until_broken(&server);
        Box::new(server)
    },
    resets: &[by_pod("application-abort", "established", Shape::Active)],
};

/// The outside's application closes with `SO_LINGER` of zero.
pub static ABORTED_BY_OUTSIDE: Scenario = Scenario {
    name: "the outside's application aborts",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { client, server } = pod_with_outside(lab);
        abort(server);
        wait_until_broken(&client);
        Box::new(client)
    },
    resets: &[by_outside(
        "application-abort",
        "established",
        Shape::Active,
    )],
};

/// Somebody in the pod has `ss -K` close the connection.
pub static KILLED_BY_ADMINISTRATOR: Scenario = Scenario {
    name: "the administrator of the pod kills a connection",
    prepare: masqueraded,
    happen: |lab| {
        let connection = pod_with_outside(lab);
        let mut kill = lab.pod.command("ss");
        tool::run(kill.args(["-K", "-t", "dst", Node::OUTSIDE_V4]));
        wait_until_broken(&connection.server);
        Box::new(connection)
    },
    resets: &[by_pod("application-abort", "established", Shape::Active)],
};

/// The pod's application closes while data lies there that it hasn't read.
pub static UNREAD_DATA_IN_POD: Scenario = Scenario {
    name: "the pod's application closes and leaves data unread",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { client, mut server } = pod_with_outside(lab);
        say(&mut server, b"nobody will read this");
        leave_unread(&client);
        drop(client);
        wait_until_broken(&server);
        Box::new(server)
    },
    resets: &[by_pod("unread-data", "established", Shape::Active)],
};

/// The outside's application closes while data lies there that it hasn't read.
pub static UNREAD_DATA_OUTSIDE: Scenario = Scenario {
    name: "the outside's application closes and leaves data unread",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { mut client, server } = pod_with_outside(lab);
        say(&mut client, b"nobody will read this");
        leave_unread(&server);
        drop(server);
        wait_until_broken(&client);
        Box::new(client)
    },
    resets: &[by_outside("unread-data", "established", Shape::Active)],
};

/// The outside closes both directions; the pod goes on sending.
pub static DATA_AFTER_CLOSE_OUTSIDE: Scenario = Scenario {
    name: "the pod sends after the outside has closed",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { mut client, server } = pod_with_outside(lab);
        drop(server);
        hear_the_end(&mut client);
        say(&mut client, b"too late");
        wait_until_broken(&client);
        Box::new(client)
    },
    resets: &[by_outside(
        "data-after-close",
        "closing",
        Shape::RefusesData,
    )],
};

/// The pod closes both directions; the outside goes on sending.
pub static DATA_AFTER_CLOSE_IN_POD: Scenario = Scenario {
    name: "the outside sends after the pod has closed",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { client, mut server } = pod_with_outside(lab);
        drop(client);
        hear_the_end(&mut server);
        say(&mut server, b"too late");
        wait_until_broken(&server);
        Box::new(server)
    },
    resets: &[by_pod("data-after-close", "closing", Shape::RefusesData)],
};

/// The pod's keep-alive probes get no answer any more.
pub static KEEPALIVE_TIMEOUT: Scenario = Scenario {
    name: "the pod gives up a peer that has fallen silent",
    prepare: masqueraded,
    happen: |lab| give_up(lab),
    resets: &[by_pod("timeout", "established", Shape::Active)],
};

#[track_caller]
fn give_up(lab: &Node) -> Kept {
    let mut outside = Overhear::new(&lab.outside);
    let connection = pod_with_outside(lab);
    lab.outside.nft(
        "table inet deaf {\n\
         chain in {\n\
         type filter hook input priority filter;\n\
         tcp dport 443 drop\n\
         }\n\
         }",
    );
    // One second is the least that the kernel takes for each.
    let second = Duration::from_secs(1);
    let impatient = TcpKeepalive::new()
        .with_time(second)
        .with_interval(second)
        .with_retries(2);
    if let Err(error) = SockRef::from(&connection.client).set_tcp_keepalive(&impatient) {
        panic!("SO_KEEPALIVE: {error}");
    }
    wait_until_broken(&connection.client);
    outside.wait_for("the reset that nobody hears", |segment| segment.has(RST));
    Box::new(connection)
}

/// How much a client must send within a second for its next connection to start below where this
/// one has ended: initial sequence numbers grow by one every 64 ns (`seq_scale` in the kernel's
/// net/core/secure_seq.c), so by 15.6 million a second.
const MORE_THAN_THE_CLOCK: usize = 48 << 20;

/// A new connection from a port whose last connection the pod's server still remembers. Without
/// timestamps, and with numbers below those of the old one, its SYN looks like a late one: the
/// server answers with the old connection's acknowledgement, and the client resets that.
pub static TIME_WAIT: Scenario = Scenario {
    name: "a port is used again while the server is in TIME-WAIT",
    prepare: |lab| {
        routed(lab);
        lab.outside.sysctl("net.ipv4.tcp_timestamps", "0");
    },
    happen: |lab| use_again(lab),
    resets: &[Reset {
        seen: (OUTSIDE_CLIENT, POD_SERVER),
        flow: (OUTSIDE_CLIENT, POD_SERVER),
        side: Side::Uplink,
        cause: "time-wait",
        phase: Some("syn-sent"),
        shape: Shape::RefusesAck,
        or_unknown: None,
    }],
};

#[track_caller]
fn use_again(lab: &Node) -> Kept {
    let Connection {
        mut client,
        mut server,
    } = outside_with_pod(lab);
    let much = vec![7; 1 << 20];
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..MORE_THAN_THE_CLOCK / much.len() {
                say(&mut client, &much);
            }
        });
        let mut heard = vec![0; much.len()];
        for _ in 0..MORE_THAN_THE_CLOCK / much.len() {
            if let Err(error) = std::io::Read::read_exact(&mut server, &mut heard) {
                panic!("the bulk doesn't arrive: {error}");
            }
        }
    });
    drop(server);
    hear_the_end(&mut client);
    drop(client);
    wait_until("the server in TIME-WAIT", || in_time_wait(lab));
    let listener = crate::sockets::listen(&lab.pod, POD_SERVER, 16);
    let again = wait_for("the client's port to be free again", || {
        connect(&lab.outside, OUTSIDE_CLIENT, POD_SERVER).ok()
    });
    Box::new((listener, again))
}

/// Whether a socket of the pod is in TIME-WAIT (6 in the kernel's include/net/tcp_states.h).
fn in_time_wait(lab: &Node) -> bool {
    let sockets = lab
        .pod
        .run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"));
    sockets.is_ok_and(|table| {
        table
            .lines()
            .any(|line| line.split_whitespace().nth(3) == Some("06"))
    })
}
