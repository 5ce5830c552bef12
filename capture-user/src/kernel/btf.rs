//! The kernel's type information: where a member lies, what an enumeration's numbers are called.
//!
//! A reader for just these questions. aya's answers none of them (its types are private), and the
//! kernel side can't be relocated by it either: there are no CO-RE relocations from Rust.
//!
//! The format is told in Documentation/bpf/btf.rst. Nothing in it is trusted: every position is
//! checked, every walk is bounded.

use std::io;

/// What the kernel tells about itself.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";
/// A kernel's takes some 5 MB. What is much larger isn't read.
const MAX_LEN: u64 = 256 << 20;
/// How deep members without a name, and types that stand for others, may be nested.
const MAX_DEPTH: u32 = 16;
/// How many members are looked at for one answer.
const MAX_MEMBERS: u32 = 100_000;

/// Type information, checked as far as that it can be walked.
pub(super) struct Btf {
    bytes: Vec<u8>,
    /// Where the strings start and end.
    strings: (usize, usize),
    /// Where each type starts, by its id less one (0 is void).
    types: Vec<usize>,
}

/// Why there is no type information.
#[derive(Debug, thiserror::Error)]
pub(super) enum BtfError {
    /// It can't be read; on most such kernels it doesn't exist.
    #[error("{KERNEL}: {0}")]
    Unreadable(#[from] io::Error),
    /// It isn't as the format has it.
    #[error("{KERNEL} is malformed: {0}")]
    Malformed(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Struct,
    Union,
    Enum,
    Enum64,
    Typedef,
    Pointer,
    Array,
    Prototype,
    /// `const`, `volatile`, `restrict`, a type tag: stands for another type.
    Qualifier,
    Other,
}

/// One type's fixed part.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: Kind,
    /// Members, enumerators or parameters.
    entries: u32,
    /// For members: offsets have a bit field's size in their upper eight bits.
    flagged: bool,
    /// The size in bytes, or the type it refers to.
    size_or_type: u32,
    /// Where its entries start.
    rest: usize,
}

impl Btf {
    /// The running kernel's.
    pub(super) fn of_this_kernel() -> Result<Self, BtfError> {
        let file = std::fs::File::open(KERNEL)?;
        let len = file.metadata()?.len().min(MAX_LEN);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        io::Read::read_to_end(&mut io::Read::take(file, MAX_LEN), &mut bytes)?;
        Self::parse(bytes)
    }

    /// Walks it once.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        use BtfError::Malformed;
        let short = Malformed("it ends within its header");
        let magic = bytes.first_chunk().copied().map(u16::from_ne_bytes);
        if magic != Some(0xeb9f) {
            return Err(Malformed("it doesn't start with BTF's magic number"));
        }
        let field = |at| u32_at(&bytes, at).map(|number| number as usize);
        let (Some(header), Some(types_at), Some(types_len), Some(strings_at), Some(strings_len)) =
            (field(4), field(8), field(12), field(16), field(20))
        else {
            return Err(short);
        };
        // Five numbers of 32 bits: their sums fit 64.
        let strings = (header + strings_at, header + strings_at + strings_len);
        let end = header + types_at + types_len;
        if strings.1 > bytes.len() || end > bytes.len() {
            return Err(Malformed("a section ends after the file"));
        }
        let mut types = Vec::new();
        let mut at = header + types_at;
        while at < end {
            types.push(at);
            at += type_len(&bytes, at)?;
        }
        Ok(Self {
            bytes,
            strings,
            types,
        })
    }

    /// Where a structure's member lies, in bytes from its start. Each further name is a member of
    /// the one before. `None` if there is no such member, or if it is a bit field.
    pub(super) fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut fuel = MAX_MEMBERS;
        let mut id = self.find(structure, |kind| kind == Kind::Struct)?;
        let mut bits = 0_u32;
        for name in path {
            let (at, member) = self.member(self.resolve(id)?, name, MAX_DEPTH, &mut fuel)?;
            bits = bits.checked_add(at)?;
            id = member;
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// A structure's size in bytes.
    pub(super) fn size(&self, structure: &str) -> Option<u32> {
        let id = self.find(structure, |kind| kind == Kind::Struct)?;
        Some(self.get(id)?.size_or_type)
    }

    /// An enumeration's names with their numbers. Numbers beyond 32 bits are left out.
    pub(super) fn enumerators(&self, name: &str) -> Option<Vec<(u32, &str)>> {
        let id = self.find(name, |kind| matches!(kind, Kind::Enum | Kind::Enum64))?;
        let list = self.get(id)?;
        let width = if list.kind == Kind::Enum { 8 } else { 12 };
        let mut names = Vec::new();
        for index in 0..list.entries as usize {
            let at = list.rest + index * width;
            let high = if width == 12 {
                u32_at(&self.bytes, at + 8)?
            } else {
                0
            };
            if high == 0 {
                let name = self.string(u32_at(&self.bytes, at)?)?;
                names.push((u32_at(&self.bytes, at + 4)?, name));
            }
        }
        Some(names)
    }

    /// How many arguments a tracepoint gives to a raw program. The kernel declares a function
    /// type for each one, with a pointer of its own before them.
    pub(super) fn tracepoint_arguments(&self, name: &str) -> Option<u32> {
        let declared = self.find(&format!("btf_trace_{name}"), |kind| kind == Kind::Typedef)?;
        let pointer = self.get(self.resolve(declared)?)?;
        let function = self.get(self.resolve(pointer.size_or_type)?)?;
        if pointer.kind != Kind::Pointer || function.kind != Kind::Prototype {
            return None;
        }
        function.entries.checked_sub(1)
    }

    /// The id of the first type with this name.
    fn find(&self, name: &str, of: impl Fn(Kind) -> bool) -> Option<u32> {
        let ids = 1..=u32::try_from(self.types.len()).ok()?;
        ids.into_iter().find(|id| {
            self.get(*id)
                .is_some_and(|found| of(found.kind) && self.is_called(found.name, name))
        })
    }

    /// Past type definitions and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_DEPTH {
            let found = self.get(id)?;
            if !matches!(found.kind, Kind::Typedef | Kind::Qualifier) {
                return Some(id);
            }
            id = found.size_or_type;
        }
        None
    }

    /// A member's offset in bits, and its type: of this structure, or of one without a name in it.
    fn member(&self, id: u32, name: &str, depth: u32, fuel: &mut u32) -> Option<(u32, u32)> {
        let outer = self.get(id)?;
        if !matches!(outer.kind, Kind::Struct | Kind::Union) || depth == 0 {
            return None;
        }
        for index in 0..outer.entries as usize {
            *fuel = fuel.checked_sub(1)?;
            let at = outer.rest + index * 12;
            let called = u32_at(&self.bytes, at)?;
            let inner = u32_at(&self.bytes, at + 4)?;
            let place = u32_at(&self.bytes, at + 8)?;
            let (bits, width) = if outer.flagged {
                (place & 0xff_ffff, place >> 24)
            } else {
                (place, 0)
            };
            if called == 0 {
                let within = self.resolve(inner);
                if let Some((more, found)) =
                    within.and_then(|id| self.member(id, name, depth - 1, fuel))
                {
                    return Some((bits.checked_add(more)?, found));
                }
            } else if self.is_called(called, name) {
                return (width == 0).then_some((bits, inner));
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        type_at(&self.bytes, *self.types.get(index)?)
    }

    fn is_called(&self, offset: u32, name: &str) -> bool {
        let start = self.strings.0 + offset as usize;
        let strings = self.bytes.get(start..self.strings.1).unwrap_or_default();
        strings
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn string(&self, offset: u32) -> Option<&str> {
        let start = self.strings.0 + offset as usize;
        let rest = self.bytes.get(start..self.strings.1)?;
        let len = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..len]).ok()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// The numbers of `enum` BTF_KIND_*, include/uapi/linux/btf.h.
fn kind(number: u32) -> Kind {
    match number {
        2 => Kind::Pointer,
        3 => Kind::Array,
        4 => Kind::Struct,
        5 => Kind::Union,
        6 => Kind::Enum,
        8 => Kind::Typedef,
        9..=11 | 18 => Kind::Qualifier,
        13 => Kind::Prototype,
        19 => Kind::Enum64,
        _ => Kind::Other,
    }
}

fn type_at(bytes: &[u8], at: usize) -> Option<Type> {
    let info = u32_at(bytes, at + 4)?;
    Some(Type {
        name: u32_at(bytes, at)?,
        kind: kind(info >> 24 & 0x1f),
        entries: info & 0xffff,
        flagged: info >> 31 == 1,
        size_or_type: u32_at(bytes, at + 8)?,
        rest: at + 12,
    })
}

/// How long a type is, with what follows its fixed part.
fn type_len(bytes: &[u8], at: usize) -> Result<usize, BtfError> {
    let malformed = |what| move || BtfError::Malformed(what);
    let info = u32_at(bytes, at + 4).ok_or_else(malformed("a type is cut off"))?;
    let entries = (info & 0xffff) as usize;
    let rest = match info >> 24 & 0x1f {
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Pointers and what else stands for a type; forward declarations, functions, floats.
        2 | 7..=12 | 16 | 18 => 0,
        // Arrays.
        3 => 12,
        // Structures, unions, data sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * entries,
        // Enumerations, prototypes.
        6 | 13 => 8 * entries,
        _ => return Err(malformed("it has a kind of type that isn't known")()),
    };
    Ok(12 + rest)
}

#[cfg(test)]
mod tests;
