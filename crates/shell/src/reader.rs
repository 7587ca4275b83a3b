//! Reads commands: branches, loops, cases and functions around them, and the variables that they set.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::{Command, Word, assignment};
use crate::words::{self, redirection};
use crate::{Known, Script};

/// Words of the shell's own at which a command may begin or end.
const KEYWORDS: [&str; 13] =
    ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}", "esac"];

/// How many bytes may be read again for the turns of loops and for substitutions. Beyond that, they are not known.
const READ_AGAIN: usize = 4 << 20;

/// Reads a script without here-documents.
pub(crate) fn read(script: &str, known: &Known<'_>) -> Script {
    // What a variable is can be told when all of the script was read.
    let mut first = Reader::new(known);
    first.read(script);
    let mut reader = Reader { variables: first.variables, assigned: first.assigned, ..Reader::new(known) };
    reader.read(script);
    reader.is_substituted = true;
    while let Some(inner) = reader.substitutions.pop_front() {
        reader.read(inner);
    }
    reader.script
}

struct Reader<'s> {
    known: &'s Known<'s>,
    /// Those with a value have this literal value in all of the script.
    variables: BTreeMap<String, Option<String>>,
    /// The names that something else than a loop sets.
    assigned: BTreeSet<String>,
    script: Script,
    words: Vec<Word>,
    branches: Vec<Branch>,
    loops: Vec<Loop<'s>>,
    /// Whether a pattern is next, for every `case` that is open.
    cases: Vec<bool>,
    /// The scripts in words that are still to be read.
    substitutions: VecDeque<&'s str>,
    is_substituted: bool,
    /// How many bytes are read again, so far.
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
    /// What was open before it.
    open: Open,
}

/// How many branches and cases are open.
struct Open {
    branches: usize,
    cases: usize,
}

/// An `if` that is open.
#[derive(Default)]
struct Branch {
    in_condition: bool,
    is_unreachable: bool,
}

impl<'s> Reader<'s> {
    fn new(known: &'s Known<'s>) -> Self {
        Self {
            known,
            variables: BTreeMap::new(),
            assigned: BTreeSet::new(),
            script: Script::default(),
            words: Vec::new(),
            branches: Vec::new(),
            loops: Vec::new(),
            cases: Vec::new(),
            substitutions: VecDeque::new(),
            is_substituted: false,
            read_again: 0,
        }
    }

    fn read(&mut self, script: &'s str) {
        self.branches.clear();
        self.loops.clear();
        self.cases.clear();
        let mut rest = script;
        while let Some(next) = rest.chars().next() {
            if self.words.is_empty() && self.cases.last() == Some(&true) {
                rest = self.pattern(rest);
                continue;
            }
            match next {
                ' ' | '\t' => rest = &rest[1..],
                '(' if self.words.len() == 1 && rest[1..].trim_start().starts_with(')') => {
                    rest = &rest[1..];
                    self.function();
                }
                '\n' | ';' | '&' | '|' | '(' | ')' => {
                    let ends_clause = rest.starts_with(";;") || rest.starts_with(";&");
                    rest = &rest[1..];
                    self.end_command(rest);
                    if let Some(is_pattern_next) = self.cases.last_mut().filter(|_| ends_clause) {
                        rest = rest.trim_start_matches([';', '&']);
                        *is_pattern_next = true;
                    }
                }
                '#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
                '\\' if rest[1..].starts_with('\n') => rest = &rest[2..],
                _ => rest = self.redirection_or_word(rest),
            }
        }
        self.end_command("");
    }

    /// Takes a word, or a redirection with what it leads to, and gives what follows.
    fn redirection_or_word(&mut self, text: &'s str) -> &'s str {
        if let Some(length) = redirection(text) {
            let rest = text[length..].trim_start_matches([' ', '\t']);
            let length = self.word(rest).1;
            return &rest[length.min(rest.len())..];
        }
        let (word, length) = self.word(text);
        let (raw, rest) = text.split_at(length);
        if self.words.is_empty() && raw == "done" {
            return self.end_turn().unwrap_or(rest);
        }
        self.push(word, raw, rest);
        rest
    }

    /// The word at the beginning of `text`, and its length there.
    fn word(&mut self, text: &'s str) -> (Word, usize) {
        let read = words::word(text, &|name| self.variable(name));
        for inner in read.substitutions {
            if self.read_again.saturating_add(inner.len()) <= READ_AGAIN {
                self.read_again += inner.len();
                self.substitutions.push_back(inner);
            }
        }
        (read.word, read.length)
    }

    fn variable(&self, name: &str) -> Option<String> {
        if let Some((_, value)) = self.known.variables.iter().find(|(known, _)| *known == name) {
            return Some((*value).to_owned());
        }
        let of_loop = self.loops.iter().rev().find(|open| open.variable.as_deref() == Some(name));
        of_loop.map_or_else(|| self.variables.get(name).cloned().flatten(), |open| open.value.clone())
    }

    /// Takes a word, or the words that an unquoted variable stands for; a keyword where a command may begin ends what was before it.
    fn push(&mut self, word: Word, raw: &str, rest: &'s str) {
        if self.words.is_empty() && KEYWORDS.contains(&raw) {
            self.keyword(raw, rest);
            return;
        }
        let is_first = |words: &[Word], name: &str| words.first().and_then(Word::known) == Some(name);
        match &word {
            Word::Known(value)
                if raw.contains('$') && !raw.contains(['"', '\'', '\\']) && assignment(raw).is_none() =>
            {
                self.words.extend(value.split_whitespace().map(|word| Word::Known(word.to_owned())));
            }
            _ => self.words.push(word),
        }
        if self.words.len() == 2 && is_first(&self.words, "function") {
            self.words.remove(0);
            self.function();
        } else if self.words.len() == 3 && raw == "in" && is_first(&self.words, "case") {
            self.end_command(rest);
            self.cases.push(true);
        }
    }

    /// Notes that the one word is the name of a function, which begins here, unless an array is assigned to it.
    fn function(&mut self) {
        if self.words.iter().all(|word| assignment(word.shown()).is_none()) {
            self.script.functions.extend(self.words.pop().map(|name| name.shown().to_owned()));
        }
    }

    /// Passes over a pattern of a `case`, or what stands before it, or the `esac` in its place, and gives what follows.
    fn pattern(&mut self, text: &'s str) -> &'s str {
        let rest = match text.as_bytes() {
            [b' ' | b'\t' | b'\n' | b'|' | b'(' | b';' | b'&', ..] => return &text[1..],
            [b'#', ..] => return text.find('\n').map_or("", |end| &text[end..]),
            [b')', ..] => &text[1..],
            _ => {
                let (_, length) = self.word(text);
                let (raw, rest) = text.split_at(length);
                if raw == "esac" {
                    self.cases.pop();
                }
                return rest;
            }
        };
        if let Some(is_pattern_next) = self.cases.last_mut() {
            *is_pattern_next = false;
        }
        rest
    }

    fn keyword(&mut self, keyword: &str, rest: &'s str) {
        match keyword {
            "while" | "until" => self.begin_loop(None, Vec::new(), rest),
            "if" => self.branches.push(Branch { in_condition: true, is_unreachable: false }),
            "fi" => drop(self.branches.pop()),
            "esac" => drop(self.cases.pop()),
            _ => {
                let Some(branch) = self.branches.last_mut() else { return };
                match keyword {
                    "then" => branch.in_condition = false,
                    "elif" => *branch = Branch { in_condition: true, is_unreachable: false },
                    "else" => branch.is_unreachable = false,
                    _ => {}
                }
            }
        }
    }

    /// Opens a loop whose body is at the beginning of `rest`, or later in it; of a `for` with its variable and what that is in each turn.
    fn begin_loop(&mut self, variable: Option<String>, values: Vec<String>, rest: &'s str) {
        let length = rest.len().saturating_mul(values.len());
        let may_be_known = self.read_again.saturating_add(length) <= READ_AGAIN
            && variable.as_ref().is_some_and(|name| !self.assigned.contains(name));
        self.read_again += if may_be_known { length } else { 0 };
        // Who leaves a loop early does not come to all values.
        let is_left_early = || rest.find("done").map_or(rest, |end| &rest[..end]).contains("break");
        let is_known = may_be_known && !values.is_empty() && !is_left_early();
        let mut next = if is_known { values } else { Vec::new() }.into_iter();
        let open = Open { branches: self.branches.len(), cases: self.cases.len() };
        let value = next.next();
        self.loops.push(Loop { variable, value, next, body: rest, open });
    }

    /// At the end of a loop's body: where the script goes on if there is another turn.
    fn end_turn(&mut self) -> Option<&'s str> {
        let ended = self.loops.last_mut()?;
        self.branches.truncate(ended.open.branches);
        self.cases.truncate(ended.open.cases);
        ended.value = ended.next.next();
        if ended.value.is_some() {
            return Some(ended.body);
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
            branch.is_unreachable |= (self.known.never_holds)(&words);
        }
        self.assign(&words, rest);
        let is_unreachable = self.branches.iter().any(|branch| branch.is_unreachable && !branch.in_condition);
        self.script.commands.push(Command { words, is_unreachable, is_substituted: self.is_substituted });
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
}

/// The words if they are all known, and none of them stands for the names of files.
fn literals(words: &[Word]) -> Option<Vec<String>> {
    let literal = |word: &Word| word.known().filter(|word| !word.contains(['*', '?', '['])).map(str::to_owned);
    words.iter().map(literal).collect()
}

#[cfg(test)]
mod tests;
