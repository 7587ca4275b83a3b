//! Archives of Debian packages: from a request to exact packages, and from those to verified files in the store.
//!
//! `plan` says which suites are read from where; `signed` gets their Release files and checks signatures; `indexes` gets the lists of packages
//! into a compact form in the store (`packages` reads, `index` stores); `universe` joins them, and `solve` chooses.
//!
//! ```
//! use minimg_apt::sources;
//!
//! let line = "deb [arch=arm64] https://deb.example/debian trixie main contrib";
//! let entries = sources::parse(line)?;
//! assert_eq!(entries[0].suites, ["trixie"]);
//! assert_eq!(entries[0].components, ["main", "contrib"]);
//! assert_eq!(entries[0].architectures, ["arm64"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod apt;
mod error;
mod explain;
mod index;
mod indexes;
mod item;
mod keyring;
mod locate;
mod packages;
mod plan;
mod provider;
mod read_ahead;
mod reading;
mod relation;
mod release;
mod signed;
mod solve;
pub mod sources;
mod speculation;
mod sum;
mod universe;

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::AtomicU64;

pub use error::ArchiveError;
pub use locate::locate;
pub use plan::mirrors;

use index::Package;
use indexes::IndexFile;
use item::Item;
use minimg_backend::{Archive, Context, PinnedPackage, Pins, Request};
use minimg_base::error::Result;
use minimg_base::threads::in_parallel;
use minimg_fetch::{self as fetch, Fetcher};
use minimg_openpgp::Keyring;
use plan::Suite;
use release::Release;
use speculation::Early;
use universe::{Candidate, Indexed, Universe};

/// Reads a whole `Packages` file and returns how many names it has packages for, provided ones included.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_packages(text: &[u8]) -> Result<usize, String> {
    match packages::read(text, &AtomicU64::new(text.len() as u64)) {
        Ok(builder) => Ok(builder.names()),
        Err(packages::PackagesError::Io(error)) => Err(error.to_string()),
        Err(packages::PackagesError::Malformed(message)) => Err(message),
    }
}

/// Reads a Release file and returns how many package lists it names. It does not look at signatures.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_release(text: &[u8]) -> Result<usize, String> {
    Release::parse(text).map(|release| release.packages.len())
}

/// Reads a keyring, and the same bytes as what its keys may have signed; returns how many certificates it has.
pub fn check_openpgp(data: &[u8]) -> usize {
    let keyring = Keyring::new(vec![data.to_vec()], Vec::new());
    // Nobody has signed it; what counts is that this is found out.
    let _ = (keyring.verify_inline(data), keyring.verify_detached(data, data));
    keyring.count()
}

/// Chooses the packages of a request. Asks the mirrors whether their indexes have changed, unless the context is offline.
///
/// # Errors
/// When no mirror is known, an index cannot be had or trusted, or the request cannot be satisfied; see [`ArchiveError`].
pub fn resolve(request: &Request, context: &Context) -> Result<Pins> {
    Ok(resolve_request(request, None, context)?)
}

/// Like [`resolve`], for who wants the packages right afterwards: those that will most likely be chosen are fetched meanwhile, and each that
/// comes is handed to `ready`, with its file at its beginning. Some may turn out not to be chosen.
///
/// # Errors
/// Like [`resolve`].
pub fn resolve_and_begin(
    request: &Request,
    context: &Context,
    ready: impl Fn(&PinnedPackage, File) + Sync,
) -> Result<Pins> {
    Ok(resolve_request(request, Some(&ready), context)?)
}

/// Takes a package that was fetched by guess.
type Ready<'r> = &'r (dyn Fn(&PinnedPackage, File) + Sync);

fn resolve_request(request: &Request, ready: Option<Ready<'_>>, context: &Context) -> Result<Pins, ArchiveError> {
    let architecture = request.board.names.deb.as_deref();
    let architecture = architecture.ok_or_else(|| ArchiveError::Architecture { board: request.board.name.clone() })?;
    let wanted = request.packages.iter().map(|text| Item::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let foreign: BTreeSet<&str> = wanted.iter().filter_map(|item| item.architecture).collect();
    let mut architectures = vec![architecture];
    architectures.extend(foreign.into_iter().filter(|name| *name != architecture));
    let fetcher = Fetcher::new(context.clone());
    let planned = planned_suites(request, architecture, context)?;
    std::thread::scope(|scope| {
        let jobs = context.settings.jobs;
        let plan = speculation::Plan { suites: &planned, architecture, wanted: &wanted, source: &request.source, jobs };
        let early = Early::begin(scope, &plan, ready, &fetcher, context)?;
        let suites = signed_suites(&planned, &fetcher, context)?;
        let pins = choose(request, &wanted, &architectures, &suites, &early, &fetcher, context)?;
        early.settle(&pins);
        Ok(pins)
    })
}

/// The exact packages that satisfy a request.
fn choose(
    request: &Request,
    wanted: &[Item<'_>],
    architectures: &[&str],
    suites: &[(Suite, Release)],
    early: &Early,
    fetcher: &Fetcher,
    context: &Context,
) -> Result<Pins, ArchiveError> {
    let native = architectures.first().copied().unwrap_or_default();
    let lists = wanted_indexes(suites, architectures)?;
    // An index that turns out to be damaged while it is read is dropped and read again, once.
    for _ in 0..2 {
        let indexes = read_indexes(suites, &lists, early, fetcher, context)?;
        let universe = Universe::new(&indexes, native, &request.source.pins, &request.source.exclude);
        let solution = solve::solve(&universe, wanted, request.source.recommends);
        let damaged: Vec<_> = (0..indexes.len()).filter(|&i| indexes[i].index.is_damaged()).collect();
        if damaged.is_empty() {
            warn_of_idle_pins(&universe, context);
            return pins(suites, &solution.map_err(ArchiveError::Unsatisfiable)?);
        }
        for i in damaged {
            lists[i].index.forget(context)?;
        }
    }
    Err(ArchiveError::Malformed {
        what: "the store".to_owned(),
        message: "its package indexes are damaged again and again".to_owned(),
    })
}

/// Tells of pins that hold nothing, since no suite has a package of their name.
fn warn_of_idle_pins(universe: &Universe<'_>, context: &Context) {
    for name in universe.pins.keys().filter(|name| universe.find(name).is_unknown()) {
        let near = universe.nearest(name).first().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let text = format!("the pin of {name} has no effect: there is no package of that name{near}");
        context.reporter.event(minimg_base::report::Event::Warning(&text));
    }
}

/// The suites of a request, in the order of preference.
fn planned_suites(request: &Request, architecture: &str, context: &Context) -> Result<Vec<Suite>, ArchiveError> {
    let (suites, warnings) = plan::suites(&request.source, architecture, &context.settings)?;
    for warning in &warnings {
        context.reporter.event(minimg_base::report::Event::Warning(warning));
    }
    Ok(suites)
}

/// Those of the suites that are there, with their verified Release files.
fn signed_suites(
    suites: &[Suite],
    fetcher: &Fetcher,
    context: &Context,
) -> Result<Vec<(Suite, Release)>, ArchiveError> {
    let releases =
        in_parallel(suites.iter().collect(), suites.len(), |suite| signed::release(suite, fetcher, context))?;
    Ok(suites.iter().zip(releases).filter_map(|(suite, release)| Some((suite.clone(), release?))).collect())
}

/// An index that is read, and the place of its suite.
struct List<'s> {
    archive: usize,
    index: IndexFile<'s>,
}

/// The indexes of all components and architectures.
fn wanted_indexes<'s>(suites: &'s [(Suite, Release)], architectures: &[&str]) -> Result<Vec<List<'s>>, ArchiveError> {
    let mut lists = Vec::new();
    for (archive, (suite, release)) in suites.iter().enumerate() {
        let mut add = |directory: String| {
            let index = IndexFile { suite, release, directory };
            let exists = index.exists();
            if exists {
                lists.push(List { archive, index });
            }
            exists
        };
        if suite.components.is_empty() {
            add(String::new());
        }
        let read = |name: &&str| suite.architectures.is_empty() || suite.architectures.iter().any(|own| own == name);
        for component in &suite.components {
            // Security archives call their components `updates/main` in the Release file and `main` everywhere else.
            let component = component.strip_prefix("updates/").unwrap_or(component);
            let has_only_all = release.has_only_all(component);
            for architecture in architectures.iter().filter(|name| read(name)) {
                if !add(format!("{component}/binary-{architecture}/")) && !suite.optional && !has_only_all {
                    let has = [
                        format!("components {}", release.components.join(" ")),
                        format!("architectures {}", release.architectures.join(" ")),
                    ];
                    return Err(ArchiveError::NoIndex {
                        suite: suite.name.clone(),
                        address: suite.address.clone(),
                        component: component.to_owned(),
                        architecture: (*architecture).to_owned(),
                        has: has.join(" and the "),
                    });
                }
            }
            if release.separate_all || has_only_all {
                add(format!("{component}/binary-all/"));
            }
        }
    }
    Ok(lists)
}

fn read_indexes(
    suites: &[(Suite, Release)],
    lists: &[List<'_>],
    early: &Early,
    fetcher: &Fetcher,
    context: &Context,
) -> Result<Vec<Indexed>, ArchiveError> {
    let indexes = in_parallel(lists.iter().collect(), lists.len(), |list| list.index.get(early, fetcher, context))?;
    let indexed = lists.iter().zip(indexes).map(|(list, index)| {
        let names = suites.get(list.archive).map(|(suite, release)| {
            let own = [&release.codename, &release.suite].into_iter().flatten().cloned();
            own.chain([suite.name.clone()]).collect()
        });
        Indexed {
            index,
            archive: list.archive,
            suite_names: names.unwrap_or_default(),
            not_automatic: suites.get(list.archive).is_some_and(|(_, release)| release.not_automatic),
        }
    });
    Ok(indexed.collect())
}

fn pins(suites: &[(Suite, Release)], chosen: &[Candidate<'_>]) -> Result<Pins, ArchiveError> {
    let archives: Vec<_> = suites
        .iter()
        .map(|(suite, release)| Archive {
            name: release.title(&suite.name),
            address: suite.address.clone(),
            date: release::rfc3339(release.date),
        })
        .collect();
    let packages = chosen.iter().map(|candidate| {
        let pinned = pinned(&candidate.package, candidate.archive);
        pinned.ok_or_else(|| ArchiveError::Unverifiable { package: candidate.to_string() })
    });
    let epoch = suites.iter().map(|(_, release)| release.date).max().unwrap_or_default();
    Ok(Pins { archives, packages: packages.collect::<Result<_, _>>()?, epoch, root: None })
}

/// A package as it is pinned; `None` for one without a digest.
fn pinned(package: &Package<'_>, archive: usize) -> Option<PinnedPackage> {
    (package.sha256 != [0; 32]).then(|| PinnedPackage {
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        architecture: package.architecture.to_owned(),
        archive,
        path: package.filename.trim_start_matches("./").to_owned(),
        size: package.size,
        sha256: package.sha256.into(),
    })
}

/// The file of a package of the archive at this address, as it is fetched.
fn file_of(package: &PinnedPackage, address: &str) -> fetch::RemoteFile {
    fetch::RemoteFile {
        name: format!("{} {}", package.name, package.version),
        // A percent sign in a path is part of a file's name, not of the address.
        url: format!("{address}/{}", package.path.replace('%', "%25")),
        size: package.size,
        sha256: package.sha256,
    }
}

/// Makes sure that every package is in the store, verified, and hands each to `consume` as soon as it is there, the largest first: its place in
/// [`Pins::packages`], and the file at its beginning. Up to eight are fetched at once; `consume` runs on up to two threads.
///
/// # Errors
/// When a package cannot be had or is not what was pinned, and the first error of `consume`.
pub fn fetch_packages(
    pins: &Pins,
    context: &Context,
    consume: impl Fn(usize, &PinnedPackage, File) -> Result<()> + Sync,
) -> Result<()> {
    let wanted = pins.packages.iter().map(|package| {
        let address = pins.archives.get(package.archive).map_or("", |archive| archive.address.as_str());
        file_of(package, address)
    });
    let wanted: Vec<_> = wanted.collect();
    Fetcher::new(context.clone()).blobs(&wanted, |i, file| consume(i, &pins.packages[i], file))
}
