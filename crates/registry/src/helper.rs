//! Credential helpers: outside programs that keep passwords (the protocol of docker-credential-helpers). `docker-credential-NAME get`
//! reads a registry's host from standard input and writes what it knows of it as JSON.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;

use minimg_sandbox::process::{self, Command, Ended};

/// How long a helper may take: it may ask a person for the password of a keyring.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The most that a helper may write.
const LARGEST_ANSWER: u64 = 64 << 10;
/// What a helper says that has nothing for a host; it fails then as in every other case.
const NOT_FOUND: &str = "credentials not found";
/// The name in place of a user's where the secret is an identity token.
const IDENTITY_TOKEN: &str = "<token>";

/// A user of a registry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Login {
    /// The name.
    pub(crate) username: String,
    /// The password.
    pub(crate) secret: String,
}

/// The program of the helper that the configuration names.
pub(crate) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Where the helper's program is; none where it is not in `path`, or the name would lead elsewhere.
pub(crate) fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') { None } else { process::find(&program(name), path) }
}

/// Asks a helper for the user of a host; none where it knows none.
///
/// # Errors
/// Why it says nothing: never what it wrote where that may be secret.
pub(crate) fn get(program: &Path, host: &str, path: &OsStr, patience: Duration) -> Result<Option<Login>, String> {
    let command = Command {
        program: program.to_owned(),
        arguments: vec!["get".into()],
        environment: vec![("PATH".into(), Some(path.to_owned()))],
        directory: None,
        patience,
    };
    let (mut stdout, mut stderr) = (in_memory()?, in_memory()?);
    let ended = process::run_into(&command, Some(question(host)?), &stdout, &stderr, LARGEST_ANSWER);
    let answer = content(&mut stdout)?;
    match ended {
        Ok(()) => read(&answer).map(Some),
        Err(Ended::Failed(_)) if answer.contains(NOT_FOUND) => Ok(None),
        // What went wrong is told on standard output by custom.
        Err(ended @ Ended::Failed(_)) => Err(ended.explained(&command, &(answer + &content(&mut stderr)?)).to_string()),
        Err(ended) => Err(ended.explained(&command, &content(&mut stderr)?).to_string()),
    }
}

fn read(answer: &str) -> Result<Login, String> {
    // The parser's own message might repeat what is secret.
    let login: Login = serde_json::from_str(answer).map_err(|_| "its answer is malformed".to_owned())?;
    if login.username == IDENTITY_TOKEN {
        return Err("it keeps an identity token, and only a name with a password can be used".to_owned());
    }
    Ok(login)
}

fn question(host: &str) -> Result<File, String> {
    let mut file = in_memory()?;
    file.write_all(host.as_bytes()).and_then(|()| file.rewind()).map_err(|error| error.to_string())?;
    Ok(file)
}

/// A file that no disk ever has.
fn in_memory() -> Result<File, String> {
    let file = memfd_create("credentials", MemfdFlags::CLOEXEC);
    Ok(file.map_err(|error| io::Error::from(error).to_string())?.into())
}

fn content(file: &mut File) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(LARGEST_ANSWER).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Asks a helper that is this script.
    fn ask(script: &str) -> Result<Option<(String, String)>, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("docker-credential-fake");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([directory.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        assert_eq!(find("../fake", &path), None);
        let program = find("fake", &path).unwrap();
        let found = get(&program, "reg.example:5000", &path, Duration::from_millis(800))?;
        Ok(found.map(|login| (login.username, login.secret)))
    }

    #[test]
    fn a_helper_is_asked_as_docker_asks_it() {
        let script = r#"read host; printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "$host" "$1" "$host""#;
        assert_eq!(ask(script), Ok(Some(("get".into(), "reg.example:5000".into()))));
        assert_eq!(ask("echo credentials not found in native keychain; exit 1"), Ok(None));
    }

    #[test]
    fn what_a_helper_does_wrong_is_told_without_secrets() {
        for (script, expected, secret) in [
            ("echo the keyring is locked; exit 1", "the keyring is locked", "s3cret"),
            ("echo no display >&2; exit 3", "no display", "s3cret"),
            ("echo s3cret; sleep 60", "did not end within", "s3cret"),
            ("yes s3cret", "wrote more than 65536 bytes", "s3cret"),
            (r#"echo '{"Username":"me","Secret":["s3cret"]}'"#, "its answer is malformed", "s3cret"),
            (r#"echo '{"Username":"<token>","Secret":"s3cret"}'"#, "an identity token", "s3cret"),
        ] {
            let error = ask(script).unwrap_err();
            assert!(error.contains(expected) && !error.contains(secret), "{script}: {error}");
        }
    }
}
