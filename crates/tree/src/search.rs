//! Where an image looks for a program that it is asked to start.

use std::collections::BTreeMap;

/// The PATH of an image that sets none, as engines have it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The PATH of an image with these variables.
pub fn path_of(env: &BTreeMap<String, String>) -> &str {
    env.get("PATH").map_or(DEFAULT_PATH, String::as_str)
}

/// The places of a program in the order in which an engine tries them, as absolute paths that may have `.` and `..` in them: of a name with
/// a slash the one path, from `working_directory`; of another one a path in each directory of PATH. Engines take no relative directories.
pub fn places_of_program(name: &str, env: &BTreeMap<String, String>, working_directory: &str) -> Vec<String> {
    let within = |directory: &str| format!("{}/{name}", directory.trim_end_matches('/'));
    if name.starts_with('/') {
        vec![name.to_owned()]
    } else if name.contains('/') {
        vec![within(working_directory)]
    } else {
        path_of(env).split(':').filter(|directory| directory.starts_with('/')).map(within).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let env = |path: &str| BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        for (name, path, expected) in [
            ("/bin/sh", "/usr/bin", &["/bin/sh"][..]),
            ("sh", "/usr/bin:/bin/", &["/usr/bin/sh", "/bin/sh"]),
            ("sh", "bin::.:/", &["/sh"]),
            ("./run", "/usr/bin", &["/srv/./run"]),
            ("bin/../run", "/usr/bin", &["/srv/bin/../run"]),
        ] {
            assert_eq!(places_of_program(name, &env(path), "/srv"), expected, "{name} {path}");
        }
        assert_eq!(places_of_program("sh", &BTreeMap::new(), "/").len(), 6);
        assert_eq!(places_of_program("a/b", &BTreeMap::new(), "/"), ["/a/b"]);
    }
}
