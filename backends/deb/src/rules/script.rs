//! Reads the commands of a maintainer script that are certain without running it: words that are literal, or variables that the
//! script sets to one literal, or that a loop over such words sets. It is not a shell; what it does not know it leaves unknown.

use std::collections::{BTreeMap, BTreeSet};

/// A simple command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The command's name and arguments.
    pub(super) words: Vec<Word>,
    /// Whether it only runs when an older version is upgraded, so never in a new root.
    pub(super) only_on_upgrade: bool,
}

/// A word, after quotes and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// What the word is, with certainty.
    Known(String),
    /// The word as it stands, since a variable or substitution in it is not known.
    Unknown(String),
}

impl Word {
    /// The word if it is known.
    pub(super) fn known(&self) -> Option<&str> {
        match self {
            Word::Known(word) => Some(word),
            Word::Unknown(_) => None,
        }
    }

    /// The word as people would recognise it in the script.
    pub(super) fn shown(&self) -> &str {
        match self {
            Word::Known(word) | Word::Unknown(word) => word,
        }
    }
}

impl Command {
    /// The name of the command without its directory; empty when it is not known.
    pub(super) fn name(&self) -> &str {
        let name = self.words.first().and_then(Word::known).unwrap_or_default();
        name.rsplit('/').next().unwrap_or_default()
    }

    /// The arguments.
    pub(super) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The command as people would recognise it.
    pub(super) fn shown(&self) -> String {
        self.words.iter().map(Word::shown).collect::<Vec<_>>().join(" ")
    }
}

/// The commands of a script in their order, in whatever branch they are.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let lines = without_here_documents(script);
    // What a variable is can be told when all of the script was read.
    let mut first = Reader::default();
    first.read(&lines);
    let mut reader = Reader { variables: first.variables, assigned: first.assigned, ..Reader::default() };
    reader.read(&lines);
    reader.commands
}

const KEYWORDS: [&str; 11] = ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{"];

/// How many bytes may be read again for the turns of loops. Beyond that, the variable of a loop is not known.
const READ_AGAIN: usize = 16 << 20;

#[derive(Default)]
struct Reader<'s> {
    /// Those with a value have this literal value in all of the script.
    variables: BTreeMap<String, Option<String>>,
    /// The names that something else than a loop sets.
    assigned: BTreeSet<String>,
    commands: Vec<Command>,
    words: Vec<Word>,
    branches: Vec<Branch>,
    loops: Vec<Loop<'s>>,
    /// How many bytes the turns of loops take at most, so far.
    read_again: usize,
}

/// A loop that is open.
struct Loop<'s> {
    /// What a `for` sets.
    variable: Option<String>,
    /// Its value in this turn, if that is known.
    value: Option<String>,
    /// The values of the next turns.
    next: std::vec::IntoIter<String>,
    /// The script from the body on.
    body: &'s str,
    /// How many branches were open before it.
    branches: usize,
}

/// An `if` that is open.
#[derive(Default)]
struct Branch {
    in_condition: bool,
    only_on_upgrade: bool,
}

impl<'s> Reader<'s> {
    fn read(&mut self, script: &'s str) {
        let mut rest = script;
        while let Some(next) = rest.chars().next() {
            match next {
                ' ' | '\t' => rest = &rest[1..],
                '\n' | ';' | '&' | '|' | '(' | ')' => {
                    rest = &rest[1..];
                    self.end_command(rest);
                }
                '#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
                '\\' if rest[1..].starts_with('\n') => rest = &rest[2..],
                _ => {
                    if let Some(length) = redirection(rest) {
                        rest = rest[length..].trim_start_matches([' ', '\t']);
                        rest = &rest[self.word(rest).1.min(rest.len())..];
                        continue;
                    }
                    let (word, length) = self.word(rest);
                    let raw = &rest[..length];
                    rest = &rest[length..];
                    if self.words.is_empty() && raw == "done" {
                        rest = self.end_turn().unwrap_or(rest);
                    } else {
                        self.push(word, raw, rest);
                    }
                }
            }
        }
        self.end_command("");
    }

    /// Takes a word, or the words that an unquoted variable stands for; a keyword where a command may begin ends what was before it.
    fn push(&mut self, word: Word, raw: &str, rest: &'s str) {
        if self.words.is_empty() && KEYWORDS.contains(&raw) {
            self.keyword(raw, rest);
            return;
        }
        match &word {
            Word::Known(value)
                if raw.contains('$') && !raw.contains(['"', '\'', '\\']) && assignment(raw).is_none() =>
            {
                self.words.extend(value.split_whitespace().map(|word| Word::Known(word.to_owned())));
            }
            _ => self.words.push(word),
        }
    }

    fn keyword(&mut self, keyword: &str, rest: &'s str) {
        match keyword {
            "while" | "until" => self.begin_loop(None, Vec::new(), rest),
            "if" => self.branches.push(Branch { in_condition: true, only_on_upgrade: false }),
            "fi" => drop(self.branches.pop()),
            _ => {
                let Some(branch) = self.branches.last_mut() else { return };
                match keyword {
                    "then" => branch.in_condition = false,
                    "elif" => *branch = Branch { in_condition: true, only_on_upgrade: false },
                    "else" => branch.only_on_upgrade = false,
                    _ => {}
                }
            }
        }
    }

    /// Opens a loop whose body is at the beginning of `rest`, or later in it; of a `for` with its variable and what that is in each turn.
    fn begin_loop(&mut self, variable: Option<String>, values: Vec<String>, rest: &'s str) {
        // Who leaves a loop early does not come to all values.
        let body = rest.find("done").map_or(rest, |end| &rest[..end]);
        let length = rest.len().saturating_mul(values.len());
        let is_known = self.read_again.saturating_add(length) <= READ_AGAIN
            && !body.contains("break")
            && variable.as_ref().is_some_and(|name| !self.assigned.contains(name));
        self.read_again += if is_known { length } else { 0 };
        let mut next = if is_known { values } else { Vec::new() }.into_iter();
        let (value, branches) = (next.next(), self.branches.len());
        self.loops.push(Loop { variable, value, next, body: rest, branches });
    }

    /// At the end of a loop's body: where the script goes on if there is another turn.
    fn end_turn(&mut self) -> Option<&'s str> {
        let open = self.loops.last_mut()?;
        self.branches.truncate(open.branches);
        open.value = open.next.next();
        if open.value.is_some() {
            return Some(open.body);
        }
        self.loops.pop();
        None
    }

    fn end_command(&mut self, rest: &'s str) {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return;
        }
        if let Some(branch) = self.branches.last_mut().filter(|branch| branch.in_condition) {
            branch.only_on_upgrade |= asks_for_upgrade(&words);
        }
        self.assign(&words, rest);
        let only_on_upgrade = self.branches.iter().any(|branch| branch.only_on_upgrade && !branch.in_condition);
        self.commands.push(Command { words, only_on_upgrade });
    }

    /// Notes what a command does to variables; `rest` is what follows it.
    fn assign(&mut self, words: &[Word], rest: &'s str) {
        let declares = ["export", "local", "readonly"].iter().any(|name| words[0].shown() == *name);
        if words[0].shown() == "for"
            && let Some(variable) = words.get(1)
        {
            let name = variable.shown().to_owned();
            self.variables.insert(name.clone(), None);
            let values = match &words[2..] {
                [first, values @ ..] if first.shown() == "in" => literals(values).unwrap_or_default(),
                _ => Vec::new(),
            };
            self.begin_loop(Some(name), values, rest);
        }
        for word in &words[usize::from(declares)..] {
            let Some((name, value)) = assignment(word.shown()) else { break };
            self.assigned.insert(name.to_owned());
            let value = word.known().map(|_| value.to_owned());
            let known = self.variables.entry(name.to_owned()).or_insert_with(|| value.clone());
            if *known != value {
                *known = None;
            }
        }
    }

    /// The word at the beginning of `text`, and how long it is there.
    fn word(&self, text: &str) -> (Word, usize) {
        let (mut value, mut known, mut quoted, mut at) = (String::new(), true, false, 0);
        while let Some(next) = text[at..].chars().next() {
            let here = &text[at..];
            match next {
                '"' => {
                    quoted = !quoted;
                    at += 1;
                }
                '\'' if !quoted => {
                    let inner = here[1..].split('\'').next().unwrap_or_default();
                    value += inner;
                    at = (at + inner.len() + 2).min(text.len());
                }
                '\\' => {
                    let escaped = here[1..].chars().next().unwrap_or_default();
                    match escaped {
                        '\n' => {}
                        _ if quoted && !"\\\"$`".contains(escaped) => value.extend(['\\', escaped]),
                        _ => value.push(escaped),
                    }
                    at = (at + 1 + escaped.len_utf8()).min(text.len());
                }
                '`' => {
                    known = false;
                    let length = here[1..].find('`').map_or(here.len(), |end| end + 2);
                    value += &here[..length];
                    at += length;
                }
                '$' => {
                    let (variable, length) = self.expansion(here);
                    known &= variable.is_some();
                    value += variable.as_deref().unwrap_or(&here[..length]);
                    at += length;
                }
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' if !quoted => break,
                '*' | '?' | '[' if !quoted && at > 0 => {
                    known = false;
                    value.push(next);
                    at += 1;
                }
                _ => {
                    value.push(next);
                    at += next.len_utf8();
                }
            }
        }
        (if known { Word::Known(value) } else { Word::Unknown(value) }, at.max(1))
    }

    /// What `$...` at the beginning of `text` stands for, if that is known, and how long it is there.
    fn expansion(&self, text: &str) -> (Option<String>, usize) {
        let after = &text[1..];
        if after.starts_with('(') {
            return (None, 1 + balanced(after));
        }
        let (name, length) = if let Some(inner) = after.strip_prefix('{') {
            let end = inner.find('}').unwrap_or(inner.len());
            (&inner[..end], (end + 3).min(text.len()))
        } else {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            let end = if end == 0 { after.chars().next().map_or(0, char::len_utf8) } else { end };
            (&after[..end], 1 + end)
        };
        // The root that dpkg installs to is this one, so its name is empty.
        if name == "DPKG_ROOT" || name == "DPKG_ROOT:-" {
            return (Some(String::new()), length);
        }
        let of_loop = self.loops.iter().rev().find(|open| open.variable.as_deref() == Some(name));
        let value = of_loop.map_or_else(|| self.variables.get(name).cloned().flatten(), |open| open.value.clone());
        (value, length)
    }
}

/// The name and the value of an assignment.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word.split_once('=').filter(|(name, _)| is_name(name))
}

/// The words if they are all known, and none of them stands for the names of files.
fn literals(words: &[Word]) -> Option<Vec<String>> {
    let literal = |word: &Word| word.known().filter(|word| !word.contains(['*', '?', '['])).map(str::to_owned);
    words.iter().map(literal).collect()
}

/// The length of a redirection such as `2>&` or `>>` at the beginning of `text`, without what it leads to.
fn redirection(text: &str) -> Option<usize> {
    let after_number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = after_number.trim_start_matches(['<', '>']);
    (after.len() < after_number.len()).then(|| text.len() - after.trim_start_matches(['&', '|']).len())
}

/// Whether a condition holds only when a version was installed before: `$2` of a postinst is that version.
fn asks_for_upgrade(words: &[Word]) -> bool {
    let has = |wanted: &str| words.iter().any(|word| word.shown() == wanted);
    has("--compare-versions") || (has("$2") && (has("-n") || has("!=")))
}

/// The length of a `( ... )` at the beginning of `text`.
fn balanced(text: &str) -> usize {
    let mut depth = 0;
    for (at, next) in text.char_indices() {
        match next {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The script without the texts of its here documents.
fn without_here_documents(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut until: Option<String> = None;
    for line in script.lines() {
        if let Some(end) = &until {
            if line.trim_start_matches('\t') == end {
                until = None;
            }
            continue;
        }
        if let Some((command, rest)) = line.split_once("<<").filter(|(_, rest)| !rest.starts_with('<')) {
            let end = rest.trim_start_matches('-').trim_start();
            let end: String = end.chars().take_while(|c| !c.is_whitespace() && !";|&)".contains(*c)).collect();
            until = Some(end.replace(['"', '\'', '\\'], "")).filter(|end| !end.is_empty());
            out += command;
        } else {
            out += line;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(script: &str) -> Vec<String> {
        let show = |command: Command| {
            let unknown = command.words.iter().any(|word| word.known().is_none());
            let marks = [if unknown { "? " } else { "" }, if command.only_on_upgrade { "^ " } else { "" }].concat();
            marks + &command.shown()
        };
        commands(script).into_iter().map(show).collect()
    }

    #[test]
    fn words_and_variables() {
        let cases: [(&str, &[&str]); 11] = [
            ("a >/dev/null 2>&1 b 2> c || d", &["a b", "d"]),
            ("a 'b c' \"d $e\" f\\ g", &["? a b c d $e f g"]),
            ("U=redis\nG=\"$U\"\nadduser $U ${G}", &["U=redis", "G=redis", "adduser redis redis"]),
            ("X=1\nX=2\na $X", &["X=1", "X=2", "? a $X"]),
            ("a $(b $(c)) `d`", &["? a $(b $(c)) `d`"]),
            ("a \\\n  b # c\nd;e&&f||g", &["a b", "d", "e", "f", "g"]),
            ("if a; then b; else c; fi", &["a", "b", "c"]),
            ("for x in a b; do c $x; done; d $x", &["for x in a b", "c a", "c b", "? d $x"]),
            ("a <<EOF\nupdate-alternatives\nEOF\nb", &["a", "b"]),
            ("cp \"$DPKG_ROOT/a\" ${DPKG_ROOT:-}/b", &["cp /a /b"]),
            ("case \"$1\" in\nconfigure)\n a\n;;\nesac", &["? case $1 in", "configure", "a", "esac"]),
        ];
        for (script, expected) in cases {
            assert_eq!(shown(script), expected, "{script}");
        }
    }

    #[test]
    fn loops_over_literal_words() {
        let cases: [(&str, &[&str]); 12] = [
            (
                "L=\"a b\"\nfor x in $L c\ndo\n d \"$x\" /${x}.1\ndone",
                &["L=a b", "for x in a b c", "d a /a.1", "d b /b.1", "d c /c.1"],
            ),
            (
                "for x in a b; do for y in 1 2; do c $x$y; done; d $x; done",
                &["for x in a b", "for y in 1 2", "c a1", "c a2", "d a", "for y in 1 2", "c b1", "c b2", "d b"],
            ),
            ("for x in a b; do while c; do d $x; done; done; e", &["for x in a b", "c", "d a", "c", "d b", "e"]),
            ("for x in a b; do if c; then d $x; fi; done", &["for x in a b", "c", "d a", "c", "d b"]),
            ("for x in \"a b\" ''; do c \"$x\"; done", &["for x in a b ", "c a b", "c "]),
            ("A='1 2'\nB=$A\nc $B \"$B\" x$A", &["A=1 2", "B=1 2", "c 1 2 1 2 x1 2"]),
            // What is not certain stays unknown, and is read once.
            ("for x in /a/*; do c $x; done", &["? for x in /a/*", "? c $x"]),
            ("for x in $(a) b; do c $x; done", &["? for x in $(a) b", "? c $x"]),
            ("for x; do c $x; done", &["for x", "? c $x"]),
            ("for x in a b; do x=c; d $x; done", &["for x in a b", "x=c", "? d $x"]),
            ("for x in a b; do c $x && break; done", &["for x in a b", "? c $x", "break"]),
            ("for x in a b; do c $x", &["for x in a b", "c a"]),
        ];
        for (script, expected) in cases {
            assert_eq!(shown(script), expected, "{script}");
        }
    }

    #[test]
    fn many_turns_are_not_followed() {
        let words = "w ".repeat(300);
        let script = format!("{}b; {}", format!("for x in {words}; do ").repeat(9), "done; ".repeat(9));
        let commands = commands(&script);
        assert!(commands.len() < 1_000_000, "{}", commands.len());
        assert!(commands.iter().any(|command| command.shown() == "b"));
    }

    #[test]
    fn branches_that_only_run_on_upgrades() {
        let script = "if dpkg --compare-versions \"$2\" lt 2; then a; else b; fi\nif [ -n \"$2\" ]; then c; fi\nif [ -z \"$2\" ]; then d; fi\ne";
        let names: Vec<_> = commands(script).into_iter().filter(|c| c.only_on_upgrade).map(|c| c.shown()).collect();
        assert_eq!(names, ["a", "c"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[a-z$(){}'\"\\\\`\n;<#=é /!-]{0,80}") {
            commands(&text);
        }
    }
}
