//! A directory that `docker build`, `podman build` and `buildah` make the image from: a root tarball, a Dockerfile that adds the
//! configuration, and the build record, which goes wherever the directory goes.

use std::fmt::Write as _;
use std::fs;

use super::{Destination, ExportError, Exporter, Exports, Sum, place, rootfs};
use crate::document::{self, environment};
use crate::image::{Compression, Healthcheck, Image};
use minimg_base::error::Result;
use minimg_store::Store;

/// The name of the tarball in the directory.
const TARBALL: &str = "rootfs.tar.xz";
/// The name under which builders look for it.
const DOCKERFILE: &str = "Dockerfile";
/// The name of the image's build record in the directory.
const RECORD: &str = "record.json";

/// A Dockerfile with its tarball.
pub(super) struct Directory;

impl Exporter for Directory {
    fn name(&self) -> &'static str {
        "dockerfile"
    }

    fn description(&self) -> &'static str {
        "a directory with a Dockerfile and a root tarball, for docker build"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".dockerfile"]
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn holds_records(&self) -> bool {
        true
    }

    fn write(
        &self,
        Exports { images, records }: Exports<'_>,
        destination: Destination<'_>,
        store: &Store,
    ) -> Result<Sum> {
        let [image] = images else {
            return Err(ExportError::OneImage { format: self.name(), count: images.len() }.into());
        };
        let Destination::Path(path) = destination else {
            return Err(ExportError::DirectoryToStdout { format: self.name() }.into());
        };
        let text = dockerfile(image, &format!("FROM scratch\nADD {TARBALL} /\n"))?;
        place::directory(path, &[DOCKERFILE, TARBALL, RECORD], |directory| {
            let tarball = directory.join(TARBALL);
            let sum =
                place::file(Destination::Path(&tarball), |out| rootfs::write_to(image, Compression::Xz, store, out))?;
            fs::write(directory.join(DOCKERFILE), &text).map_err(ExportError::at(path))?;
            let record = records.first().map(Vec::as_slice);
            record.map_or(Ok(()), |record| fs::write(directory.join(RECORD), record)).map_err(ExportError::at(path))?;
            Ok(sum.size + text.len() as u64 + record.map_or(0, |record| record.len() as u64))
        })
    }
}

/// The Dockerfile that adds the image's configuration to the files that `from` brings. All commands are in exec form, and nothing is
/// left for the builder to expand.
///
/// # Errors
/// When a value has a character that a Dockerfile cannot hold.
pub fn dockerfile(image: &Image, from: &str) -> Result<String, ExportError> {
    let config = &image.config;
    let mut text =
        format!("# {} for {}; made by minimg\n{from}", one_line("the name", &image.reference)?, image.platform);
    let mut line = |instruction: &str, argument: &str| {
        let _ = writeln!(text, "{instruction} {argument}");
    };
    let variable = |(name, value)| {
        Ok(format!("{}={}", name_of("the variable", name)?, quoted(&format!("the variable {name}"), value)?))
    };
    line("ENV", &several(environment(config).into_iter().map(variable))?);
    let label = |(name, value): (&String, &String)| {
        let what = format!("the label {name}");
        if name.contains('=') {
            return Err(ExportError::Dockerfile { what: format!("{what} with an equals sign in its name") });
        }
        Ok(format!("{}={}", quoted(&what, name)?, quoted(&what, value)?))
    };
    if !config.labels.is_empty() {
        line("LABEL", &several(config.labels.iter().map(label))?);
    }
    if !config.ports.is_empty() {
        line("EXPOSE", &several(config.ports.iter().map(|port| Ok(name_of("the port", port)?.to_owned())))?);
    }
    let volumes: Result<Vec<_>, _> = config.volumes.iter().map(|path| escaped("the volume", path)).collect();
    let volumes = volumes?;
    if !volumes.is_empty() {
        line("VOLUME", &exec_form(&volumes));
    }
    if !config.workdir.is_empty() {
        line("WORKDIR", &escaped("the working directory", &config.workdir)?);
    }
    if !config.user.is_empty() {
        line("USER", &escaped("the user", &config.user)?);
    }
    if let Some(signal) = &config.stop_signal {
        line("STOPSIGNAL", name_of("the stop signal", signal)?);
    }
    if let Some(check) = document::healthcheck(config) {
        line("HEALTHCHECK", &healthcheck(check));
    }
    // ENTRYPOINT takes back a CMD that stands before it.
    if !config.entrypoint.is_empty() {
        line("ENTRYPOINT", &exec_form(&config.entrypoint));
    }
    if !config.cmd.is_empty() {
        line("CMD", &exec_form(&config.cmd));
    }
    Ok(text)
}

/// The arguments of one instruction, each on a line: every instruction costs the builder a layer.
fn several(arguments: impl Iterator<Item = Result<String, ExportError>>) -> Result<String, ExportError> {
    Ok(arguments.collect::<Result<Vec<_>, _>>()?.join(" \\\n    "))
}

/// A JSON array, which builders take as it is.
fn exec_form(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

fn healthcheck(check: &Healthcheck) -> String {
    let mut text = String::new();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, "--{name}={value} ");
        }
    };
    let duration = |nanoseconds: Option<u64>| nanoseconds.map(duration);
    option("interval", duration(check.interval));
    option("timeout", duration(check.timeout));
    option("start-period", duration(check.start_period));
    option("retries", check.retries.map(|n| n.to_string()));
    text + "CMD " + &exec_form(&check.command)
}

/// In the largest unit of Go's durations that needs no fraction.
fn duration(nanoseconds: u64) -> String {
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let (unit, length) = units.into_iter().find(|(_, length)| nanoseconds.is_multiple_of(*length)).unwrap_or(("ns", 1));
    format!("{}{unit}", nanoseconds / length)
}

fn one_line<'a>(what: &str, value: &'a str) -> Result<&'a str, ExportError> {
    if value.chars().any(char::is_control) {
        return Err(ExportError::Dockerfile { what: format!("{what} with a line break or control character") });
    }
    Ok(value)
}

/// A word that stands for itself: the alphabet of names, ports and signals.
fn name_of<'a>(what: &str, value: &'a str) -> Result<&'a str, ExportError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/+:".contains(&byte);
    if value.is_empty() || !value.bytes().all(good) {
        return Err(ExportError::Dockerfile { what: format!("{what} {value:?}") });
    }
    Ok(value)
}

/// The value so that the builder's own quoting and expansion give it back.
fn escaped(what: &str, value: &str) -> Result<String, ExportError> {
    let mut text = String::new();
    for letter in one_line(what, value)?.chars() {
        if matches!(letter, '\\' | '"' | '\'' | '$' | '`') {
            text.push('\\');
        }
        text.push(letter);
    }
    Ok(text)
}

/// The same between double quotes, in which only some letters may be escaped.
fn quoted(what: &str, value: &str) -> Result<String, ExportError> {
    let mut text = String::from("\"");
    for letter in one_line(what, value)?.chars() {
        if matches!(letter, '\\' | '"' | '$') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    Ok(text)
}
