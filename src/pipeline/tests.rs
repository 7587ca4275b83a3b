//! Tests of what is said of a built image.

use super::*;
use minimg_board::Boards;

fn built(sizes: &[u64]) -> Built {
    let digest = Digest::of("");
    let layer = |size: &u64| Layer {
        diff_id: digest,
        diff_size: 0,
        compression: Compression::Gzip,
        digest,
        size: *size,
        files: 0,
        created_by: String::new(),
    };
    let image = Image {
        reference: "small:latest".into(),
        platform: Boards::built_in().get("amd64").unwrap().platform,
        config: Config::default(),
        layers: sizes.iter().map(layer).collect(),
        created: 0,
        annotations: BTreeMap::new(),
    };
    Built { image, recipe: digest, reused: false, findings: Vec::new(), locked: false }
}

#[test]
fn all_layers_together_count_against_the_budget() {
    let board = |size_budget| Board { size_budget, ..Boards::built_in().get("amd64").unwrap() };
    assert_eq!(built(&[60, 50]).over_budget(&board(Some(100))), Some(10));
    assert_eq!(built(&[60, 40]).over_budget(&board(Some(100))), None);
    assert_eq!(built(&[60, 50]).over_budget(&board(None)), None);
}
