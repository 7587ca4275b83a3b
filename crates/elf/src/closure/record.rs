//! The form in which a closure travels in a build record.

use serde::{Deserialize, Serialize};

use super::{Closure, Reason, Why};
use crate::finding::Finding;
use minimg_tree::RootPath;

/// A closure as plain lists.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    kept: Vec<Kept>,
    findings: Vec<Finding>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    #[serde(flatten)]
    why: Why,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via: Option<String>,
}

impl From<Closure> for Record {
    fn from(closure: Closure) -> Self {
        let kept = closure.kept.into_iter().map(|(path, reason)| Kept {
            path: path.escaped(),
            why: reason.why,
            via: reason.via.as_ref().map(RootPath::escaped),
        });
        Self { kept: kept.collect(), findings: closure.findings }
    }
}

impl TryFrom<Record> for Closure {
    type Error = String;

    fn try_from(record: Record) -> Result<Self, String> {
        let read_kept = |kept: Kept| {
            let via = kept.via.as_deref().map(read).transpose()?;
            Ok((read(&kept.path)?, Reason { why: kept.why, via }))
        };
        let kept = record.kept.into_iter().map(read_kept).collect::<Result<_, String>>()?;
        Ok(Self { kept, findings: record.findings })
    }
}

/// The path of which `text` is [`RootPath::escaped`].
fn read(text: &str) -> Result<RootPath, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split("\\x");
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("the path {text:?} has a broken escape"))?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    RootPath::new(bytes).map_err(|error| error.to_string())
}
