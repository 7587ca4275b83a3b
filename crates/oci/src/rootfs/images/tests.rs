use serde_json::{Value, json};

use super::super::overlay::tests::tree;
use super::*;
use crate::document::LayerIds;
use minimg_base::error::Class;
use minimg_tree::Node;

/// The files of an archive or layout in the making.
#[derive(Default)]
struct Making(RootTree);

impl Making {
    fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(RootPath::new(name).unwrap(), Node::file(0o644, bytes));
    }

    fn blob(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        self.put(&format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": kind, "digest": digest.to_string(), "size": size})
    }

    /// The layer and the configuration of an image with one file for a machine.
    fn parts(file: &str, architecture: &str) -> (Vec<u8>, Vec<u8>) {
        let mut layer = Vec::new();
        crate::layer::write_tar_to(&tree(&[file]), 0, &mut layer).unwrap();
        let rootfs = LayerIds::new([Digest::of(&layer)]);
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}).to_string();
        (layer, config.into_bytes())
    }

    /// An image with one file for a machine.
    fn image(&mut self, file: &str, architecture: &str) -> Value {
        let (layer, config) = Self::parts(file, architecture);
        let (layer, config) = (self.blob("layer", layer), self.blob("config", config));
        self.blob("manifest", json!({"config": config, "layers": [layer]}).to_string().into_bytes())
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        self.blob("index", json!({"manifests": manifests}).to_string().into_bytes())
    }

    fn layout(mut self, manifests: &[Value]) -> RootTree {
        self.put("index.json", json!({"manifests": manifests}).to_string().into_bytes());
        self.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        self.0.add_missing_parents();
        self.0
    }

    /// A docker-archive of images: their tags, file and machine.
    fn docker_archive(images: &[(&[&str], &str, &str)]) -> RootTree {
        let mut making = Self::default();
        let mut manifests = Vec::new();
        for (tags, file, architecture) in images {
            let (layer, config) = Self::parts(file, architecture);
            let names = [format!("{file}-{architecture}/layer.tar"), format!("{}.json", Digest::of(&config).hex())];
            manifests.push(json!({"Config": names[1], "RepoTags": tags, "Layers": [names[0]]}));
            names.iter().zip([layer, config]).for_each(|(name, bytes)| making.put(name, bytes));
        }
        making.put("manifest.json", json!(manifests).to_string().into_bytes());
        making.0.add_missing_parents();
        making.0
    }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

fn on(mut descriptor: Value, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
}

/// Opens files with a store of their own.
fn with_images<T>(files: &RootTree, look: impl FnOnce(Result<Images<'_>, RootfsError>) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let files = Files(files.clone());
    let form = files.form();
    look(Images::new(files, form, &store))
}

fn file_of(rootfs: Rootfs) -> String {
    rootfs.tree.iter().next().unwrap().0.to_string()
}

/// The file of the image that is chosen, or what is said.
fn choose(files: &RootTree, image: Option<&str>, architecture: &str) -> String {
    let platform = Some(architecture).filter(|name| !name.is_empty()).map(platform);
    let wanted = Choice { image, platform: platform.as_ref() };
    let chosen = with_images(files, |images| images.and_then(|images| images.choose(wanted)));
    chosen.map_or_else(|error| error.to_string(), file_of)
}

/// The files of all images that are read where every machine is wanted, or what is said.
fn each(files: &RootTree, image: Option<&str>) -> Result<Vec<String>, String> {
    with_images(files, |images| {
        let images = images.and_then(|images| images.each(image)).map_err(|error| error.to_string())?;
        images.map(|rootfs| rootfs.map(file_of).map_err(|error| error.to_string())).collect()
    })
}

/// Two images of one machine, under names of their own.
fn two() -> [RootTree; 3] {
    let mut making = Making::default();
    let manifests = [named(making.image("a", "amd64"), "team/a:1"), named(making.image("b", "amd64"), "team/b:1")];
    let flat = making.layout(&manifests);
    let mut making = Making::default();
    let images = [making.image("a", "amd64"), making.image("b", "amd64")].map(|image| on(image, "amd64"));
    let indexes = images.map(|image| making.index(&[image]));
    let [a, b] = indexes;
    let nested = making.layout(&[named(a, "team/a:1"), named(b, "team/b:1")]);
    let docker = Making::docker_archive(&[(&["team/a:1"], "a", "amd64"), (&["team/b:1"], "b", "amd64")]);
    [flat, nested, docker]
}

#[test]
fn of_several_images_none_is_taken_in_silence() {
    for files in two() {
        for architecture in ["", "amd64"] {
            let said = choose(&files, None, architecture);
            assert!(said.contains("several images that fit: team/a:1 (linux/amd64), team/b:1"), "{said}");
        }
        assert!(each(&files, None).unwrap_err().contains("several images"));
        for (name, expected) in
            [("team/a:1", "/a"), ("team/b:1", "/b"), ("docker.io/team/b:1", "/b"), ("localhost/team/a:1", "/a")]
        {
            assert_eq!(choose(&files, Some(name), "amd64"), expected, "{name}");
        }
        let said = choose(&files, Some("team/b"), "amd64");
        assert!(said.contains("there is no image \"team/b\" in it; it has: team/a:1"), "{said}");
        assert_eq!(each(&files, Some("team/b:1")), Ok(vec!["/b".to_owned()]));
        let said = choose(&files, Some("team/a:1"), "arm64");
        assert!(said.contains("the image has no linux/arm64; it has: linux/amd64") || said == "/a", "{said}");
    }
}

#[test]
fn the_machine_wins_where_it_decides() {
    let docker = Making::docker_archive(&[(&["a:amd64"], "a", "amd64"), (&["a:arm64"], "b", "arm64")]);
    let mut making = Making::default();
    let (a, b) = (making.image("a", "amd64"), making.image("b", "arm64"));
    let signature = making.blob("manifest", br#"{"config":{"digest":"x","size":1},"layers":[]}"#.to_vec());
    let layout = making.layout(&[named(a, "a:amd64"), named(b, "a:arm64"), named(signature, "a.sig")]);
    for files in [docker, layout] {
        assert_eq!((&*choose(&files, None, "amd64"), &*choose(&files, None, "arm64")), ("/a", "/b"));
        assert!(choose(&files, None, "").contains("several images"));
        assert!(choose(&files, None, "riscv64").contains("has no linux/riscv64; it has: linux/amd64, linux/arm64"));
        assert_eq!(each(&files, None), Ok(vec!["/a".to_owned(), "/b".to_owned()]));
    }
}

#[test]
fn forms_of_one_image_are_not_several() {
    let mut making = Making::default();
    let images = [on(making.image("a", "amd64"), "amd64"), on(making.image("b", "arm64"), "arm64")];
    let attested = on(making.image("z", "unknown"), "unknown");
    let all = [&images[..], &[attested]].concat();
    let index = named(making.index(&all), "a:1");
    let nested = Making(making.0.clone()).layout(std::slice::from_ref(&index));
    let flat = Making(making.0.clone()).layout(&all);
    // The same under two names, and once more by itself.
    let again = making.layout(&[index.clone(), named(index, "a:latest"), images[0].clone()]);
    for files in [nested, flat, again] {
        assert_eq!((&*choose(&files, None, "amd64"), &*choose(&files, None, "arm64")), ("/a", "/b"));
        assert_eq!(choose(&files, None, ""), "/a");
        assert_eq!(each(&files, None), Ok(vec!["/a".to_owned(), "/b".to_owned()]));
    }
    let docker = Making::docker_archive(&[(&["a:1"], "a", "amd64"), (&["a:2", "a"], "a", "amd64")]);
    assert_eq!(["a:1", "a:2", "a"].map(|name| choose(&docker, Some(name), "amd64")), ["/a", "/a", "/a"]);
    assert_eq!(choose(&docker, None, "amd64"), "/a");
}

#[test]
fn an_image_is_found_by_its_id_too() {
    let docker = Making::docker_archive(&[(&[], "a", "amd64"), (&[], "b", "amd64")]);
    let id = Digest::of(Making::parts("b", "amd64").1);
    for name in [id.to_string(), id.hex(), id.hex()[..12].to_owned()] {
        assert_eq!(choose(&docker, Some(&name), "amd64"), "/b", "{name}");
    }
    assert!(choose(&docker, None, "").contains(&format!("sha256:{}", &id.hex()[..12])));
}

#[test]
fn a_root_has_no_images() {
    let said = choose(&tree(&["etc/passwd"]), Some("a"), "");
    assert!(said.contains("no image \"a\" in it; it has: no image, since it is a root file system"), "{said}");
}

#[test]
fn each_digest_is_visited_once_and_there_are_limits() {
    // Every index names the next one a thousand times.
    let repeated = |times: usize| {
        let mut making = Making::default();
        let image = on(making.image("a", "amd64"), "amd64");
        let top = (0..4).fold(image, |next, _| making.index(&vec![next; times]));
        making.layout(&[top])
    };
    assert_eq!(choose(&repeated(1000), None, "amd64"), "/a");
    assert!(choose(&repeated(1100), None, "amd64").contains("more than 4096 manifests and indexes"));
    let mut making = Making::default();
    let image = making.image("a", "amd64");
    let machine = |at: usize| on(image.clone(), &format!("m{at}"));
    let few: Vec<Value> = (0..64).map(machine).collect();
    let many: Vec<Value> = (0..65).map(machine).collect();
    let index = making.index(&few);
    let deep = (0..4).fold(index, |index, _| making.index(&[index]));
    let (few, many) = (Making(making.0.clone()).layout(&few), Making(making.0.clone()).layout(&many));
    assert_eq!(each(&few, None), Ok(vec!["/a".to_owned()]));
    assert!(each(&many, None).unwrap_err().contains("for 65 machines, more than the limit of 64"));
    assert_eq!(["m0", "m64"].map(|machine| choose(&many, None, machine)), ["/a", "/a"]);
    assert!(choose(&making.layout(&[deep]), None, "m1").contains("nested too deeply"));
    let mut making = Making::default();
    let machines: Vec<Value> = (0..65).map(|at| on(making.image(&format!("f{at}"), "x"), &format!("m{at}"))).collect();
    assert_eq!(choose(&making.layout(&machines), None, "m7"), "/f7");
}

#[test]
fn layers_have_limits_for_all_images_together() {
    let mut making = Making::default();
    let layer = making.blob("layer", vec![0; 1024]);
    let config = making.blob("config", json!({"os": "l", "architecture": "a"}).to_string().into_bytes());
    let manifest = json!({"config": config, "layers": vec![layer; 1025]}).to_string().into_bytes();
    let manifest = making.blob("manifest", manifest);
    let said = choose(&making.layout(&[manifest]), None, "");
    assert!(said.contains("more than 1024 layers"), "{said}");

    let mut budget = Budget::default();
    budget.begin_image();
    budget.count("a", 1 << 20, 256 << 20).unwrap();
    budget.begin_image();
    assert_eq!(budget.limits().output, 16 << 30);
    let said = budget.count("a", 1 << 20, 512 << 20).unwrap_err().to_string();
    assert!(said.contains("bomb"), "{said}");
    budget.count("b", 10 << 20, 256 << 20).unwrap();
    assert_eq!(budget.limits().output, (16 << 30) - (768 << 20));
}

#[test]
fn a_name_follows_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.tar", "b:c.tar", "layout/index.json"] {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    for (text, archive, image) in [
        ("a.tar", "a.tar", None),
        ("a.tar:team/app:1.0", "a.tar", Some("team/app:1.0")),
        ("layout:1.0", "layout", Some("1.0")),
        ("b:c.tar", "b:c.tar", None),
        ("b:c.tar:x", "b:c.tar", Some("x")),
        ("none.tar:x", "none.tar:x", None),
        ("a.tar:", "a.tar:", None),
    ] {
        let (found, name) = archive_and_image(&directory.path().join(text));
        assert_eq!((found, name.as_deref()), (directory.path().join(archive), image), "{text}");
    }
}

#[test]
fn what_is_not_there_is_no_fault_of_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let class = |name: &str| Images::open(&directory.path().join(name), &store).err().map(|error| error.class());
    assert_eq!(class("none.tar"), Some(Class::Usage));
}
