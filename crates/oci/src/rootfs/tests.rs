use std::collections::BTreeMap;

use super::overlay::tests::tree;
use super::*;
use minimg_base::digest::Digest;

/// The configuration of an image of layers with these digests.
fn configuration(diff_ids: &[Digest]) -> Vec<u8> {
    let rootfs = crate::document::LayerIds::new(diff_ids.iter().copied());
    let config =
        serde_json::json!({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["x"]}, "rootfs": rootfs});
    config.to_string().into_bytes()
}

/// The files of a docker-archive of these layers, whose configuration names these digests.
fn docker_archive(layers: &[Vec<u8>], diff_ids: &[Digest]) -> BTreeMap<String, Vec<u8>> {
    let names: Vec<String> = (1..=layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": names}]);
    let documents = [("manifest.json", manifest.to_string().into_bytes()), ("c.json", configuration(diff_ids))];
    let documents = documents.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    documents.chain(names.into_iter().zip(layers.iter().cloned())).collect()
}

/// The files of a layout of these layers, whose configuration names these digests.
fn layout_of(layers: &[Vec<u8>], diff_ids: &[Digest]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        files.insert(format!("blobs/sha256/{}", digest.hex()), bytes.to_vec());
        format!(r#"{{"mediaType":"x","digest":"{digest}","size":{}}}"#, bytes.len())
    };
    let layers = layers.iter().map(|layer| blob(layer)).collect::<Vec<_>>().join(",");
    let config = blob(&configuration(diff_ids));
    let manifest = blob(format!(r#"{{"config":{config},"layers":[{layers}]}}"#).as_bytes());
    files.insert("index.json".into(), format!(r#"{{"manifests":[{manifest}]}}"#).into_bytes());
    files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files
}

/// The files of a layout with one empty layer, to be spoilt.
fn layout() -> BTreeMap<String, Vec<u8>> {
    layout_of(&[vec![0; 1024]], &[Digest::of([0; 1024])])
}

fn opened(files: &BTreeMap<String, Vec<u8>>) -> Result<Rootfs, String> {
    try_open(files).map_err(|error| error.to_string())
}

fn try_open(files: &BTreeMap<String, Vec<u8>>) -> Result<Rootfs, RootfsError> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("layout");
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let store = Store::open(&directory.path().join("store")).unwrap();
    open(&root, None, &store)
}

/// The layers, the digests that the configuration names, and what is said of them.
type Case<'a> = (Vec<Vec<u8>>, Vec<Digest>, Option<&'a str>);

#[test]
fn the_layers_must_be_those_that_the_configuration_names() {
    let tar = |name: &str| {
        let mut bytes = Vec::new();
        crate::layer::write_tar_to(&tree(&[name]), 0, &mut bytes).unwrap();
        bytes
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    // What follows the end mark belongs to the digest.
    let trailed = |name: &str| [tar(name), b"more".to_vec()].concat();
    let [a, b, other] = ["a", "b", "other"].map(|name| Digest::of(tar(name)));
    let plain = || vec![tar("a"), tar("b")];
    let packed = || plain().iter().map(|layer| gzip(layer)).collect::<Vec<_>>();
    // Without its end mark, and without what fills the last block.
    let cut = |length: usize| tar("a")[..length].to_vec();
    let padded = |layer: &[u8]| [gzip(layer), vec![0; 512]].concat();
    let cases: [Case; 18] = [
        (plain(), vec![a, b], None),
        (packed(), vec![a, b], None),
        (vec![tar("a"), tar("a")], vec![a, a], None),
        (vec![trailed("a")], vec![Digest::of(trailed("a"))], None),
        (vec![gzip(&trailed("a"))], vec![Digest::of(trailed("a"))], None),
        (vec![cut(1024), Vec::new()], vec![Digest::of(cut(1024)), Digest::of("")], None),
        (vec![cut(513), gzip(&[])], vec![Digest::of(cut(513)), Digest::of("")], None),
        (vec![padded(&tar("a"))], vec![a], None),
        (vec![padded(&cut(1024))], vec![Digest::of(cut(1024))], None),
        (vec![cut(1024)], vec![a], Some("layer 1 of")),
        (vec![tar("a"), Vec::new()], vec![a, b], Some("layer 2 of")),
        (vec![trailed("a")], vec![a], Some("layer 1 of")),
        (plain(), vec![a, other], Some("layer 2 of")),
        (packed(), vec![a, Digest::of(gzip(&tar("b")))], Some("layer 2 of")),
        (plain(), vec![b, a], Some("layer 1 of")),
        (plain(), vec![a], Some("has 2 layers instead of the 1 ")),
        (plain(), vec![a, b, other], Some("has 2 layers instead of the 3 ")),
        (plain(), vec![], Some("has 2 layers instead of the 0 ")),
    ];
    for (layers, diff_ids, wrong) in cases {
        let image = Digest::of(configuration(&diff_ids)).to_string();
        for files in [docker_archive(&layers, &diff_ids), layout_of(&layers, &diff_ids)] {
            match (try_open(&files), wrong) {
                (Ok(rootfs), None) => assert!(rootfs.tree.contains(&RootPath::new("a").unwrap())),
                (Err(error), Some(wrong)) => {
                    let said = error.to_string();
                    assert!(said.contains(wrong) && said.contains(&image), "{wrong}: {said}");
                    assert_eq!(error.class(), minimg_base::error::Class::Verification, "{said}");
                }
                (result, wrong) => panic!("{wrong:?} expected: {:?}", result.map(|rootfs| rootfs.tree.len())),
            }
        }
    }
}

/// Spoils a layout.
type Spoil = fn(&mut BTreeMap<String, Vec<u8>>);

#[test]
fn half_a_layout_is_an_error_and_no_root() {
    assert!(opened(&layout()).unwrap().config.is_some());
    let cases: [(&str, Spoil); 7] = [
        ("the image is incomplete: it has no blobs", |files| files.retain(|name, _| !name.starts_with("blobs"))),
        ("it has no index.json", |files| _ = files.remove("index.json")),
        ("it has no oci-layout", |files| _ = files.remove("oci-layout")),
        ("it has no oci-layout", |files| files.retain(|name, _| name.starts_with("blobs"))),
        ("knows 1.0.0", |files| _ = files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec())),
        ("oci-layout is malformed", |files| _ = files.insert("oci-layout".into(), b"{}".to_vec())),
        ("bytes instead of 9", |files| {
            let index = String::from_utf8(files["index.json"].clone()).unwrap();
            let (before, _) = index.split_once("\"size\":").unwrap();
            files.insert("index.json".into(), format!("{before}\"size\":9}}]}}").into_bytes());
        }),
    ];
    for (wrong, spoil) in cases {
        let mut files = layout();
        spoil(&mut files);
        let error = opened(&files).map(drop).unwrap_err();
        assert!(error.contains(wrong), "{wrong}: {error}");
    }
    let mut root = layout();
    root.remove("oci-layout");
    root.insert("etc/passwd".into(), Vec::new());
    assert!(opened(&root).unwrap().config.is_none(), "a root that happens to have such files");
}

#[test]
fn of_an_index_the_best_that_fits_is_taken() {
    let (amd64, arm) = (["linux", "amd64", ""], ["linux", "arm", "v7"]);
    let (windows, newer) = (["windows", "amd64", ""], ["linux", "amd64", "v3"]);
    for (there, wanted, expected) in [
        (&[windows, amd64][..], amd64, Some(1)),
        (&[newer, amd64], amd64, Some(1)),
        (&[newer], amd64, Some(0)),
        (&[amd64, newer], newer, Some(1)),
        (&[["linux", "arm", "v6"], arm], arm, Some(1)),
        (&[["linux", "arm", ""]], arm, Some(0)),
        (&[windows, arm], amd64, None),
        (&[], amd64, None),
    ] {
        let platform = |[os, architecture, variant]: [&str; 3]| {
            let variant = Some(variant.to_owned()).filter(|variant| !variant.is_empty());
            Platform { os: os.into(), architecture: architecture.into(), variant }
        };
        let digest = |at: usize| Digest::of(at.to_string());
        let manifests = there.iter().enumerate().map(
            |(at, there)| serde_json::json!({"digest": digest(at).to_string(), "size": 1, "platform": platform(*there)}),
        );
        let index = serde_json::json!({"manifests": manifests.collect::<Vec<_>>()}).to_string();
        let found = leads("index", index.as_bytes(), Some(&platform(wanted)));
        let expected = expected.map(|at| Leads::To(Blob { digest: digest(at), size: 1 }));
        assert_eq!(found.ok(), expected, "{wanted:?} of {there:?}");
    }
}

#[test]
fn an_unpacked_docker_archive_is_an_image_and_no_root() {
    let rootfs = opened(&docker_archive(&[vec![0; 1024]], &[Digest::of([0; 1024])])).unwrap();
    assert_eq!((rootfs.config.unwrap().cmd, rootfs.tree.len()), (vec!["x".to_owned()], 0));
}

#[test]
fn what_an_archive_is_shows_in_its_names() {
    for (names, form) in [
        (&["oci-layout", "index.json", "blobs/sha256", "manifest.json"][..], Form::Layout),
        (&["manifest.json", "0.json"], Form::DockerArchive),
        (&["manifest.json", "usr"], Form::Root),
        (&["oci-layout", "usr"], Form::Root),
        (&["blobs/sha256"], Form::Layout),
        (&["hello"], Form::Root),
        (&[], Form::Root),
    ] {
        assert_eq!(Form::of(|name| names.contains(&name)), form, "{names:?}");
    }
}
