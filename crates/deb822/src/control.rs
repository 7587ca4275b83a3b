//! The control paragraph of a package: the few fields that are needed here (deb-control(5)).

use crate::version;

/// A control paragraph, with its text as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    text: String,
    /// The package's name.
    pub package: String,
    /// The whole version.
    pub version: String,
    /// The architecture.
    pub architecture: String,
    /// Packages whose files may be overwritten.
    pub replaces: Vec<Relation>,
}

/// Why a text is not a usable control paragraph; reads well after "its control file".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub String);

/// A package, perhaps restricted to some versions, as it stands in `Replaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package's name.
    pub name: String,
    /// The operator and the version, where the relation has them.
    pub version: Option<(String, String)>,
}

impl Control {
    /// Reads the one paragraph of a control file.
    ///
    /// # Errors
    /// When it is not a paragraph, or lacks Package, Version or Architecture.
    pub fn parse(text: &str) -> Result<Self, ControlError> {
        let text = text.trim_matches('\n');
        if text.contains("\n\n") {
            return Err(ControlError("has more than one paragraph".into()));
        }
        let required = |name: &str| match field(text, name) {
            Some(value) if !value.is_empty() && !value.contains(['\n', '/']) => Ok(value.to_owned()),
            _ => Err(ControlError(format!("has no usable {name} field"))),
        };
        let package = required("Package")?;
        if !package.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
            || package.starts_with(['.', '-'])
        {
            return Err(ControlError(format!("has the Package field {package:?}, which is not a package name")));
        }
        let replaces = field(text, "Replaces").map(relations).unwrap_or_default();
        Ok(Self {
            package,
            version: required("Version")?,
            architecture: required("Architecture")?,
            replaces,
            text: format!("{text}\n"),
        })
    }

    /// The paragraph as it was, ending in one newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of a field, without the spaces around it; continuation lines stay in it.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.text, name)
    }

    /// Whether this package may overwrite files of `other`.
    pub fn replaces(&self, other: &Control) -> bool {
        self.replaces.iter().any(|relation| relation.matches(other))
    }
}

impl Relation {
    fn matches(&self, other: &Control) -> bool {
        if self.name != other.package {
            return false;
        }
        let Some((operator, wanted)) = &self.version else { return true };
        let order = version::compare(&other.version, wanted);
        match operator.as_str() {
            "<<" => order.is_lt(),
            "<=" | "<" => order.is_le(),
            "=" => order.is_eq(),
            ">=" | ">" => order.is_ge(),
            ">>" => order.is_gt(),
            _ => false,
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        // A field ends before the next line that does not begin with a space.
        let mut end = 0;
        loop {
            end += rest[end..].find('\n').map_or(rest.len() - end, |at| at + 1);
            if !rest[end..].starts_with([' ', '\t']) {
                break;
            }
        }
        if let Some((found, value)) = rest[..end].split_once(':')
            && found.eq_ignore_ascii_case(name)
        {
            return Some(value.trim());
        }
        start += end;
    }
    None
}

fn relations(value: &str) -> Vec<Relation> {
    let relation = |text: &str| {
        let (name, version) = text.split_once('(').unwrap_or((text, ""));
        let version = version.trim_end().trim_end_matches(')').trim();
        let digits = version.find(|c: char| !"<>=".contains(c)).unwrap_or(version.len());
        let (operator, version) = version.split_at(digits);
        let name = name.trim().split(':').next().unwrap_or_default().to_owned();
        let version = (!operator.is_empty()).then(|| (operator.to_owned(), version.trim().to_owned()));
        Relation { name, version }
    };
    value.split([',', '|']).map(relation).filter(|relation| !relation.name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(package: &str, version: &str, replaces: &str) -> Control {
        let text = format!("Package: {package}\nVersion: {version}\nArchitecture: amd64\nReplaces: {replaces}\n");
        Control::parse(&text).unwrap()
    }

    #[test]
    fn fields_and_their_continuations() {
        let text = "Package: a\nVersion: 1:2-3\nDescription: short\n long\n .\n more\nArchitecture: all\n";
        let control = Control::parse(text).unwrap();
        assert_eq!((&*control.package, &*control.version, &*control.architecture), ("a", "1:2-3", "all"));
        assert_eq!(control.field("description"), Some("short\n long\n .\n more"));
        assert_eq!(control.field("Essential"), None);
        assert_eq!(control.text(), text);
    }

    #[test]
    fn unusable_paragraphs() {
        for text in [
            "",
            "Package: a\nVersion: 1\n",
            "Package: ../x\nVersion: 1\nArchitecture: all\n",
            "Package: .x\nVersion: 1\nArchitecture: all\n",
            "Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n",
            "Package:\nVersion: 1\nArchitecture: all\n",
            "Package: a\n b\nVersion: 1\nArchitecture: all\n",
        ] {
            assert!(matches!(Control::parse(text), Err(ControlError(_))), "{text:?}");
        }
    }

    #[test]
    fn replaces_counts_versions() {
        let old = control("old", "1.5-1", "");
        for (replaces, expected) in [
            ("old", true),
            ("older, old", true),
            ("old:any", true),
            ("old (<< 1.5-2)", true),
            ("old (<<1.5)", false),
            ("old (<= 1.5-1)", true),
            ("old (>> 1.5-1~)", true),
            ("old (= 1.5)", false),
            ("older (<< 2)", false),
        ] {
            assert_eq!(control("new", "2", replaces).replaces(&old), expected, "{replaces}");
        }
    }
}
