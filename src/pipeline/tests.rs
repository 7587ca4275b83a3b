//! Tests of what is said of a built image.

use std::sync::Arc;

use super::*;
use crate::Builder;
use minimg_base::cancel::Cancellation;
use minimg_base::report::Reporter;
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

/// Cancels as soon as this phase begins.
struct CancelAt(Phase, Cancellation);

impl Reporter for CancelAt {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Phase(phase) if phase == self.0) {
            self.1.cancel();
        }
    }
}

#[test]
fn a_cancelled_build_ends_at_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("srv")).unwrap();
    let text = format!(
        "backend = 'tarball'\nsource.options.tarball.root = '{}'\nkeep.globs.'/srv' = 'what it serves'\n",
        root.display()
    );
    let builder = Builder::from_text("hello", text).board_named("amd64").unwrap();
    let context = Context::new(Store::open(&directory.path().join("store")).unwrap()).with_offline(true);

    for phase in [Phase::Resolve, Phase::FetchAndUnpack, Phase::Prune] {
        let token = Cancellation::new();
        let reporter = Arc::new(CancelAt(phase, token.clone()));
        let context = context.clone().with_cancellation(token).with_reporter(reporter);
        let error = builder.build(&context).unwrap_err();
        assert_eq!(error.inner().downcast_ref(), Some(&Cancelled), "{phase:?}: {error}");
    }
    // Nothing half done is in the way of the next build, which is not cancelled.
    assert!(!builder.build(&context).unwrap()[0].reused);
}
