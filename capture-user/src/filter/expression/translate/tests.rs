//! What is known of an instruction before code is made. That the code does what classic BPF says,
//! the kernel is asked (tests/tests/expressions).

use super::super::Expression;
use super::super::classic::{Instruction, Op, Place, Program, Size};
use super::*;
use crate::target::links::Framing;
use known::{Check, Order, Step};

fn program(instructions: &[(u16, u8, u8, u32)]) -> Program {
    let instructions = instructions
        .iter()
        .map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k })
        .collect();
    Program::new(instructions).unwrap()
}

fn compiled(text: &str) -> Program {
    let expression = Expression::compile(text).unwrap();
    expression.program(Framing::Ethernet).unwrap().clone()
}

/// Where there is a helper to ask.
fn steps(program: &Program) -> Vec<Step> {
    known::steps(program, true, true).0
}

// BPF_LD with BPF_ABS, two bytes, four, and one; BPF_LD|BPF_IND, two bytes; BPF_LDX|BPF_MSH.
const HALF: u16 = 0x28;
const WORD: u16 = 0x20;
const BYTE: u16 = 0x30;
const HALF_BEHIND_X: u16 = 0x48;
const HEADER_LEN: u16 = 0xb1;
// BPF_JMP|BPF_JEQ and BPF_JGT with a constant, BPF_JA, BPF_RET with one and with `a`.
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;
// BPF_ALU|BPF_AND with a constant, BPF_MISC|BPF_TAX.
const AND: u16 = 0x54;
const A_TO_X: u16 = 0x07;

#[test]
fn both_ports_are_compared_with_the_packets_end_at_once() {
    let program = compiled("tcp port 443");
    let ports = |helper| -> Vec<_> {
        let steps = known::steps(&program, true, helper).0;
        let steps = program.ops().iter().zip(steps);
        let ports = steps.filter(|(op, _)| matches!(op, Op::Load(_, Place::BehindX(_))));
        ports.filter_map(|(_, step)| step.direct).collect()
    };
    // An IPv4 header is never so long that its end had to be looked at for that.
    let first = |until| Check::Find { until, near: None };
    assert_eq!(ports(true), [first(18), Check::Known]);
    // Of a packet that ends between them somebody must read the first.
    assert_eq!(ports(false), [first(16), Check::Compare(18)]);
}

#[test]
fn the_place_of_another_x_is_another() {
    let program = program(&[
        (HEADER_LEN, 0, 0, 14),
        (HALF_BEHIND_X, 0, 0, 14),
        (A_TO_X, 0, 0, 0),
        (HALF_BEHIND_X, 0, 0, 16),
        (RETURN_A, 0, 0, 0),
    ]);
    let checks: Vec<_> = steps(&program).iter().map(|step| step.direct).collect();
    let near = Check::Find {
        until: 16,
        near: None,
    };
    // What the packet holds can be any number.
    let far = Check::Find {
        until: 18,
        near: Some(0x7f00 - 16),
    };
    assert_eq!((checks[1], checks[3]), (Some(near), Some(far)));
}

#[test]
fn what_one_way_has_read_the_other_need_not_have() {
    let program = program(&[
        (BYTE, 0, 0, 0),
        (IF_EQUAL, 0, 1, 1),
        (HALF, 0, 0, 20),
        (HALF, 0, 0, 10),
        (RETURN_A, 0, 0, 0),
    ]);
    assert_eq!(steps(&program)[3].direct, Some(Check::Compare(12)));
}

#[test]
fn a_number_that_is_only_compared_for_equality_stays_as_the_packet_has_it() {
    let program = program(&[
        (WORD, 0, 0, 26),
        (AND, 0, 0, 0xffff_ff00),
        (IF_EQUAL, 0, 1, 0xc000_0200),
        (RETURN, 0, 0, 1),
        (RETURN, 0, 0, 0),
    ]);
    let word = Order::Network(Size::Word);
    assert!(steps(&program)[..3].iter().all(|step| step.order == word));
    assert_eq!(word.turn(0xc000_0200), u32::from_ne_bytes([192, 0, 2, 0]));
    let half = Order::Network(Size::Half);
    assert_eq!(half.turn(443), u32::from(u16::from_ne_bytes([1, 187])));
    // Two bytes never equal it, turned or not.
    assert_eq!(half.turn(0x0001_01bb) >> 16, 1);
}

#[test]
fn a_number_that_anything_else_is_asked_of_is_in_the_machines_order() {
    let after_equality = program(&[
        (HALF, 0, 0, 12),
        (IF_EQUAL, 1, 0, 0x800),
        (IF_GREATER, 0, 1, 1_500),
        (RETURN, 0, 0, 1),
        (RETURN, 0, 0, 0),
    ]);
    let returned = program(&[(HALF, 0, 0, 12), (RETURN_A, 0, 0, 0)]);
    for program in [after_equality, returned] {
        assert_eq!(steps(&program)[0].order, Order::Host);
    }
}

#[test]
fn two_numbers_that_one_comparison_is_about_are_in_one_order() {
    let program = program(&[
        (BYTE, 0, 0, 0),
        (IF_EQUAL, 0, 2, 1),
        (HALF, 0, 0, 12),
        (JUMP, 0, 0, 1),
        (WORD, 0, 0, 26),
        (IF_EQUAL, 0, 1, 443),
        (RETURN, 0, 0, 1),
        (RETURN, 0, 0, 0),
    ]);
    let steps = steps(&program);
    assert_eq!((steps[2].order, steps[4].order), (Order::Host, Order::Host));
}

#[test]
fn nothing_but_what_is_read_is_set_to_zero() {
    let reads = |program: &Program| known::steps(program, true, true).1;
    assert_eq!(reads(&compiled("tcp port 443")), known::Live::default());
    let early = program(&[(HALF_BEHIND_X, 0, 0, 0), (RETURN_A, 0, 0, 0)]);
    assert!(reads(&early).x && !reads(&early).a);
    assert!(reads(&program(&[(RETURN_A, 0, 0, 0)])).a);
}
