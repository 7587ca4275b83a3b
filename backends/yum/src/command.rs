//! The tool's configuration files and its command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::options::Options;
use minimg_backend::{Request, Settings};
use minimg_sandbox::namespace::Ids;

/// The default place of rpm's database.
const DATABASE: &str = "/var/lib/rpm";
/// The place of rpm's database in Fedora and SUSE.
const DATABASE_OF_FEDORA: &str = "/usr/lib/sysimage/rpm";

/// The directory of our own `.repo` files, and a name of the other that counts; the tool starts where they are.
const OWN: &str = "repos";
const OTHER: &str = "other-repos";

/// Prepares a root in which scripts can run, installs, and writes the root as a tar. The devices are those of the machine, mounted for as
/// long as the tool runs, in the namespace alone; so is /proc, but not for an ordinary user, as whom rpm could not give it its mode. The
/// tools take the place of their cache for one inside the root (dnf(8), dnf5-installroot(7)), so the store's is mounted there.
pub(super) const SCRIPT: &str = r#"
set -ef
umask 022
proc=$1; root=$2; cache=$3; shift 3
devices="null zero full random urandom tty"
mkdir -p "$root/dev" "$root/proc" "$root/var/cache/dnf" "$root/var/log"
mount --bind "$cache" "$root/var/cache/dnf"
if [ "$proc" = yes ]; then mount -t proc proc "$root/proc"; fi
for device in $devices; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
for change in disable enable; do
    if [ -s "$change" ]; then "$@" module "$change" $(cat "$change") >&2; fi
done
"$@" install $(cat packages) >&2
umount "$root/var/cache/dnf"
if [ "$proc" = yes ]; then umount -R "$root/proc"; fi
for device in $devices; do
    umount "$root/dev/$device"
    rm -f "$root/dev/$device"
done
exec tar -C "$root" --xattrs --xattrs-include='*' --numeric-owner --one-file-system --sort=name -c .
"#;

/// What to install, and with which tool.
pub(super) struct Install<'a> {
    pub(super) program: &'a Path,
    pub(super) name: &'a str,
    pub(super) options: &'a Options,
    pub(super) request: &'a Request,
    /// The cache of packages and indexes.
    pub(super) cache: &'a Path,
}

impl Install<'_> {
    /// Writes the tool's configuration into its workspace.
    pub(super) fn configure(&self, workspace: &Path, settings: &Settings) -> std::io::Result<()> {
        let directory = &self.request.source.directory;
        for name in [OWN, "home", "root"] {
            std::fs::create_dir_all(workspace.join(name))?;
        }
        if let Some(other) = self.options.directory_of_repositories(&self.request.source, settings) {
            std::os::unix::fs::symlink(std::path::absolute(other)?, workspace.join(OTHER))?;
        }
        let sections: Vec<String> = self.options.repositories.iter().map(|r| r.section(directory)).collect();
        std::fs::write(workspace.join(OWN).join("minimg.repo"), sections.join("\n"))?;
        let weak = if self.request.source.recommends { "True" } else { "False" };
        // Whether to ask at all is decided before: what runs sees the repositories as they are now, and fetches only what is new.
        let mut main = format!(
            "[main]\nmetadata_expire=0\nassumeyes=1\nbest=1\ngpgcheck=1\nplugins=0\nkeepcache=1\ninstall_weak_deps={weak}\ncachedir=/var/cache/dnf\nlogdir=/var/log\n"
        );
        if !self.request.source.exclude.is_empty() {
            main += &format!("excludepkgs={}\n", self.request.source.exclude.join(","));
        }
        for (key, value) in &self.options.settings {
            main += &format!("{key}={value}\n");
        }
        std::fs::write(workspace.join("tool.conf"), main)?;
        let lists = [
            ("packages", &self.request.packages),
            ("enable", &self.options.modules),
            ("disable", &self.options.disabled_modules),
        ];
        for (name, words) in lists {
            std::fs::write(workspace.join(name), words.join("\n"))?;
        }
        // Debian's rpm keeps the database in the user's home, in the root too, unless it is told the distribution's own place.
        std::fs::write(workspace.join("home/.rpmmacros"), format!("%_dbpath {}\n", self.database()))
    }

    /// The directories of `.repo` files: our own, and another that counts. A blank or a comma ends a name in this list, and nothing can
    /// quote it: such a place is named from where the tool starts.
    fn repositories(&self, workspace: &Path, settings: &Settings) -> String {
        let other = self.options.directory_of_repositories(&self.request.source, settings);
        let places = [(Some(workspace.join(OWN)), OWN), (other, OTHER)];
        let name = |(place, short): (Option<PathBuf>, &str)| {
            let place = place?.display().to_string();
            Some(if place.contains(|c: char| c == ',' || c.is_whitespace()) { short.to_owned() } else { place })
        };
        places.into_iter().filter_map(name).collect::<Vec<_>>().join(",")
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
    pub(super) fn arguments(&self, workspace: &Path, ids: Ids, settings: &Settings) -> Vec<OsString> {
        let root = workspace.join("root");
        let proc = if ids == Ids::All { "yes" } else { "no" };
        let mut words: Vec<OsString> = vec!["-c".into(), SCRIPT.into(), "sh".into(), proc.into()];
        words.extend([root.clone().into(), self.cache.into()]);
        words.push(self.program.into());
        let configuration = workspace.join("tool.conf");
        let option = |name: &str, value: &Path| OsString::from(format!("--{name}={}", value.display()));
        words.push(option("config", &configuration));
        words.push(option("installroot", &root));
        // On the command line it is a place of this machine for every tool, in the configuration one of the root for some.
        words.push(format!("--setopt=reposdir={}", self.repositories(workspace, settings)).into());
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
