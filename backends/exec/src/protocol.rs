//! The protocol between minimg and an outside backend: one JSON document each way, described in `backends/README.md`.

use serde::{Deserialize, Serialize};

use minimg_backend::Request;
use minimg_base::digest::Digest;
use minimg_base::error::Class;

/// The version that this minimg speaks.
pub const VERSION: u32 = 1;

/// What a program is asked: on its standard input.
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    protocol: u32,
    /// Whether the network may not be used.
    offline: bool,
    /// The number of things that may run in parallel.
    jobs: usize,
    board: Board<'a>,
    source: Source<'a>,
    packages: &'a [String],
    /// The table `[source.options.NAME]` of the profile, under the backend's name.
    options: Option<&'a toml::Value>,
    /// The profile's directory, where relative paths in the options start; empty if there is none.
    directory: &'a str,
    /// What the program answered when it was asked to resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<&'a Resolved>,
}

#[derive(Debug, Serialize)]
struct Board<'a> {
    name: &'a str,
    os: &'a str,
    architecture: &'a str,
    variant: Option<&'a str>,
    deb: Option<&'a str>,
    rpm: Option<&'a str>,
    apk: Option<&'a str>,
    gentoo: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    distribution: &'a str,
    suite: &'a str,
    components: &'a [String],
    mirror: Option<&'a str>,
    exclude: &'a [String],
}

impl<'a> Question<'a> {
    /// The question that a request is, to the backend of this name.
    pub(super) fn new(name: &str, request: &'a Request, offline: bool, jobs: usize) -> Self {
        let (board, source) = (&request.board, &request.source);
        Self {
            protocol: VERSION,
            offline,
            jobs,
            board: Board {
                name: &board.name,
                os: &board.platform.os,
                architecture: &board.platform.architecture,
                variant: board.platform.variant.as_deref(),
                deb: board.names.deb.as_deref(),
                rpm: board.names.rpm.as_deref(),
                apk: board.names.apk.as_deref(),
                gentoo: board.names.gentoo.as_deref(),
            },
            source: Source {
                distribution: &source.distribution,
                suite: &source.suite,
                components: &source.components,
                mirror: source.mirror.as_deref(),
                exclude: &source.exclude,
            },
            packages: &request.packages,
            options: source.options.get(name),
            directory: source.directory.to_str().unwrap_or_default(),
            resolved: None,
        }
    }

    /// The same with the answer to the first question, for the second.
    pub(super) fn with(self, resolved: &'a Resolved) -> Self {
        Self { resolved: Some(resolved), ..self }
    }
}

/// A program's answer to `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Description {
    /// The version of the protocol that it speaks.
    pub(super) protocol: u32,
    /// One line for `minimg list backends`.
    pub(super) description: String,
    /// The key under `[packages]` whose names it understands; none if its options say everything.
    #[serde(default)]
    pub(super) family: Option<String>,
    /// The programs that it runs, for `minimg doctor`.
    #[serde(default)]
    pub(super) needs: Vec<String>,
}

/// A program's answer to `resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resolved {
    /// Equal exactly when the tree would be equal; whatever the program likes.
    pub(super) key: String,
    /// Where the tree comes from, as text for people.
    pub(super) origin: String,
    /// Whatever the program wants to be told again when it produces the tree.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub(super) state: serde_json::Value,
}

impl Resolved {
    /// What names the tree in the store: the program's bytes, the question and its answer.
    pub(super) fn identity(&self, program: &Digest, question: &str) -> Digest {
        minimg_base::digest::digest_of(&(VERSION, program, question, self))
    }
}

/// A failure that the program explains, on its standard output in place of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) error: Reason,
}

/// What went wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    /// A message that reads well after "failed to".
    pub(super) message: String,
    /// The name of an exit code's class: `unsatisfiable`, `network`.
    #[serde(default)]
    class: Option<String>,
}

impl Reason {
    /// The class, or that of tools where the program names none that there is.
    pub(super) fn class(&self) -> Class {
        let named = |class: &Class| Some(class.name()) == self.class.as_deref();
        Class::ALL.into_iter().find(named).unwrap_or(Class::Tool)
    }
}
