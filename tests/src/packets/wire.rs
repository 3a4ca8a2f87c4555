//! What becomes of generated frames on an interface: which ones have to be sent, and how they are known again.

/// Destination, source and ethertype.
const ETHERNET: usize = 14;
/// The next hop of every numbered frame: nobody's, so that nothing is done with what passes.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// How the source of a numbered frame begins.
const NUMBERED: [u8; 2] = [2, 0x99];

/// How many VLAN tags it has. The kernel keeps the first beside a packet that it received, and before the packet in a test run.
pub fn tags(frame: &[u8]) -> usize {
    let ethertypes = frame.get(12..).unwrap_or_default().chunks_exact(4);
    ethertypes.take_while(|bytes| matches!(bytes[..2], [0x81, 0] | [0x88, 0xa8])).count()
}

/// Whether it is shorter than the headers that the kernel looks for before a test run.
pub fn is_too_short(frame: &[u8]) -> bool {
    let header = match frame.get(12..ETHERNET) {
        Some([0x08, 0]) => 20,
        Some([0x86, 0xdd]) => 40,
        _ => 0,
    };
    frame.len() < ETHERNET + header
}

/// The same frame with this number as its source: nobody judges by that.
pub fn numbered(frame: &[u8], number: u32) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[..6].copy_from_slice(&NOBODY);
    frame[6..8].copy_from_slice(&NUMBERED);
    frame[8..12].copy_from_slice(&number.to_be_bytes());
    frame
}

/// The number of such a frame.
pub fn number_of(frame: &[u8]) -> Option<u32> {
    if frame.get(6..8)? != NUMBERED {
        return None;
    }
    Some(u32::from_be_bytes(frame.get(8..12)?.try_into().ok()?))
}
