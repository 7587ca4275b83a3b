//! Buildroot's configuration: what is wanted of it, and what kconfig made of that. It drops what it does not know and what other options
//! forbid, without a word.

use std::collections::BTreeMap;
use std::path::Path;

/// Options by name, as they stand after the equals sign: `y`, `"text"`, `42`; `n` for one that is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads a configuration, a defconfig or a fragment; of what is said twice the last holds.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(option).collect())
    }

    /// The value of an option; `n` when it is not set or unknown.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("n", String::as_str)
    }

    /// Whether something is said of the option.
    pub(super) fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The options that are set to `y`.
    pub(super) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| *value == "y").map(|(name, _)| name.as_str())
    }

    /// Says more, or something else.
    pub(super) fn extend(&mut self, other: &Config) {
        self.0.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// What is said here of options of which `other` says nothing.
    pub(super) fn without(&self, other: &Config) -> Config {
        let mut rest = self.clone();
        rest.0.retain(|name, _| !other.names(name));
        rest
    }

    /// Keeps what `got` has in the same way.
    pub(super) fn retain_held(&mut self, got: &Config) {
        self.0.retain(|name, value| got.get(name) == value.as_str());
    }

    /// The options that `got` has otherwise than this one wants, with the value that is wanted.
    pub(super) fn dropped(&self, got: &Config) -> Vec<(String, String)> {
        let differs = |(name, value): &(&String, &String)| got.get(name) != value.as_str();
        self.0.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// As lines for kconfig.
    pub(super) fn lines(&self) -> String {
        let line = |(name, value): (&String, &String)| match value.as_str() {
            "n" => format!("# {name} is not set\n"),
            value => format!("{name}={value}\n"),
        };
        self.0.iter().map(line).collect()
    }
}

fn option(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
        return Some((name.to_owned(), "n".to_owned()));
    }
    let (name, value) = line.split_once('=')?;
    is_name(name).then(|| (name.to_owned(), value.to_owned()))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The option that a package of a profile is: `busybox`, `BUSYBOX` or `BR2_PACKAGE_BUSYBOX`.
pub(super) fn symbol(package: &str) -> (String, String) {
    if let Some(said) = option(package) {
        return said;
    }
    if package.starts_with("BR2_") {
        return (package.to_owned(), "y".to_owned());
    }
    (format!("BR2_PACKAGE_{}", package.to_uppercase().replace(['-', '.'], "_")), "y".to_owned())
}

/// Why kconfig may have dropped an option: what the trees' own files say of it.
pub(super) fn reason(name: &str, trees: &[&Path]) -> String {
    let Some(definition) = trees.iter().find_map(|tree| definition(name, tree, 0)) else {
        return "no Config.in of Buildroot or of the external trees has it".to_owned();
    };
    let depends: Vec<&str> = definition.lines().filter_map(|line| line.trim().strip_prefix("depends on ")).collect();
    match depends.as_slice() {
        [] => "another option decides it".to_owned(),
        all => format!("it depends on {}", all.join(" and ")),
    }
}

/// Whether a `Config.in` of a directory has the option.
pub(super) fn is_defined(name: &str, directory: &Path) -> bool {
    definition(name, directory, 0).is_some()
}

/// What of a configuration the tree has for the sake of older releases alone, with what it says of each.
pub(super) fn outdated(asked: &Config, tree: &Path) -> Vec<String> {
    let text = minimg_tree::read_limited(&tree.join("Config.in.legacy"), LARGEST).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let says = |name: &str| {
        let block = block(&text, name)?;
        let prompt = block.lines().find_map(|line| line.split('"').nth(1)).unwrap_or("it has been removed").to_owned();
        Some(format!("{name} is of an older release: {prompt}"))
    };
    let known: Vec<String> = asked.0.keys().filter_map(|name| says(name)).collect();
    match known.is_empty() {
        true => vec!["an option is of an older release: Config.in.legacy knows what came after it".to_owned()],
        false => known,
    }
}

/// The largest file of options that is read: Buildroot's legacy has some 200 kB.
const LARGEST: u64 = 4 << 20;

/// The block of `Config.in` that defines an option.
fn definition(name: &str, directory: &Path, depth: usize) -> Option<String> {
    const DEEPEST: usize = 4;
    let mut entries: Vec<_> = directory.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    let mut directories = Vec::new();
    for path in entries {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && depth < DEEPEST && !file_name.starts_with('.') {
            directories.push(path);
        } else if file_name.starts_with("Config.in")
            && let Ok(text) = minimg_tree::read_limited(&path, LARGEST)
            && let Some(block) = block(&String::from_utf8_lossy(&text), name)
        {
            return Some(block);
        }
    }
    directories.iter().find_map(|path| definition(name, path, depth + 1))
}

fn block(text: &str, name: &str) -> Option<String> {
    let heads = [format!("config {name}"), format!("menuconfig {name}")];
    let mut lines = text.lines().skip_while(|line| !heads.iter().any(|head| line.trim_end() == head));
    lines.next()?;
    let inside = |line: &&str| line.is_empty() || line.starts_with(char::is_whitespace);
    Some(lines.take_while(inside).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_seen() {
        let mut wanted = Config::parse("BR2_A=y\n# BR2_B is not set\nBR2_C=\"text\"\n# a comment = x\n");
        wanted.extend(&Config::parse("BR2_D=7"));
        let got = Config::parse("BR2_A=y\nBR2_B=y\nBR2_C=\"text\"\n");
        assert_eq!(wanted.dropped(&got), [("BR2_B".into(), "n".into()), ("BR2_D".into(), "7".into())]);
        assert_eq!(Config::parse(&wanted.lines()), wanted);
    }

    #[test]
    fn packages_are_options() {
        let yes = |name: &str| (name.to_owned(), "y".to_owned());
        for name in ["busybox", "BUSYBOX", "BR2_PACKAGE_BUSYBOX", "BR2_PACKAGE_BUSYBOX=y"] {
            assert_eq!(symbol(name), yes("BR2_PACKAGE_BUSYBOX"));
        }
        assert_eq!(symbol("python-flask"), yes("BR2_PACKAGE_PYTHON_FLASK"));
        assert_eq!(symbol("a.b"), yes("BR2_PACKAGE_A_B"));
    }

    #[test]
    fn the_reason_is_what_the_trees_say() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("package")).unwrap();
        let text =
            "config BR2_A\n\tbool \"a\"\n\tdepends on BR2_B # why\n\tdepends on BR2_C\n\nconfig BR2_D\n\tbool \"d\"\n";
        std::fs::write(tree.path().join("package/Config.in"), text).unwrap();
        assert_eq!(reason("BR2_A", &[tree.path()]), "it depends on BR2_B # why and BR2_C");
        assert_eq!(reason("BR2_D", &[tree.path()]), "another option decides it");
        assert!(reason("BR2_E", &[tree.path()]).starts_with("no Config.in"));
    }

    #[test]
    fn options_of_older_releases_say_what_came_after_them() {
        let tree = tempfile::tempdir().unwrap();
        let text = "config BR2_OLD\n\tbool \"old has been removed\"\n\tselect BR2_LEGACY\n\nconfig BR2_BARE\n\tbool\n";
        std::fs::write(tree.path().join("Config.in.legacy"), text).unwrap();
        let said = |options: &str| outdated(&Config::parse(options), tree.path());
        assert_eq!(said("BR2_NEW=y\nBR2_OLD=y\n"), ["BR2_OLD is of an older release: old has been removed"]);
        assert_eq!(said("BR2_BARE=y\n"), ["BR2_BARE is of an older release: it has been removed"]);
        assert!(said("BR2_NEW=y\n")[0].starts_with("an option is of an older release"));
    }
}
