//! A socket's cookie as `sock_diag(7)` writes it: `u32 idiag_cookie[2]`, the lower half first, each half in the
//! machine's order.

pub(super) fn decode(bytes: [u8; 8]) -> u64 {
    halves(u64::from_ne_bytes(bytes))
}

pub(super) fn encode(cookie: u64) -> [u8; 8] {
    halves(cookie).to_ne_bytes()
}

/// A big-endian machine reads the half that comes first as the upper one.
fn halves(cookie: u64) -> u64 {
    if cfg!(target_endian = "big") { cookie.rotate_left(32) } else { cookie }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_half_comes_first() {
        let bytes = encode(0x1122_3344_5566_7788);
        assert_eq!(bytes[..4], 0x5566_7788_u32.to_ne_bytes());
        assert_eq!(bytes[4..], 0x1122_3344_u32.to_ne_bytes());
        assert_eq!(decode(bytes), 0x1122_3344_5566_7788);
    }
}
