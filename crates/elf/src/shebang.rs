//! The first line of a script, read as the kernel reads it (`fs/binfmt_script.c`), and what `env` makes of its argument.

use crate::text::{base_name, show};

/// How much of the file the kernel looks at (`BINPRM_BUF_SIZE`).
const BUFFER: usize = 256;
/// How many interpreters may be scripts themselves (`exec_binprm` in `fs/exec.c`).
pub(super) const MAX_NESTING: usize = 5;

/// The first line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shebang {
    /// The interpreter as it is written.
    pub interpreter: Vec<u8>,
    /// All that follows, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Why the kernel would not run a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShebangError {
    /// Nothing follows `#!`.
    #[error("the first line names no interpreter")]
    Empty,
    /// The interpreter's name does not end within the part that the kernel looks at.
    #[error("the interpreter's name does not end within the first 256 bytes, so the kernel refuses the script")]
    TooLong,
}

fn blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl Shebang {
    /// The first line of the file that begins with `bytes`; `None` when it is not a script.
    ///
    /// # Errors
    /// When the kernel would refuse it.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ShebangError> {
        let Some(rest) = bytes.get(..bytes.len().min(BUFFER)).and_then(|head| head.strip_prefix(b"#!")) else {
            return Ok(None);
        };
        // The kernel's buffer is filled up with NUL bytes, so a short file ends at its end.
        let end = rest.iter().position(|&b| b == b'\n' || b == 0);
        let whole = end.is_some() || bytes.len() < BUFFER;
        let line = &rest[..end.unwrap_or(rest.len())];
        let start = line.iter().position(|b| !blank(b)).ok_or(ShebangError::Empty)?;
        let line = &line[start..];
        let name = line.iter().position(blank).unwrap_or(line.len());
        if name == line.len() && !whole {
            return Err(ShebangError::TooLong);
        }
        let trim = |text: &[u8]| {
            let start = text.iter().position(|b| !blank(b))?;
            let end = text.iter().rposition(|b| !blank(b))? + 1;
            Some(text[start..end].to_vec())
        };
        Ok(Some(Self { interpreter: line[..name].to_vec(), argument: trim(&line[name..]) }))
    }

    /// The program that `env` will look up in PATH, when the interpreter is `env`. Without `-S` the whole argument is one name;
    /// with it the argument is split into words, of which options and `NAME=VALUE` are passed over.
    pub fn env_program(&self) -> Option<String> {
        if base_name(&self.interpreter) != b"env" {
            return None;
        }
        let argument = self.argument.as_deref()?;
        let split = [b"-S".as_slice(), b"--split-string=", b"-vS", b"-iS", b"-ivS"];
        let words = match split.iter().find_map(|option| argument.strip_prefix(*option)) {
            Some(rest) => split_words(rest),
            None => vec![show(argument)],
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-u" | "--unset" | "-C" | "--chdir" | "-a" | "--argv0" => drop(words.next()),
                option if option.starts_with('-') => {}
                variable if variable.contains('=') => {}
                _ => return Some(word),
            }
        }
        None
    }

    /// The program that runs the script, by path or by name: the interpreter, or what `env` looks up.
    pub fn program(&self) -> String {
        self.env_program().unwrap_or_else(|| show(&self.interpreter))
    }
}

/// The words of `env -S`: blanks separate, quotes and backslashes do what they do in a shell.
fn split_words(text: &[u8]) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<Vec<u8>>, None);
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b'#') if word.is_none() => break,
            (None, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c') => words.extend(word.take()),
            (quote, b'\\') if quote != Some(b'\'') => match bytes.next() {
                Some(b'_') if quote.is_none() => words.extend(word.take()),
                Some(b'_') => word.get_or_insert_default().push(b' '),
                Some(b'c') | None => break,
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.iter().map(|word| show(word)).collect()
}
