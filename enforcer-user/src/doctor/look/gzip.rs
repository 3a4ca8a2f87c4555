//! A gzip file in memory (RFC 1952), for `/proc/config.gz`.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Configurations are a quarter of a megabyte.
const LIMIT: usize = 8 << 20;
/// Bits of the header's flags: a checksum, an extra field, a name and a comment follow it.
const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

/// The text in it; `None` when it is no such file, or too large.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let content = decompress_to_vec_with_limit(deflated(bytes)?, LIMIT).ok()?;
    String::from_utf8(content).ok()
}

fn deflated(bytes: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags, rest @ ..] = bytes else { return None };
    // Time, compression and system.
    let mut rest = rest.get(6..)?;
    if flags & EXTRA != 0 {
        let length = usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?]));
        rest = rest.get(2 + length..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & CHECKSUM != 0 { rest.get(2..) } else { Some(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CONFIG_X=y\n`, stored.
    const STORED: &[u8] = b"\x01\x0b\x00\xf4\xffCONFIG_X=y\n";

    #[test]
    fn every_header_is_skipped() {
        for (flags, fields) in [
            (0, &b""[..]),
            (NAME, b"config\0"),
            (EXTRA | NAME | COMMENT | CHECKSUM, b"\x03\x00abcname\0comment\0cc"),
        ] {
            let header = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 3];
            let file = [&header[..], fields, STORED, &[0; 8]].concat();
            assert_eq!(text(&file).as_deref(), Some("CONFIG_X=y\n"), "{flags}");
            for end in 0..file.len() - 10 {
                assert_eq!(text(&file[..end]), None, "cut at {end}");
            }
        }
        assert_eq!(text(b"PK\x03\x04"), None);
    }
}
