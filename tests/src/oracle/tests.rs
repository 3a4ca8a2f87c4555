//! Each rule once, as a story whose ending was written by hand.

mod conflicts;
mod sights;
mod stories;
mod table;
