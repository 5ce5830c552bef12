//! A look into what was built, before anybody runs it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use object::elf::{self, FileHeader64};
use object::read::elf::{
    Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _,
};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// Sections named `.text.…` that are meant to be there: places for code that user space makes.
/// Each must keep its functions at addresses of their own, see [`Layout::complaints`].
const EXPECTED_TEXT: [&str; 9] = [
    ".text.few_v4",
    ".text.few_v6",
    ".text.ordinary",
    ".text.ordinary_l3",
    ".text.ordinary_xdp",
    ".text.expression",
    ".text.expression_l3",
    ".text.expression_xdp",
    ".text.expression_xdp_frags",
];

/// How far apart those sections are put: more than any code is long.
const APART: u64 = 1 << 32;

/// Gives each expected section an address, and its symbols with it. In a relocatable object all
/// sections start at 0, and that aya can't tell apart.
pub(crate) fn place_sections(file: &mut [u8]) -> Result<()> {
    let mut writes = Vec::new();
    {
        let header = FileHeader64::<Endianness>::parse(&*file).context("no ELF")?;
        let endian = header.endian()?;
        let sections = header.sections(endian, &*file)?;
        let symbols = sections.symbols(endian, &*file, elf::SHT_SYMTAB)?;
        let table = sections.section(symbols.section())?.sh_offset(endian);
        for (number, name) in (1..).zip(EXPECTED_TEXT) {
            let address = number * APART;
            let (index, _) = sections
                .section_by_name(endian, name.as_bytes())
                .with_context(|| format!("the kernel object has no section {name}"))?;
            // `sh_addr` of an `Elf64_Shdr`, `st_value` of an `Elf64_Sym`: elf(5).
            writes.push((header.e_shoff(endian) + index.0 as u64 * 64 + 16, address));
            for (place, symbol) in symbols.enumerate() {
                if symbols.symbol_section(endian, symbol, place)? == Some(index) {
                    let value = table + place.0 as u64 * 24 + 8;
                    writes.push((value, address + symbol.st_value(endian)));
                }
            }
        }
    }
    for (at, address) in writes {
        let at = usize::try_from(at)?;
        file.get_mut(at..at + 8)
            .context("the kernel object is cut off")?
            .copy_from_slice(&address.to_le_bytes());
    }
    Ok(())
}

/// Fails with everything that is wrong with a kernel object.
pub(crate) fn check_kernel_object(file: &[u8]) -> Result<()> {
    let layout = Layout::read(file)?;
    let complaints = layout.complaints();
    ensure!(
        complaints.is_empty(),
        "the kernel object can't be used: {}",
        complaints.join("; ")
    );
    Ok(())
}

/// What matters of a kernel object.
#[derive(Debug, Default)]
struct Layout {
    sections: Vec<String>,
    functions: Vec<Function>,
    /// Symbols that something refers to and nothing defines.
    undefined: Vec<String>,
}

#[derive(Debug, Clone)]
struct Function {
    name: String,
    section: String,
    /// The symbol's value, which in a relocatable object is an offset into the section unless
    /// somebody gave the section an address.
    address: u64,
}

impl Function {
    fn is_callee(&self) -> bool {
        self.section.starts_with(".text")
    }
}

impl Layout {
    fn read(file: &[u8]) -> Result<Self> {
        let object = ElfFile64::<Endianness>::parse(file).context("the kernel object is no ELF")?;
        let machine = object.elf_header().e_machine(object.endian());
        ensure!(
            machine == elf::EM_BPF,
            "the kernel object is for machine {machine}, not for BPF"
        );
        let mut layout = Self::default();
        for section in object.sections() {
            layout.sections.push(section.name()?.to_owned());
        }
        for symbol in object.symbols() {
            let name = symbol.name()?.to_owned();
            if symbol.is_undefined() && !name.is_empty() {
                layout.undefined.push(name);
            } else if let (SymbolKind::Text, Some(index)) = (symbol.kind(), symbol.section_index())
            {
                let section = object.section_by_index(index)?.name()?.to_owned();
                layout.functions.push(Function {
                    name,
                    section,
                    address: symbol.address(),
                });
            }
        }
        Ok(layout)
    }

    /// What would make aya load something else than was meant, or nothing.
    ///
    /// The one that nobody would notice: when aya-obj (0.3) links a program, it remembers which
    /// functions it has already appended by their address alone (`FunctionLinker::link_function`).
    /// Two functions in different sections at the same address are one to it, and a call to the
    /// second goes to the first.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for needed in [".BTF", ".BTF.ext", "license"] {
            if !self.sections.iter().any(|section| section == needed) {
                complaints.push(format!("it has no section {needed}"));
            }
        }
        if self.functions.iter().all(Function::is_callee) {
            complaints.push("it has no program".to_owned());
        }
        for section in &self.sections {
            if section.starts_with(".text.") && !EXPECTED_TEXT.contains(&section.as_str()) {
                complaints.push(format!("section {section} is not expected"));
            }
        }
        for name in &self.undefined {
            complaints.push(format!("{name} is called and defined nowhere"));
        }
        let mut at: BTreeMap<u64, &Function> = BTreeMap::new();
        for function in self
            .functions
            .iter()
            .filter(|function| function.is_callee())
        {
            if let Some(first) = at.insert(function.address, function) {
                complaints.push(format!(
                    "{} in {} and {} in {} are both at address {:#x}, and aya would take one for \
                     the other",
                    first.name, first.section, function.name, function.section, function.address
                ));
            }
        }
        complaints
    }
}

/// Fails unless the binary runs without any other file, a dynamic loader to begin with.
pub(crate) fn check_static(file: &[u8]) -> Result<()> {
    let object = ElfFile64::<Endianness>::parse(file).context("the binary is no 64-bit ELF")?;
    let wants_loader = object
        .elf_program_headers()
        .iter()
        .any(|header| header.p_type(object.endian()) == elf::PT_INTERP);
    ensure!(
        !wants_loader,
        "the binary isn't static: it names a dynamic loader"
    );
    let libraries = needed_libraries(file);
    ensure!(
        libraries.is_empty(),
        "the binary isn't static: it loads {}",
        libraries.join(", ")
    );
    Ok(())
}

/// The shared libraries that an ELF file names (its `DT_NEEDED`); none if it is no such file.
pub(crate) fn needed_libraries(file: &[u8]) -> Vec<String> {
    read_needed(file).unwrap_or_default()
}

fn read_needed(file: &[u8]) -> Option<Vec<String>> {
    let object = ElfFile64::<Endianness>::parse(file).ok()?;
    let endian = object.endian();
    let sections = object.elf_section_table();
    let (dynamic, strings) = sections.dynamic(endian, file).ok()??;
    let strings = sections.strings(endian, file, strings).ok()?;
    let needed = dynamic
        .iter()
        .filter(|entry| entry.tag(endian) == elf::DT_NEEDED);
    Some(
        needed
            .filter_map(|entry| entry.string(endian, strings).ok())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, section: &str, address: u64) -> Function {
        Function {
            name: name.into(),
            section: section.into(),
            address,
        }
    }

    fn good() -> Layout {
        let sections = [".text", "classifier", "license", ".BTF", ".BTF.ext"];
        Layout {
            sections: sections.map(str::to_owned).to_vec(),
            functions: vec![
                function("nodecap_in", "classifier", 0),
                function("memcpy", ".text", 0),
                function("memset", ".text", 88),
            ],
            undefined: vec![],
        }
    }

    #[test]
    fn programs_with_their_functions_in_one_section_are_fine() {
        assert_eq!(good().complaints(), Vec::<String>::new());
    }

    #[test]
    fn a_text_section_nobody_planned_is_refused() {
        let mut layout = good();
        layout.sections.push(".text.unlikely.".to_owned());
        assert_eq!(
            layout.complaints(),
            ["section .text.unlikely. is not expected"]
        );
    }

    #[test]
    fn two_functions_that_aya_would_mix_up_are_refused() {
        let mut layout = good();
        layout.functions.push(function("stub", ".text.stub", 88));
        let complaints = layout.complaints();
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("memset in .text and stub in .text.stub"));
    }

    #[test]
    fn an_object_without_btf_licence_program_or_callee_is_refused() {
        let mut layout = good();
        layout.sections.retain(|section| section == ".text");
        layout.functions.retain(Function::is_callee);
        layout.undefined.push("memmove".to_owned());
        assert_eq!(
            layout.complaints(),
            [
                "it has no section .BTF",
                "it has no section .BTF.ext",
                "it has no section license",
                "it has no program",
                "memmove is called and defined nowhere",
            ]
        );
    }

    #[test]
    fn what_is_no_elf_is_refused_and_needs_no_library() {
        assert!(check_kernel_object(b"").is_err());
        assert!(check_kernel_object(b"not an object").is_err());
        assert!(check_static(b"#!/bin/sh\n").is_err());
        assert_eq!(needed_libraries(b"\x7fELF"), Vec::<String>::new());
    }

    #[test]
    fn an_object_for_another_machine_is_no_kernel_object() {
        let ours = std::fs::read("/proc/self/exe").unwrap_or_default();
        let refusal = check_kernel_object(&ours).map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|error| error.ends_with("not for BPF")));
    }

    #[test]
    fn a_dynamic_binary_is_not_taken_for_a_static_one() {
        let ours = std::fs::read("/proc/self/exe").unwrap_or_default();
        assert!(
            needed_libraries(&ours)
                .iter()
                .any(|library| library.starts_with("libc.so"))
        );
        assert!(check_static(&ours).is_err());
    }
}
