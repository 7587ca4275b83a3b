//! Where images go, as the command line says it. Shared by `minimg build` and `minimg shrink`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use minimg::engine::{self, Engine, Way};
use minimg::export::{self, Output, Target};
use minimg::image::Compression;
use minimg::place;
use minimg::reference::Reference;

/// Where images go and in which form.
#[derive(Debug, clap::Args)]
pub(super) struct Delivery {
    /// Where to write the image, as FILE, FORMAT:FILE, `docker:NAME` or `podman:NAME`; can be repeated, `-` is standard output
    ///
    /// Without FORMAT, the file name decides; `minimg list formats` shows all formats. `docker:` and `podman:` load the image into that
    /// engine, under the usual name if there is none. By default, unless --load or --import is given, minimg writes one archive to the
    /// current directory, which docker, podman, ctr and skopeo accept.
    #[arg(long, short, value_name = "[FORMAT:]FILE")]
    output: Vec<String>,
    /// Import the image's root file system into an engine, and add the metadata with a generated Dockerfile; can be repeated
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    pub(super) import: Vec<String>,
    /// Load the image into an engine, which keeps its layers and its id, the digest of the configuration; can be repeated
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    pub(super) load: Vec<String>,
    /// The image name [default: the profile's name, tagged `latest`]
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Option<String>,
    /// How to compress layers
    #[arg(long, value_enum, default_value = "gzip")]
    compression: CompressionName,
    /// Do not write a build record next to the image
    #[arg(long)]
    pub(super) no_record: bool,
}

impl Delivery {
    /// The image's name; it is `usual` when the command line gives none.
    pub(super) fn reference(&self, usual: &str) -> anyhow::Result<String> {
        self.tag.as_ref().map_or_else(|| Ok(format!("{usual}:latest")), |tag| image_name(tag, usual))
    }

    /// The compression of layers.
    pub(super) fn compression(&self) -> Compression {
        self.compression.into()
    }

    /// Where to write; the usual archive when the command line asks for nothing at all.
    pub(super) fn outputs(&self, subject: &Subject<'_>) -> anyhow::Result<Vec<Output>> {
        if self.output.is_empty() && self.import.is_empty() && self.load.is_empty() {
            let name = match subject.foreign_board {
                Some(board) => format!("{}-{board}.tar", subject.file),
                None => format!("{}.tar", subject.file),
            };
            return Ok(vec![export::parse_output(&name)?]);
        }
        let files = self.output.iter().filter(|text| in_engine(text).is_none());
        let outputs: Vec<Output> = files.map(|text| parse_output(text)).collect::<anyhow::Result<_>>()?;
        check_outputs(&outputs, subject.images)?;
        if outputs.iter().any(|output| output.target == Target::Stdout) && std::io::stdout().is_terminal() {
            return Err(super::usage(
                "an image is not written to a terminal; redirect the output, or name a file in place of `-`",
            ));
        }
        Ok(outputs)
    }

    /// Finds the engines before anything is built: a build that cannot succeed need not start.
    pub(super) fn engines(&self) -> anyhow::Result<Vec<InEngine>> {
        let imports = self.import.iter().map(|name| (name.as_str(), "", Way::Dockerfile));
        let loads = self.load.iter().map(|name| (name.as_str(), "", Way::Load));
        let outputs =
            self.output.iter().filter_map(|text| in_engine(text)).map(|(engine, name)| (engine, name, Way::Load));
        let all = imports.chain(loads).chain(outputs);
        all.map(|(engine, name, way)| {
            let reference =
                Some(name).filter(|name| !name.is_empty()).map(|name| image_name(name, "app")).transpose()?;
            Ok(InEngine { engine: find_engine(engine)?, way, reference })
        })
        .collect()
    }
}

/// An engine that gets the images.
pub(super) struct InEngine {
    pub(super) engine: Engine,
    pub(super) way: Way,
    /// The name that they get there, in place of their own.
    pub(super) reference: Option<String>,
}

/// The engine and the name of an output such as `docker:team/app:1.0`.
fn in_engine(text: &str) -> Option<(&str, &str)> {
    place::scheme(text).filter(|(scheme, _)| engine::names().any(|name| name == *scheme))
}

fn parse_output(text: &str) -> anyhow::Result<Output> {
    if let Some((place::REGISTRY, name)) = place::scheme(text) {
        return Err(super::usage(format!(
            "minimg does not push to registries; write a layout with `-o oci:DIR`, and push it, such as with `skopeo copy oci:DIR docker://{name}`"
        )));
    }
    Ok(export::parse_output(text)?)
}

/// The complete name of an image from a command line; `usual` is for the error.
fn image_name(text: &str, usual: &str) -> anyhow::Result<String> {
    match Reference::parse(text) {
        Ok(reference) if reference.tag().is_some() => Ok(reference.to_string()),
        _ => Err(super::usage(format!(
            "{text:?} is not an image name; write it like team/{usual}:1.0, in lower case except for the tag"
        ))),
    }
}

/// What is delivered, and its names.
pub(super) struct Subject<'a> {
    /// The profile's or the source's name.
    pub(super) name: &'a str,
    /// The name that the usual file and image get.
    pub(super) file: &'a str,
    /// How many images there will be at most.
    pub(super) images: usize,
    /// The one board when it is not this machine's own.
    pub(super) foreign_board: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CompressionName {
    /// Supported by every engine
    Gzip,
    /// Smaller; for engines from about 2020 or newer
    Zstd,
    /// No compression
    None,
}

impl From<CompressionName> for Compression {
    fn from(name: CompressionName) -> Self {
        match name {
            CompressionName::Gzip => Compression::Gzip,
            CompressionName::Zstd => Compression::Zstd,
            CompressionName::None => Compression::None,
        }
    }
}

/// Rejects outputs that cannot succeed, before any work is done.
fn check_outputs(outputs: &[Output], images: usize) -> anyhow::Result<()> {
    let mut places = BTreeSet::new();
    for output in outputs {
        let place = match &output.target {
            Target::Path(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            Target::Stdout => PathBuf::from("-"),
        };
        if let Some(directory) =
            place.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
        {
            return Err(super::usage(format!(
                "there is no directory {} for {output}; create it first",
                directory.display()
            )));
        }
        if !places.insert(place) {
            return Err(super::usage(format!("two outputs go to the same place; the second is {output}")));
        }
        let holds_several = export::EXPORTERS.iter().any(|e| e.name() == output.format() && e.holds_several());
        if images > 1 && !holds_several {
            let format = output.format();
            return Err(super::usage(format!(
                "the format {format} holds one image, but {images} boards were named; use oci or archive"
            )));
        }
    }
    Ok(())
}

/// An engine of the user's PATH.
pub(super) fn find_engine(name: &str) -> anyhow::Result<Engine> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(Engine::find(name, &path).map_err(minimg::Error::from)?)
}
