//! Reads what is certain of shell scripts without running them: their commands in order, in whatever branch they are, with the words
//! that are literal, or variables that the script sets to one literal, or that a loop over such words sets. It is not a shell; what it
//! does not know it leaves unknown. It takes any bytes, however deeply nested, in time and memory that grow with the script.
//!
//! ```
//! use minimg_shell::{Known, read};
//!
//! let script = read("for name in a b; do install -d \"/var/lib/$name\"; done\nchown $(whoami) /x", &Known::default());
//! let shown: Vec<String> = script.commands.iter().map(|command| command.shown()).collect();
//! assert_eq!(shown, ["for name in a b", "install -d /var/lib/a", "install -d /var/lib/b", "chown $(whoami) /x", "whoami"]);
//! // What runs within another command's words is marked, and what only a shell knows is not a known word.
//! assert!(script.commands[4].is_substituted);
//! assert_eq!(script.commands[3].arguments()[0].known(), None);
//! ```

mod command;
mod here;
mod reader;
mod words;

use std::collections::BTreeSet;

pub use command::{Command, Word};

/// What a script is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Its commands in their order; those that stand in words of others come last.
    pub commands: Vec<Command>,
    /// The names of the functions that it defines.
    pub functions: BTreeSet<String>,
}

/// What is known of the shell that would run a script.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// Variables that have this value, whatever the script says.
    pub variables: &'k [(&'k str, &'k str)],
    /// Whether the condition of an `if`, a command, can never hold: what it guards is unreachable.
    pub never_holds: &'k dyn Fn(&[Word]) -> bool,
}

impl Default for Known<'_> {
    fn default() -> Self {
        Self { variables: &[], never_holds: &|_| false }
    }
}

/// Reads a script.
pub fn read(script: &str, known: &Known<'_>) -> Script {
    reader::read(&here::without_documents(script), known)
}
