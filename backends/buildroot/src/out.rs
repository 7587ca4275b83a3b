//! Where one configuration is built (`O=`): its configuration, what an earlier build left in it, and what a build says of the root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::BuildrootError;
use super::config::Config;
use super::make::text;
use minimg_tree::read_limited;

/// In an output directory whose root is whole.
const WHOLE: &str = ".minimg-whole";
/// What Buildroot says in a package's directory of the files that it installed.
const LIST: &str = ".files-list.txt";
/// The same, kept while a package is installed again: Buildroot compares the root before a package is configured with the root after
/// it, and when only the second happens it has an empty list.
const KEPT_LIST: &str = ".minimg-files-list.txt";
/// The largest list that is read.
const LARGEST: u64 = 64 << 20;

/// An output directory.
#[derive(Debug, Clone)]
pub(super) struct Out {
    pub(super) path: PathBuf,
}

impl Out {
    pub(super) fn create(&self) -> Result<(), BuildrootError> {
        std::fs::create_dir_all(&self.path).map_err(|source| self.unreadable("", source))
    }

    /// What it is configured for.
    pub(super) fn config(&self) -> Result<Config, BuildrootError> {
        Ok(Config::parse(&text(&self.path.join(".config"))?))
    }

    /// Adds options to its configuration, which kconfig has to see then.
    pub(super) fn add(&self, more: &Config) -> Result<(), BuildrootError> {
        let file = self.path.join(".config");
        let all = text(&file)? + &more.lines();
        std::fs::write(&file, all).map_err(|source| BuildrootError::Read { path: file, source })
    }

    /// Whether all of it was built.
    pub(super) fn is_whole(&self) -> bool {
        self.path.join(WHOLE).exists()
    }

    pub(super) fn set_whole(&self) -> Result<(), BuildrootError> {
        std::fs::write(self.path.join(WHOLE), "").map_err(|source| self.unreadable(WHOLE, source))
    }

    /// Before a build: has Buildroot install everything anew, without compiling it again, unless the root that is there is whole. What a build
    /// that was interrupted or failed left in it is not to be trusted.
    pub(super) fn forget_half(&self) -> Result<(), BuildrootError> {
        if self.is_whole() {
            return self.remove(WHOLE);
        }
        let is_filled = |name: &str| self.path.join(name).read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if is_filled("per-package") && is_filled("target") {
            // Finishing the root touches files that are links to those of the packages' own directories.
            return ["build", "host", "images", "per-package", "staging", "target"]
                .iter()
                .try_for_each(|n| self.remove(n));
        }
        self.remove("target")?;
        self.remove("images/rootfs.tar")?;
        self.remove("build/packages-file-list.txt")?;
        self.packages().iter().try_for_each(|package| self.forget_installed(package))
    }

    /// Has a package that was built be installed again, and one that was begun be built again: the root that it was configured against is gone.
    fn forget_installed(&self, package: &str) -> Result<(), BuildrootError> {
        /// Says that a package is installed wherever it has to be.
        const DONE: &str = ".stamp_installed";
        let place = |file: &str| format!("build/{package}/{file}");
        if !self.path.join(place(DONE)).exists() {
            return self.remove(&place(""));
        }
        let (list, kept) = (self.path.join(place(LIST)), self.path.join(place(KEPT_LIST)));
        if list.exists() && !kept.exists() {
            std::fs::rename(&list, &kept).map_err(|source| self.unreadable(&place(LIST), source))?;
        }
        // Older releases install the compiler's libraries into the root together with the compiler.
        let is_compiler = package.starts_with("host-gcc-final-");
        let stamp = if is_compiler { ".stamp_host_installed" } else { ".stamp_target_installed" };
        self.remove(&place(stamp))
    }

    /// The directories of packages, sorted.
    fn packages(&self) -> Vec<String> {
        let is_package = |directory: &Path| {
            let mut entries = directory.read_dir().into_iter().flatten().filter_map(Result::ok);
            entries.any(|entry| entry.file_name().to_string_lossy().starts_with(".stamp_"))
        };
        let entries = self.path.join("build").read_dir().into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter(|entry| is_package(&entry.path())).map(|entry| entry.file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Which package installed which file: lines `package,./path`.
    pub(super) fn file_lists(&self) -> Result<Vec<u8>, BuildrootError> {
        let read =
            |name: &str| read_limited(&self.path.join(name), LARGEST).map_err(|source| self.unreadable(name, source));
        let mut lists = read("build/packages-file-list.txt")?;
        for package in self.packages() {
            let kept = format!("build/{package}/{KEPT_LIST}");
            if self.path.join(&kept).exists() {
                lists.extend(read(&kept)?);
            }
        }
        Ok(lists)
    }

    /// In which order the packages were installed the last time: `build-time.log` has a line `time:end  :install-target      : package` for
    /// each. Empty where Buildroot does not say it.
    pub(super) fn order(&self) -> BTreeMap<String, usize> {
        let log = text(&self.path.join("build/build-time.log")).unwrap_or_default();
        let installed = |line: &str| {
            let mut fields = line.split(':').map(str::trim);
            let (_, is_end, step, package) = (fields.next()?, fields.next()? == "end", fields.next()?, fields.next()?);
            (is_end && step.starts_with("install-")).then(|| package.to_owned())
        };
        let lines = log.lines().enumerate();
        lines.filter_map(|(at, line)| Some((installed(line)?, at))).collect()
    }

    /// The table of owners and modes from which fakeroot's commands were made: those of the packages and of the configuration.
    pub(super) fn device_table(&self) -> Result<String, BuildrootError> {
        text(&self.path.join("build/buildroot-fs/full_devices_table.txt"))
    }

    /// Removes what is there of that name.
    fn remove(&self, name: &str) -> Result<(), BuildrootError> {
        let path = self.path.join(name);
        match std::fs::symlink_metadata(&path) {
            Err(_) => Ok(()),
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
        }
        .map_err(|source| BuildrootError::Read { path, source })
    }

    fn unreadable(&self, name: &str, source: std::io::Error) -> BuildrootError {
        BuildrootError::Read { path: self.path.join(name), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output directory with these files, each with its own name in it.
    fn out(files: &[&str]) -> (tempfile::TempDir, Out) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{file}\n")).unwrap();
        }
        let out = Out { path: directory.path().to_owned() };
        (directory, out)
    }

    const HALF: [&str; 10] = [
        ".config",
        "target/bin/x",
        "images/rootfs.tar",
        "build/buildroot-config/conf",
        "build/done-1/.stamp_target_installed",
        "build/done-1/.stamp_installed",
        "build/done-1/.files-list.txt",
        "build/begun-1/.stamp_configured",
        "build/host-gcc-final-1/.stamp_host_installed",
        "build/host-gcc-final-1/.stamp_installed",
    ];

    #[test]
    fn half_a_root_is_installed_anew_and_its_lists_are_kept() {
        let (_directory, out) = out(&HALF);
        for _again in 0..2 {
            out.forget_half().unwrap();
            let left = |file: &&str| out.path.join(file).exists();
            let kept: Vec<&str> = HALF.into_iter().filter(left).collect();
            assert_eq!(
                kept,
                [HALF[0], HALF[3], "build/done-1/.stamp_installed", "build/host-gcc-final-1/.stamp_installed"]
            );
            // What a build makes of them the second time.
            std::fs::write(out.path.join("build/done-1/.files-list.txt"), "").unwrap();
            std::fs::write(out.path.join("build/packages-file-list.txt"), "b,./x\n").unwrap();
            let lists = String::from_utf8(out.file_lists().unwrap()).unwrap();
            assert_eq!(lists, "b,./x\nbuild/done-1/.files-list.txt\n");
            for again in ["build/done-1/.files-list.txt", "build/packages-file-list.txt"] {
                std::fs::remove_file(out.path.join(again)).unwrap();
            }
        }
    }

    #[test]
    fn a_whole_root_stays() {
        let (_directory, out) = out(&HALF);
        out.set_whole().unwrap();
        out.forget_half().unwrap();
        assert!(!out.is_whole() && HALF.iter().all(|file| out.path.join(file).exists()));
    }

    #[test]
    fn roots_that_are_linked_to_the_packages_own_begin_anew() {
        let (_directory, out) = out(&[&HALF[..], &["per-package/done/target/bin/x"]].concat());
        out.forget_half().unwrap();
        let left: Vec<_> = out.path.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".config"]);
    }

    #[test]
    fn the_order_is_that_of_the_last_installation() {
        let (_directory, out) = out(&["build/x"]);
        let log = "1.5:start:install-target      : a\n1.6:end  :install-target      : a\n2:end  :install-target      : b\n\
            3:end  :build               : c\n4:end  :install-target      : a\nnoise\n";
        std::fs::write(out.path.join("build/build-time.log"), log).unwrap();
        assert_eq!(out.order(), [("a".to_owned(), 4), ("b".to_owned(), 2)].into());
    }
}
