//! The kernel's BTF, as far as the offsets of members go.
//!
//! aya reads BTF, too, but shows no types; and btf-rs has a licence of its own. The format: Documentation/bpf/btf.rst.

use anyhow::{Context as _, Result, bail, ensure};

/// `BTF_MAGIC`, in the byte order of this machine.
const MAGIC: u16 = 0xeb9f;
/// `enum btf_kind`, as far as it matters here.
const PTR: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const TYPE_TAG: u32 = 18;
/// `struct btf_type`, and `struct btf_member`.
const HEAD: usize = 12;
const MEMBER: usize = 12;
/// How deep unnamed members and names of types are followed.
const DEPTH: usize = 16;

/// All types of a kernel.
#[derive(Debug)]
pub(super) struct Types<'a> {
    strings: &'a [u8],
    /// The type of each id, from its head on; that of 0 is `void`.
    types: Vec<&'a [u8]>,
}

/// A type's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(u32);

/// A member of a structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    /// Bits from the structure's beginning.
    pub(super) bit: u32,
    /// How many bits it has, if it is a bit field; else 0.
    pub(super) width: u32,
    /// What it is.
    pub(super) kind: Id,
}

impl Member {
    /// Bytes from the structure's beginning.
    pub(super) fn byte(self) -> Result<u32> {
        ensure!(self.width == 0 && self.bit.is_multiple_of(8), "it is a bit field");
        Ok(self.bit / 8)
    }
}

impl<'a> Types<'a> {
    pub(super) fn parse(btf: &'a [u8]) -> Result<Self> {
        let magic = btf.get(..2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        ensure!(magic == Some(MAGIC), "this is no BTF");
        let (head, types_at, types_length) = (word(btf, 4)?, word(btf, 8)?, word(btf, 12)?);
        let (strings_at, strings_length) = (word(btf, 16)?, word(btf, 20)?);
        let part = |at: u32, length: u32| {
            let from = at as usize + head as usize;
            btf.get(from..from + length as usize).context("it ends too early")
        };
        let mut rest = part(types_at, types_length)?;
        let mut types = vec![&rest[..0]];
        while !rest.is_empty() {
            let length = HEAD + details(word(rest, 4)?)?;
            ensure!(length <= rest.len(), "a type ends too early");
            let (this, others) = rest.split_at(length);
            types.push(this);
            rest = others;
        }
        Ok(Self { strings: part(strings_at, strings_length)?, types })
    }

    /// The structure of this name.
    pub(super) fn structure(&self, name: &str) -> Result<Id> {
        for (id, bytes) in self.types.iter().enumerate().skip(1) {
            if kind(bytes)? == STRUCT && self.is_named(word(bytes, 0)?, name) {
                return Ok(Id(u32::try_from(id)?));
            }
        }
        bail!("there is no struct {name}")
    }

    /// A member of a structure, or of a member without a name of it.
    pub(super) fn member(&self, of: Id, name: &str) -> Result<Member> {
        self.find(of, name, DEPTH)?.with_context(|| format!("there is no member {name}"))
    }

    /// What a pointer points to.
    pub(super) fn pointee(&self, pointer: Id) -> Result<Id> {
        let bytes = self.bytes(self.plain(pointer)?)?;
        ensure!(kind(bytes)? == PTR, "it is no pointer");
        Ok(Id(word(bytes, 8)?))
    }

    fn find(&self, of: Id, name: &str, depth: usize) -> Result<Option<Member>> {
        let bytes = self.bytes(self.plain(of)?)?;
        if depth == 0 || !matches!(kind(bytes)?, STRUCT | UNION) {
            return Ok(None);
        }
        // `kind_flag`: the upper byte of an offset is a bit field's width.
        let has_widths = word(bytes, 4)? >> 31 == 1;
        for member in bytes[HEAD..].chunks_exact(MEMBER) {
            let (its_name, its_kind, at) = (word(member, 0)?, Id(word(member, 4)?), word(member, 8)?);
            let (bit, width) = if has_widths { (at & 0x00ff_ffff, at >> 24) } else { (at, 0) };
            if self.is_named(its_name, name) {
                return Ok(Some(Member { bit, width, kind: its_kind }));
            }
            if its_name == 0
                && let Some(found) = self.find(its_kind, name, depth - 1)?
            {
                return Ok(Some(Member { bit: bit + found.bit, ..found }));
            }
        }
        Ok(None)
    }

    /// The type behind its other names.
    fn plain(&self, id: Id) -> Result<Id> {
        let mut plain = id;
        for _ in 0..DEPTH {
            let bytes = self.bytes(plain)?;
            match kind(bytes)? {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => plain = Id(word(bytes, 8)?),
                _ => return Ok(plain),
            }
        }
        bail!("a type has too many names")
    }

    fn bytes(&self, id: Id) -> Result<&'a [u8]> {
        match self.types.get(id.0 as usize) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => bail!("there is no type {}", id.0),
        }
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let rest = self.strings.get(at as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn kind(bytes: &[u8]) -> Result<u32> {
    Ok((word(bytes, 4)? >> 24) & 0x1f)
}

/// How many bytes are behind the head of a type.
fn details(info: u32) -> Result<usize> {
    let count = (info & 0xffff) as usize;
    Ok(match (info >> 24) & 0x1f {
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        STRUCT | UNION => count * MEMBER,
        // Enumerations, and what functions take.
        6 | 13 => count * 8,
        // Sections, and enumerations of 64 bits.
        15 | 19 => count * 12,
        // The last three: forward declarations, functions, numbers with a point.
        PTR | TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG | 7 | 12 | 16 => 0,
        other => bail!("a type is of the kind {other}, which this agent does not know"),
    })
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk).context("it ends too early")?;
    Ok(u32::from_ne_bytes(*word))
}
