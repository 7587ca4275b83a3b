//! Here-documents, which are text and no commands.

/// The script without the texts of its here-documents, and without the operators that begin them.
pub(crate) fn without_documents(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut until: Option<String> = None;
    for line in script.lines() {
        if let Some(end) = &until {
            if line.trim_start_matches('\t') == end {
                until = None;
            }
            continue;
        }
        match operator(line) {
            Some((before, end, after)) => {
                out.extend([before, " ", after]);
                until = Some(end);
            }
            None => out += line,
        }
        out.push('\n');
    }
    out
}

/// What stands before the operator that begins a here-document, the line that ends the document, and what follows the operator.
fn operator(line: &str) -> Option<(&str, String, &str)> {
    let (before, rest) = line.split_once("<<")?;
    // A shift in an expression, a here-string, and what stands in a comment begin none.
    if before.contains("((") || before.trim_start().starts_with('#') || rest.starts_with('<') {
        return None;
    }
    let word = rest.trim_start_matches('-').trim_start();
    let length = word.find(|c: char| c.is_whitespace() || ";|&)<>".contains(c)).unwrap_or(word.len());
    let end = word[..length].replace(['"', '\'', '\\'], "");
    let is_word = word.starts_with(|c: char| c.is_alphabetic() || "_\"'\\".contains(c));
    (is_word && !end.is_empty()).then_some((before, end, &word[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_left_out() {
        let cases = [
            ("a <<EOF\nb\nEOF\nc", "a  \nc\n"),
            ("a <<-'X Y' | d\n\tb\n\tc\n", "a   Y' | d\n"),
            ("cat <<\\E >f; g\nb\nE\n", "cat   >f; g\n"),
            ("x=$((1<<2))\ny=$((a << b))\n", "x=$((1<<2))\ny=$((a << b))\n"),
            ("a <<<b\n# <<c\nd 1<<2\n", "a <<<b\n# <<c\nd 1<<2\n"),
        ];
        for (script, expected) in cases {
            assert_eq!(without_documents(script), expected, "{script}");
        }
    }
}
