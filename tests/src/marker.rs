//! What a try is known by, wherever it appears.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::frame::Mac;

/// Sixteen bytes that nobody else has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker([u8; 16]);

impl Marker {
    /// A new one.
    pub fn fresh() -> Self {
        let [one, other] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
        let bytes = u128::from(one) << 64 | u128::from(other);
        Self(bytes.to_be_bytes())
    }

    /// Its bytes: what a technique puts into its payload.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// A MAC address of its own: the source of a frame that has no room for the bytes.
    pub fn mac(&self) -> Mac {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.0[..6]);
        // A single station's, given out by nobody.
        mac[0] = 2;
        mac
    }

    /// Whether a frame has it: its bytes anywhere, or its MAC address as the source.
    pub fn is_in(&self, frame: &[u8]) -> bool {
        frame.windows(self.0.len()).any(|window| window == self.0)
            || frame.get(6..12) == Some(&self.mac()[..])
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Marker {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() != 32 {
            bail!("a marker has 32 hexadecimal digits, not {text:?}");
        }
        let bytes = u128::from_str_radix(text, 16).with_context(|| format!("{text:?} is no marker"))?;
        Ok(Self(bytes.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_by_its_bytes_or_its_mac_address_and_not_otherwise() {
        let (marker, other) = (Marker::fresh(), Marker::fresh());
        assert_eq!(marker.to_string().parse::<Marker>().unwrap(), marker);
        let frame = [&[0; 20][..], &marker.bytes(), &[0; 3]].concat();
        assert!(marker.is_in(&frame) && !other.is_in(&frame));
        let frame = [&[0xff; 6][..], &marker.mac(), &[8, 0]].concat();
        assert!(marker.is_in(&frame) && !other.is_in(&frame));
    }
}
