//! A filter expression's code, put into the kernel object in place of its stand-ins.
//!
//! aya loads objects, not instructions, so the object is what changes: the code is appended to the
//! file, and the stand-in's section told to be there. Each stand-in is the only thing in its
//! section, so nothing else moves, and the type information that names the function stays right.

use std::borrow::Cow;

use capture_common::filter::{EXPRESSION, OF_A_PACKET};
use capture_common::names;
use object::LittleEndian;
use object::elf::{FileHeader64, SHT_SYMTAB, SectionHeader64, Sym64};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::error::KernelError;
use crate::filter::Tables;
use crate::filter::expression::translate::{Hook, translate};
use crate::filter::expression::{Expression, ebpf};
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

/// The object with the expression's code in it.
///
/// # Errors
///
/// [`KernelError::Missing`], if it isn't the object that this was made for.
pub(super) fn object_for<'a>(
    object: &'a [u8],
    expression: Option<&Expression>,
) -> Result<Cow<'a, [u8]>, KernelError> {
    let Some(expression) = expression else {
        return Ok(Cow::Borrowed(object));
    };
    let mut changed = object.to_vec();
    for (function, framing, hook) in STAND_INS {
        let code: Vec<u8> = match expression.program(framing) {
            // It was translated once to see whether it can be.
            Ok(program) => translate(program, hook)
                .map_err(|error| KernelError::Load(Box::new(error)))?
                .iter()
                .flat_map(ebpf::Instruction::encode)
                .collect(),
            Err(_) => nothing(),
        };
        replace(&mut changed, function, &code).ok_or(KernelError::Missing(function))?;
    }
    Ok(Cow::Owned(changed))
}

/// Code that matches nothing.
fn nothing() -> Vec<u8> {
    let zero = ebpf::Value::Number(0);
    [
        ebpf::Instruction::math32(ebpf::Math::Move, ebpf::R0, zero),
        ebpf::Instruction::exit(),
    ]
    .iter()
    .flat_map(ebpf::Instruction::encode)
    .collect()
}

// Offsets into `Elf64_Shdr` and `Elf64_Sym` (elf(5)).
const SECTION_OFFSET: usize = 24;
const SECTION_SIZE: usize = 32;
const SYMBOL_SIZE: usize = 16;

/// Puts code in a function's place, which has its section for itself. Nothing, if it isn't there.
fn replace(object: &mut Vec<u8>, function: &str, code: &[u8]) -> Option<()> {
    let data = object.as_slice();
    let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
    let endian = LittleEndian;
    let sections = header.sections(endian, data).ok()?;
    let symbols = sections.symbols(endian, data, SHT_SYMTAB).ok()?;
    let (index, symbol) = symbols
        .enumerate()
        .find(|(_, symbol)| symbols.symbol_name(endian, symbol) == Ok(function.as_bytes()))?;
    let section = symbols.symbol_section(endian, symbol, index).ok()??;
    let table = sections.section(symbols.section()).ok()?;
    let alone = sections.section(section).ok()?.sh_size(endian) == symbol.st_size(endian);
    if !alone {
        return None;
    }
    let section_at = usize::try_from(header.e_shoff(endian)).ok()?
        + section.0 * size_of::<SectionHeader64<LittleEndian>>();
    let symbol_at =
        usize::try_from(table.sh_offset(endian)).ok()? + index.0 * size_of::<Sym64<LittleEndian>>();

    let place = object.len().next_multiple_of(ebpf::INSTRUCTION_LEN);
    object.resize(place, 0);
    object.extend_from_slice(code);
    let mut write = |at: usize, number: usize| {
        let number = u64::try_from(number).ok()?;
        object
            .get_mut(at..at + 8)?
            .copy_from_slice(&number.to_le_bytes());
        Some(())
    };
    write(section_at + SECTION_OFFSET, place)?;
    write(section_at + SECTION_SIZE, code.len())?;
    write(symbol_at + SYMBOL_SIZE, code.len())
}
