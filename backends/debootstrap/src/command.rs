//! The command line of a tool: a shell script with its words, which writes the root as a tar to standard output.

use std::ffi::OsString;
use std::path::Path;

use super::keyring_name;
use super::options::{Options, Tool};
use minimg_apt::apt::AptSource;
use minimg_backend::{Context, Request, Source};
use minimg_base::report::Event;

/// What to install, and with which tool.
pub(super) struct Install<'a> {
    pub(super) tool: Tool,
    pub(super) program: &'a Path,
    pub(super) options: &'a Options,
    pub(super) request: &'a Request,
    pub(super) sources: &'a [AptSource],
}

/// mmdebstrap writes the tar itself; its words come as they are.
const MMDEBSTRAP: &str = r#"umask 022; exec "$@""#;

/// debootstrap leaves a directory. The hooks stand between its words and `--`.
const DEBOOTSTRAP: &str = r#"
set -e
umask 022
root=$1; shift
hooks=$1; shift
while [ "$hooks" -gt 0 ]; do
    printf '%s\0' "$1" >>hooks
    shift; hooks=$((hooks - 1))
done
"$@" >&2
if [ -e hooks ]; then
    xargs -0 -n 1 sh -c 'sh -c "$2" sh "$1" >&2 || exit 255' sh "$root" <hooks
fi
exec tar -C "$root" --xattrs --xattrs-include='*' --numeric-owner --one-file-system --sort=name -c .
"#;

impl Install<'_> {
    /// The words after `sh`.
    pub(super) fn arguments(&self, workspace: &Path) -> Vec<OsString> {
        match self.tool {
            Tool::Mmdebstrap => self.mmdebstrap(workspace),
            Tool::Debootstrap => self.debootstrap(workspace),
        }
    }

    /// Says what the tool cannot do of what is asked.
    pub(super) fn warn_of_what_is_left_out(&self, context: &Context) {
        if self.tool == Tool::Mmdebstrap {
            return;
        }
        let others = self.sources.iter().skip(1).map(|source| source.suite.as_str()).collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            let text = format!("debootstrap reads one suite, so {others} are not searched; mmdebstrap searches all");
            context.reporter.event(Event::Warning(&text));
        }
        let source = &self.request.source;
        if !source.pins.is_empty() || source.recommends {
            context.reporter.event(Event::Warning(
                "debootstrap supports neither pins nor recommended packages; mmdebstrap and the backend deb do",
            ));
        }
    }

    fn packages(&self) -> String {
        let all: Vec<&str> = self.request.packages.iter().chain(&self.options.include).map(String::as_str).collect();
        all.join(",")
    }

    fn architecture(&self) -> &str {
        self.request.board.names.deb.as_deref().unwrap_or_default()
    }

    fn mmdebstrap(&self, workspace: &Path) -> Vec<OsString> {
        let source = &self.request.source;
        let mut words: Vec<OsString> = vec!["-c".into(), MMDEBSTRAP.into(), "sh".into(), self.program.into()];
        let mut add = |word: String| words.push(word.into());
        add("--mode=root".into());
        add("--format=tar".into());
        add(format!("--variant={}", self.options.variant.as_deref().unwrap_or("essential")));
        add(format!("--architectures={}", self.architecture()));
        if !self.packages().is_empty() {
            add(format!("--include={}", self.packages()));
        }
        // The keyrings are in a directory that is closed to others.
        add("--aptopt=APT::Sandbox::User \"root\"".into());
        if source.recommends {
            add("--aptopt=APT::Install-Recommends \"true\"".into());
        }
        if let Some(preferences) = preferences(source) {
            let write = format!(
                "mkdir -p \"$1/etc/apt/preferences.d\" && printf '%s' {} >\"$1/{PREFERENCES}\"",
                quoted(&preferences)
            );
            add(format!("--setup-hook={write}"));
            add(format!("--customize-hook=rm \"$1/{PREFERENCES}\""));
        }
        self.options.hooks.iter().for_each(|hook| add(format!("--customize-hook={hook}")));
        add(self.sources.first().map(|source| source.suite.clone()).unwrap_or_default());
        add("-".into());
        for (at, source) in self.sources.iter().enumerate() {
            add(source.line(&workspace.join(keyring_name(at)).to_string_lossy()));
        }
        words
    }

    fn debootstrap(&self, workspace: &Path) -> Vec<OsString> {
        let root = workspace.join("root");
        let mut words: Vec<OsString> = vec!["-c".into(), DEBOOTSTRAP.into(), "sh".into(), root.clone().into()];
        words.push(self.options.hooks.len().to_string().into());
        words.extend(self.options.hooks.iter().map(OsString::from));
        words.push(self.program.into());
        let mut add = |word: String| words.push(word.into());
        add(format!("--variant={}", self.options.variant.as_deref().unwrap_or("minbase")));
        add(format!("--arch={}", self.architecture()));
        let Some(source) = self.sources.first() else { return words };
        add(match source.trusted {
            true => "--no-check-gpg".to_owned(),
            false => format!("--keyring={}", workspace.join(keyring_name(0)).display()),
        });
        add(format!("--components={}", source.components.join(",")));
        if !self.packages().is_empty() {
            add(format!("--include={}", self.packages()));
        }
        if !self.request.source.exclude.is_empty() {
            add(format!("--exclude={}", self.request.source.exclude.join(",")));
        }
        add(source.suite.clone());
        words.push(root.into());
        words.push(source.address.clone().into());
        words
    }
}

/// Pins and exclusions as apt_preferences(5). As in the `deb` backend a pin is a version or one of a suite's names, and no other version of the
/// package will do: of several records for a package the first that fits counts.
fn preferences(source: &Source) -> Option<String> {
    let mut text = String::new();
    let mut record = |package: &str, pin: &str, priority: i32| {
        text += &format!("Package: {package}\nPin: {pin}\nPin-Priority: {priority}\n\n");
    };
    for package in &source.exclude {
        record(package, "version *", -1);
    }
    for (package, wanted) in &source.pins {
        for kind in ["version ", "release n=", "release a="] {
            record(package, &format!("{kind}{wanted}"), 1001);
        }
        record(package, "version *", -1);
    }
    Some(text).filter(|text| !text.is_empty())
}

/// The file for preferences while packages are installed.
const PREFERENCES: &str = "etc/apt/preferences.d/minimg";

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_version_or_a_name_of_a_suite_and_nothing_else_will_do() {
        assert_eq!(preferences(&Source::default()), None);
        let source = Source {
            pins: [("a".to_owned(), "stable".to_owned())].into(),
            exclude: vec!["b".to_owned()],
            ..Source::default()
        };
        let text = preferences(&source).unwrap();
        let records: Vec<String> = text.trim_end().split("\n\n").map(|record| record.replace('\n', ", ")).collect();
        assert_eq!(
            records,
            [
                "Package: b, Pin: version *, Pin-Priority: -1",
                "Package: a, Pin: version stable, Pin-Priority: 1001",
                "Package: a, Pin: release n=stable, Pin-Priority: 1001",
                "Package: a, Pin: release a=stable, Pin-Priority: 1001",
                "Package: a, Pin: version *, Pin-Priority: -1",
            ]
        );
    }
}
