//! Checks of single values: what the JSON Schema can hint at but not say. A failed check says what is wrong and what is right.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use crate::backends;
use minimg_backend::{Settings, options};
use minimg_base::suggest;
use minimg_elf::Rules;

/// What profiles may name besides what is in the file itself.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The names that may follow `board.`.
    pub(super) boards: BTreeSet<String>,
    /// Where backends are looked for that are not in the table.
    pub(super) settings: Settings,
    /// The rule sets that may be named or triggered.
    pub(super) rules: Rules,
}

/// Signals of Linux by name, as `kill -l` lists them; the real-time ones are handled apart.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Architectures of OCI platforms that distributions serve (Go's names).
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64",
    "s390x", "sparc64",
];

type Checked<T> = Result<T, String>;

/// A path in the image: absolute, without `.`, `..`, empty parts or control characters. A slash at the end is taken off.
pub(super) fn image_path(text: &str) -> Checked<String> {
    let Some(relative) = text.strip_prefix('/') else {
        return Err(format!("`{}` is not an absolute path: it must begin with `/`", shown(text)));
    };
    no_control(text)?;
    let trimmed = relative.strip_suffix('/').unwrap_or(relative);
    if trimmed.is_empty() {
        return if relative.is_empty() { Ok("/".to_owned()) } else { Err(format!("`{text}` has an empty part")) };
    }
    for part in trimmed.split('/') {
        match part {
            "" => return Err(format!("`{text}` has an empty part: `//`")),
            "." | ".." => return Err(format!("`{text}` must not contain `{part}`")),
            // In a layer such a name removes what lies below it (image-spec, `layer.md`, "Whiteouts").
            part if part.starts_with(".wh.") => {
                return Err(format!(
                    "`{text}` cannot be in an image: engines take `{part}` to mean that a file is removed"
                ));
            }
            _ => {}
        }
    }
    Ok(format!("/{trimmed}"))
}

/// A path below the root of the image.
pub(super) fn path_below_root(text: &str) -> Checked<String> {
    match image_path(text)?.as_str() {
        "/" => Err("`/` itself is not allowed here".to_owned()),
        path => Ok(path.to_owned()),
    }
}

/// A program: an absolute path, or a name without a slash.
pub(super) fn program(text: &str) -> Checked<String> {
    if text.starts_with('/') {
        return path_below_root(text);
    }
    if text.is_empty() || text.contains('/') || text.starts_with('.') {
        return Err(format!("`{}` is neither an absolute path nor a program's name", shown(text)));
    }
    word("a program's name", text)
}

/// A glob over absolute paths.
pub(super) fn glob(text: &str) -> Checked<String> {
    if !text.starts_with('/') {
        return Err(format!(
            "the glob `{}` must begin with `/`, since it is compared with absolute paths",
            shown(text)
        ));
    }
    no_control(text)?;
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|error| format!("this is not a glob: {}", error.kind()))?;
    Ok(text.to_owned())
}

/// The reason that people give for a glob.
pub(super) fn reason(text: &str) -> Checked<String> {
    no_control(text)?;
    if text.trim().is_empty() {
        Err("the reason is empty; `minimg why` shows it, so say why".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Permissions in three or four octal digits.
pub(super) fn mode(text: &str) -> Checked<u32> {
    let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = if digits { u32::from_str_radix(text, 8).ok() } else { None };
    mode.ok_or_else(|| format!("`{}` is not a mode: write three or four octal digits, such as \"0644\"", shown(text)))
}

/// The name of a user or group.
pub(super) fn account_name(text: &str) -> Checked<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if first && rest && text.len() <= 32 {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not a user's or group's name: letters, digits, `.`, `_` and `-`, at most 32", shown(text)))
    }
}

/// The number of a user or group; the highest one means "none" to the kernel.
pub(super) fn id(number: u32) -> Checked<u32> {
    if number == u32::MAX {
        Err(format!("{number} cannot be used: the kernel takes it for \"none\""))
    } else {
        Ok(number)
    }
}

/// An owner or group by name or number.
pub(super) fn owner(text: &str) -> Checked<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().map_err(|_| format!("`{}` is too large a number", shown(text)))?;
        return id(number).map(|number| number.to_string());
    }
    account_name(text)
}

/// `user`, `uid`, either with `:group`.
pub(super) fn user(text: &str) -> Checked<String> {
    match text.split_once(':') {
        None => owner(text),
        Some((user, group)) => Ok(format!("{}:{}", owner(user)?, owner(group)?)),
    }
}

/// A field of `/etc/passwd`.
pub(super) fn passwd_field(text: &str) -> Checked<String> {
    no_control(text)?;
    if text.contains(':') { Err(format!("`{text}` must not contain `:`")) } else { Ok(text.to_owned()) }
}

/// A port with its protocol, which is `tcp` when left out.
pub(super) fn port(text: &str) -> Checked<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u16>() {
        Ok(number) if digits && number > 0 && ["tcp", "udp", "sctp"].contains(&protocol) => {
            Ok(format!("{number}/{protocol}"))
        }
        _ => Err(format!(
            "`{}` is not a port: write a number from 1 to 65535, with `/tcp`, `/udp` or `/sctp` behind it",
            shown(text)
        )),
    }
}

/// The name of an environment variable.
pub(super) fn variable(text: &str) -> Checked<String> {
    no_control(text)?;
    if text.is_empty() || text.contains('=') {
        return Err(format!("`{text}` is not the name of an environment variable"));
    }
    Ok(text.to_owned())
}

/// A signal by name, with or without `SIG`, or by number.
pub(super) fn signal(text: &str) -> Checked<String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let real_time = ["SIGRTMIN+", "SIGRTMAX-"].iter().any(|prefix| {
        name.strip_prefix(prefix).and_then(|more| more.parse::<u8>().ok()).is_some_and(|more| more <= 30)
    });
    if SIGNALS.contains(&name.as_str()) || real_time || name == "SIGRTMIN" || name == "SIGRTMAX" {
        return Ok(name);
    }
    if text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number)) {
        return Ok(text.to_owned());
    }
    let help = suggest::nearest(&name, SIGNALS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("`{}` is not a signal{help}", shown(text)))
}

/// A span of time in nanoseconds: `30s`, `1m30s`, `500ms`.
pub(super) fn duration(text: &str) -> Checked<u64> {
    let nanoseconds = options::span(text)?.as_nanos();
    // Docker takes 0 for "the default" and refuses what is shorter than a millisecond.
    match u64::try_from(nanoseconds).ok().filter(|&nanoseconds| i64::try_from(nanoseconds).is_ok()) {
        Some(nanoseconds) if nanoseconds >= 1_000_000 => Ok(nanoseconds),
        Some(_) => Err(format!("`{}` is shorter than a millisecond, the least that engines accept", shown(text))),
        None => Err(format!("`{}` is longer than 292 years, the most that images can say", shown(text))),
    }
}

/// The address of a mirror.
pub(super) fn address(text: &str) -> Checked<String> {
    no_control(text)?;
    let known = ["http://", "https://", "file://"];
    if known.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
        && !text.contains(char::is_whitespace)
    {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not an address: it must begin with `http://`, `https://` or `file://`", shown(text)))
    }
}

/// The name of a backend: of the table, or of an outside program.
pub(super) fn backend(text: &str, settings: &Settings) -> Checked<String> {
    if backends::exec::is_there(text, settings) {
        return Ok(text.to_owned());
    }
    one_of("backend", text, backends::ALL.iter().map(|backend| backend.name()))
}

/// The name of a rule set.
pub(super) fn rule(text: &str, known: &Rules) -> Checked<String> {
    one_of("rule set", text, known.names())
}

/// A name among those that there are.
pub(super) fn one_of<'a>(kind: &str, text: &str, names: impl Iterator<Item = &'a str> + Clone) -> Checked<String> {
    if names.clone().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let help = match suggest::nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("`minimg list {kinds}` shows all", kinds = kind.split(' ').next().unwrap_or(kind).to_owned() + "s")
        }
    };
    Err(format!("there is no {kind} `{}`; {help}", shown(text)))
}

/// One word: not empty, no blanks, not to be taken for an option.
pub(super) fn word(what: &str, text: &str) -> Checked<String> {
    if text.is_empty() || text.starts_with('-') || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{}` is not {what}: it must be one word and not begin with `-`", shown(text)));
    }
    Ok(text.to_owned())
}

/// A profile's name, which becomes the image's: what registries allow in the last part of a repository's name.
pub(super) fn profile_name(text: &str) -> Checked<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inside = text.chars().all(|c| fits(c) || "._-".contains(c));
    if inside && text.starts_with(fits) && text.ends_with(fits) && text.len() <= 100 {
        return Ok(text.to_owned());
    }
    let advice = "rename the file: its name becomes the image's, so use only lower-case letters, digits, and `.`, `_`, `-` between them";
    Err(format!("`{}` cannot be a profile's name; {advice}", shown(text)))
}

/// One line of text.
pub(super) fn line(text: &str) -> Checked<String> {
    no_control(text).map(|()| text.to_owned())
}

/// A command as an array: the first element is the program.
pub(super) fn command(words: &[String]) -> Checked<Vec<String>> {
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words.to_vec()),
        Some(_) => Err("the program, which is the first element, is empty".to_owned()),
        None => Err("the command is empty".to_owned()),
    }
}

/// An OCI architecture, or one with its variant behind a slash.
pub(super) fn architecture(text: &str) -> Checked<String> {
    let name = text.split('/').next().unwrap_or(text);
    if ARCHITECTURES.contains(&name) {
        return Ok(text.to_owned());
    }
    let usual = match name {
        "x86_64" | "x86-64" | "x64" => Some("amd64"),
        "i386" | "i686" | "x86" => Some("386"),
        "aarch64" => Some("arm64"),
        "armhf" | "armel" | "armv7" => Some("arm"),
        "ppc64el" => Some("ppc64le"),
        "mips64el" => Some("mips64le"),
        other => suggest::nearest(other, ARCHITECTURES),
    };
    let help = usual.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("`{}` is not an OCI architecture{help}", shown(text)))
}

/// A suite that a part of a profile is for. Any word may be one, so only a typing mistake is refused: what it is for would never hold.
pub(super) fn suite(text: &str) -> Checked<String> {
    match suggest::suite(text) {
        Some(near) => Err(format!("there is no suite `{}`; did you mean `{near}`?", shown(text))),
        None => word("a suite's name", text),
    }
}

fn no_control(text: &str) -> Checked<()> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("it contains a control character (U+{:04X})", u32::from(c))),
        None => Ok(()),
    }
}

/// Text for a message: short, and without what could harm a terminal.
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(60).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
