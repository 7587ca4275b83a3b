//! What people should know of.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The image would fail.
    Error,
    /// The image may fail on some road.
    Warning,
    /// Good to know.
    Note,
}

/// Something that people should know of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The path it was seen in, with a leading slash.
    pub path: String,
    /// What was seen, and what to do about it.
    pub message: String,
}
