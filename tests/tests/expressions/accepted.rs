//! Every listed expression is taken by this kernel's verifier, in each form that it can run, and
//! answers a few packets as it should.
//!
//! All of one form in one object: the loader reads the kernel's types for each object, which takes
//! an emulated machine longer than all else.

use aya::EbpfLoader;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use capture_user::filter::expression::Expression;
use capture_user::filter::expression::interpret::{Metadata, interpret};
use capture_user::target::links::Framing;
use lab::elf;
use lab::frames::transport::{ACK, SYN};
use lab::frames::{Flow, Frame, tagged};

use crate::alone::Way;
use crate::list::{BARE, ETHERNET, many_hosts, many_tests};

/// Runs a program on a packet: its answer.
type Run<'a> = Box<dyn FnMut(&[u8]) -> u32 + 'a>;

fn packets() -> [Frame; 4] {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    [
        flow.tcp(SYN, b""),
        flow.back().tcp(ACK, &[7; 1_200]),
        Flow::new("[2001:db8:1::1]:5300", "[2001:db8:2::7]:53").udp(b"a question"),
        tagged(0x8100, 5, &flow.udp(b"in a network of its own")),
    ]
}

#[test]
fn the_verifier_takes_every_expression_in_every_form() {
    let mut expressions: Vec<(String, Framing)> = Vec::new();
    for (texts, framing) in [(ETHERNET, Framing::Ethernet), (BARE, Framing::Bare)] {
        expressions.extend(texts.iter().map(|text| ((*text).to_owned(), framing)));
    }
    expressions.extend([many_hosts(50), many_tests(500)].map(|text| (text, Framing::Ethernet)));
    let compiled: Vec<_> = expressions
        .iter()
        .map(|(text, framing)| {
            let expression = Expression::compile(text).unwrap();
            expression.program(*framing).unwrap().clone()
        })
        .collect();
    let names: Vec<_> = (0..compiled.len())
        .map(|at| format!("number{at}"))
        .collect();
    let packets = packets();
    let metadata = Metadata {
        interface: 1,
        ..Metadata::default()
    };
    for way in Way::all() {
        let codes: Vec<_> = compiled.iter().map(|program| way.whole(program)).collect();
        let programs: Vec<_> = names
            .iter()
            .zip(&codes)
            .map(|(name, code)| (name.as_str(), code.as_slice()))
            .collect();
        let object = elf::object_of_many(way.section(), &programs);
        let mut ebpf = EbpfLoader::new().load(&object).unwrap();
        for ((name, program), (text, framing)) in names.iter().zip(&compiled).zip(&expressions) {
            let of_kernel = ebpf.program_mut(name).unwrap();
            let mut run: Run<'_> = if way.section() == "classifier" {
                let it = <&mut SchedClassifier>::try_from(of_kernel).unwrap();
                if let Err(error) = it.load() {
                    panic!("`{text}` {way:?}: {error:?}");
                }
                Box::new(|packet| it.test_run(options(packet)).unwrap().return_value)
            } else {
                let it = <&mut Xdp>::try_from(of_kernel).unwrap();
                if let Err(error) = it.load() {
                    panic!("`{text}` {way:?}: {error:?}");
                }
                Box::new(|packet| it.test_run(options(packet)).unwrap().return_value)
            };
            // A test run takes only what looks like a frame.
            for packet in packets.iter().filter(|_| *framing == Framing::Ethernet) {
                let expected = interpret(program, packet, &metadata);
                assert_eq!(run(packet), expected, "`{text}` {way:?}: {packet:02x?}");
            }
        }
    }
}

fn options(packet: &[u8]) -> TestRunOptions<'_> {
    TestRunOptions {
        data_in: Some(packet),
        repeat: 1,
        ..TestRunOptions::new()
    }
}
