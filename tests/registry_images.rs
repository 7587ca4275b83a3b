//! Images in a real registry, as the library takes them in: every form of their documents, whiteouts, platforms, logins, and what is
//! refused. `tests/registry.rs` shows the same of the program.

use std::path::Path;

use minimg::backend::{Context, Request, Settings, Source, fixed};
use minimg::backends::tarball;
use minimg::board::{Boards, Platform};
use minimg::digest::Digest;
use minimg::error::{Class, Error};
use minimg::export::{self, Destination};
use minimg::image::{Compression, Image};
use minimg::store::Store;
use minimg::tree::{Node, RootTree};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::registry::{Doors, LOGIN, Registry};
use crate::support::samples::{full_config, image_of, layer_of, odd_tree, path};

/// A store, the layout of an image for two platforms, and what `docker login` left.
struct Sample {
    directory: TempDir,
    store: Store,
    settings: Settings,
}

impl Sample {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let settings = Settings { docker_config: Some(directory.path().join("config.json")), ..Settings::default() };
        let sample = Self { directory, store, settings };
        let made = Store::open(&sample.directory.path().join("made")).unwrap();
        let gzip = Compression::Gzip;
        let images = [image("amd64", None, gzip, &made), image("arm", Some("v7"), gzip, &made)];
        export::write(&images, "oci", Destination::Path(&sample.path("both")), &made).unwrap();
        export::write(&images[..1], "oci", Destination::Path(&sample.path("one")), &made).unwrap();
        let image = image("amd64", None, Compression::Zstd, &made);
        export::write(&[image], "oci", Destination::Path(&sample.path("zstd")), &made).unwrap();
        sample
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn source(&self, name: &str) -> String {
        format!("oci:{}", self.path(name).display())
    }

    fn log_in(&self, host: &str, login: &str) {
        let config = format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"{login}\"}}}}}}");
        std::fs::write(self.path("config.json"), config).unwrap();
    }

    /// Takes an image in, and returns what its files are and what it says of its machine.
    fn take(&self, root: &str, board: &str, offline: bool) -> Result<(Digest, String), Error> {
        self.take_with(&format!("root = '{root}'"), board, offline)
    }

    fn take_with(&self, options: &str, board: &str, offline: bool) -> Result<(Digest, String), Error> {
        let context = Context::new(self.store.clone()).with_settings(self.settings.clone()).with_offline(offline);
        let table: toml::Table = options.parse().unwrap();
        let options = [(tarball::NAME.to_owned(), toml::Value::Table(table))].into();
        let board = Boards::built_in().get(board).unwrap();
        let request = Request { board, source: Source { options, ..Source::default() }, packages: Vec::new() };
        let taken = tarball::take(&request, &context)?;
        assert_eq!(taken.config.map(|config| config.entrypoint), Some(full_config().entrypoint));
        let tree = fixed::produce(&taken.pins, &context)?.tree;
        assert!(tree.contains(&path("odd/hard-a")) && !tree.contains(&path("odd/empty")), "whiteouts hold");
        Ok((taken.pins.root.unwrap().sha256, crate::support::driven::text(&tree, "etc/machine")))
    }
}

/// An image of two layers, of which the upper hides what is in the lower and says for which machine it is.
fn image(architecture: &str, variant: Option<&str>, upper_layer: Compression, store: &Store) -> Image {
    let mut image = image_of(&odd_tree(), Compression::Gzip, store);
    let mut upper = RootTree::new();
    upper.insert(path("odd/.wh.empty"), Node::file(0o644, ""));
    upper.insert(path("etc/machine"), Node::file(0o644, architecture.to_owned()));
    upper.add_missing_parents();
    image.layers.push(layer_of(&upper, upper_layer, store));
    image.platform =
        Platform { os: "linux".into(), architecture: architecture.into(), variant: variant.map(str::to_owned) };
    image
}

/// A failure's class and words.
fn failure(result: Result<(Digest, String), Error>) -> (Class, String) {
    let error = result.unwrap_err();
    (error.class(), error.to_string())
}

#[test]
fn every_form_of_an_image_is_pulled_for_the_board() {
    let (registry, sample) = (Registry::start(Doors::Open), Sample::new());
    for (name, source, options) in [
        ("oci-index:1", "both", &["--format=oci"][..]),
        ("docker-list:1", "both", &["--format=v2s2"]),
        ("team/oci:1.0", "one", &["--format=oci"]),
        ("zstd", "zstd", &["--format=oci"]),
        ("team/docker", "one", &["--format=v2s2"]),
    ] {
        registry.push(&sample.source(source), name, options);
        let root = format!("registry:{}/{name}", registry.host());
        let boards: &[(&str, &str)] =
            if source == "both" { &[("amd64", "amd64"), ("armhf", "arm")] } else { &[("amd64", "amd64")] };
        for (board, machine) in boards {
            let local = sample.take(sample.path(source).to_str().unwrap(), board, true).unwrap();
            assert_eq!(local.1, *machine);
            assert_eq!(sample.take(&root, board, false).unwrap(), local, "{name} for {board}");
            assert_eq!(sample.take(&root, board, true).unwrap(), local, "{name} for {board} offline");
        }
        let (class, said) = failure(sample.take(&root, "riscv64", false));
        assert_eq!(class, Class::Unsatisfiable, "{said}");
    }
}

#[test]
fn a_digest_says_which_image_it_must_be() {
    let (registry, sample) = (Registry::start(Doors::Open), Sample::new());
    registry.push(&sample.source("one"), "a:1", &["--format=oci"]);
    let name = format!("{}/a", registry.host());
    let inspect = ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}:1")];
    let digest = Digest::of(crate::support::run(&mut crate::support::command(
        crate::support::tool("skopeo", "skopeo"),
        &inspect,
    )));
    let other = Digest::of("other");
    let first = sample.take(&format!("registry:{name}@{digest}"), "amd64", false).unwrap();
    assert_eq!(sample.take(&format!("registry:{name}:gone@{digest}"), "amd64", true).unwrap(), first);
    let pinned = |digest| format!("root = 'registry:{name}:1'\nsha256 = '{digest}'");
    assert_eq!(sample.take_with(&pinned(digest), "amd64", false).unwrap(), first);
    for (result, expected, words) in [
        (sample.take_with(&pinned(other), "amd64", false), Class::Verification, format!("has the digest {digest}")),
        (
            sample.take(&format!("registry:{name}@{other}"), "amd64", false),
            Class::Unsatisfiable,
            format!("has no image a of the version {other}"),
        ),
        (
            sample.take(&format!("registry:{name}:2"), "amd64", false),
            Class::Unsatisfiable,
            "has no image a of the version 2".into(),
        ),
        (
            sample.take(&format!("registry:{}/b", registry.host()), "amd64", false),
            Class::Unsatisfiable,
            "has no image b of the version latest".into(),
        ),
        (sample.take(&format!("registry:{name}:2"), "amd64", true), Class::Network, "--offline".into()),
        (sample.take("registry:a", "amd64", false), Class::Profile, "write registry:HOST/NAME:TAG".into()),
    ] {
        let (class, said) = failure(result);
        assert!(class == expected && said.contains(&words), "{class:?}: {said}; expected {words}");
    }
}

#[test]
fn what_a_damaged_registry_sends_is_refused() {
    let (registry, mut sample) = (Registry::start(Doors::Open), Sample::new());
    registry.push(&sample.source("one"), "a:1", &["--format=oci"]);
    let blobs: Vec<_> = registry.blobs().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let manifest = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"\"layers\":");
    let digest = Digest::of(&blobs.iter().find(|(bytes, _)| manifest(bytes)).unwrap().0);
    let root = format!("registry:{}/a@{digest}", registry.host());
    for (number, (whole, path)) in blobs.iter().enumerate() {
        sample.store = Store::open(&sample.path(&format!("store-{number}"))).unwrap();
        // The same length, and a manifest as good, so that nothing but the digest can tell.
        let mut damaged = whole.clone();
        match whole.windows(8).position(|window| window == b"a sample") {
            Some(at) => damaged[at] = b'A',
            None => *damaged.last_mut().unwrap() ^= 1,
        }
        std::fs::write(path, damaged).unwrap();
        let (class, said) = failure(sample.take(&root, "amd64", false));
        assert!(class == Class::Verification && said.contains("has the digest"), "{said}");
        std::fs::write(path, whole).unwrap();
    }
    assert_eq!(blobs.len(), 4);
    sample.take(&root, "amd64", false).unwrap();
    // Lies about what is in the store already.
    let whole = &blobs.iter().find(|(bytes, _)| manifest(bytes)).unwrap().0;
    let mut lying: serde_json::Value = serde_json::from_slice(whole).unwrap();
    lying["layers"][0]["size"] = 5.into();
    registry.push_manifest("a", "2", &lying.to_string());
    let (class, said) = failure(sample.take(&format!("registry:{}/a:2", registry.host()), "amd64", false));
    assert!(class == Class::Verification && said.contains("instead of 5"), "{class:?}: {said}");
}

/// Changes the configuration of the one image of a layout, and what leads to it.
fn change_configuration(layout: &Path, change: impl Fn(&mut Vec<Value>)) {
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(layout.join(name)).unwrap()).unwrap() };
    let blob = |descriptor: &Value| descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let write = |document: &Value, descriptor: &mut Value| {
        let bytes = document.to_string().into_bytes();
        (descriptor["digest"], descriptor["size"]) = (Digest::of(&bytes).to_string().into(), bytes.len().into());
        std::fs::write(layout.join(blob(descriptor)), bytes).unwrap();
    };
    let mut index = read("index.json");
    let mut manifest = read(&blob(&index["manifests"][0]));
    let mut config = read(&blob(&manifest["config"]));
    change(config["rootfs"]["diff_ids"].as_array_mut().unwrap());
    write(&config, &mut manifest["config"]);
    write(&manifest, &mut index["manifests"][0]);
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn layers_that_the_configuration_does_not_name_are_refused() {
    let registry = Registry::start(Doors::Open);
    type Change = fn(&mut Vec<Value>);
    let cases: [(&str, Change, &str); 4] = [
        ("other", |ids| ids[1] = Digest::of("other").to_string().into(), "layer 2 of the image"),
        ("order", |ids| ids.swap(0, 1), "layer 1 of the image"),
        ("fewer", |ids| drop(ids.pop()), "has 2 layers instead of the 1"),
        ("more", |ids| ids.push(ids[0].clone()), "has 2 layers instead of the 3"),
    ];
    for (name, change, expected) in cases {
        let sample = Sample::new();
        change_configuration(&sample.path("one"), change);
        registry.push(&sample.source("one"), name, &["--format=oci"]);
        let root = format!("registry:{}/{name}", registry.host());
        let (class, said) = failure(sample.take(&root, "amd64", false));
        assert!(class == Class::Verification && said.contains(expected), "{name}: {class:?}: {said}");
    }
}

#[test]
fn a_tag_that_moves_is_followed() {
    let (registry, sample) = (Registry::start(Doors::Open), Sample::new());
    let root = format!("registry:{}/a:1", registry.host());
    registry.push(&sample.source("one"), "a:1", &["--format=oci"]);
    sample.take(&root, "amd64", false).unwrap();
    assert_eq!(failure(sample.take(&root, "armhf", false)).0, Class::Unsatisfiable);
    registry.push(&sample.source("both"), "a:1", &["--format=oci"]);
    assert_eq!(sample.take(&root, "armhf", false).unwrap().1, "arm");
}

#[test]
fn logins_are_those_of_docker() {
    for doors in [Doors::Password, Doors::Token] {
        let (registry, sample) = (Registry::start(doors), Sample::new());
        let host = registry.host();
        registry.push(&sample.source("one"), "team/app:1", &["--format=oci"]);
        let root = format!("registry:{host}/team/app:1");
        let take = || sample.take(&root, "amd64", false);
        let refused = |expected: &str| {
            let (class, said) = failure(take());
            assert!(class == Class::Network && said.contains(expected), "{doors:?}: {said}");
        };
        refused("`docker login 127.0.0.1:");
        sample.log_in(&host, "bWU6d3Jvbmc=");
        refused("does not let");
        sample.log_in("registry.example", LOGIN.1);
        refused("does not let");
        sample.log_in(&host, LOGIN.1);
        take().unwrap();
        std::fs::write(sample.path("config.json"), "[").unwrap();
        sample.take(&root, "amd64", true).unwrap();
        assert_eq!(failure(take()).0, Class::Machine);
    }
}
