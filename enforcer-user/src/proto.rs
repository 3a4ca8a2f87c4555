//! Generated from proto/ by `cargo xtask codegen`. Only where the wire is does anybody name these types.

#[path = "proto/enforcer.admin.v1.rs"]
pub mod admin;
