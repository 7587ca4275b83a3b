//! The backend's own settings in a profile.

use std::time::Duration;

use super::NAME;
use minimg_backend::Source;
use minimg_backend::options::{self, OptionsError};
use minimg_base::suggest;

/// A tool that the backend can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) enum Tool {
    Mmdebstrap,
    Debootstrap,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mmdebstrap => "mmdebstrap",
            Self::Debootstrap => "debootstrap",
        }
    }
}

/// The default time limit of a tool: an emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
const KEYS: [&str; 6] = ["tool", "variant", "include", "hooks", "max-age", "time-limit"];
const TOOLS: [&str; 3] = ["auto", "mmdebstrap", "debootstrap"];

/// What `[source.options.debootstrap]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// The tool to be used; whichever is there, if none is named.
    pub(super) tool: Option<Tool>,
    /// The tool's variant; the smallest that runs maintainer scripts, if none is named.
    pub(super) variant: Option<String>,
    /// Packages besides those of the profile.
    pub(super) include: Vec<String>,
    /// Shell commands that are run in the end, with the root's directory as `$1`.
    pub(super) hooks: Vec<String>,
    /// How long a tree is taken for what the tool would give again; as long as the archives have the same packages, if nothing is said.
    pub(super) max_age: Duration,
    /// The time limit of the tool.
    pub(super) patience: Duration,
}

fn wrong(message: impl Into<String>) -> OptionsError {
    OptionsError { backend: NAME, message: message.into() }
}

impl Options {
    pub(super) fn read(source: &Source) -> Result<Self, OptionsError> {
        let mut options = Self {
            tool: None,
            variant: None,
            include: Vec::new(),
            hooks: Vec::new(),
            max_age: Duration::MAX,
            patience: PATIENCE,
        };
        let table = match source.options.get(NAME) {
            None => return Ok(options),
            Some(value) => value.as_table().ok_or_else(|| wrong("it is not a table"))?,
        };
        for (key, value) in table {
            match key.as_str() {
                "tool" => options.tool = tool(text(key, value)?)?,
                "variant" => options.variant = Some(word(key, text(key, value)?)?),
                "include" => options.include = texts(key, value)?,
                "hooks" => options.hooks = texts(key, value)?,
                "max-age" => options.max_age = span(key, text(key, value)?)?,
                "time-limit" => options.patience = options::time_limit(text(key, value)?).map_err(wrong)?,
                other => return Err(wrong(options::unknown(other, KEYS))),
            }
        }
        for package in &options.include {
            word("include", package)?;
        }
        Ok(options)
    }
}

fn text<'v>(key: &str, value: &'v toml::Value) -> Result<&'v str, OptionsError> {
    value.as_str().ok_or_else(|| wrong(format!("`{key}` is not a text")))
}

fn texts(key: &str, value: &toml::Value) -> Result<Vec<String>, OptionsError> {
    let not_texts = || wrong(format!("`{key}` is not a list of texts"));
    value
        .as_array()
        .ok_or_else(not_texts)?
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(not_texts))
        .collect()
}

/// What becomes part of the tool's command line.
fn word(key: &str, text: &str) -> Result<String, OptionsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-.:=~_".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(allowed) {
        return Err(wrong(format!("`{key}` cannot be {text:?}")));
    }
    Ok(text.to_owned())
}

fn tool(text: &str) -> Result<Option<Tool>, OptionsError> {
    match text {
        "auto" => Ok(None),
        "mmdebstrap" => Ok(Some(Tool::Mmdebstrap)),
        "debootstrap" => Ok(Some(Tool::Debootstrap)),
        other => {
            let help = suggest::help(other, TOOLS).unwrap_or_default();
            Err(wrong(format!("`tool` cannot be {other:?}; {help}")))
        }
    }
}

fn span(key: &str, text: &str) -> Result<Duration, OptionsError> {
    options::span(text).map_err(|message| wrong(format!("`{key}`: {message}")))
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
        let options =
            read("tool = 'debootstrap'\nvariant = 'minbase'\ninclude = ['a']\nhooks = ['x']\ntime-limit = '5m'");
        let expected = Options {
            tool: Some(Tool::Debootstrap),
            variant: Some("minbase".into()),
            include: vec!["a".into()],
            hooks: vec!["x".into()],
            max_age: Duration::MAX,
            patience: Duration::from_secs(300),
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(read("max-age = '0s'").unwrap().max_age, Duration::ZERO);
        assert_eq!(read("tool = 'auto'").unwrap().tool, None);
        for (text, expected) in [
            ("varient = 'x'", "there is no `varient`; did you mean `variant`?"),
            ("tool = 'debotstrap'", "did you mean `debootstrap`?"),
            ("variant = '--help'", "`variant` cannot be"),
            ("include = ['a b']", "`include` cannot be"),
            ("hooks = 'x'", "`hooks` is not a list of texts"),
            ("time-limit = 'soon'", "`time-limit`: \"soon\" is not a span of time"),
            ("time-limit = '0s'", "`time-limit` leaves no time"),
            ("max-age = '-1s'", "`max-age`: \"-1s\" is not a span of time"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
