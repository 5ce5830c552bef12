//! Expressions that nobody listed, put together at random by pcap-filter(7)'s grammar, over packets
//! that have much of what they ask for.
//!
//! `NODECAP_COMPARISONS` sets how many answers are compared; without it there are few.

use capture_user::filter::expression::Expression;
use capture_user::filter::expression::classic::{Instruction, Program};
use capture_user::filter::expression::interpret::{Metadata, interpret};
use capture_user::kernel::libpcap;
use capture_user::target::links::Framing;
use lab::frames::{Frame, corpus, uncommon};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::alone::{Alone, Way};
use crate::corpus::{takes, unless_emulated};

/// What the packets have, and a little that they don't.
const HOSTS: &[&str] = &[
    "192.0.2.1",
    "192.0.2.200",
    "198.51.100.7",
    "203.0.113.9",
    "2001:db8:1::1",
    "2001:db8:2::7",
    "2001:db8::2",
];
const NETS: &[&str] = &[
    "192.0.2.0/24",
    "198.51.0.0/16",
    "0.0.0.0/0",
    "192.0.2.128/25",
    "203.0.113.8/30",
    "2001:db8::/32",
    "2001:db8:1::/47",
];
const PORTS: &[u16] = &[9, 53, 80, 443, 4_789, 5_300, 6_081, 40_000];
const WORDS: &[&str] = &[
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "esp",
    "ah",
    "stp",
    "llc",
    "broadcast",
    "multicast",
    "ip multicast",
    "ip6 multicast",
    "vlan",
    "mpls",
    "pppoes",
    "geneve",
    "inbound",
    "outbound",
    "ifindex 1",
    "ifindex 3",
    "ip proto 47",
    "ip6 proto 17",
    "proto 132",
    "ether proto 0x86dd",
    "ether broadcast",
    "ether host 02:00:00:00:00:01",
];

fn primitive() -> BoxedStrategy<String> {
    let direction = select(vec!["", "src ", "dst ", "src or dst ", "src and dst "]);
    let transport = select(vec!["", "tcp ", "udp ", "sctp "]);
    let host =
        (direction.clone(), select(HOSTS)).prop_map(|(way, host)| format!("{way}host {host}"));
    let net = (direction.clone(), select(NETS)).prop_map(|(way, net)| format!("{way}net {net}"));
    let port = (transport.clone(), direction.clone(), select(PORTS))
        .prop_map(|(transport, way, port)| format!("{transport}{way}port {port}"));
    let range = (transport, direction, select(PORTS), 0..2_000u16).prop_map(
        |(transport, way, port, more)| format!("{transport}{way}portrange {port}-{}", port + more),
    );
    let numbered = (select(vec!["vlan", "mpls", "pppoes", "geneve"]), 0..12u16)
        .prop_map(|(word, number)| format!("{word} {number}"));
    let len = (select(vec!["less", "greater"]), 0..200u16)
        .prop_map(|(word, number)| format!("{word} {number}"));
    prop_oneof![
        3 => select(WORDS).prop_map(str::to_owned),
        3 => host,
        2 => net,
        3 => port,
        2 => range,
        1 => numbered,
        1 => len,
        3 => relation(),
    ]
    .boxed()
}

/// Two sums, compared.
fn relation() -> BoxedStrategy<String> {
    let comparison = select(vec!["=", "!=", "<", ">", "<=", ">=", "=="]);
    (sum(), comparison, sum())
        .prop_map(|(left, comparison, right)| format!("{left} {comparison} {right}"))
        .boxed()
}

fn sum() -> BoxedStrategy<String> {
    let header = select(vec!["ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6"]);
    let offset = prop_oneof![8 => 0..60u32, 1 => 60..2_000u32, 1 => Just(0x7fff_fff0u32)];
    let bytes = (header.clone(), offset, select(vec![1, 2, 4]))
        .prop_map(|(header, offset, size)| format!("{header}[{offset}:{size}]"));
    let far = (header.clone(), header, 0..20u32)
        .prop_map(|(header, inner, at)| format!("{header}[{inner}[{at}] & 0x3f]"));
    let number = prop_oneof![
        6 => (0..256u32).prop_map(|number| number.to_string()),
        2 => any::<u32>().prop_map(|number| format!("{number:#x}")),
        1 => Just("tcp-syn".to_owned()),
        1 => Just("icmp-echo".to_owned()),
    ];
    let leaf = prop_oneof![4 => bytes, 1 => far, 3 => number, 1 => Just("len".to_owned())];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let operation = select(vec!["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
        prop_oneof![
            6 => (inner.clone(), operation, inner.clone())
                .prop_map(|(left, operation, right)| format!("({left} {operation} {right})")),
            1 => inner.prop_map(|sum| format!("(- {sum})")),
        ]
    })
    .boxed()
}

fn expressions() -> BoxedStrategy<String> {
    primitive()
        .prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                2 => inner.clone().prop_map(|one| format!("not ({one})")),
                3 => vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" and "))),
                3 => vec(inner, 2..4).prop_map(|all| format!("({})", all.join(" or "))),
            ]
        })
        .boxed()
}

/// A packet of the lab's, with some bytes changed, perhaps cut off.
fn packets(known: Vec<Frame>) -> BoxedStrategy<Frame> {
    let change = (0..90usize, any::<u8>());
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 14..120usize];
    (select(known), vec(change, 0..4), cut)
        .prop_map(|(mut frame, changes, cut)| {
            for (at, byte) in changes {
                if let Some(old) = frame.get_mut(at) {
                    *old = byte;
                }
            }
            frame.truncate(cut);
            frame
        })
        .prop_filter("a test run doesn't take it", takes)
        .boxed()
}

/// The program with zeros in its memory, as it runs in the kernel. libpcap's interpreter doesn't clear
/// it, and libpcap's own code reads what it hasn't written: `geneve` does, on some ways.
fn with_cleared_memory(program: &Program) -> Program {
    let clear = |k| Instruction {
        code: 0x02,
        jt: 0,
        jf: 0,
        k,
    };
    let mut code: Vec<_> = (0..16).map(clear).collect();
    code.extend_from_slice(program.instructions());
    Program::new(code).unwrap()
}

#[test]
fn random_expressions_give_random_packets_the_same_answer() {
    let wanted = std::env::var("NODECAP_COMPARISONS")
        .ok()
        .and_then(|wanted| wanted.parse().ok())
        .unwrap_or(12_000 / unless_emulated(10));
    let mut known = corpus::everything();
    known.extend(uncommon::frames());
    known.retain(takes);
    let (expressions, packets) = (expressions(), packets(known));
    let mut runner = TestRunner::default();
    let ways: Vec<_> = Way::all().collect();
    let metadata = Metadata {
        interface: 1,
        ..Metadata::default()
    };
    let (mut compared, mut taken, mut refused, mut matched) = (0, 0usize, 0usize, 0usize);
    while compared < wanted {
        let text = expressions.new_tree(&mut runner).unwrap().current();
        // Many say what can't be, and libpcap knows.
        let compiled = Expression::compile(&text);
        let Some(program) = compiled
            .as_ref()
            .ok()
            .and_then(|it| it.program(Framing::Ethernet).ok())
        else {
            refused += 1;
            continue;
        };
        // libpcap's interpreter knows no metadata.
        let plain = !["inbound", "outbound", "ifindex", "vlan"]
            .iter()
            .any(|word| text.contains(word));
        let cleared = with_cleared_memory(program);
        let way = ways[taken % ways.len()];
        taken += 1;
        let mut alone = Alone::load(&text, program, way);
        for _ in 0..200 {
            let packet = packets.new_tree(&mut runner).unwrap().current();
            let expected = interpret(program, &packet, &metadata);
            if plain {
                let theirs = libpcap::interpret(&cleared, &packet);
                assert_eq!(expected, theirs, "`{text}` in user space: {packet:02x?}");
            }
            match alone.run(&packet) {
                Ok(found) => assert_eq!(found, expected, "`{text}` {way:?}: {packet:02x?}"),
                Err(error) => panic!("`{text}` {way:?}: {error} {packet:02x?}"),
            }
            compared += 1;
            matched += usize::from(expected != 0);
        }
    }
    println!("{compared} comparisons, {matched} matches; {taken} expressions, {refused} refused");
    assert!(matched > compared / 100 && taken > refused);
}
