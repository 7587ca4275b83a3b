//! The summary of `minimg build` and `minimg shrink`, as text or JSON.

use std::path::Path;

use minimg::export::{self, Target, Written};
use minimg::image::{Image, Layer};
use minimg::pipeline::Built;

use super::delivery::Subject;
use super::output::{pairs, print_json, say};
use super::progress::Sums;
use super::{Session, select, style};

/// An output, and whether it existed unchanged.
pub(super) struct Done {
    pub(super) written: Written,
    pub(super) unchanged: bool,
}

impl Done {
    fn path(&self) -> Option<&Path> {
        match &self.written.target {
            Target::Path(path) => Some(path),
            Target::Stdout => None,
        }
    }

    fn json(&self) -> serde_json::Value {
        let Written { format, size, digest, .. } = &self.written;
        serde_json::json!({ "path": self.path(), "format": format, "size": size, "digest": digest, "unchanged": self.unchanged })
    }

    /// Whether `docker load` takes it.
    fn is_loadable(&self) -> bool {
        matches!(self.written.format, "archive" | "docker-archive")
    }
}

/// The id that engines show, and the digest that registries and skopeo know the image by; none where the compression is one that images
/// cannot have.
fn identity(image: &Image) -> [String; 2] {
    export::identity(image).map_or_else(
        |_| ["-"; 2].map(str::to_owned),
        |identity| [identity.config.to_string(), identity.manifest.to_string()],
    )
}

/// By how much something became smaller, in words that follow the size before.
fn less(before: u64, after: u64) -> String {
    match u128::from(before.saturating_sub(after)) * 100 / u128::from(before.max(1)) {
        0 => String::new(),
        percent => format!(", now {percent} % less"),
    }
}

/// What there is to say of a finished job.
pub(super) struct Summary<'a> {
    pub(super) session: &'a Session,
    pub(super) subject: &'a Subject<'a>,
    pub(super) built: &'a [Built],
    pub(super) before: Option<u64>,
    pub(super) written: &'a [Done],
    /// The engines that the images were put into, with the names that they know them by.
    pub(super) in_engines: &'a [(&'static str, Vec<String>)],
    pub(super) sums: Sums,
    pub(super) took: std::time::Duration,
}

impl Summary<'_> {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        // What goes to the standard output with `-o -` is the image.
        let is_taken = self.written.iter().any(|done| done.path().is_none());
        match (self.session.global.json, is_taken) {
            (true, false) => return print_json(&self.json()),
            (true, true) => eprintln!("{:#}", self.json()),
            (false, _) if self.session.global.quiet => {}
            (false, true) => eprintln!("{}", self.text()),
            (false, false) => say!("{}", self.text()),
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        for (place, built) in self.built.iter().enumerate() {
            let image = &built.image;
            let name = self.in_engines.first().and_then(|(_, names)| names.get(place)).unwrap_or(&image.reference);
            let sum = |of: fn(&Layer) -> u64| image.layers.iter().map(of).sum::<u64>();
            rows.push(("image", format!("{} ({})", self.session.style.name(name), image.platform)));
            rows.push((
                "files",
                format!(
                    "{} in {} layer{}",
                    sum(|l| l.files),
                    image.layers.len(),
                    if image.layers.len() == 1 { "" } else { "s" }
                ),
            ));
            rows.push((
                "size",
                format!("{}, compressed {}", style::bytes(sum(|l| l.diff_size)), style::bytes(sum(|l| l.size))),
            ));
            if let Some(before) = self.before {
                rows.push(("before", format!("{}{}", style::bytes(before), less(before, sum(|l| l.diff_size)))));
            }
            let [id, digest] = identity(image);
            rows.extend([("id", id), ("digest", digest)]);
        }
        for done in self.written {
            if let Some(path) = done.path() {
                let (state, written) = (if done.unchanged { ", unchanged" } else { "" }, &done.written);
                rows.push((
                    "file",
                    format!("{} ({}, {}{state})", path.display(), written.format, style::bytes(written.size)),
                ));
            }
        }
        rows.push(("time", self.time()));
        if let Some(run) = self.how_to_run() {
            rows.push(("run it", self.session.style.good(&run)));
        }
        pairs(&rows)
    }

    fn time(&self) -> String {
        let Sums { downloads, downloaded_bytes, reused_bytes, .. } = &self.sums;
        let mut text = style::seconds(self.took);
        if *downloads > 0 {
            text += &format!(", fetched {}", style::bytes(*downloaded_bytes));
        }
        if *reused_bytes > 0 {
            text += &format!(", the store saved {}", style::bytes(*reused_bytes));
        }
        text
    }

    /// The command that runs the image, if it is for this machine.
    fn how_to_run(&self) -> Option<String> {
        let images: Vec<Image> = self.built.iter().map(|built| built.image.clone()).collect();
        let own = select::boards(self.session).ok()?.host().ok().map(|board| board.platform);
        let at = images.iter().position(|image| Some(&image.platform) == own.as_ref()).unwrap_or(0);
        let (image, name) = (images.get(at)?, export::tags(&images).ok()?.into_iter().nth(at)?);
        let terminal = if image.config.ports.is_empty() { "-it " } else { "" };
        let ports: String = image
            .config
            .ports
            .iter()
            .map(|port| {
                let number = port.split('/').next().unwrap_or(port);
                format!("-p {number}:{port} ")
            })
            .collect();
        let run = |engine: &str| format!("{engine} run --rm {terminal}{ports}{name}");
        if let Some((engine, _)) = self.in_engines.first() {
            return Some(run(engine));
        }
        let path = self.written.iter().find(|done| done.is_loadable())?.path()?;
        Some(format!("docker load -i {} && {}", path.display(), run("docker")))
    }

    fn json(&self) -> serde_json::Value {
        let images: Vec<serde_json::Value> = self
            .built
            .iter()
            .map(|built| {
                let image = &built.image;
                let [id, digest] = identity(image);
                serde_json::json!({
                    "reference": image.reference,
                    "platform": image.platform,
                    "id": id,
                    "digest": digest,
                    "recipe": built.recipe,
                    "layers": image.layers,
                    "files": image.layers.iter().map(|layer| layer.files).sum::<u64>(),
                    "size": image.layers.iter().map(|layer| layer.diff_size).sum::<u64>(),
                    "compressed_size": image.layers.iter().map(|layer| layer.size).sum::<u64>(),
                    "reused": built.reused,
                    "locked": built.locked,
                    "findings": built.findings,
                })
            })
            .collect();
        serde_json::json!({
            "profile": self.subject.name,
            "size_before": self.before,
            "images": images,
            "outputs": self.written.iter().map(Done::json).collect::<Vec<_>>(),
            "engines": self.in_engines.iter().map(|(engine, names)| serde_json::json!({ "engine": engine, "images": names })).collect::<Vec<_>>(),
            "seconds": self.took.as_secs_f64(),
            "cache": self.sums,
            "run": self.how_to_run(),
        })
    }
}
