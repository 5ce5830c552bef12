//! conntrack's entries in a node that really masquerades.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use capture_user::evidence::conntrack::{Conntrack, ConntrackError, Options};
use capture_user::flow::evidence::{Change, Fact, Mapping};
use capture_user::session::clock::monotonic;
use lab::namespace::Namespace;
use lab::topology::Node;
use lab::wait::patience;
use tokio::runtime::{Builder, Runtime};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Follows the namespace that the thread is in.
#[track_caller]
fn start(runtime: &Runtime, options: Options) -> Conntrack {
    match runtime.block_on(Conntrack::start(options)) {
        Ok(conntrack) => conntrack,
        Err(error) => panic!("{error}"),
    }
}

/// The first mapping that `wanted` holds for.
#[track_caller]
fn find(
    runtime: &Runtime,
    conntrack: &mut Conntrack,
    mut wanted: impl FnMut(&Mapping) -> bool,
) -> Mapping {
    let found = runtime.block_on(async {
        let search = async {
            loop {
                let before = monotonic();
                let evidence = conntrack.next().await.unwrap();
                assert!(evidence.time <= monotonic() && evidence.time > before / 2);
                match evidence.fact {
                    Fact::Conntrack(mapping) if wanted(&mapping) => return mapping,
                    Fact::RemovalsLost => {
                        assert!(conntrack.losses().overruns > 0, "that is why");
                    }
                    Fact::Conntrack(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(patience(), search).await
    });
    found.expect("it is told in good time")
}

/// A connection from the pod to the outside, with the server that it is made to.
fn connect(lab: &Node, address: &str) -> (TcpListener, TcpStream) {
    let server = lab.outside.run(|| TcpListener::bind(address)).unwrap();
    let client = lab.pod.run(|| TcpStream::connect(address)).unwrap();
    (server, client)
}

#[track_caller]
fn assert_masqueraded(mapping: &Mapping, client: &TcpStream, node: &str) {
    let pod = client.local_addr().unwrap();
    let outside = client.peer_addr().unwrap();
    assert_eq!(mapping.original.source, pod.into());
    assert_eq!(mapping.original.destination, outside.into());
    assert_eq!(mapping.reply.source, outside.into());
    assert_eq!(mapping.reply.destination.address.to_string(), node);
    assert_eq!(mapping.original.protocol, TCP);
}

#[test]
fn a_masqueraded_connection_is_told_with_both_its_tuples_and_again_when_it_goes() {
    let lab = Node::new();
    for (address, node) in [
        (format!("{}:443", Node::OUTSIDE_V4), Node::NODE_V4),
        (format!("[{}]:443", Node::OUTSIDE_V6), Node::NODE_V6),
    ] {
        lab.node.run(|| {
            let runtime = runtime();
            let mut conntrack = start(&runtime, Options::default());
            let (_server, client) = connect(&lab, &address);
            let told = find(&runtime, &mut conntrack, |_| true);
            assert_eq!(told.change, Change::Made);
            assert_masqueraded(&told, &client, node);
            // The kernel forgets a masqueraded connection with the interface that it leaves by.
            lab.node.ip(&format!("link set {} down", Node::UPLINK));
            let gone = find(&runtime, &mut conntrack, |mapping| {
                mapping.change == Change::Removed
            });
            assert_eq!((gone.original, gone.reply), (told.original, told.reply));
            assert_eq!(conntrack.losses(), Default::default());
        });
        // Its addresses of IPv6 went with it.
        lab.node.ip(&format!("link set {} up", Node::UPLINK));
        lab.node.ip(&format!(
            "addr replace {}/64 dev {} nodad",
            Node::NODE_V6,
            Node::UPLINK
        ));
    }
}

#[test]
fn an_entry_whose_word_waited_to_be_heard_is_there_and_no_news() {
    let lab = Node::new();
    let address = format!("{}:443", Node::OUTSIDE_V4);
    for (prompt, change) in [
        (Duration::ZERO, Change::Present),
        (patience(), Change::Made),
    ] {
        lab.node.run(|| {
            let runtime = runtime();
            let options = Options {
                prompt,
                ..Options::default()
            };
            let mut conntrack = start(&runtime, options);
            while there(&runtime, &mut conntrack).is_some() {}
            let (_server, client) = connect(&lab, &address);
            let port = client.local_addr().unwrap().port();
            let told = find(&runtime, &mut conntrack, |mapping| {
                mapping.original.source.port == port
            });
            assert_eq!(told.change, change);
        });
    }
}

#[test]
fn what_was_there_before_is_told_at_the_start() {
    let lab = Node::new();
    let address = format!("{}:443", Node::OUTSIDE_V4);
    let (_server, client) = connect(&lab, &address);
    lab.node.run(|| {
        let runtime = runtime();
        let mut conntrack = start(&runtime, Options::default());
        let told = find(&runtime, &mut conntrack, |_| true);
        assert_eq!(told.change, Change::Present);
        assert_masqueraded(&told, &client, Node::NODE_V4);
    });
}

#[test]
fn when_all_that_was_there_is_told_nobody_waits_for_more() {
    let lab = Node::new();
    let address = format!("{}:443", Node::OUTSIDE_V4);
    for connections in [0, 1] {
        let _open = (connections == 1).then(|| connect(&lab, &address));
        lab.node.run(|| {
            let runtime = runtime();
            let mut conntrack = start(&runtime, Options::default());
            for _ in 0..connections {
                let told = there(&runtime, &mut conntrack);
                assert!(matches!(told, Some(Fact::Conntrack(_))), "{told:?}");
            }
            assert_eq!(there(&runtime, &mut conntrack), None);
        });
    }
}

/// The next of what was there at the start.
#[track_caller]
fn there(runtime: &Runtime, conntrack: &mut Conntrack) -> Option<Fact> {
    let next = runtime.block_on(async {
        tokio::time::timeout(patience(), conntrack.next_of_those_there()).await
    });
    let next = next.expect("it is told in good time").unwrap();
    next.map(|evidence| evidence.fact)
}

#[test]
fn a_connection_that_nobody_translates_is_told_only_when_asked_for() {
    let lab = Node::new();
    let to_the_node = format!("{}:80", Node::NODE_V4);
    let _server = lab.node.run(|| TcpListener::bind(&to_the_node)).unwrap();
    let plain = lab
        .outside
        .run(|| TcpStream::connect(&to_the_node))
        .unwrap();
    let (_outside, masqueraded) = connect(&lab, &format!("{}:443", Node::OUTSIDE_V4));
    for translated_only in [true, false] {
        let mut sources = BTreeSet::new();
        lab.node.run(|| {
            let runtime = runtime();
            let options = Options {
                translated_only,
                ..Options::default()
            };
            let mut conntrack = start(&runtime, options);
            find(&runtime, &mut conntrack, |mapping| {
                // What else the node sends is none of this, such as an IGMP report.
                if mapping.original.protocol == TCP {
                    sources.insert(mapping.original.source.port);
                }
                conntrack_has_told_all(&sources, translated_only)
            });
        });
        let mut expected = BTreeSet::from([masqueraded.local_addr().unwrap().port()]);
        if !translated_only {
            expected.insert(plain.local_addr().unwrap().port());
        }
        assert_eq!(sources, expected);
    }
}

fn conntrack_has_told_all(sources: &BTreeSet<u16>, translated_only: bool) -> bool {
    sources.len() == if translated_only { 1 } else { 2 }
}

#[test]
fn a_published_port_is_told_with_the_address_behind_it() {
    let lab = Node::new();
    lab.node.nft(&format!(
        "table ip published {{\n\
         chain in {{\n\
         type nat hook prerouting priority dstnat;\n\
         ip daddr {} tcp dport 8080 dnat to {}:80\n\
         }}\n\
         }}",
        Node::NODE_V4,
        Node::POD_V4
    ));
    let _server = lab
        .pod
        .run(|| TcpListener::bind(format!("{}:80", Node::POD_V4)))
        .unwrap();
    lab.node.run(|| {
        let runtime = runtime();
        let mut conntrack = start(&runtime, Options::default());
        let _client = lab
            .outside
            .run(|| TcpStream::connect(format!("{}:8080", Node::NODE_V4)))
            .unwrap();
        let told = find(&runtime, &mut conntrack, |_| true);
        let published = format!("{}:8080", Node::NODE_V4);
        assert_eq!(told.original.destination.to_string(), published);
        assert_eq!(
            told.reply.source.to_string(),
            format!("{}:80", Node::POD_V4)
        );
        assert_eq!(told.reply.destination, told.original.source);
    });
}

#[test]
fn events_that_come_too_fast_are_counted_and_made_up_for_by_a_fresh_dump() {
    let lab = Node::new();
    let outside = lab.outside.udp(&format!("{}:9", Node::OUTSIDE_V4));
    lab.node.run(|| {
        let runtime = runtime();
        let options = Options {
            receive_buffer: 4_096,
            dump_interval: Duration::from_millis(20),
            ..Options::default()
        };
        let mut conntrack = start(&runtime, options);
        // Nobody reads meanwhile.
        let sockets: Vec<UdpSocket> = (0..200)
            .map(|_| {
                let socket = lab.pod.udp(&format!("{}:0", Node::POD_V4));
                socket.send_to(b"?", outside.local_addr().unwrap()).unwrap();
                socket
            })
            .collect();
        let mut missing: BTreeSet<u16> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        let mut made = 0;
        find(&runtime, &mut conntrack, |mapping| {
            assert_eq!(mapping.original.protocol, UDP);
            made += usize::from(mapping.change == Change::Made);
            missing.remove(&mapping.original.source.port);
            missing.is_empty()
        });
        assert!(conntrack.losses().overruns > 0, "{:?}", conntrack.losses());
        assert!(
            made < sockets.len(),
            "what the dump tells of wasn't announced"
        );
        assert_eq!(conntrack.losses().cut_dumps, 0);
    });
}

#[test]
fn a_table_with_more_than_the_limit_is_read_up_to_it() {
    let lab = Node::new();
    let outside = lab.outside.udp(&format!("{}:9", Node::OUTSIDE_V4));
    let sockets: Vec<UdpSocket> = (0..20)
        .map(|_| {
            let socket = lab.pod.udp(&format!("{}:0", Node::POD_V4));
            socket.send_to(b"?", outside.local_addr().unwrap()).unwrap();
            socket
        })
        .collect();
    outside.set_read_timeout(Some(patience())).unwrap();
    for _ in &sockets {
        outside
            .recv(&mut [0])
            .expect("each has its entry, and got through");
    }
    lab.node.run(|| {
        let runtime = runtime();
        let options = Options {
            dump_limit: 5,
            // The limit counts what isn't translated, too, such as an IGMP report of the node's.
            translated_only: false,
            ..Options::default()
        };
        let mut conntrack = start(&runtime, options);
        let mut told = 0;
        find(&runtime, &mut conntrack, |_| {
            told += 1;
            told == 5
        });
        assert!(conntrack.is_settled());
        assert_eq!(conntrack.losses().cut_dumps, 1);
    });
    drop(sockets);
}

/// Run by [`without_the_privilege_it_is_refused_with_what_that_weakens`], in a process of nobody's.
#[test]
#[ignore = "another test runs it without privileges"]
fn as_nobody() {
    match runtime().block_on(Conntrack::start(Options::default())) {
        Err(error @ ConntrackError::NotPermitted) => println!("refused: {error}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is allowed"),
    }
}

#[test]
fn without_the_privilege_it_is_refused_with_what_that_weakens() {
    let namespace = Namespace::new();
    let mut command = namespace.command_as_nobody(std::env::current_exe().unwrap());
    command.args(["--exact", "as_nobody", "--ignored", "--nocapture"]);
    let output = lab::tool::run(&mut command);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("refused: conntrack can't be read without CAP_NET_ADMIN"),
        "{said}"
    );
}
