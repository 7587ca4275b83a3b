//! What may be done with a repository (the distribution project's token authentication, "Token Scope").

use std::collections::BTreeSet;
use std::fmt;

use crate::Remote;

/// Something that a client does with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Reading manifests and blobs.
    Pull,
    /// Writing them.
    Push,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
        })
    }
}

/// A repository and what a client does with it: what a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    repository: String,
    actions: BTreeSet<Action>,
}

impl Scope {
    /// These actions on the repository of an image.
    pub fn new(remote: &Remote, actions: &[Action]) -> Self {
        let repository = remote.reference().path().to_owned();
        Self { repository, actions: actions.iter().copied().collect() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<String> = self.actions.iter().map(Action::to_string).collect();
        write!(f, "repository:{}:{}", self.repository, actions.join(","))
    }
}
