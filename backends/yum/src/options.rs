//! The backend's own settings in a profile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NAME;
use minimg_backend::options::{self, OptionsError};
use minimg_backend::{Settings, Source, driven};
use minimg_ownership::rpm::DIRECTORIES;

/// The default time limit of the tool.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// The machine's own repositories.
const OF_THE_MACHINE: &str = "etc/yum.repos.d";
const KEYS: [&str; 10] = [
    "tool",
    "releasever",
    "repositories",
    "reposdir",
    "modules",
    "disabled-modules",
    "dbpath",
    "settings",
    "max-age",
    "time-limit",
];
const KEYS_OF_REPOSITORIES: [&str; 7] =
    ["name", "baseurl", "metalink", "mirrorlist", "gpgkey", "gpgcheck", "repo-gpgcheck"];

/// What `[source.options.yum]` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Options {
    /// `dnf`, `dnf5`, `microdnf` or `yum`; whichever is there, if it is `auto` or none.
    pub(super) tool: Option<String>,
    /// What `$releasever` stands for; the profile's suite, if there is none.
    pub(super) releasever: Option<String>,
    /// The repositories; those of the machine, if neither they nor a directory of them are named.
    pub(super) repositories: Vec<Repository>,
    /// A directory of `.repo` files, which count besides the repositories named here; a relative path starts at the profile.
    pub(super) reposdir: Option<String>,
    /// Streams of modules that are enabled: `nodejs:20`.
    pub(super) modules: Vec<String>,
    /// Modules that are disabled, so that their packages come from elsewhere: `nodejs`.
    pub(super) disabled_modules: Vec<String>,
    /// Where the rpm database is in the root.
    pub(super) dbpath: Option<String>,
    /// Settings of the tool: `tsflags` to `nodocs`.
    pub(super) settings: std::collections::BTreeMap<String, String>,
    /// For how long a tree is taken for what the tool would make again: `12h`, `0s`.
    pub(super) max_age: Option<Span>,
    /// The time limit of the tool: `30m`.
    pub(super) time_limit: Option<Span>,
}

/// A repository of packages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Repository {
    /// Its name.
    pub(super) name: String,
    /// Its address.
    #[serde(default)]
    pub(super) baseurl: Option<String>,
    /// The address of its list of mirrors, in XML with checksums.
    #[serde(default)]
    pub(super) metalink: Option<String>,
    /// The address of its list of mirrors.
    #[serde(default)]
    pub(super) mirrorlist: Option<String>,
    /// Files or addresses of the public keys that sign its packages; a relative path starts at the profile.
    #[serde(default)]
    pub(super) gpgkey: Vec<String>,
    /// Whether packages must be signed.
    #[serde(default = "yes")]
    pub(super) gpgcheck: bool,
    /// Whether the repository's own index must be signed.
    #[serde(default)]
    pub(super) repo_gpgcheck: bool,
}

fn yes() -> bool {
    true
}

/// A span of time, written as `90s`, `30m` or `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        options::span(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(Span(span): Span) -> String {
        format!("{}s", span.as_secs())
    }
}

fn wrong(message: impl Into<String>) -> OptionsError {
    OptionsError { backend: NAME, message: message.into() }
}

impl Options {
    pub(super) fn read(source: &Source) -> Result<Self, OptionsError> {
        let Some(value) = source.options.get(NAME) else { return Ok(Self::default()) };
        known(value, &KEYS)?;
        for repository in value.get("repositories").and_then(toml::Value::as_array).into_iter().flatten() {
            known(repository, &KEYS_OF_REPOSITORIES)?;
        }
        let options: Self = value.clone().try_into().map_err(|error| wrong(options::unreadable(&error)))?;
        options.check()?;
        Ok(options)
    }

    /// What becomes part of the tool's configuration must not say more there than here.
    fn check(&self) -> Result<(), OptionsError> {
        if self.time_limit.is_some_and(|Span(limit)| limit.is_zero()) {
            return Err(wrong(options::NO_TIME));
        }
        for (at, repository) in self.repositories.iter().enumerate() {
            let Repository { name, baseurl, metalink, mirrorlist, .. } = repository;
            let is_id = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            if name.is_empty() || !name.chars().all(is_id) {
                return Err(wrong(format!("{name:?} cannot be a repository's name: use letters, digits and `-_.:`")));
            }
            // The tool would take the last one, or its own settings for it, without a word.
            if name == "main" || self.repositories.iter().take(at).any(|before| before.name == *name) {
                return Err(wrong(format!("the repository {name} needs a name of its own, which is not `main`")));
            }
            if [baseurl, metalink, mirrorlist].into_iter().flatten().count() != 1 {
                let message = format!("the repository {name} needs one of `baseurl`, `metalink` and `mirrorlist`");
                return Err(wrong(message));
            }
            if repository.gpgcheck && repository.gpgkey.is_empty() {
                let message = format!(
                    "the repository {name} names no `gpgkey`, so its packages could not be checked; name the key's file, or write \
                     `gpgcheck = false`"
                );
                return Err(wrong(message));
            }
        }
        let keys = self.repositories.iter().flat_map(|r| &r.gpgkey).map(String::as_str);
        let addresses = self.repositories.iter().flat_map(|r| [&r.baseurl, &r.metalink, &r.mirrorlist]).flatten();
        let settings = self.settings.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        if let Some(path) = self.dbpath.as_deref()
            && !DIRECTORIES.iter().any(|known| path.strip_prefix('/') == Some(known))
        {
            let known = DIRECTORIES.map(|known| format!("/{known}")).join(", ");
            return Err(wrong(format!("`dbpath` cannot be {path:?}; the places of rpm's database are {known}")));
        }
        if let Some(module) = self.modules.iter().chain(&self.disabled_modules).find(|text| !is_word(text)) {
            return Err(wrong(format!("{module:?} cannot be a module's name")));
        }
        let words = self.releasever.iter().chain(&self.reposdir).map(String::as_str);
        let mut all = keys.chain(addresses.map(String::as_str)).chain(settings).chain(words);
        if let Some(text) = all.find(|text| text.is_empty() || text.starts_with('-') || text.contains(char::is_control))
        {
            return Err(wrong(format!("{text:?} cannot be written to the tool's configuration")));
        }
        Ok(())
    }

    /// The directory of `.repo` files that count: the one that is named, or that of the machine where nothing else is.
    pub(super) fn directory_of_repositories(&self, source: &Source, settings: &Settings) -> Option<PathBuf> {
        match &self.reposdir {
            Some(path) => {
                let path = source.directory.join(path);
                Some(std::path::absolute(&path).unwrap_or(path))
            }
            None => {
                settings.machine.as_ref().filter(|_| self.repositories.is_empty()).map(|root| root.join(OF_THE_MACHINE))
            }
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.max_age.map_or(driven::USUAL_AGE, |Span(span)| span)
    }

    pub(super) fn patience(&self) -> Duration {
        self.time_limit.map_or(PATIENCE, |Span(span)| span)
    }
}

/// Refuses keys that nobody knows, with the nearest that is.
fn known(table: &toml::Value, keys: &'static [&'static str]) -> Result<(), OptionsError> {
    let mut names = table.as_table().into_iter().flat_map(toml::Table::keys);
    let Some(key) = names.find(|name| !keys.contains(&name.as_str())) else { return Ok(()) };
    Err(wrong(options::unknown(key, keys.iter().copied())))
}

/// Whether a text stays one word in a shell and on a command line.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

impl Repository {
    /// The section of a `.repo` file (dnf.conf(5)); `directory` is where relative paths start.
    pub(super) fn section(&self, directory: &Path) -> String {
        let mut text = format!("[{}]\nname={}\nenabled=1\nskip_if_unavailable=0\n", self.name, self.name);
        let flag = |value: bool| u8::from(value);
        text += &format!("gpgcheck={}\nrepo_gpgcheck={}\n", flag(self.gpgcheck), flag(self.repo_gpgcheck));
        for (key, value) in [("baseurl", &self.baseurl), ("metalink", &self.metalink), ("mirrorlist", &self.mirrorlist)]
        {
            if let Some(value) = value {
                text += &format!("{key}={}\n", address(value, directory));
            }
        }
        let keys: Vec<String> = self.gpgkey.iter().map(|key| address(key, directory)).collect();
        if !keys.is_empty() {
            text += &format!("gpgkey={}\n", keys.join(" "));
        }
        text
    }

    /// The files of this machine that decide what is installed, besides the packages themselves.
    pub(super) fn local_files(&self, directory: &Path) -> Vec<PathBuf> {
        let of = |text: &String| match text.strip_prefix("file://") {
            Some(path) => Some(PathBuf::from(path)),
            None => (!text.contains("://")).then(|| directory.join(text)),
        };
        let index = self.baseurl.as_ref().and_then(of).map(|base| base.join("repodata/repomd.xml"));
        self.gpgkey.iter().filter_map(of).chain(index).collect()
    }
}

/// An address, or a file as one. Blanks and commas would end it in the tool's list; `$releasever` and the like stay what they are.
fn address(text: &str, directory: &Path) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let path = directory.join(text);
    let path = std::path::absolute(&path).unwrap_or(path);
    let escape = |byte: &u8| match byte {
        b if b.is_ascii_alphanumeric() || b"/._-+~:@=$".contains(b) => char::from(*b).to_string(),
        b => format!("%{b:02X}"),
    };
    format!("file://{}", path.as_os_str().as_encoded_bytes().iter().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Result<Options, String> {
        let options = [(NAME.to_owned(), toml::Value::Table(options.parse().unwrap()))].into();
        Options::read(&Source { options, ..Source::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let options = read("repositories = [{ name = 'a', baseurl = 'http://a.example/$basearch', gpgkey = ['k.asc'] }]\nmax-age = '0s'").unwrap();
        assert_eq!(options.age(), Duration::ZERO);
        let section = options.repositories[0].section(Path::new("/where"));
        assert!(section.contains("gpgcheck=1\n") && section.contains("gpgkey=file:///where/k.asc\n"), "{section}");
        assert_eq!(address("a b,%c/$basearch", Path::new("/\u{e9}")), "file:///%C3%A9/a%20b%2C%25c/$basearch");
        for (text, expected) in [
            ("releasever = 9", "invalid type: integer `9`, expected a string in `releasever`"),
            ("time-limit = '0s'", "leaves no time"),
            ("repositories = [{ name = 'main', baseurl = 'x', gpgcheck = false }]", "a name of its own"),
            (
                "repositories = [{ name = 'a', baseurl = 'x', gpgcheck = false }, { name = 'a', baseurl = 'y', gpgcheck = false }]",
                "the repository a needs a name of its own",
            ),
            ("relesever = '9'", "there is no `relesever`; did you mean `releasever`?"),
            ("repositories = [{ name = 'a', baseulr = 'x' }]", "there is no `baseulr`; did you mean `baseurl`?"),
            (
                "dbpath = \"/var/lib/rpm\\n%_x %(id)\"",
                "the places of rpm's database are /var/lib/rpm, /usr/lib/sysimage/rpm",
            ),
            ("dbpath = 'var/lib/rpm'", "`dbpath` cannot be"),
            ("modules = ['a b']", "cannot be a module's name"),
            ("disabled-modules = ['--help']", "cannot be a module's name"),
            ("repositories = [{ name = 'a', baseurl = 'x' }]", "names no `gpgkey`"),
            ("repositories = [{ name = 'a', gpgcheck = false }]", "needs one of `baseurl`"),
            ("repositories = [{ name = 'a]', baseurl = 'x', gpgcheck = false }]", "cannot be a repository's name"),
            ("repositories = [{ name = 'a', baseurl = \"x\\nb=1\", gpgcheck = false }]", "cannot be written to"),
            ("max-age = 'old'", "is not a span of time"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
