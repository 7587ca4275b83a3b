//! Reads rule sets from files, and refuses those that could not mean anything.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Baked, Rule, Rules, Trigger};
use crate::glob::{has_wildcard, parse_glob};
use minimg_base::error::{Class, Error, is_wrong_path};
use minimg_base::suggest;
use minimg_tree::RootPath;

/// No rule set needs more bytes than this.
const LONGEST_FILE: u64 = 1 << 20;

/// Why a user's own rule sets cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RuleSetError {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {}: {source}; rule sets are regular .toml files in a directory", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a rule set.
    #[error("cannot read the rule set {}: {message}; {remedy}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
        /// What to do about it.
        remedy: String,
    },
}

impl From<RuleSetError> for Error {
    fn from(error: RuleSetError) -> Self {
        let class = match &error {
            RuleSetError::Unreadable { source, .. } if !is_wrong_path(source) => Class::Machine,
            _ => Class::Profile,
        };
        Error::new(class, error)
    }
}

/// The rule sets in the `*.toml` files of a directory, sorted by path.
pub(super) fn directory(directory: &Path) -> Result<Vec<(PathBuf, Rule)>, RuleSetError> {
    let unreadable = |source| RuleSetError::Unreadable { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let rule = file(&path)?;
            found.push((path, rule));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn file(path: &Path) -> Result<Rule, RuleSetError> {
    let unreadable = |source| RuleSetError::Unreadable { path: path.to_owned(), source };
    // A FIFO would block for ever: what it is, is asked before it is opened.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(broken(path, "it is larger than any rule set needs to be", "take it out of the directory"));
    }
    let text = String::from_utf8(bytes).map_err(|_| broken(path, "it is not UTF-8", "save it as UTF-8"))?;
    parse(path, &text)
}

/// The rule set in the text of the file at `path`, whose name must be the rule set's own.
pub(super) fn parse(path: &Path, text: &str) -> Result<Rule, RuleSetError> {
    let rule: Rule = toml::from_str(text)
        .map_err(|error| broken(path, error.to_string().trim_end(), "correct the line that is shown"))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if rule.name != stem {
        let remedy = format!("write name = \"{stem}\", or rename the file");
        return Err(broken(path, format!("its name is `{}`, and the file's is not", rule.name), remedy));
    }
    if rule.description.is_empty() || rule.description.ends_with('.') {
        return Err(broken(path, "its description is empty or ends with a full stop", "say in one line what it keeps"));
    }
    for glob in &rule.keep {
        parse_glob(glob).map_err(|error| broken(path, error, "correct the glob under `keep`"))?;
    }
    rule.trigger.iter().try_for_each(|trigger| check_trigger(path, trigger))?;
    rule.baked.iter().try_for_each(|baked| check_baked(path, baked))?;
    Ok(rule)
}

fn check_trigger(path: &Path, trigger: &Trigger) -> Result<(), RuleSetError> {
    let set = [trigger.library.is_some(), trigger.path.is_some(), trigger.feature.is_some()];
    if set.into_iter().filter(|is_set| *is_set).count() != 1 {
        let message = "a trigger must have exactly one of `library`, `path` and `feature`";
        return Err(broken(path, message, "write a [[trigger]] for each"));
    }
    if let Some(library) = trigger.library.as_deref().filter(|library| has_wildcard(library)) {
        parse_glob(&format!("/{library}")).map_err(|error| broken(path, error, "correct the glob of the trigger"))?;
    }
    if let Some(kept) = &trigger.path {
        parse_glob(kept).map_err(|error| broken(path, error, "correct the path of the trigger"))?;
        if !has_wildcard(kept) {
            RootPath::new(kept).map_err(|error| broken(path, error, "correct the path of the trigger"))?;
        }
    }
    Ok(())
}

fn check_baked(path: &Path, baked: &Baked) -> Result<(), RuleSetError> {
    let set = [&baked.after, &baked.starts_with, &baked.ends_with];
    if set.iter().filter(|marker| marker.is_some()).count() != 1 {
        let message = "a [[baked]] must have exactly one of `after`, `starts-with` and `ends-with`";
        return Err(broken(path, message, "say how the directory is found in one way"));
    }
    Ok(())
}

/// Whether everything that the rule set requires is among `all`.
pub(super) fn check_required(path: &Path, rule: &Rule, all: &Rules) -> Result<(), RuleSetError> {
    match rule.requires.iter().find(|name| all.named(name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let remedy = suggest::help(name, all.names());
            let message = format!("it requires `{name}`, and there is no rule set of that name");
            Err(broken(path, message, remedy.unwrap_or_else(|| "correct the name under `requires`".to_owned())))
        }
    }
}

fn broken(path: &Path, message: impl ToString, remedy: impl Into<String>) -> RuleSetError {
    RuleSetError::Broken { path: path.to_owned(), message: message.to_string(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(Path::new("rules/own.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_broken_rule_set_is_refused_with_its_path_and_a_remedy() {
        let head = "name = 'own'\ndescription = 'x'\n";
        for (text, message, remedy) in [
            ("name = 'own'", "missing field `description`", "correct the line"),
            ("name = 'other'\ndescription = 'x'", "its name is `other`", "rename the file"),
            ("name = 'own'\ndescription = ''", "description is empty", "in one line"),
            (&format!("{head}keep = ['usr/**']"), "begin with a slash", "under `keep`"),
            (&format!("{head}[[trigger]]\ncertain = true"), "exactly one of `library`", "for each"),
            (&format!("{head}[[trigger]]\npath = 'bin/x'"), "begin with a slash", "of the trigger"),
            (&format!("{head}[[trigger]]\nlibrary = 'lib{{x'"), "cannot read the glob", "of the trigger"),
            (&format!("{head}[[trigger]]\nfeature = 'none'"), "unknown variant `none`", "correct the line"),
            (&format!("{head}[[baked]]\nlibrary = 'x'"), "exactly one of `after`", "in one way"),
        ] {
            let error = refused(text);
            let is_told = error.contains("rules/own.toml") && error.contains(message) && error.contains(remedy);
            assert!(is_told, "{error}");
        }
    }

    #[test]
    fn what_a_rule_set_requires_is_there() {
        let rule = parse(Path::new("own.toml"), "name = 'own'\ndescription = 'x'\nrequires = ['tzdate']").unwrap();
        let error = check_required(Path::new("own.toml"), &rule, &Rules::built_in()).unwrap_err().to_string();
        assert!(error.contains("requires `tzdate`") && error.contains("`tzdata`"), "{error}");
    }
}
