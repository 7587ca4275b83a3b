//! The backend's own settings: of the user, who says where Buildroot is, and of the profile.

use std::path::PathBuf;

use serde::Deserialize;

use super::{BuildrootError, NAME};
use minimg_backend::{Settings, Source, options};

/// The option that names Buildroot's tree, in the profile and in the configuration.
const TREE: &str = "tree";

/// What `[source.options.buildroot]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Options {
    /// Buildroot's own tree; the user's setting, if there is none.
    pub(super) tree: Option<PathBuf>,
    /// The defconfig to start from, without `_defconfig`; the board's, if there is none.
    pub(super) defconfig: Option<String>,
    /// Trees with packages and defconfigs of one's own (BR2_EXTERNAL).
    pub(super) external: Vec<PathBuf>,
    /// More options: `BR2_PACKAGE_X=y`, `# BR2_X is not set`.
    pub(super) options: Vec<String>,
    /// Files with more options.
    pub(super) fragments: Vec<PathBuf>,
    /// Where licenses and sources are put, as Buildroot's `legal-info` collects them.
    pub(super) legal_info: Option<PathBuf>,
    /// How many things are compiled at once; else what the configuration says.
    pub(super) jobs: Option<std::num::NonZero<u32>>,
    /// How long the build may take: `6h`.
    time_limit: Option<String>,
}

/// How long a build may take, unless the profile says otherwise: a toolchain takes hours.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(12 * 60 * 60);

impl Options {
    /// Reads them. Relative paths start at the profile; in the configuration, at that file.
    pub(super) fn read(source: &Source, settings: &Settings) -> Result<Self, BuildrootError> {
        let wrong = |error: toml::de::Error| BuildrootError::Option(options::unreadable(&error));
        let mut options: Self = match source.options.get(NAME) {
            None => Self::default(),
            Some(value) => value.clone().try_into().map_err(wrong)?,
        };
        let paths = options.external.iter_mut().chain(&mut options.fragments).chain(&mut options.tree);
        for path in paths.chain(&mut options.legal_info) {
            *path = absolute(&source.directory.join(&*path));
        }
        if options.tree.is_none() {
            options.tree = of_user(settings)?;
        }
        options.patience()?;
        Ok(options)
    }

    pub(super) fn patience(&self) -> Result<std::time::Duration, BuildrootError> {
        let Some(text) = &self.time_limit else { return Ok(PATIENCE) };
        options::time_limit(text).map_err(BuildrootError::Option)
    }
}

/// The tree that the user's configuration names.
fn of_user(settings: &Settings) -> Result<Option<PathBuf>, BuildrootError> {
    let mut tree = None;
    for (key, value) in settings.backends.get(NAME).into_iter().flatten() {
        match (key.as_str(), value.as_str()) {
            (TREE, Some(path)) => tree = Some(absolute(&settings.directory.join(path))),
            _ => return Err(BuildrootError::Setting(key.clone())),
        }
    }
    Ok(tree)
}

/// An absolute path without a slash at its end.
fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str, configured: &str) -> Result<Options, String> {
        let options = [(NAME.to_owned(), toml::Value::Table(options.parse().unwrap()))].into();
        let backends = [(NAME.to_owned(), configured.parse().unwrap())].into();
        let settings = Settings { backends, directory: "/etc/x".into(), ..Settings::default() };
        let source = Source { options, directory: "/profile".into(), ..Source::default() };
        Options::read(&source, &settings).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_start_where_they_are_written() {
        let tree = |options, configured| read(options, configured).unwrap().tree.unwrap();
        assert_eq!(tree("tree = 'br'", "tree = 'other'"), PathBuf::from("/profile/br"));
        assert_eq!(tree("", "tree = 'other'"), PathBuf::from("/etc/x/other"));
        assert_eq!(read("external = ['e']", "").unwrap().external, [PathBuf::from("/profile/e")]);
    }

    #[test]
    fn wrong_options_are_refused() {
        for (text, configured, expected) in [
            ("trea = 'x'", "", "unknown field `trea`, expected one of"),
            ("legal-info = true", "", "invalid type: boolean `true`, expected path string in `legal-info`"),
            ("time-limit = 'x'", "", "is not a span of time"),
            ("", "treee = 'x'", "`treee`"),
        ] {
            let error = read(text, configured).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
