//! What makes an object invalid, and what is accepted with a warning.
//!
//! Sources: istio `pkg/config/validation/validation.go` (`ValidateServiceEntry`, `ValidateSidecar`, `validateExportTo`),
//! Kubernetes' own rules for Services. Nothing here changes an object: every rule is a check that names the field.

pub(crate) mod endpoint;
pub(crate) mod export_to;
pub(crate) mod host;
pub(crate) mod kubernetes;
pub(crate) mod ports;
pub(crate) mod service_entry;
