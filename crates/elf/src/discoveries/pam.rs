//! PAM: the service of a program, and the files and modules that services use (pam.conf(5)).

use std::io;

use super::Discovery;
use crate::closure::Why;
use crate::context::Context;
use crate::finding::Severity;
use crate::loader::Process;
use minimg_tree::{Root, RootPath};

/// Where services are, the machine's own first.
const SERVICES: [&str; 2] = ["/etc/pam.d/", "/usr/lib/pam.d/"];

/// Keeps the services of programs that are linked with libpam, and what kept services name.
pub(super) struct Pam;

impl<R: Root + ?Sized> Discovery<R> for Pam {
    /// The service of a program that was started with libpam, and the one that stands in for services without a file.
    fn program(&mut self, context: &mut Context<'_, R>, process: &Process) -> io::Result<()> {
        if process.named(b"libpam.so.0").is_none() {
            return Ok(());
        }
        let program = &process.loaded[0].place.path;
        for service in [program.file_name(), b"other"] {
            for directory in SERVICES {
                if let Some(place) = context.view().file(&[directory.as_bytes(), service].concat())? {
                    let why = Why::Opened(format!("{program} was linked with libpam, which reads it"));
                    context.keep_place(&place, why, Some(program));
                    break;
                }
            }
        }
        Ok(())
    }

    fn reads(&self, path: &RootPath) -> bool {
        is_table(path)
            || path.parent().is_some_and(|parent| matches!(parent.as_bytes(), b"etc/pam.d" | b"usr/lib/pam.d"))
    }

    fn text(&mut self, context: &mut Context<'_, R>, path: &RootPath, text: &str) -> io::Result<()> {
        let libraries: Vec<RootPath> =
            context.ledger().paths().filter(|kept| kept.file_name().starts_with(b"libpam.so.")).cloned().collect();
        // Nobody reads the file without the library.
        if libraries.is_empty() {
            return Ok(());
        }
        let beside = libraries.iter().filter_map(RootPath::parent).map(|parent| format!("{parent}/security/"));
        let modules: Vec<String> = beside.chain(["/lib/security/", "/usr/lib/security/"].map(str::to_owned)).collect();
        let services = SERVICES.map(str::to_owned);
        for line in parse(text, is_table(path)) {
            let (name, directories, optional, what) = match line {
                Line::Include(name) => (name, &services[..], false, "file"),
                Line::Module { name, optional } => (name, &modules[..], optional, "module"),
            };
            let found = context.keep_named(&name, directories, path, &format!("{path} names this {what} of PAM"))?;
            if found && name.ends_with("pam_unix.so") {
                keep_helper(context, path)?;
            }
            if !found && !optional {
                let text = format!("it names the {what} {name}, which the tree does not have: PAM refuses the service");
                context.find(Severity::Warning, path, text);
            }
        }
        Ok(())
    }
}

fn keep_helper<R: Root + ?Sized>(context: &mut Context<'_, R>, service: &RootPath) -> io::Result<()> {
    let directories = ["/usr/sbin/", "/sbin/"].map(str::to_owned);
    let why = "pam_unix.so runs it for users who may not read /etc/shadow";
    context.keep_named("unix_chkpwd", &directories, service, why).map(drop)
}

/// `/etc/pam.conf`, in which each line begins with the name of its service.
fn is_table(path: &RootPath) -> bool {
    path.as_bytes() == b"etc/pam.conf"
}

/// What a line of a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// Another file: `@include`, `include`, `substack`.
    Include(String),
    /// A module; an optional one (a leading `-`) may be absent.
    Module {
        /// Its file name, or its path.
        name: String,
        /// Whether nothing is said when it is not there.
        optional: bool,
    },
}

/// The lines of a service's file. In `/etc/pam.conf` each begins with the name of its service.
fn parse(text: &str, has_service: bool) -> Vec<Line> {
    let joined = text.replace("\\\n", " ");
    joined.lines().filter_map(|line| parse_line(line.split('#').next().unwrap_or_default(), has_service)).collect()
}

fn parse_line(line: &str, has_service: bool) -> Option<Line> {
    let mut words = words(line).into_iter().skip(usize::from(has_service));
    let kind = words.next()?;
    if kind == "@include" {
        return words.next().map(|name| Line::Include(name.to_owned()));
    }
    let optional = kind.starts_with('-');
    if !matches!(kind.trim_start_matches('-'), "auth" | "account" | "password" | "session") {
        return None;
    }
    let control = words.next()?;
    let name = words.next()?.to_owned();
    Some(match control {
        "include" | "substack" => Line::Include(name),
        _ => Line::Module { name, optional },
    })
}

/// Words; what stands in brackets is one.
fn words(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('[').and_then(|inner| inner.find(']')) {
            Some(close) => close + 2,
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a file holds, its reader comes back.
        #[test]
        fn any_text(text in "(\\PC|[\\[\\]#@=\n\t -]|auth|include){0,80}", has_service in any::<bool>()) {
            parse(&text, has_service);
        }
    }

    #[test]
    fn lines_of_a_service() {
        let text = "# PAM\nauth [success=1 default=ignore] pam_unix.so nullok\n@include common-auth\n-session optional \\\n pam_systemd.so\n\
                    account substack other\npassword include /etc/pam.d/more # x\nnonsense x y\nauth required\n";
        let module = |name: &str, optional| Line::Module { name: name.to_owned(), optional };
        let include = |name: &str| Line::Include(name.to_owned());
        let expected = [
            module("pam_unix.so", false),
            include("common-auth"),
            module("pam_systemd.so", true),
            include("other"),
            include("/etc/pam.d/more"),
        ];
        assert_eq!(parse(text, false), expected);
        assert_eq!(parse("su auth required pam_rootok.so\n", true), [module("pam_rootok.so", false)]);
    }
}
