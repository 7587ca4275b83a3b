//! The Buildroot backend: a root that Buildroot compiles from sources, for a board's defconfig or one's own.
//!
//! `project` is what is to be built: `sources` are the trees that it comes from, `wanted` and `config` say what is wanted and see what kconfig
//! dropped, `make` runs the build in an output directory (`out`), `output` takes the root in. Each configuration builds in a directory of its
//! own, since Buildroot leaves in a root what an earlier configuration put there.
//!
//! ```
//! use minimg_backend::{Backend, Settings};
//! use minimg_buildroot::Buildroot;
//!
//! let tree = &Buildroot.survey(&Settings::default())[0];
//! assert_eq!(tree.found, None);
//! assert!(tree.remedy.contains("MINIMG_BUILDROOT_DIR"));
//! ```

mod changes;
mod config;
mod error;
mod make;
mod options;
mod out;
mod output;
mod project;
mod sources;

use std::time::Duration;

pub use error::BuildrootError;
use options::Options;
use project::Project;
use sources::{Sources, is_tree};

use minimg_backend::{Backend, Context, Part, Pins, Produced, Request, Settings, driven, fixed};
use minimg_base::error::Result;
use minimg_sandbox::tool::Need;

/// The backend's name, under which a profile has its options.
const NAME: &str = "buildroot";
/// Raised when the same request would give another tree than before.
const VERSION: u32 = 2;
/// Names the tree for those who do not want it in their configuration.
pub const VARIABLE: &str = "MINIMG_BUILDROOT_DIR";

const MAKE: Need = Need { programs: &["make"], package: "make" };
/// What Buildroot does not begin without, whatever it builds (its `support/dependencies/dependencies.sh`).
const OTHERS: [Need; 12] = [
    Need { programs: &["gcc"], package: "build-essential" },
    Need { programs: &["g++"], package: "build-essential" },
    Need { programs: &["bash"], package: "bash" },
    Need { programs: &["bc"], package: "bc" },
    Need { programs: &["cpio"], package: "cpio" },
    Need { programs: &["file"], package: "file" },
    Need { programs: &["patch"], package: "patch" },
    Need { programs: &["perl"], package: "perl" },
    Need { programs: &["rsync"], package: "rsync" },
    Need { programs: &["tar"], package: "tar" },
    Need { programs: &["unzip"], package: "unzip" },
    Need { programs: &["wget"], package: "wget" },
];

/// The Buildroot backend.
#[derive(Debug, Clone, Copy)]
pub struct Buildroot;

impl Backend for Buildroot {
    fn name(&self) -> &str {
        NAME
    }

    fn description(&self) -> &str {
        "a root file system that Buildroot compiles from sources, in your own Buildroot tree"
    }

    fn family(&self) -> &str {
        NAME
    }

    fn works_without_packages(&self) -> bool {
        // A defconfig names packages.
        true
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let tree = Options::read(&minimg_backend::Source::default(), settings).ok().and_then(|options| options.tree);
        let found = tree.filter(|tree| is_tree(tree)).map(|tree| tree.display().to_string());
        let remedy = BuildrootError::NoTree.to_string();
        let tree = Part { name: "Buildroot's tree".into(), found, needed: true, remedy };
        let tools = [MAKE].iter().chain(&OTHERS).map(|need| need.survey(&settings.path)).collect::<Vec<_>>();
        [vec![tree], tools].concat()
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        let options = Options::read(&request.source, &context.settings)?;
        let tree = options.tree.clone().ok_or(BuildrootError::NoTree)?;
        if !is_tree(&tree) {
            return Err(BuildrootError::NotATree { path: tree }.into());
        }
        let sources = Sources { tree: &tree, external: &options.external };
        let project = Project::new(request, &options, sources, context)?;
        // What the trees and the configuration are is in the key: nothing gets older.
        let pins = driven::remembered(NAME, &project.key, Duration::MAX, context, || project.build(context))?;
        if let Some(wanted) = options.legal_info.as_ref().filter(|path| !path.exists()) {
            project.keep_legal_info(wanted, context)?;
        }
        Ok(pins)
    }

    fn produce(&self, _: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        fixed::produce(pins, context)
    }
}
