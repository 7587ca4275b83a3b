//! Commands in shell scripts: a guess, since words of a shell can be made at run time.

use std::collections::BTreeSet;

use crate::shebang::Shebang;
use crate::text::base_name;

/// Words of the shell's own after which a command follows.
const BEFORE_COMMANDS: [&str; 11] = ["then", "do", "else", "elif", "if", "while", "until", "!", "{", "exec", "command"];
/// Programs that run another, some with a user or a number before it.
const RUN_OTHERS: [&str; 21] = [
    "env",
    "nohup",
    "sudo",
    "time",
    "xargs",
    "nice",
    "gosu",
    "su-exec",
    "setsid",
    "timeout",
    "chroot",
    "ionice",
    "stdbuf",
    "setpriv",
    "runuser",
    "chpst",
    "s6-setuidgid",
    "tini",
    "dumb-init",
    "doas",
    "taskset",
];
/// How many words after such a program may be the one that it runs.
const RUN: usize = 2;
/// More commands than this in one script are no guess any more.
const MOST: usize = 1024;

/// The commands that a script names in `text`, where its interpreter is a shell.
pub fn commands_of<'t>(shebang: &Shebang, text: &'t str) -> BTreeSet<&'t str> {
    if is_shell(base_name(shebang.program().as_bytes())) { in_script(text) } else { BTreeSet::new() }
}

/// Whether the interpreter of a script is a shell.
fn is_shell(interpreter: &[u8]) -> bool {
    matches!(interpreter, b"sh" | b"bash" | b"dash" | b"ash" | b"ksh" | b"mksh" | b"zsh")
}

/// The words of a shell script that stand where a command does: plain names and absolute paths. Comments, here-documents and what
/// stands in single quotes are passed over.
fn in_script(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut functions = BTreeSet::new();
    let mut lines = text.lines().skip(1);
    while let Some(line) = lines.next() {
        for part in parts(line) {
            let (function, words) = commands(part);
            functions.extend(function);
            for word in words.into_iter().filter(|word| is_plain(word)) {
                if found.len() < MOST {
                    found.insert(word);
                }
            }
        }
        if let Some(end) = here_document(line) {
            lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
        }
    }
    found.retain(|word| !functions.contains(word));
    found
}

/// The parts of a line that may be commands each.
fn parts(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut single, mut double) = (0, false, false);
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            _ if before == '\\' => {
                before = ' ';
                continue;
            }
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '#' if !single && !double && before.is_whitespace() => {
                parts.push(&line[start..at]);
                return parts;
            }
            // A command may stand in double quotes only as $(...) or between backquotes.
            ';' | '&' | '|' if !single && !double => {
                parts.push(&line[start..at]);
                start = at + 1;
            }
            '`' if !single => {
                parts.push(&line[start..at]);
                start = at + 1;
            }
            '(' if !single && (before == '$' || !double && before.is_whitespace()) => {
                parts.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&line[start..]);
    parts
}

/// The function that begins in a part, and its command: the first word that is neither an assignment nor a word before commands. Of a
/// program that runs another, that too.
fn commands(part: &str) -> (Option<&str>, Vec<&str>) {
    let mut function = None;
    let (mut found, mut most) = (Vec::new(), 1);
    for word in part.split_whitespace() {
        if let Some(name) = word.strip_suffix("()") {
            function = Some(name);
            continue;
        }
        let passed = BEFORE_COMMANDS.contains(&word) && found.is_empty()
            || word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && is_name(name))
            || word.starts_with('-');
        if passed {
            continue;
        }
        let word = word.trim_end_matches([')', '"']);
        found.push(word);
        if RUN_OTHERS.contains(&word.rsplit('/').next().unwrap_or(word)) {
            most = found.len() + RUN;
        }
        if found.len() >= most {
            break;
        }
    }
    (function, found)
}

fn is_name(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_plain(word: &str) -> bool {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-/".contains(&b));
    plain && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && !word.ends_with('/')
}

/// The word that ends the here-document which begins in this line.
fn here_document(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("<<")?;
    let word = rest.trim_start_matches('-').trim_start().trim_start_matches(['\'', '"', '\\']);
    let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
    (!word[..end].is_empty()).then(|| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a script holds, its reader comes back.
        #[test]
        fn any_text(text in "(\\PC|['\"`#;|&$()<\\\\=\n\t -]|EOF){0,80}") {
            in_script(&text);
        }
    }

    #[test]
    fn commands_of_a_script() {
        let text = "#!/bin/sh\n# rm nothing\nset -e\nA=1 B=2 grep -q x /etc/passwd && sed -e 's/;cut/x/' | awk '{print}'\n\
                    if [ -x /usr/bin/id ]; then /usr/bin/id; fi\nuser=$(stat -c %u .) # tar\nexec gosu redis \"$0\" \"$@\"\n\
                    nice -n 5 env X=1 make; timeout 5 /bin/ping $host # and no more\n\
                    helper() { echo \"$(date)\"; }\nhelper\ncat <<EOF\nwget x\nEOF\nx=`uname -m`\n";
        let found: Vec<&str> = in_script(text).into_iter().collect();
        assert_eq!(
            found,
            [
                "/bin/ping",
                "/usr/bin/id",
                "5",
                "awk",
                "cat",
                "date",
                "echo",
                "env",
                "fi",
                "gosu",
                "grep",
                "make",
                "nice",
                "redis",
                "sed",
                "set",
                "stat",
                "timeout",
                "uname"
            ]
        );
    }
}
