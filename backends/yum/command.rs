//! What the tool is told: its configuration files and its command line.

use std::ffi::OsString;
use std::path::Path;

use super::options::Options;
use crate::backend::namespace::Ids;
use crate::backend::{Request, Settings};

/// Where rpm's database is, unless the profile or the distribution says otherwise.
const DATABASE: &str = "/var/lib/rpm";
/// Where Fedora and SUSE have it.
const DATABASE_OF_FEDORA: &str = "/usr/lib/sysimage/rpm";

/// Prepares a root in which scripts can run, installs, and writes the root as a tar. The devices are those of the machine, mounted for as
/// long as the tool runs, in the namespace alone; so is /proc, but not for an ordinary user, as whom rpm could not give it its mode.
pub(super) const SCRIPT: &str = r#"
set -e
umask 022
proc=$1; root=$2; shift 2
devices="null zero full random urandom tty"
mkdir -p "$root/dev" "$root/proc"
if [ "$proc" = yes ]; then mount -t proc proc "$root/proc"; fi
for device in $devices; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
modules=$1; shift
while [ "$modules" -gt 0 ]; do
    enable="$enable $1"
    shift; modules=$((modules - 1))
done
if [ -n "$enable" ]; then "$@" module enable $enable >&2; fi
"$@" install $(cat packages) >&2
if [ "$proc" = yes ]; then umount -R "$root/proc"; fi
for device in $devices; do
    umount "$root/dev/$device"
    rm -f "$root/dev/$device"
done
exec tar -C "$root" --xattrs --xattrs-include='*' --numeric-owner --one-file-system --sort=name -c .
"#;

/// What is to be installed, and by what.
pub(super) struct Install<'a> {
    pub(super) program: &'a Path,
    pub(super) name: &'a str,
    pub(super) options: &'a Options,
    pub(super) request: &'a Request,
    /// Where packages and indexes are kept for the next time.
    pub(super) cache: &'a Path,
}

impl Install<'_> {
    /// Writes the tool's configuration into its workspace.
    pub(super) fn configure(&self, workspace: &Path, settings: &Settings) -> std::io::Result<()> {
        let directory = &self.request.source.directory;
        for name in ["repos", "log", "home", "root"] {
            std::fs::create_dir_all(workspace.join(name))?;
        }
        let sections: Vec<String> = self.options.repositories.iter().map(|r| r.section(directory)).collect();
        std::fs::write(workspace.join("repos/minimg.repo"), sections.join("\n"))?;
        let own = workspace.join("repos");
        // Without repositories of its own a profile means those of the machine.
        let repositories = match self.options.repositories.is_empty() {
            true => settings.machine.join("etc/yum.repos.d"),
            false => own,
        };
        let weak = if self.request.source.recommends { "True" } else { "False" };
        let mut main = format!(
            "[main]\nassumeyes=1\nbest=1\ngpgcheck=1\nplugins=0\nkeepcache=1\ninstall_weak_deps={weak}\nreposdir={}\ncachedir={}\nlogdir={}\n",
            repositories.display(),
            self.cache.display(),
            workspace.join("log").display(),
        );
        if !self.request.source.exclude.is_empty() {
            main += &format!("excludepkgs={}\n", self.request.source.exclude.join(","));
        }
        for (key, value) in &self.options.settings {
            main += &format!("{key}={value}\n");
        }
        std::fs::write(workspace.join("tool.conf"), main)?;
        std::fs::write(workspace.join("packages"), self.request.packages.join("\n"))?;
        // Debian's rpm keeps the database in the user's home, in the root too, unless it is told the distribution's own place.
        std::fs::write(workspace.join("home/.rpmmacros"), format!("%_dbpath {}\n", self.database()))
    }

    /// Where the root has rpm's database.
    fn database(&self) -> &str {
        let usual = match self.request.source.distribution.as_str() {
            "fedora" | "opensuse" => DATABASE_OF_FEDORA,
            _ => DATABASE,
        };
        self.options.dbpath.as_deref().unwrap_or(usual)
    }

    /// The words after `sh`.
    pub(super) fn arguments(&self, workspace: &Path, ids: Ids) -> Vec<OsString> {
        let root = workspace.join("root");
        let proc = if ids == Ids::All { "yes" } else { "no" };
        let mut words: Vec<OsString> = vec!["-c".into(), SCRIPT.into(), "sh".into(), proc.into(), root.clone().into()];
        words.push(self.options.modules.len().to_string().into());
        words.extend(self.options.modules.iter().map(OsString::from));
        words.push(self.program.into());
        let configuration = workspace.join("tool.conf");
        let option = |name: &str, value: &Path| OsString::from(format!("--{name}={}", value.display()));
        words.push(option("config", &configuration));
        words.push(option("installroot", &root));
        words.push("-y".into());
        if let Some(release) = self.releasever() {
            words.push(format!("--releasever={release}").into());
        }
        let wanted = self.request.board.names.rpm.as_deref().unwrap_or_default();
        if !wanted.is_empty() && wanted != std::env::consts::ARCH && self.name != "microdnf" {
            words.push(format!("--forcearch={wanted}").into());
        }
        words
    }

    /// What `$releasever` stands for. A suite of Debian is none: it is what a profile has that says nothing.
    pub(super) fn releasever(&self) -> Option<&str> {
        let suite = Some(self.request.source.suite.as_str()).filter(|suite| !suite.is_empty());
        self.options.releasever.as_deref().or(suite)
    }
}
