//! What keeps a closure from being made.

use std::fmt;
use std::io;

use minimg_base::error::{Class, Error};

/// Why there is no closure.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// A program of the profile is not in the tree.
    #[error("cannot keep the program {name}: {searched}{}", hint(.nearest))]
    Program {
        /// As the profile names it.
        name: String,
        /// Where it was looked for.
        searched: String,
        /// The most similar name that is there.
        nearest: Option<String>,
    },
    /// There is no rule set of this name.
    #[error("cannot apply the rule set {name}: no such name{}; `minimg list rules` shows all", hint(.nearest))]
    Rule {
        /// As the profile names it.
        name: String,
        /// The most similar name that is there.
        nearest: Option<String>,
    },
    /// A package of the profile is not in the tree.
    #[error("cannot keep the package {name}: the root tree has no package of that name{}; add it under [packages]", hint(.nearest))]
    Package {
        /// As the profile names it.
        name: String,
        /// The most similar name that is there.
        nearest: Option<String>,
    },
    /// A glob cannot be read.
    #[error("cannot read the glob {glob}: {message}")]
    Glob {
        /// As the profile has it.
        glob: String,
        /// What is wrong with it.
        message: String,
    },
    /// Files that kept files cannot do without are not in the tree.
    #[error("the image would not be complete: {}", list(.0))]
    Missing(Vec<MissingFile>),
    /// The tree cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which path, or what was done.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ClosureError {
    /// What the system said about a path of the root.
    pub(crate) fn io(path: impl Into<String>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// A file that a kept file cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFile {
    /// What is asked for: a library's name, or a path.
    pub name: String,
    /// What it would be: `library`, `loader`, `interpreter`.
    pub what: &'static str,
    /// Who asked for it: the program first, the asker last.
    pub chain: Vec<String>,
    /// The paths that were tried and why each did not do.
    pub tried: Vec<(String, &'static str)>,
    /// What people may do, where that can be guessed.
    pub advice: Option<String>,
}

impl fmt::Display for MissingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {} is missing, needed by {}", self.what, self.name, self.chain.join(" -> "))?;
        if !self.tried.is_empty() {
            let tried: Vec<String> = self.tried.iter().map(|(path, why)| format!("{path} ({why})")).collect();
            write!(f, "; tried {}", tried.join(", "))?;
        }
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

fn list(missing: &[MissingFile]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

impl From<ClosureError> for Error {
    fn from(error: ClosureError) -> Self {
        let class = match error {
            ClosureError::Program { .. } | ClosureError::Missing(_) => Class::Incomplete,
            ClosureError::Rule { .. } | ClosureError::Package { .. } | ClosureError::Glob { .. } => Class::Profile,
            ClosureError::Io { .. } => Class::Machine,
        };
        Error::new(class, error)
    }
}
