//! Outputs appear whole or not at all, keep what others put beside them, and are the same bytes everywhere.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use minimg::Class;
use minimg::digest::Digest;
use minimg::export::{self, Destination, identity, parse_output};
use minimg::image::{Compression, Image};
use minimg::layer;
use minimg::store::Store;
use minimg::tree::{Node, RootTree, read_directory};
use tempfile::TempDir;

use crate::support::samples::{image_of, layer_of, odd_tree, path};
use crate::support::{command, run, tool};

struct Sample {
    directory: TempDir,
    store: Store,
    image: Image,
}

impl Sample {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let mut image = image_of(&odd_tree(), Compression::Gzip, &store);
        // Digests are pinned below, whatever machine the tests run on.
        image.platform.architecture = "amd64".into();
        fs::create_dir(directory.path().join("out")).unwrap();
        Self { directory, store, image }
    }

    fn out(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("out").join(name)
    }

    fn try_write(&self, format: &str, name: &str) -> minimg::Result<export::Sum> {
        let images = std::slice::from_ref(&self.image);
        export::write(images, format, Destination::Path(&self.out(name)), &self.store)
    }

    fn write(&self, format: &str, name: &str) -> export::Sum {
        self.try_write(format, name).unwrap()
    }

    /// The names in the directory of outputs.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("out")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// These change only when the writer, a compressor or a document does; see `digests_are_pinned` in `export_layers.rs`.
#[test]
fn outputs_are_pinned() {
    let sample = Sample::new();
    let identity = identity(&sample.image).unwrap();
    let mut lines =
        vec![format!("config {}", identity.config.short()), format!("manifest {}", identity.manifest.short())];
    for (format, name) in [
        ("archive", "a.tar"),
        ("oci-archive", "o.tar"),
        ("docker-archive", "d.tar"),
        ("rootfs", "r.tar"),
        ("rootfs", "r.tar.gz"),
        ("rootfs", "r.tar.xz"),
        ("rootfs", "r.tar.zst"),
    ] {
        let sum = sample.write(format, name);
        let bytes = fs::read(sample.out(name)).unwrap();
        assert_eq!((sum.size, sum.digest), (bytes.len() as u64, Some(Digest::of(&bytes))), "{name}");
        lines.push(format!("{name} {}", Digest::of(&bytes).short()));
    }
    for (format, name) in [("oci", "o"), ("dockerfile", "d")] {
        let sum = sample.write(format, name);
        let tree = read_directory(&sample.out(name)).unwrap();
        let sizes = tree.iter().filter_map(|(_, node)| match &node.kind {
            minimg::tree::Kind::File(content) => Some(content.size()),
            _ => None,
        });
        assert_eq!((sum.size, sum.digest), (sizes.sum(), None), "{name}");
        lines.push(format!("{name} {}", Digest::of(bare_dump(&sample.out(name))).short()));
    }
    assert_eq!(lines.join("\n"), include_str!("export_digests.txt").trim_end());
}

/// A reader that knows one gzip member gets all of every layer, and of every gzip file that is written.
#[test]
fn every_gzip_stream_is_one_member() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let mut tree = odd_tree();
    // Several pieces.
    tree.insert(path("large"), Node::file(0o644, (0..5_000_000_u32).map(|n| (n >> 7) as u8).collect::<Vec<_>>()));
    let image = image_of(&tree, Compression::Gzip, &store);
    let mut seen = 0;
    for format in ["archive", "oci", "oci-archive", "docker-archive", "dockerfile", "rootfs"] {
        let out = directory.path().join(format!("{format}.tar.gz"));
        export::write(std::slice::from_ref(&image), format, Destination::Path(&out), &store).unwrap();
        for (name, bytes) in gzip_streams(&out) {
            let mut reader = flate2::bufread::GzDecoder::new(&bytes[..]);
            let sum = Digest::of_reader(&mut reader).unwrap();
            assert_eq!(sum, (image.layers[0].diff_id, image.layers[0].diff_size), "{format}: {name}");
            assert!(reader.into_inner().is_empty(), "{format}: nothing comes behind {name}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "archive, oci, oci-archive and rootfs have one each: {seen}");
}

/// What begins like gzip in an output: itself, or its files.
fn gzip_streams(out: &Path) -> Vec<(String, Vec<u8>)> {
    let is_gzip = |bytes: &[u8]| bytes.starts_with(&[0x1f, 0x8b]);
    let whole = fs::read(out).ok();
    if let Some(bytes) = whole.clone().filter(|bytes| is_gzip(bytes)) {
        return vec![(out.display().to_string(), bytes)];
    }
    let tree = match whole {
        Some(_) => layer::read_tar(fs::File::open(out).unwrap(), out).unwrap(),
        None => read_directory(out).unwrap(),
    };
    let content = |node: &Node| match &node.kind {
        minimg::tree::Kind::File(content) => Some(content.map().unwrap().to_vec()),
        _ => None,
    };
    let files = tree.iter().filter_map(|(path, node)| Some((path.to_string(), content(node)?)));
    files.filter(|(_, bytes)| is_gzip(bytes)).collect()
}

/// The lines of a directory without what the user and the umask decide, as for every program.
fn bare_dump(directory: &Path) -> String {
    let mut tree = read_directory(directory).unwrap();
    let paths: Vec<_> = tree.iter().map(|(path, _)| path.clone()).collect();
    paths.iter().for_each(|path| tree.get_mut(path).unwrap().meta = Default::default());
    tree.dump().unwrap()
}

/// Prints the digests of all outputs when the test below asks for it in another environment.
#[test]
fn helper_that_prints_digests() {
    let Some(directory) = std::env::var_os("MINIMG_TEST_PRINT_DIGESTS") else { return };
    let store = Store::open(&Path::new(&directory).join("store")).unwrap();
    let mut tree = odd_tree();
    tree.insert(path("large"), Node::file(0o644, (0..3_000_000_u32).map(|n| (n >> 7) as u8).collect::<Vec<_>>()));
    let image = image_of(&tree, Compression::Gzip, &store);
    for format in ["archive", "oci", "oci-archive", "docker-archive", "dockerfile"] {
        let out = Path::new(&directory).join(format);
        export::write(std::slice::from_ref(&image), format, Destination::Path(&out), &store).unwrap();
        let digest = match fs::read(&out) {
            Ok(bytes) => Digest::of(bytes),
            Err(_) => Digest::of(bare_dump(&out)),
        };
        println!("digest {format} {digest}");
    }
}

#[test]
fn another_environment_gives_the_same_bytes() {
    let program = std::env::current_exe().unwrap();
    let digests = |before: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut sh = command("/bin/sh", &["-c", &format!("{before} exec \"$@\""), "sh"]);
        sh.arg(&program).args(["--exact", "export::helper_that_prints_digests", "--nocapture", "--test-threads=1"]);
        let printed = run(sh.env("MINIMG_TEST_PRINT_DIGESTS", directory.path()));
        let lines = printed.lines().filter_map(|line| line.find("digest ").map(|at| line[at..].to_owned()));
        lines.collect::<Vec<_>>()
    };
    let expected = digests("");
    assert_eq!(expected.len(), 5);
    for before in [
        "umask 077; cd /;",
        "umask 000; export TZ=Pacific/Auckland LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8;",
        "set -- taskset -c 0 \"$@\";",
    ] {
        assert_eq!(digests(before), expected, "{before}");
    }
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let sample = Sample::new();
    fs::write(sample.out("a.tar"), "old").unwrap();
    std::os::unix::fs::symlink("a.tar", sample.out("link.tar")).unwrap();
    let sum = sample.write("archive", "link.tar");
    assert!(sample.out("link.tar").is_symlink());
    assert_eq!(fs::metadata(sample.out("a.tar")).unwrap().len(), sum.size);
    assert_eq!(sample.names(), ["a.tar", "link.tar"]);
    let mask = run(&mut command("/bin/sh", &["-c", "umask"]));
    let mask = u32::from_str_radix(mask.trim(), 8).unwrap();
    assert_eq!(fs::metadata(sample.out("a.tar")).unwrap().permissions().mode() & 0o777, 0o666 & !mask);
}

#[test]
fn a_pipe_is_written_to_and_stays() {
    let sample = Sample::new();
    run(command("mkfifo", &[]).arg(sample.out("pipe.tar")));
    let out = fs::File::create(sample.out("copy.tar")).unwrap();
    let mut reader = Command::new("cat").arg(sample.out("pipe.tar")).stdout(out).spawn().unwrap();
    let sum = sample.write("archive", "pipe.tar");
    assert!(reader.wait().unwrap().success());
    assert!(fs::symlink_metadata(sample.out("pipe.tar")).unwrap().file_type().is_fifo());
    assert_eq!(Some(Digest::of(fs::read(sample.out("copy.tar")).unwrap())), sum.digest);
}

#[test]
fn what_fails_leaves_nothing_and_the_old_stays() {
    let sample = Sample::new();
    for (format, name) in [("archive", "a.tar"), ("docker-archive", "d.tar"), ("rootfs", "r.tar.xz")] {
        fs::write(sample.out(name), format).unwrap();
    }
    let blob = sample.store.blob_path(&sample.image.layers[0].digest);
    let good = fs::read(&blob).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    for bytes in [&bad, &good[..100].to_vec()] {
        for (format, name) in [
            ("archive", "a.tar"),
            ("docker-archive", "d.tar"),
            ("rootfs", "r.tar.xz"),
            ("oci", "o"),
            ("dockerfile", "df"),
        ] {
            fs::write(&blob, bytes).unwrap();
            let error = sample.try_write(format, name).unwrap_err();
            assert_eq!(error.class(), Class::Verification, "{error}");
            assert!(error.to_string().contains("build the image again"), "{error}");
            assert!(!blob.exists(), "{format}: the damaged blob is dropped");
        }
    }
    assert_eq!(sample.names(), ["a.tar", "d.tar", "r.tar.xz"]);
    assert_eq!(fs::read_to_string(sample.out("a.tar")).unwrap(), "archive");
    assert_eq!(fs::read_to_string(sample.out("r.tar.xz")).unwrap(), "rootfs");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let sample = Sample::new();
    fs::create_dir(sample.out("directory.tar")).unwrap();
    fs::write(sample.out("file"), "").unwrap();
    for (format, name, expected, class) in [
        ("archive", "none/a.tar", "cannot write ", Class::Machine),
        ("archive", "directory.tar", "is a directory; name a file in it", Class::Usage),
        ("oci", "none/o", "cannot write ", Class::Machine),
        ("oci", "file", "cannot write ", Class::Machine),
    ] {
        let error = sample.try_write(format, name).unwrap_err();
        assert!(error.to_string().contains(expected) && error.to_string().contains(name), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
}

/// The whole names of the images in a layout, and what umoci calls them.
fn names_in_layout(layout: &Path) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests.map(|m| m["annotations"]["io.containerd.image.name"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn a_layout_keeps_its_other_images() {
    let mut sample = Sample::new();
    sample.write("oci", "o");
    let layout = sample.out("o");
    // Another tool's image, keys and files.
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    let foreign = r#""annotations":{"org.example":"kept"},"manifests":[{"mediaType":"application/vnd.example","digest":"sha256:00","size":7,"artifactType":"kept too"},"#;
    fs::write(layout.join("index.json"), index.replacen("\"manifests\":[", foreign, 1)).unwrap();
    fs::write(layout.join("README"), "mine").unwrap();
    sample.image.reference = "second".into();
    sample.image.config.user = "7".into();
    sample.write("oci", "o");
    let expected = ["?", "docker.io/library/minimg-sample:1.0", "docker.io/library/second:latest"];
    assert_eq!(names_in_layout(&layout), expected);
    // The same name again: the new image takes the old one's place.
    sample.image.config.user = "8".into();
    sample.write("oci", "o");
    assert_eq!(names_in_layout(&layout), expected);
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    assert!(index.contains(r#""org.example":"kept""#) && index.contains(r#""artifactType":"kept too""#), "{index}");
    assert!(index.contains(&identity(&sample.image).unwrap().manifest.to_string()), "{index}");
    assert_eq!(fs::read_to_string(layout.join("README")).unwrap(), "mine");
    let skopeo = tool("skopeo", "skopeo");
    let source = format!("oci:{}:latest", layout.display());
    let config = run(&mut command(skopeo, &["inspect", "--config", "--raw", &source]));
    assert_eq!(Digest::of(config), identity(&sample.image).unwrap().config);
}

#[test]
fn directories_of_others_are_not_replaced() {
    let sample = Sample::new();
    for (format, name) in [("oci", "o"), ("dockerfile", "d")] {
        fs::create_dir(sample.out(name)).unwrap();
        sample.write(format, name);
        sample.write(format, name);
        let mine = sample.out(&format!("mine-{name}"));
        fs::create_dir(&mine).unwrap();
        fs::write(mine.join("thesis.tex"), "").unwrap();
        let error = sample.try_write(format, &format!("mine-{name}")).unwrap_err();
        assert!(error.to_string().contains("has other files in it, such as thesis.tex"), "{error}");
        assert_eq!(error.class(), Class::Usage);
    }
    fs::write(sample.out("o").join("index.json"), "{").unwrap();
    let error = sample.try_write("oci", "o").unwrap_err();
    assert!(error.to_string().contains("its index.json is malformed"), "{error}");
    assert_eq!(sample.names(), ["d", "mine-d", "mine-o", "o"]);
}

#[test]
fn several_images_need_a_format_that_holds_them() {
    let sample = Sample::new();
    let images = [sample.image.clone(), sample.image.clone()];
    for format in ["rootfs", "dockerfile"] {
        let out = sample.out("x");
        let error = export::write(&images, format, Destination::Path(&out), &sample.store).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("the format {format} holds one image, but there are 2")),
            "{error}"
        );
    }
    assert_eq!(sample.names(), [""; 0]);
}

#[test]
fn layers_are_flattened_into_one_root() {
    let mut sample = Sample::new();
    let mut upper = RootTree::new();
    upper.insert(path("etc"), Node::directory(0o755));
    upper.insert(path("etc/shadow"), Node::file(0o600, "new\n"));
    upper.insert(path("odd/.wh.setuid"), Node::file(0o644, ""));
    sample.image.layers.push(layer_of(&upper, Compression::Zstd, &sample.store));
    sample.write("rootfs", "r.rootfs.tar");
    let out = sample.out("r.rootfs.tar");
    let tree = layer::read_tar(fs::File::open(&out).unwrap(), &out).unwrap();
    let dump = tree.dump().unwrap();
    assert!(dump.contains("f 0600 0:0 /etc/shadow 4 "), "{dump}");
    assert!(!dump.contains("setuid") && dump.contains("/odd/setgid"), "{dump}");
    assert_eq!(dump, layer::flatten(&sample.image.layers, &sample.store).unwrap().dump().unwrap());
}

#[test]
fn xz_layers_are_for_tarballs_only() {
    let mut sample = Sample::new();
    sample.image.layers = vec![layer_of(&odd_tree(), Compression::Xz, &sample.store)];
    let error = sample.try_write("archive", "a.tar").unwrap_err();
    assert_eq!(error.class(), Class::Profile);
    assert!(error.to_string().contains("compressed with xz"), "{error}");
    sample.write("rootfs", "r.tar.xz");
    assert_eq!(
        fs::read(sample.out("r.tar.xz")).unwrap(),
        *sample.store.blob(&sample.image.layers[0].digest).unwrap().unwrap()
    );
}

#[test]
fn the_dockerfile_says_everything() {
    let mut sample = Sample::new();
    sample.write("dockerfile", "d");
    let text = fs::read_to_string(sample.out("d/Dockerfile")).unwrap();
    assert_eq!(text, include_str!("export_dockerfile.txt"));
    for change in [
        |image: &mut Image| _ = image.config.env.insert("A".into(), "line\nbreak".into()),
        |image: &mut Image| _ = image.config.env.insert("A B".into(), "x".into()),
        |image: &mut Image| image.config.user = "a\nRUN evil".into(),
        |image: &mut Image| image.reference = "a\nRUN evil".into(),
        |image: &mut Image| image.config.stop_signal = Some("TERM\nRUN evil".into()),
        |image: &mut Image| _ = image.config.ports.insert("80 81".into()),
        |image: &mut Image| _ = image.config.labels.insert("a\nRUN evil".into(), "x".into()),
    ] {
        let good = sample.image.clone();
        change(&mut sample.image);
        let error = sample.try_write("dockerfile", "d").unwrap_err();
        assert!(error.to_string().starts_with("a Dockerfile cannot hold "), "{error}");
        sample.image = good;
    }
}

#[test]
fn outputs_are_parsed_and_written() {
    let sample = Sample::new();
    let output = parse_output(&format!("oci-archive:{}", sample.out("x").display())).unwrap();
    let written = export::export(std::slice::from_ref(&sample.image), &output, &sample.store).unwrap();
    assert_eq!((written.format, &written.target), ("oci-archive", &output.target));
    assert_eq!(Some(Digest::of(fs::read(sample.out("x")).unwrap())), written.digest);
}
