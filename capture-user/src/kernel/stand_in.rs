//! The kernel object with code that was made for this capture in place of functions that stand in
//! for it.
//!
//! aya loads objects, not instructions, so the object is what changes: the code is appended to the
//! file, and the stand-in's section told to be there. Each stand-in is the only thing in its
//! section, so nothing else moves, and the type information that names the function stays right.

use std::borrow::Cow;

use object::LittleEndian;
use object::elf::{FileHeader64, SHT_SYMTAB, SectionHeader64, Sym64};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::error::KernelError;
use crate::filter::ebpf::{INSTRUCTION_LEN, Instruction};

/// The kernel object, copied once something is put into it.
pub(super) struct Object<'a>(Cow<'a, [u8]>);

impl<'a> Object<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Puts code in a function's place.
    ///
    /// # Errors
    ///
    /// [`KernelError::Missing`], if there is no such function that has its section for itself.
    pub(super) fn replace(
        &mut self,
        function: &'static str,
        code: &[Instruction],
    ) -> Result<(), KernelError> {
        let code: Vec<u8> = code.iter().flat_map(Instruction::encode).collect();
        replace(self.0.to_mut(), function, &code).ok_or(KernelError::Missing(function))
    }
}

// Offsets into `Elf64_Shdr` and `Elf64_Sym` (elf(5)).
const SECTION_OFFSET: usize = 24;
const SECTION_SIZE: usize = 32;
const SYMBOL_SIZE: usize = 16;

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

    let place = object.len().next_multiple_of(INSTRUCTION_LEN);
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
