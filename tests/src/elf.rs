//! The least ELF object that an eBPF loader takes a program from: instructions, one symbol, the
//! names.
//!
//! For programs of a few instructions, and for those that are made on the spot: a file of
//! instructions written down here is less than a second object built by the eBPF compiler.

/// One instruction, as `struct bpf_insn` lays it out.
pub type Instruction = [u8; 8];

/// `opcode dst, src, offset, imm`; what an opcode leaves out is 0.
#[must_use]
pub const fn instruction(
    opcode: u8,
    destination: u8,
    source: u8,
    offset: i16,
    immediate: i32,
) -> Instruction {
    let [o0, o1] = offset.to_le_bytes();
    let [i0, i1, i2, i3] = immediate.to_le_bytes();
    [opcode, source << 4 | destination, o0, o1, i0, i1, i2, i3]
}

const HEADER_LEN: usize = 64;
const SECTION_HEADER_LEN: usize = 64;
const SYMBOL_LEN: usize = 24;

/// An object with one program of this name in a section that says what kind of program it is.
#[must_use]
pub fn object(section: &str, name: &str, program: &[Instruction]) -> Vec<u8> {
    object_of_many(section, &[(name, program)])
}

/// An object with these programs, each by its name, in a section that says what kind they are.
#[must_use]
pub fn object_of_many(section: &str, programs: &[(&str, &[Instruction])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut place = |name: &str| {
        let place = names.len() as u32;
        names.extend(name.as_bytes());
        names.push(0);
        place
    };
    let [section_name, symbols_name, names_name] = [section, ".symtab", ".strtab"].map(&mut place);

    let mut symbols = vec![0; SYMBOL_LEN];
    let mut code = Vec::new();
    for (name, program) in programs {
        symbols.extend(place(name).to_le_bytes());
        // STB_GLOBAL and STT_FUNC, default visibility, in section 1.
        symbols.extend([0x12, 0, 1, 0]);
        symbols.extend((code.len() as u64).to_le_bytes());
        code.extend(program.concat());
        let len = size_of_val(*program) as u64;
        symbols.extend(len.to_le_bytes());
    }

    let code_at = HEADER_LEN;
    let symbols_at = code_at + code.len();
    let names_at = symbols_at + symbols.len();
    let sections_at = names_at + names.len().next_multiple_of(8);

    let mut object = header(sections_at as u64);
    object.extend(&code);
    object.extend(&symbols);
    object.extend(&names);
    object.resize(sections_at + SECTION_HEADER_LEN, 0);
    // Name, type, flags, place, length, link, info, alignment, entry length: SHT_PROGBITS with
    // SHF_ALLOC and SHF_EXECINSTR; SHT_SYMTAB, whose names are in section 3; SHT_STRTAB.
    let sections = [
        (section_name, 1, 6, code_at, code.len(), 0, 0, 8, 0),
        (
            symbols_name,
            2,
            0,
            symbols_at,
            symbols.len(),
            3,
            1,
            8,
            SYMBOL_LEN,
        ),
        (names_name, 3, 0, names_at, names.len(), 0, 0, 1, 0),
    ];
    for (name, kind, flags, at, len, link, info, alignment, entry) in sections {
        object.extend(name.to_le_bytes());
        object.extend(u32::to_le_bytes(kind));
        for wide in [flags, 0, at as u64, len as u64] {
            object.extend(wide.to_le_bytes());
        }
        object.extend(u32::to_le_bytes(link));
        object.extend(u32::to_le_bytes(info));
        for wide in [alignment, entry as u64] {
            object.extend(wide.to_le_bytes());
        }
    }
    object
}

/// 64 bits, little-endian, `ET_REL`, `EM_BPF`; four sections, the last with the names.
fn header(sections_at: u64) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend(1u16.to_le_bytes());
    header.extend(247u16.to_le_bytes());
    header.extend(1u32.to_le_bytes());
    for wide in [0, 0, sections_at] {
        header.extend(wide.to_le_bytes());
    }
    header.extend(0u32.to_le_bytes());
    for narrow in [HEADER_LEN as u16, 0, 0, SECTION_HEADER_LEN as u16, 4, 3] {
        header.extend(narrow.to_le_bytes());
    }
    header
}
