//! Selects the profile, the boards and the backend: the arguments that several verbs share.

use std::path::PathBuf;
use std::sync::Arc;

use minimg::backend::Context;
use minimg::backends::{self, Chosen, tarball};
use minimg::board::{Board, Boards};
use minimg::error::{Class, Error};
use minimg::lock::Lock;
use minimg::profile::{Catalogue, Definition, Profile, Rules};
use minimg::report::{Event, Reporter};

use super::Session;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    /// The profile: a name shown by `minimg list`, or the path of a file
    #[arg(value_name = "PROFILE")]
    profile: String,
    /// The target boards: comma-separated names, or `all` [default: this machine's board]
    #[arg(long, short, value_name = "BOARD", value_delimiter = ',')]
    board: Vec<String>,
    /// The release of the distribution; overrides the profile
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// The additional suites to search, instead of the distribution's defaults: comma-separated names, or `none`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    extra_suites: Vec<String>,
    /// The backend that makes the root tree; overrides the profile
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// The root file system to use instead of the profile's packages: a tar, a directory, an image archive or layout
    /// (`archive.tar:NAME` of several images),
    /// `docker:NAME`, `podman:NAME`; selects the backend `tarball`
    #[arg(long, value_name = "SOURCE")]
    root: Option<String>,
    /// The mirror to fetch packages from; overrides the configuration
    #[arg(long, value_name = "URL", env = "MINIMG_MIRROR", hide_env_values = true)]
    mirror: Option<String>,
    /// The mirror to fetch security updates from; overrides the configuration
    #[arg(long, value_name = "URL", env = "MINIMG_SECURITY_MIRROR", hide_env_values = true)]
    security_mirror: Option<String>,
    /// The keyring to check signatures against, instead of the distribution's
    #[arg(long, value_name = "FILE", env = "MINIMG_KEYRING", value_parser = super::any_path())]
    keyring: Option<PathBuf>,
    /// Also install recommended packages
    #[arg(long)]
    recommends: bool,
    /// Accept expired package indexes
    #[arg(long)]
    allow_expired: bool,
    /// Accept package indexes that name another suite
    #[arg(long)]
    allow_other_suite: bool,
}

/// Where a profile was found, which determines the place of its lock.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// By name: the lock is in the current directory.
    Name(String),
    /// In a file: the lock is beside it.
    File(PathBuf),
}

/// The selection that the arguments describe.
pub(super) struct Selected {
    /// The profile as it is for the first board.
    pub(super) profile: Profile,
    pub(super) boards: Vec<Board>,
    pub(super) backend: Chosen,
    pub(super) origin: Origin,
    definition: Definition,
    selection: Selection,
    on_own_board: bool,
}

impl Selection {
    /// The profile's name or path as it was given.
    pub(super) fn profile_argument(&self) -> &str {
        &self.profile
    }

    /// The same for the profile and the board that a build record names.
    pub(super) fn of_record(mut self, profile: &str, board: &str) -> Self {
        self.profile = profile.to_owned();
        self.board = vec![board.to_owned()];
        self
    }

    /// Whether all boards were asked for, so that those which the suite does not serve are left out.
    pub(super) fn is_all_boards(&self) -> bool {
        self.board == ["all"]
    }

    /// The one board that was named, if it was one.
    pub(super) fn single_board(&self) -> Option<&str> {
        match self.board.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    pub(super) fn select(self, session: &Session) -> anyhow::Result<Selected> {
        let boards = self.boards(session)?;
        let own = boards.iter().map(|board| board.name.clone());
        let root = self.root.as_ref().map(|_| tarball::NAME);
        let chosen = self.backend.as_deref().or(root);
        let definition = catalogue(session)?.with_boards(own).get(&self.profile)?.with_backend(chosen);
        let profile = self.apply(definition.profile(self.suite.as_deref(), boards.first()));
        let backend = backends::named(&profile.backend, &session.user.library)?;
        let is_file = self.profile.contains('/') || self.profile.ends_with(".toml");
        let origin =
            if is_file { Origin::File(PathBuf::from(&self.profile)) } else { Origin::Name(self.profile.clone()) };
        let own_board = self::boards(session)?.host().ok();
        let on_own_board = boards.len() > 1 || boards.first() == own_board.as_ref();
        Ok(Selected { profile, boards, backend, origin, definition, selection: self, on_own_board })
    }

    fn boards(&self, session: &Session) -> anyhow::Result<Vec<Board>> {
        let known = boards(session)?;
        let names: Vec<String> = match self.board.as_slice() {
            [] => return Ok(vec![known.host()?]),
            [all] if all == "all" => generic(&known)?,
            names => names.to_vec(),
        };
        let mut boards: Vec<Board> = Vec::new();
        for name in names {
            let board = known.get(&name)?;
            if !boards.contains(&board) {
                boards.push(board);
            }
        }
        Ok(boards)
    }

    /// What the command line says in place of the profile.
    fn apply(&self, mut profile: Profile) -> Profile {
        if let Some(root) = &self.root {
            tarball::set_root(&mut profile.source, root);
        }
        let source = &mut profile.source;
        // A variable that is empty counts as one that is not set.
        let named = |mirror: &Option<String>| mirror.clone().filter(|mirror| !mirror.is_empty());
        source.mirror = named(&self.mirror).or(source.mirror.take());
        source.security_mirror = named(&self.security_mirror).or(source.security_mirror.take());
        source.keyring = self.keyring.clone().filter(|file| !file.as_os_str().is_empty()).or(source.keyring.take());
        if !self.extra_suites.is_empty() {
            source.extra_suites = Some(self.extra_suites.iter().filter(|name| *name != "none").cloned().collect());
        }
        source.recommends |= self.recommends;
        source.allow_expired |= self.allow_expired;
        source.allow_other_suite |= self.allow_other_suite;
        profile
    }
}

impl Selected {
    /// The profile as it is for one of the boards.
    pub(super) fn profile_for(&self, board: &Board) -> Profile {
        self.selection.apply(self.definition.profile(self.selection.suite.as_deref(), Some(board)))
    }

    /// Runs something for every board. Of `--board all` those that the suite does not serve are left out, with a warning.
    pub(super) fn for_each_board<T>(
        &self,
        context: &Context,
        mut run: impl FnMut(&Context, &Board, &Profile) -> minimg::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let mut results = Vec::new();
        for board in &self.boards {
            let of_board = match self.boards.len() {
                1 => context.clone(),
                _ => context.clone().with_reporter(OfBoard::new(context, board)),
            };
            match run(&of_board, board, &self.profile_for(board)) {
                Ok(result) => results.push(result),
                Err(error) if self.selection.is_all_boards() && error.class() == Class::Unsatisfiable => {
                    context.reporter.event(Event::Warning(&format!("{} is left out: {error}", board.name)));
                }
                Err(error) => return Err(anyhow::Error::from(error).context(format!("board {}", board.name))),
            }
        }
        if results.is_empty() {
            return Err(Error::new(Class::Unsatisfiable, "none of the boards can be built").into());
        }
        Ok(results)
    }

    /// The name of the one board when it is not this machine's own.
    pub(super) fn foreign_board(&self) -> Option<&str> {
        if self.on_own_board { None } else { self.boards.first().map(|board| board.name.as_str()) }
    }
}

/// Says for which of several boards something had to be made.
struct OfBoard {
    inner: Arc<dyn Reporter>,
    board: String,
}

impl OfBoard {
    fn new(context: &Context, board: &Board) -> Arc<Self> {
        Arc::new(Self { inner: context.reporter.clone(), board: board.name.clone() })
    }
}

impl Reporter for OfBoard {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Missed { what, why } => {
                let what = format!("{what} for {}", self.board);
                self.inner.event(Event::Missed { what: &what, why });
            }
            _ => self.inner.event(event),
        }
    }
}

/// The generic boards, one for each architecture: what `all` means.
fn generic(known: &Boards) -> anyhow::Result<Vec<String>> {
    let mut generic = Vec::new();
    for name in known.names() {
        let board = known.get(name)?;
        if board.names.deb.as_deref() == Some(name) {
            generic.push(name.to_owned());
        }
    }
    Ok(generic)
}

/// Where the lock of a profile is, or would be.
pub(super) fn lock_file(origin: &Origin) -> PathBuf {
    match origin {
        Origin::Name(name) => PathBuf::from(format!("{name}.lock")),
        Origin::File(path) => path.with_extension("lock"),
    }
}

/// The lock of a profile, where there is one.
pub(super) fn read_lock(origin: &Origin) -> anyhow::Result<Option<Lock>> {
    Ok(Lock::read(&lock_file(origin)).map_err(Error::from)?)
}

/// The profiles in the binary and in the user's directories.
pub(super) fn catalogue(session: &Session) -> anyhow::Result<Catalogue> {
    let directories = &session.user.profiles;
    let known = Catalogue::built_in()
        .with_boards(boards(session)?.names().map(str::to_owned))
        .with_settings(&session.user.library)
        .with_rules(rules(session)?);
    Ok(directories.iter().try_fold(known, |all, directory| all.with_directory(directory))?)
}

/// The boards in the binary and in the user's directories.
pub(super) fn boards(session: &Session) -> anyhow::Result<Boards> {
    let directories = &session.user.boards;
    Ok(directories.iter().try_fold(Boards::built_in(), |all, directory| all.with_directory(directory))?)
}

/// The rule sets in the binary and in the user's directories.
pub(super) fn rules(session: &Session) -> anyhow::Result<Rules> {
    let directories = &session.user.rules;
    let all = directories.iter().try_fold(Rules::built_in(), |all, directory| all.with_directory(directory));
    Ok(all.map_err(Error::from)?)
}
