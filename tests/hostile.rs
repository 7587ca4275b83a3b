//! Input that nobody should trust, given to the program itself: each ends in time and in little memory, whatever it claims. What each
//! takes is printed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use minimg::digest::Digest;
use serde_json::{Value, json};

use crate::common::Sandbox;

/// The most memory that any of them may take.
const MEMORY: u64 = 300 << 20;
/// The most time, of a build that is not optimised.
const TIME: Duration = Duration::from_secs(60);

/// Runs the program, and tells how it ended, how long it took, and the most memory that it had.
fn measured(sandbox: &Sandbox, what: &str, arguments: &[&str]) -> (i32, String) {
    // The kernel tells a parent what its children had, and std does not pass it on.
    const SCRIPT: &str = "import resource, subprocess, sys, time\n\
        began = time.monotonic()\n\
        ended = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n\
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n\
        print(ended.returncode, time.monotonic() - began, peak)\n\
        sys.stdout.flush()\n\
        sys.stdout.buffer.write(ended.stderr[-4000:] or ended.stdout[-4000:])\n";
    let program = sandbox.minimg(arguments);
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]).arg(program.get_program()).args(arguments);
    command.current_dir(sandbox.directory.path()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("python3, of Debian's package of that name");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (line, said) = text.split_once('\n').expect("what it took");
    let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    let (seconds, peak) = (numbers[1], numbers[2] as u64 * 1024);
    println!("{what}: exit code {}, {seconds:.1} s, {} MB", numbers[0], peak / 1_000_000);
    assert!(peak < MEMORY, "{what} took {peak} bytes of memory: {said}");
    assert!(seconds < TIME.as_secs_f64(), "{what} took {seconds} s: {said}");
    (numbers[0] as i32, said.to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar in the making.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(&mut self, kind: tar::EntryType, path: &str, target: &str, content: &[u8]) {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if target.is_empty() {
            archive.append_data(&mut header, path, content).unwrap();
        } else {
            archive.append_link(&mut header, path, target).unwrap();
        }
        let bytes = archive.into_inner().unwrap();
        self.0.extend_from_slice(&bytes[..bytes.len() - 1024]);
    }

    fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(tar::EntryType::Regular, path, "", content);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// The files of a layout in the making.
#[derive(Default)]
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn blob(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        self.0.insert(format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": kind, "digest": digest.to_string(), "size": size})
    }

    /// An image for a machine, of layers that are compressed already, with what they are digests of.
    fn image(&mut self, architecture: &str, layers: &[(Value, Digest)]) -> Value {
        let ids: Vec<String> = layers.iter().map(|(_, id)| id.to_string()).collect();
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"diff_ids": ids}}).to_string();
        let config = self.blob("config", config.into_bytes());
        let layers: Vec<&Value> = layers.iter().map(|(layer, _)| layer).collect();
        let mut image = self.blob("manifest", json!({"config": config, "layers": layers}).to_string().into_bytes());
        image["platform"] = json!({"os": "linux", "architecture": architecture});
        image
    }

    fn layer(&mut self, tar: &[u8]) -> (Value, Digest) {
        (self.blob("layer", gzip(tar)), Digest::of(tar))
    }

    fn write(mut self, sandbox: &Sandbox, name: &str, manifests: &[Value]) {
        self.0.insert("index.json".into(), json!({"manifests": manifests}).to_string().into_bytes());
        self.0.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        for (file, bytes) in self.0 {
            let path = sandbox.path(name).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn small_tar() -> Vec<u8> {
    let mut tar = Tar::default();
    tar.file("etc/x", b"x");
    tar.finish()
}

#[test]
fn layouts() {
    let sandbox = Sandbox::cold();
    let mut layout = Layout::default();
    let layer = layout.layer(&small_tar());
    let image = layout.image("amd64", &[layer]);
    let index = |layout: &mut Layout, next: Value| {
        layout.blob("index", json!({"manifests": vec![next; 1400]}).to_string().into_bytes())
    };
    let top = (0..4).fold(image, |next, _| index(&mut layout, next));
    layout.write(&sandbox, "nested", &[top]);
    let (code, said) = measured(&sandbox, "indexes of 1,400 indexes", &["check", "nested"]);
    assert!(code == 7 && said.contains("more than 4096 manifests"), "{code}: {said}");

    let mut layout = Layout::default();
    let mut tar = Tar::default();
    (0..2000).for_each(|at| tar.file(&format!("usr/share/{at}"), b"x"));
    let layer = layout.layer(&tar.finish());
    let images: Vec<Value> =
        (0..2000).map(|at| layout.image(&format!("m{at}"), std::slice::from_ref(&layer))).collect();
    Layout(layout.0.clone()).write(&sandbox, "machines", &images);
    let (code, said) = measured(&sandbox, "an image for 2,000 machines", &["check", "machines"]);
    assert!(code == 7 && said.contains("for 2000 machines, more than the limit of 64"), "{code}: {said}");
    layout.write(&sandbox, "fewer", &images[..64]);
    let (code, said) = measured(&sandbox, "an image for 64 machines", &["check", "fewer"]);
    assert_eq!(code, 0, "{said}");

    let mut layout = Layout::default();
    let zeros = gzip(&vec![0; 200 << 20]);
    let id = Digest::of(vec![0; 200 << 20]);
    let bomb = layout.blob("layer", zeros);
    let image = layout.image("amd64", &vec![(bomb, id); 1000]);
    layout.write(&sandbox, "bombs", &[image]);
    let (code, said) = measured(&sandbox, "1,000 times a layer of zeros", &["check", "bombs"]);
    assert!(code == 7 && said.contains("decompression bomb"), "{code}: {said}");

    let mut layout = Layout::default();
    let block: Vec<u8> = (0..16_384_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let layers: Vec<(Value, Digest)> = (0..40)
        .map(|at| {
            let mut tar = Tar::default();
            tar.file(&format!("srv/{at}"), &block.repeat(1280));
            layout.layer(&tar.finish())
        })
        .collect();
    let image = layout.image("amd64", &layers);
    layout.write(&sandbox, "large", &[image]);
    let (code, said) = measured(&sandbox, "40 layers of 20 MB", &["check", "large"]);
    assert_eq!(code, 0, "{said}");

    let mut layout = Layout::default();
    let config =
        [br#"{"os":"linux","architecture":"amd64","x":["#.as_slice(), &br#"{"":0},"#.repeat(500_000), b"0]}"].concat();
    let config = layout.blob("config", config);
    let manifest = layout.blob("manifest", json!({"config": config, "layers": []}).to_string().into_bytes());
    let top = json!({"mediaType": "index", "digest": "x", "size": 1, "x": vec![json!({"": 0}); 100_000]});
    layout.write(&sandbox, "documents", &[manifest, top]);
    let (code, said) = measured(&sandbox, "documents of a million objects", &["check", "documents"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn archives() {
    let sandbox = Sandbox::cold();
    let mut tar = Tar::default();
    tar.file("layer.tar", &small_tar());
    let id = Digest::of(small_tar()).to_string();
    let manifests: Vec<Value> = (0..3000)
        .map(|at| {
            let config = json!({"os": "linux", "architecture": "amd64", "created": at.to_string(), "rootfs": {"diff_ids": [id]}});
            tar.file(&format!("{at}.json"), config.to_string().as_bytes());
            json!({"Config": format!("{at}.json"), "RepoTags": [format!("a:{at}")], "Layers": ["layer.tar"]})
        })
        .collect();
    tar.file("manifest.json", json!(manifests).to_string().as_bytes());
    std::fs::write(sandbox.path("many.tar"), tar.finish()).unwrap();
    let (code, said) = measured(&sandbox, "3,000 images in an archive", &["check", "many.tar"]);
    assert!(code == 4 && said.contains("a:0 (linux/amd64), a:1") && said.contains("2980 more"), "{code}: {said}");
    let (code, said) = measured(&sandbox, "one of 3,000 images", &["check", "many.tar:a:2999"]);
    assert_eq!(code, 0, "{said}");

    let mut tar = Tar::default();
    let deep = "d/".repeat(250);
    (0..30_000).for_each(|at| tar.file(&format!("{deep}{at}"), b""));
    std::fs::write(sandbox.path("deep.tar.gz"), gzip(&tar.finish())).unwrap();
    let (code, said) = measured(&sandbox, "30,000 files below 250 directories", &["check", "deep.tar.gz"]);
    assert_eq!(code, 0, "{said}");

    let mut tar = tar::Builder::new(Vec::new());
    let attribute = vec![b'x'; 1 << 19];
    tar.append_pax_extensions([("SCHILY.xattr.user.x", attribute.as_slice())]).unwrap();
    let mut global = tar.into_inner().unwrap();
    global.truncate(global.len() - 1024);
    global[156] = b'g';
    let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(global[at]) }).sum();
    global[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = Tar(global);
    (0..2000).for_each(|at| tar.file(&format!("f{at}"), b""));
    std::fs::write(sandbox.path("attributes.tar"), tar.finish()).unwrap();
    let (code, said) =
        measured(&sandbox, "half a megabyte of attributes for 2,000 files", &["check", "attributes.tar"]);
    assert!(code == 7 && said.contains("bytes of paths, links and attributes"), "{code}: {said}");

    for (name, bytes) in [("gnu", sparse(1 << 62)), ("pax", sparse_of_pax(1 << 62)), ("gib", sparse(1 << 40))] {
        std::fs::write(sandbox.path("sparse.tar"), bytes).unwrap();
        let (code, said) = measured(&sandbox, &format!("a sparse file ({name})"), &["check", "sparse.tar"]);
        assert!(code == 7 && said.contains("decompression bomb"), "{code}: {said}");
    }
}

/// A sparse file of GNU's own format, of which nothing is stored.
fn sparse(size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_path("sparse").unwrap();
    header.set_mode(0o644);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.realsize = base256(size);
    gnu.sparse[0].offset = base256(size);
    gnu.sparse[0].numbytes = base256(0);
    header.set_cksum();
    [header.as_bytes().as_slice(), &[0; 1024]].concat()
}

/// A sparse file of PAX headers, of which nothing is stored.
fn sparse_of_pax(size: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let size = size.to_string();
    let records = [("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", b"0,0")];
    tar.append_pax_extensions(records).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    tar.append_data(&mut header, "sparse", &b""[..]).unwrap();
    tar.into_inner().unwrap()
}

fn base256(number: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&number.to_be_bytes());
    field
}

#[test]
fn roots() {
    let sandbox = Sandbox::cold();
    let mut tar = Tar::default();
    // A way of 40 links, each through two thousand names.
    (0..40).for_each(|at| {
        let target = format!("{}l{}", "d/../".repeat(680), at + 1);
        tar.entry(tar::EntryType::Symlink, &format!("l{at}"), &target, b"");
    });
    tar.file("d/x", b"");
    tar.entry(tar::EntryType::Symlink, "l40", "d", b"");
    for at in 0..3000 {
        let slashes = "/".repeat(1 + at % 100);
        tar.file(&format!("bin/s{at}"), format!("#!{slashes}l{}{slashes}x{at}\n", at % 40).as_bytes());
    }
    std::fs::write(sandbox.path("links.tar"), tar.finish()).unwrap();
    let (code, said) = measured(&sandbox, "3,000 ways through 40 long links", &["check", "links.tar"]);
    assert_eq!(code, 8, "{said}");

    let mut tar = Tar::default();
    for program in ["/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"] {
        let content = std::fs::read(program).unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
        tar.file(program.trim_start_matches('/'), &content);
    }
    for level in 0..8 {
        for at in 0..100 {
            let next = format!("include /etc/c{}/*\n", level + 1);
            tar.file(&format!("etc/c{level}/{at}"), next.repeat(20).as_bytes());
        }
    }
    tar.file("etc/ld.so.conf", b"include /etc/c0/*\n/lib/x86_64-linux-gnu\n");
    std::fs::write(sandbox.path("includes.tar"), tar.finish()).unwrap();
    let (code, said) = measured(&sandbox, "includes of includes, 8 deep", &["check", "includes.tar"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn documents() {
    let sandbox = Sandbox::cold();
    for at in 0..20 {
        sandbox.write(&format!("p{at}.toml"), &format!("description = 'x'\nextends = './p{}.toml'\n", (at + 1) % 20));
    }
    let (code, said) = measured(&sandbox, "profiles in a circle", &["show", "./p0.toml"]);
    assert!(code == 3 && said.contains("more than 16 profiles"), "{code}: {said}");
    for (what, text) in [
        ("arrays in arrays", format!("description = {}", "[".repeat(500_000))),
        ("tables in tables", format!("description = {}", "{a=".repeat(300_000))),
        ("a long dotted key", format!("{}a = 1", "a.".repeat(400_000))),
    ] {
        sandbox.write("nested.toml", &text);
        let (code, said) = measured(&sandbox, what, &["show", "./nested.toml"]);
        assert_eq!(code, 3, "{said}");
    }
    std::fs::create_dir(sandbox.path("rules")).unwrap();
    let names: Vec<String> = (0..400).map(|at| format!("r{at}")).collect();
    for name in &names {
        let text = format!("name = '{name}'\ndescription = 'x'\nrequires = {names:?}\n");
        sandbox.write(&format!("rules/{name}.toml"), &text);
    }
    let mut tar = Tar::default();
    tar.file("bin/x", b"#!/bin/x\n");
    std::fs::write(sandbox.path("root.tar"), tar.finish()).unwrap();
    let arguments =
        ["shrink", "root.tar", "--rules", "rules", "--rule", "r0", "-p", "/bin/x", "-o", "x.tar", "--board", "amd64"];
    let (code, said) = measured(&sandbox, "400 rule sets that require each other", &arguments);
    assert!(matches!(code, 0 | 8), "{code}: {said}");
}
