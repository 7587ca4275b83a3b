//! apt's source entries: sources.list(5), in the one-line and the deb822 form.

use std::fs;
use std::path::{Path, PathBuf};

use minimg_deb822::{self as deb822, Stanza};

/// One entry: some suites on some addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The addresses below which `dists` and `pool` lie.
    pub uris: Vec<String>,
    /// The suites; one that ends in a slash is a directory with its own index (a flat archive).
    pub suites: Vec<String>,
    /// The components; none for flat archives.
    pub components: Vec<String>,
    /// The only keys that may sign it.
    pub signed_by: Option<SignedBy>,
    /// The only architectures that are read; none means all.
    pub architectures: Vec<String>,
    /// Whether it is trusted without any signature.
    pub trusted: bool,
    /// Whether an expired Release file is refused, where the entry says so.
    pub check_valid_until: Option<bool>,
}

/// The keys that a source entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// An armored block of certificates in the entry itself.
    Inline(String),
    /// Keyring files, and fingerprints of keys of the machine's keyrings.
    Named {
        /// Keyring files by absolute path.
        files: Vec<PathBuf>,
        /// Fingerprints as hex digits.
        fingerprints: Vec<String>,
    },
}

/// A source entry that is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct EntryError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub message: String,
}

/// Reads entries in either form: those that begin with `deb` are one-line entries. Disabled entries and those of source packages are left out.
///
/// # Errors
/// When the text is neither.
pub fn parse(text: &str) -> Result<Vec<Entry>, EntryError> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match first.and_then(|line| line.split_ascii_whitespace().next()) {
        Some("deb" | "deb-src") => parse_list(text),
        _ => parse_sources(text),
    }
}

/// Reads the one-line form: `deb [option=value] uri suite component...`.
///
/// # Errors
/// When a line is malformed.
pub fn parse_list(text: &str) -> Result<Vec<Entry>, EntryError> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let entry = parse_line(line).map_err(|message| EntryError { line: index + 1, message })?;
            entries.extend(entry);
        }
    }
    Ok(entries)
}

fn parse_line(line: &str) -> Result<Option<Entry>, String> {
    let (kind, rest) = line.split_once(char::is_whitespace).ok_or("expected: deb URI SUITE COMPONENT...")?;
    match kind {
        "deb" => {}
        "deb-src" => return Ok(None),
        _ => return Err(format!("{kind:?} is not a kind of entry; expected deb or deb-src")),
    }
    let mut entry = Entry::default();
    let mut rest = rest.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']').ok_or("the [ of the options has no ]")?;
        for option in options.split_ascii_whitespace() {
            let (name, value) = option.split_once('=').ok_or_else(|| format!("the option {option:?} has no ="))?;
            entry.set_option(name.trim_end_matches(['+', '-']), value);
        }
        rest = after;
    }
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    entry.uris.extend(words.next());
    entry.suites.extend(words.next());
    entry.components.extend(words);
    entry.checked().map(Some)
}

/// Reads the deb822 form: stanzas with Types, URIs, Suites, Components.
///
/// # Errors
/// When it is malformed or lacks one of these fields.
pub fn parse_sources(text: &str) -> Result<Vec<Entry>, EntryError> {
    let stanzas = deb822::stanzas(text)
        .map_err(|line| EntryError { line, message: "expected a field, such as `URIs: ...`".to_owned() })?;
    let mut entries = Vec::new();
    for stanza in &stanzas {
        let line = stanza.fields.first().map_or(1, |field| field.line);
        let entry = parse_stanza(stanza).map_err(|message| EntryError { line, message })?;
        entries.extend(entry);
    }
    Ok(entries)
}

fn parse_stanza(stanza: &Stanza<'_>) -> Result<Option<Entry>, String> {
    if stanza.get("Enabled").is_some_and(|value| !truth(value)) || stanza.words("Types").all(|kind| kind != "deb") {
        return match stanza.get("Types") {
            Some(_) => Ok(None),
            None => Err("the entry has no Types; expected `Types: deb`".to_owned()),
        };
    }
    let words = |name| stanza.words(name).map(str::to_owned).collect();
    let mut entry =
        Entry { uris: words("URIs"), suites: words("Suites"), components: words("Components"), ..Entry::default() };
    for field in &stanza.fields {
        entry.set_option(&field.name.to_ascii_lowercase(), &field.value);
    }
    entry.checked().map(Some)
}

impl Entry {
    fn set_option(&mut self, name: &str, value: &str) {
        match name {
            "arch" | "architectures" => self.architectures = words_of_list(value),
            "signed-by" => self.signed_by = Some(SignedBy::parse(value)),
            "trusted" => self.trusted = truth(value),
            "check-valid-until" => self.check_valid_until = Some(truth(value)),
            _ => {}
        }
    }

    fn checked(self) -> Result<Self, String> {
        if self.uris.is_empty() || self.suites.is_empty() {
            return Err("the entry needs an address and a suite".to_owned());
        }
        for suite in &self.suites {
            if suite.split('/').any(|part| part == "..") {
                return Err(format!("the suite {suite:?} leads out of the archive"));
            }
            if suite.ends_with('/') != self.components.is_empty() {
                return Err(format!(
                    "the suite {suite:?} {}",
                    if self.components.is_empty() { "needs components, such as main" } else { "takes no components" }
                ));
            }
        }
        Ok(self)
    }
}

impl SignedBy {
    fn parse(value: &str) -> Self {
        if value.contains("-----BEGIN") {
            let lines = value.trim().lines().map(|line| if line.trim() == "." { "" } else { line });
            return Self::Inline(lines.collect::<Vec<_>>().join("\n"));
        }
        let (files, fingerprints): (Vec<_>, Vec<_>) =
            words_of_list(value).into_iter().partition(|word| word.starts_with('/'));
        let fingerprints = fingerprints.into_iter().map(|word| word.trim_end_matches('!').to_owned()).collect();
        Self::Named { files: files.into_iter().map(PathBuf::from).collect(), fingerprints }
    }
}

fn words_of_list(value: &str) -> Vec<String> {
    let words = value.split(|c: char| c == ',' || c.is_ascii_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What apt takes for true (`StringToBool`).
fn truth(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "with" | "on" | "enable" | "1")
}

/// apt's own entries of the machine whose configuration is below `root`, in the order in which apt reads them. Files that cannot be read or
/// are malformed are passed over: they are the business of apt.
pub fn of_machine(root: &Path) -> Vec<Entry> {
    let apt = root.join("etc/apt");
    let mut entries = read(&apt.join("sources.list"), parse_list);
    for path in sorted_files(&apt.join("sources.list.d")) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(read(&path, parse_list)),
            Some("sources") => entries.extend(read(&path, parse_sources)),
            _ => {}
        }
    }
    entries
}

fn read(path: &Path, parse: impl Fn(&str) -> Result<Vec<Entry>, EntryError>) -> Vec<Entry> {
    fs::read_to_string(path).ok().and_then(|text| parse(&text).ok()).unwrap_or_default()
}

fn sorted_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Whether apt on the machine below `root` refuses expired Release files: `Acquire::Check-Valid-Until` of apt.conf(5).
pub fn machine_checks_valid_until(root: &Path) -> bool {
    let apt = root.join("etc/apt");
    let mut files = sorted_files(&apt.join("apt.conf.d"));
    files.push(apt.join("apt.conf"));
    files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter_map(|text| conf_value(&text, "acquire::check-valid-until"))
        .next_back()
        .is_none_or(|value| truth(&value))
}

/// The last value of a setting in apt.conf(5) syntax: `A::B "v";` or nested, `A { B "v"; };`. The name is in lower case.
fn conf_value(text: &str, name: &str) -> Option<String> {
    let (mut scope, mut words, mut found) = (Vec::<String>::new(), Vec::<String>::new(), None);
    for token in conf_tokens(text) {
        match token.as_str() {
            "{" => scope.push(std::mem::take(&mut words).join("::")),
            "}" | ";" => {
                if let [key, value] = &words[..] {
                    let parts = scope.iter().chain([key]).map(|part| part.to_ascii_lowercase());
                    if parts.collect::<Vec<_>>().join("::") == name {
                        found = Some(value.clone());
                    }
                }
                words.clear();
                if token == "}" {
                    scope.pop();
                }
            }
            _ => words.push(token),
        }
    }
    found
}

fn conf_tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '{' | '}' | ';' => {
                tokens.push(first.to_string());
                1
            }
            '"' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = inner.find('"').unwrap_or(inner.len());
                tokens.push(inner.get(..end).unwrap_or_default().to_owned());
                (end + 2).min(rest.len())
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
                tokens.push(rest.get(..end).unwrap_or_default().to_owned());
                end
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

#[cfg(test)]
mod tests;
