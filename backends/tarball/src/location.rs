//! Where a root file system is, as people write it.

use std::path::{Path, PathBuf};

use super::TarballError;
use minimg_engine as engine;
use minimg_oci::export;
use minimg_oci::place::{self, REGISTRY};
use minimg_oci::reference::Reference;
use minimg_oci::rootfs::archive_and_image;
use minimg_registry::{Remote, RemoteError};

/// Where a root file system is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A tar, an image archive, a directory or an OCI layout: `rootfs.tar`, or `archive.tar:NAME`.
    Path {
        /// Where it is.
        path: PathBuf,
        /// The name of the image in it that is meant.
        image: Option<String>,
    },
    /// An image in an engine on this machine: `docker:NAME`.
    Engine {
        /// The engine's name.
        engine: &'static str,
        /// The image's name or id there.
        image: String,
    },
    /// An image in a registry: `registry:HOST/NAME:TAG`.
    Registry(Remote),
    /// A file that is fetched: `https://...`.
    Address(String),
}

impl Location {
    /// Reads what a profile or a command line says. A relative path starts at `directory`; a name behind a colon is that of an image in it,
    /// if what precedes is there and the whole is not.
    ///
    /// # Errors
    /// When an image is left unnamed.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, TarballError> {
        if is_web_address(text) {
            return Ok(Self::Address(text.to_owned()));
        }
        let found = place::scheme(text);
        if let Some((REGISTRY, reference)) = found {
            let wrong = |error: RemoteError| TarballError::Name { name: text.to_owned(), message: error.to_string() };
            return Ok(Self::Registry(Remote::parse(reference).map_err(wrong)?));
        }
        let engine = |(prefix, rest)| Some((engine::names().find(|name| *name == prefix)?, rest));
        let Some((engine, image)) = found.and_then(engine) else {
            let (path, image) = archive_and_image(&directory.join(export::without_format(text, directory)));
            return Ok(Self::Path { path, image });
        };
        // What begins with a dash would be an option to the engine.
        if image.is_empty() || image.starts_with('-') || image.contains(char::is_whitespace) {
            let message =
                format!("write {engine}:NAME or {engine}:NAME:TAG, with a name that `{engine} image ls` shows");
            return Err(TarballError::Name { name: text.to_owned(), message });
        }
        Ok(Self::Engine { engine, image: image.to_owned() })
    }

    /// The name of the one file that it is; `None` for what is none.
    pub(super) fn file_name(&self) -> Option<String> {
        match self {
            Self::Path { path, .. } if path.is_dir() => None,
            Self::Path { path, .. } => Some(path.file_name()?.to_string_lossy().into_owned()),
            Self::Address(address) => Some(address.rsplit('/').next()?.split(['?', '#']).next()?.to_owned()),
            Self::Engine { .. } | Self::Registry(_) => None,
        }
    }

    /// A word for an image that is made of it: the file's or the image's own name, without what says which version and format it is.
    pub fn stem(&self) -> String {
        let name = match self {
            Self::Path { image: Some(name), .. } => last_part(name),
            Self::Path { path, image: None } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Registry(remote) => last_part(remote.reference().path()),
            Self::Engine { image: name, .. } | Self::Address(name) => last_part(name),
        };
        let name = name.split(['@', ':']).next().unwrap_or_default();
        let name = [".gz", ".xz", ".zst", ".bz2", ".tgz", ".txz", ".tar", ".oci"]
            .iter()
            .fold(name, |name, ending| name.strip_suffix(ending).unwrap_or(name));
        let allowed =
            |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c.to_ascii_lowercase() } else { '-' };
        let name: String = name.chars().map(allowed).collect();
        let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match Reference::parse(name) {
            Ok(_) => name.to_owned(),
            Err(_) if name.is_empty() => "image".to_owned(),
            // Such as dots in a row, which files may have in their names.
            Err(_) => {
                name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join("-")
            }
        }
    }
}

/// Whether this is an address that is fetched: its scheme says so, in letters of any size (RFC 3986, section 3.1).
fn is_web_address(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn last_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// As people see it: what a lock says, so without the directories of this machine.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { path, image } => {
                write!(f, "{}", path.file_name().map_or(path.as_os_str(), |name| name).to_string_lossy())?;
                image.as_ref().map_or(Ok(()), |image| write!(f, ":{image}"))
            }
            Self::Registry(reference) => write!(f, "{REGISTRY}:{reference}"),
            Self::Engine { engine, image } => write!(f, "{engine}:{image}"),
            Self::Address(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_and_the_names_that_follow_from_them() {
        let engine = |engine, image: &str| Location::Engine { engine, image: image.into() };
        let path = |path: &str| Location::Path { path: path.into(), image: None };
        for (text, expected, stem) in [
            ("rootfs.tar.xz", path("dir/rootfs.tar.xz"), "rootfs"),
            ("/a/Root FS", path("/a/Root FS"), "root-fs"),
            ("/a/v1..2_-x.tar", path("/a/v1..2_-x.tar"), "v1-2-x"),
            ("docker:team/app:1.0", engine("docker", "team/app:1.0"), "app"),
            (
                "registry:reg.example/team/app-1:2",
                Location::Registry(Remote::parse("reg.example/team/app-1:2").unwrap()),
                "app-1",
            ),
            ("podman:app", engine("podman", "app"), "app"),
            (
                "https://mirror.example/a/stage3.tar.zst",
                Location::Address("https://mirror.example/a/stage3.tar.zst".into()),
                "stage3",
            ),
            ("..", path("dir/.."), "image"),
        ] {
            let location = Location::parse(text, Path::new("dir")).unwrap();
            assert_eq!((&location, &*location.stem()), (&expected, stem), "{text}");
        }
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("a.tar");
        std::fs::write(&there, "").unwrap();
        let named = Location::parse("a.tar:team/app:1.0", directory.path()).unwrap();
        assert_eq!(named, Location::Path { path: there, image: Some("team/app:1.0".into()) });
        assert_eq!((named.to_string(), named.stem()), ("a.tar:team/app:1.0".into(), "app".into()));
        for text in ["docker:", "docker:--help", "podman:a b", "registry:app", "registry:h/a@x"] {
            let error = Location::parse(text, Path::new("")).unwrap_err().to_string();
            assert!(error.contains("does not name a root file system"), "{error}");
        }
    }
}
