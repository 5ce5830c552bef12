//! What can be used, what is refused and why, and what a flow has to do with it. That programs are
//! translated rightly, the kernel itself is asked (tests/tests/expressions).

use super::classic::{Instruction, MAX_INSTRUCTIONS, Meta, Op, Program, Refused};
use super::translate::{Hook, translate};
use super::*;
use crate::flow::tuple::Endpoint;

fn refusal(text: &str) -> String {
    match Expression::compile(text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("`{text}` was taken"),
    }
}

#[test]
fn an_error_holds_the_expression_and_what_libpcap_says() {
    for (text, place) in [
        ("tcp prt 80", "syntax error at `prt`, character 5"),
        (
            "tcp port 443 adn host 192.0.2.1",
            "syntax error at `adn`, character 14",
        ),
        ("(tcp port 443", "syntax error at its end"),
        ("tcp[13] & & 4 != 0", "syntax error at `&`, character 11"),
        ("ip or or udp", "syntax error at `or`, character 7"),
        ("udp and", "syntax error at its end"),
        ("tcp) or udp", "syntax error at `)`, character 4"),
    ] {
        let expected = format!("expression `{text}`: can't parse filter expression: {place}");
        assert_eq!(refusal(text), expected);
    }
    assert!(
        refusal("port 70000").contains("port"),
        "{}",
        refusal("port 70000")
    );
    assert!(refusal("host 192.0.2.300").contains("192.0.2.300"));
    assert!(refusal("tcp and udp").contains("rejects all packets"));
    assert!(refusal("tcp\0").contains("NUL"));
    // A long one is told by its start.
    let long = vec!["port 1"; 100].join(" or ") + " or";
    assert!(refusal(&long).len() < 400);
}

#[test]
fn a_loop_is_refused_with_the_reason() {
    let refusal = refusal("ip6 protochain 6");
    assert!(
        refusal.contains("loop") && refusal.contains("ip6 proto"),
        "{refusal}"
    );
}

#[test]
fn what_needs_a_link_header_is_no_program_without_one() {
    let expression = Expression::compile("ether src 02:00:00:00:00:01").unwrap();
    assert!(expression.program(Framing::Ethernet).is_ok());
    let error = expression.program(Framing::Bare).unwrap_err().to_string();
    assert!(error.contains("ether"), "{error}");
}

#[test]
fn tags_and_directions_are_looked_for_where_the_kernel_has_them() {
    let asks = |text: &str, meta| {
        let expression = Expression::compile(text).unwrap();
        let program = expression.program(Framing::Ethernet).unwrap();
        program.ops().contains(&Op::LoadMeta(meta))
    };
    assert!(asks("vlan 5", Meta::TagPresent) && asks("vlan 5", Meta::Tag));
    assert!(asks("inbound", Meta::PacketType));
    assert!(asks("ifindex 3", Meta::Interface));
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[test]
fn only_what_comes_to_an_end_inside_the_program_is_taken() {
    let end = instruction(0x06, 0, 0, 1);
    let program = |first| Program::new(vec![first, end]);
    assert!(program(instruction(0x15, 0, 0, 7)).is_ok());
    for (bad, why) in [
        // A condition and a jump beyond the end, a jump back, memory that isn't there, division
        // by zero, an operation that isn't, packet offsets from elsewhere, no end.
        (instruction(0x15, 1, 0, 7), Refused::Malformed(0)),
        (instruction(0x05, 0, 0, 1), Refused::Malformed(0)),
        (instruction(0x05, 0, 0, u32::MAX), Refused::Loop),
        (instruction(0x60, 0, 0, 16), Refused::Malformed(0)),
        (instruction(0x34, 0, 0, 0), Refused::Malformed(0)),
        (instruction(0xb4, 0, 0, 0), Refused::Malformed(0)),
        (
            instruction(0x28, 0, 0, 0xfff0_0000),
            Refused::Offset(0xfff0_0000),
        ),
        (
            instruction(0x20, 0, 0, 0xffff_f038),
            Refused::Offset(0xffff_f038),
        ),
        (instruction(0x106, 0, 0, 0), Refused::Malformed(0)),
    ] {
        assert_eq!(program(bad), Err(why), "{bad:?}");
    }
    assert_eq!(Program::new(Vec::new()), Err(Refused::Malformed(0)));
    assert_eq!(
        Program::new(vec![end; MAX_INSTRUCTIONS + 1]),
        Err(Refused::TooLong(MAX_INSTRUCTIONS + 1))
    );
    assert!(Program::new(vec![end; MAX_INSTRUCTIONS]).is_ok());
}

#[test]
fn a_program_of_nothing_but_loads_is_refused_when_it_gets_too_long_to_jump() {
    let load = instruction(0x20, 0, 0, 0x7fff_0000);
    let mut code = vec![load; MAX_INSTRUCTIONS - 1];
    code.push(instruction(0x06, 0, 0, 1));
    let program = Program::new(code).unwrap();
    // Either it is translated or the reason is told.
    if let Err(error) = translate(&program, Hook::Tc) {
        assert!(error.to_string().contains("longer than a jump can go"));
    }
}

#[test]
fn some_expressions_ask_only_for_what_a_flow_has_in_common() {
    for (text, flow) in [
        ("tcp port 443", true),
        (
            "host 192.0.2.1 and (tcp port 80 or udp portrange 5000-6000)",
            true,
        ),
        ("net 2001:db8::/32 or arp or icmp", true),
        ("not port 53 and not (udp or net 192.0.2.0/24)", true),
        ("src host 192.0.2.1", false),
        ("tcp and not dst port 53", false),
        ("tcp[0:2] = 443", false),
        ("tcp[tcpflags] & tcp-rst != 0", false),
        ("ip[8] < 5", false),
        ("less 60", false),
        ("vlan 5", false),
        ("inbound and tcp", false),
        ("ether host 02:00:00:00:00:01", false),
    ] {
        let expression = Expression::compile(text).unwrap();
        assert_eq!(expression.asks_only_for_the_flow(), flow, "{text}");
    }
}

#[test]
fn a_flow_is_taken_by_an_expression_that_its_packets_match() {
    let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
    let tuple = |from, to, protocol| Tuple {
        source: end(from),
        destination: end(to),
        protocol,
    };
    let four = tuple("192.0.2.1:40000", "198.51.100.2:443", 6);
    let six = tuple("[2001:db8::1]:40000", "[2001:db8::2]:53", 17);
    let takes = |text: &str, tuple: &Tuple| Expression::compile(text).unwrap().takes(tuple);
    for (text, takes_four, takes_six) in [
        ("tcp port 443", true, false),
        ("port 53", false, true),
        ("net 192.0.2.0/24 or net 2001:db8::/32", true, true),
        ("host 192.0.2.9", false, false),
        // It takes packets of it, those of one way.
        ("src net 192.0.2.0/24", false, false),
        ("udp", false, true),
        // A flow says nothing of lengths.
        ("tcp and greater 1", false, false),
    ] {
        assert_eq!(takes(text, &four), takes_four, "{text}");
        assert_eq!(takes(text, &six), takes_six, "{text}");
    }
}
