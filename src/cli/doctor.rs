//! `minimg doctor`: what works on this machine, what is missing, and the command that installs it.

use std::process::ExitCode;

use minimg::backend::{Part, Settings};
use minimg::backends::{self, Chosen, exec};
use minimg::engine::{self, Engine};
use minimg::error::Class;
use serde::Serialize;

use super::output::{harmless, print_json, say};
use super::{Session, usage};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The backends and engines to check; the exit code is 0 only if all of them work [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The findings for one backend or engine.
#[derive(Debug, Serialize)]
struct Patient {
    kind: &'static str,
    name: String,
    description: String,
    works: bool,
    parts: Vec<Part>,
}

impl Patient {
    fn new(kind: &'static str, name: &str, description: &str, parts: Vec<Part>) -> Self {
        let works = parts.iter().all(|part| part.found.is_some() || !part.needed);
        Self { kind, name: name.to_owned(), description: description.to_owned(), works, parts }
    }

    fn backend(name: &str, settings: &Settings) -> Option<Self> {
        match backends::by_name(name, settings) {
            Ok(backend) => backend.map(|backend: Chosen| {
                Self::new("backend", backend.name(), backend.description(), backend.survey(settings))
            }),
            Err(error) => {
                let (name_of_part, remedy) = ("program".to_owned(), error.to_string());
                let part = Part { name: name_of_part, found: None, needed: true, remedy };
                Some(Self::new("backend", name, "an outside program", vec![part]))
            }
        }
    }

    fn engine(name: &'static str, settings: &Settings) -> Self {
        Self::new("engine", name, "loads and runs images", Engine::survey(name, settings))
    }
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let patients = patients(&arguments.names, &session.user.library)?;
    if session.global.json {
        print_json(&patients)?;
    } else if !session.global.quiet {
        patients.iter().for_each(|patient| show(session, patient));
    }
    let is_well = arguments.names.is_empty() || patients.iter().all(|patient| patient.works);
    Ok(ExitCode::from(if is_well { 0 } else { Class::Tool.code() }))
}

fn patients(names: &[String], settings: &Settings) -> anyhow::Result<Vec<Patient>> {
    let outside = exec::names(settings);
    let table = backends::ALL.map(|backend| backend.name());
    let known: Vec<&str> = table.into_iter().chain(outside.iter().map(String::as_str)).collect();
    if names.is_empty() {
        let backends = known.iter().filter_map(|name| Patient::backend(name, settings));
        return Ok(backends.chain(engine::names().map(|name| Patient::engine(name, settings))).collect());
    }
    let find = |name: &String| {
        let engine = engine::names().find(|engine| engine == name);
        let found = engine.map(|name| Patient::engine(name, settings)).or_else(|| Patient::backend(name, settings));
        found.ok_or_else(|| {
            let engines = engine::names().map(str::to_owned);
            let all: Vec<String> = known.iter().map(|&name| name.to_owned()).chain(engines).collect();
            let help = minimg::suggest::help(name, all.iter().map(String::as_str)).unwrap_or_default();
            usage(format!("there is no backend or engine {name:?}; {help}"))
        })
    };
    names.iter().map(find).collect()
}

fn show(session: &Session, patient: &Patient) {
    let style = session.style;
    let state = if patient.works { style.good("works") } else { style.error("cannot work") };
    say!("{} {}: {state}", patient.kind, style.name(&patient.name));
    for part in &patient.parts {
        match &part.found {
            Some(found) => say!("  {}: {}", part.name, style.dim(&harmless(found))),
            None => {
                let missing = if part.needed { style.error("missing") } else { style.warning("missing, not needed") };
                say!("  {}: {missing}", part.name);
                part.remedy.lines().for_each(|line| say!("    {}", harmless(line)));
            }
        }
    }
}
