//! Commands in shell scripts: a guess, since words of a shell can be made at run time.

use std::collections::BTreeSet;

use minimg_shell::{Command, Known, Word, read};

use crate::shebang::Shebang;
use crate::text::base_name;

/// Words after which a command follows.
const BEFORE_COMMANDS: [&str; 3] = ["exec", "command", "builtin"];
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
pub fn commands_of(shebang: &Shebang, text: &str) -> BTreeSet<String> {
    if is_shell(base_name(shebang.program().as_bytes())) { in_script(text) } else { BTreeSet::new() }
}

/// Whether the interpreter of a script is a shell.
fn is_shell(interpreter: &[u8]) -> bool {
    matches!(interpreter, b"sh" | b"bash" | b"dash" | b"ash" | b"ksh" | b"mksh" | b"zsh")
}

/// The words of a shell script that stand where a command does, and are no functions of its own: plain names and absolute paths.
fn in_script(text: &str) -> BTreeSet<String> {
    let script = read(text, &Known::default());
    let names =
        script.commands.iter().flat_map(names).filter(|name| is_plain(name) && !script.functions.contains(*name));
    let mut found = BTreeSet::new();
    for name in names {
        if found.len() >= MOST {
            break;
        }
        if !found.contains(name) {
            found.insert(name.to_owned());
        }
    }
    found
}

/// The name of a command; where its program runs another, that one's too, which stands among the next words.
fn names(command: &Command) -> Vec<&str> {
    let (mut found, mut most) = (Vec::new(), 1);
    let words = command.call().iter().filter_map(Word::known);
    for word in words.filter(|word| !word.starts_with('-') && !word.contains('=')) {
        if found.is_empty() && BEFORE_COMMANDS.contains(&word) {
            continue;
        }
        found.push(word);
        if RUN_OTHERS.contains(&base_name_of(word)) {
            most = found.len() + RUN;
        }
        if found.len() >= most {
            break;
        }
    }
    found
}

fn base_name_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn is_plain(word: &str) -> bool {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-/".contains(&b));
    plain && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && !word.ends_with('/')
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
        let found: Vec<String> = in_script(text).into_iter().collect();
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
