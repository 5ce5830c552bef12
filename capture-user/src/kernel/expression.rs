//! A filter expression's code, put into the kernel object in place of its stand-ins.

use capture_common::filter::{EXPRESSION, OF_A_PACKET};
use capture_common::names;

use super::error::KernelError;
use super::stand_in::Object;
use crate::filter::Tables;
use crate::filter::ebpf::{Instruction, Math, R0, Value};
use crate::filter::expression::Expression;
use crate::filter::expression::translate::{Hook, translate};
use crate::target::links::Framing;

/// The functions that stand in, for packets that start how, and under which hook.
const STAND_INS: [(&str, Framing, Hook); 4] = [
    (names::EXPRESSION_ETHERNET, Framing::Ethernet, Hook::Tc),
    (names::EXPRESSION_BARE, Framing::Bare, Hook::Tc),
    (
        names::EXPRESSION_XDP,
        Framing::Ethernet,
        Hook::Xdp { fragments: false },
    ),
    (
        names::EXPRESSION_XDP_FRAGS,
        Framing::Ethernet,
        Hook::Xdp { fragments: true },
    ),
];

/// What the kernel side is told of the expression: bits of `capture_common::filter`.
pub(super) fn kind(tables: &Tables) -> u8 {
    let given = tables.expression.as_ref().map_or(0, |_| EXPRESSION);
    let flow = tables
        .expression
        .as_ref()
        .is_none_or(Expression::asks_only_for_the_flow);
    // An expression is about the outer packet, and a tunnel's flow has other packets in it too.
    if flow && !(tables.inner && tables.expression.is_some()) {
        given
    } else {
        given | OF_A_PACKET
    }
}

/// Puts the expression's code into the object.
///
/// # Errors
///
/// [`KernelError::Missing`], if it isn't the object that this was made for.
pub(super) fn put_into(
    object: &mut Object<'_>,
    expression: Option<&Expression>,
) -> Result<(), KernelError> {
    let Some(expression) = expression else {
        return Ok(());
    };
    for (function, framing, hook) in STAND_INS {
        let code = match expression.program(framing) {
            // It was translated once to see whether it can be.
            Ok(program) => {
                translate(program, hook).map_err(|error| KernelError::Load(Box::new(error)))?
            }
            Err(_) => nothing(),
        };
        object.replace(function, &code)?;
    }
    Ok(())
}

/// Code that matches nothing.
fn nothing() -> Vec<Instruction> {
    vec![
        Instruction::math32(Math::Move, R0, Value::Number(0)),
        Instruction::exit(),
    ]
}
