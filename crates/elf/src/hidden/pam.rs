//! The files of `/etc/pam.d`: which other files and which modules a service uses (pam.conf(5)).

/// What a line of a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
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
pub(super) fn parse(text: &str, has_service: bool) -> Vec<Line> {
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
