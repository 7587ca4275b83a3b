//! Problems in a file that people wrote, with line, column and the place in the text.

use std::fmt;
use std::ops::Range;

/// Problems beyond this number are counted, not shown.
const SHOWN: usize = 20;
/// Longer messages and remedies are cut, in characters.
const LONGEST_MESSAGE: usize = 600;
/// The widest part of a line that is shown, in characters.
const WIDTH: usize = 110;

/// A problem in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The problem, in one line.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
    /// Where, in bytes of the text; `None` when the whole file is meant.
    pub span: Option<Range<usize>>,
}

/// Collects problems, so that people see all of them at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.0.push(Problem { message: message.into(), help: None, span: Some(span) });
    }

    /// Adds a problem and its remedy.
    pub fn add_with_help(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.0.push(Problem { message: message.into(), help, span: Some(span) });
    }

    /// Adds a problem of the file as a whole.
    pub fn add_for_file(&mut self, message: impl Into<String>) {
        self.0.push(Problem { message: message.into(), help: None, span: None });
    }

    /// Adds the message of a failed check.
    pub fn check<T>(&mut self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(span, message)).ok()
    }

    /// Whether there are no problems so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if there are no problems, else the error for the file.
    pub fn into_result<T>(self, file: &str, text: &str, value: T) -> Result<T, FileError> {
        if self.0.is_empty() { Ok(value) } else { Err(FileError::new(file, text, self.0)) }
    }
}

/// An invalid file: every problem with its line, column and place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    file: String,
    text: String,
    problems: Vec<Problem>,
}

impl FileError {
    /// An error about `file`, sorted by place; the same problem at the same place is told once.
    pub fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        for problem in &mut problems {
            problem.message = printable(&problem.message);
            problem.help = problem.help.as_deref().map(printable);
        }
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
        problems.dedup();
        Self { file: file.to_owned(), text: text.to_owned(), problems }
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong, in the order of the text.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Line and column of a problem, both counted from one, the column in characters.
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        problem.span.as_ref().map(|span| {
            let place = Place::find(&self.text, span);
            (place.line, place.column)
        })
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.problems.len() == 1 { "an error" } else { "errors" };
        write!(f, "cannot read `{}`, which has {many}", self.file)?;
        for problem in self.problems.iter().take(SHOWN) {
            self.fmt_problem(f, problem)?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl FileError {
    fn fmt_problem(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        let Some(span) = &problem.span else {
            write!(f, "\n\n{}: {}", self.file, problem.message)?;
            return problem.help.as_ref().map_or(Ok(()), |help| write!(f, "\n  = help: {help}"));
        };
        let place = Place::find(&self.text, span);
        let (excerpt, before, marked) = place.excerpt();
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        write!(f, "\n\n{}:{}:{}: {}", self.file, place.line, place.column, problem.message)?;
        write!(f, "\n {margin} |\n {number} | {excerpt}\n {margin} | {before}{}", "^".repeat(marked))?;
        problem.help.as_ref().map_or(Ok(()), |help| write!(f, "\n {margin} = help: {help}"))
    }
}

/// The first line of a span.
struct Place<'t> {
    line: usize,
    column: usize,
    text: &'t str,
    marked: usize,
}

impl<'t> Place<'t> {
    /// Finds the line and column of a span. A span that does not fit the text is moved to where it does.
    fn find(text: &'t str, span: &Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let (before, rest) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = rest.find('\n').map_or(text.len(), |at| start + at);
        Self {
            line: before.matches('\n').count() + 1,
            column: text.get(line_start..start).unwrap_or_default().chars().count() + 1,
            text: text.get(line_start..line_end).unwrap_or_default().trim_end_matches('\r'),
            marked: text.get(start..end.min(line_end)).unwrap_or_default().trim_end().chars().count().max(1),
        }
    }

    /// The part of the line to show, the blanks that lead to the place, and how many characters to mark. Control characters
    /// become a replacement character: the text may be hostile and is shown on a terminal.
    fn excerpt(&self) -> (String, String, usize) {
        let skip =
            if self.column + self.marked.min(WIDTH / 2) > WIDTH { self.column.saturating_sub(WIDTH / 2) } else { 0 };
        let shown: String = self.text.chars().skip(skip).take(WIDTH).map(visible).collect();
        let before: String = shown
            .chars()
            .take(self.column - 1 - skip.min(self.column - 1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let room = WIDTH.saturating_sub(before.chars().count()).max(1);
        (shown.trim_end().to_owned(), before, self.marked.min(room))
    }
}

/// A message in one line of bearable length: parts of it come from the text.
fn printable(message: &str) -> String {
    let mut printable: String = message.chars().take(LONGEST_MESSAGE).map(visible).collect();
    if message.chars().nth(LONGEST_MESSAGE).is_some() {
        printable.push('…');
    }
    printable
}

fn visible(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
