//! Commands and their words.

/// A simple command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// All words: assignments, the command's name, and its arguments, without redirections.
    pub words: Vec<Word>,
    /// Whether it stands behind a condition that never holds.
    pub is_unreachable: bool,
    /// Whether it stands in a word of another command, as `$(...)` or between backquotes.
    pub is_substituted: bool,
}

/// A word, after quotes and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// What the word is, with certainty.
    Known(String),
    /// The word as it stands, since a variable or substitution in it is not known.
    Unknown(String),
}

impl Word {
    /// The word if it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Word::Known(word) => Some(word),
            Word::Unknown(_) => None,
        }
    }

    /// The word as people would recognise it in the script.
    pub fn shown(&self) -> &str {
        match self {
            Word::Known(word) | Word::Unknown(word) => word,
        }
    }
}

impl Command {
    /// The name of the command without its directory; empty when it is not known, or there are only assignments.
    pub fn name(&self) -> &str {
        let name = self.call().first().and_then(Word::known).unwrap_or_default();
        name.rsplit('/').next().unwrap_or_default()
    }

    /// The arguments.
    pub fn arguments(&self) -> &[Word] {
        self.call().get(1..).unwrap_or_default()
    }

    /// The name and the arguments: the words after the assignments.
    pub fn call(&self) -> &[Word] {
        let assignments = self.words.iter().take_while(|word| assignment(word.shown()).is_some()).count();
        &self.words[assignments..]
    }

    /// The command as people would recognise it.
    pub fn shown(&self) -> String {
        self.words.iter().map(Word::shown).collect::<Vec<_>>().join(" ")
    }
}

/// The name and the value of an assignment.
pub(crate) fn assignment(word: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    word.split_once('=').filter(|(name, _)| is_name(name))
}
