//! How a walk is done, and how it decides where the files alone do not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ldcache::CacheSource;
use minimg_tree::RootPath;

/// How a walk is done.
#[derive(Debug, Clone)]
pub struct WalkSettings {
    /// The environment of the programs: PATH, `LD_LIBRARY_PATH`, `LD_PRELOAD`, LANG.
    pub env: BTreeMap<String, String>,
    /// The directory that the programs start in.
    pub working_directory: RootPath,
    /// Which `/etc/ld.so.cache` is searched.
    pub cache: CacheSource,
    /// How the walk decides where the files alone do not.
    pub closure: ClosureSettings,
    /// Whether to look for what no file names (section "hidden" of the manual); without it the walk is that of the loader alone.
    pub hidden: bool,
}

impl Default for WalkSettings {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            working_directory: RootPath::root(),
            cache: CacheSource::Either,
            closure: ClosureSettings::default(),
            hidden: true,
        }
    }
}

/// How the closure walk decides where the files alone do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClosureSettings {
    /// What is done with libraries that only a string in a program names.
    pub dlopen_strings: Policy,
    /// What is done with libraries that a `.note.dlopen` calls `suggested`.
    pub suggested: Policy,
    /// What is done with commands that a kept script names.
    pub script_commands: Policy,
    /// Whether every `glibc-hwcaps` level is kept, not only the baseline.
    pub hwcaps: bool,
    /// Whether the files of trigger rules (certificates for libssl, terminfo for libtinfo, ...) are kept by themselves.
    pub triggers: Policy,
}

/// What is done with a finding that may or may not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Keep it and do not speak of it.
    Keep,
    /// Say what it is and how to keep it, and leave it out.
    Report,
    /// Leave it out in silence.
    Ignore,
}

impl Default for ClosureSettings {
    fn default() -> Self {
        Self {
            dlopen_strings: Policy::Report,
            suggested: Policy::Ignore,
            script_commands: Policy::Ignore,
            hwcaps: false,
            triggers: Policy::Report,
        }
    }
}
