//! What a command line says of how the program is run, after the profile.

use super::{Profile, check};

/// Changes to `[image]`, with the same rules. What is empty changes nothing.
#[derive(Debug, Clone, Default)]
pub struct ImageChanges {
    /// Variables as `NAME=VALUE`.
    pub env: Vec<String>,
    /// Labels as `NAME=VALUE`.
    pub labels: Vec<String>,
    /// The program and the arguments that it always gets: a program, or a JSON array of words. It takes the place of `cmd` too.
    pub entrypoint: Option<String>,
    /// The arguments that a user can replace: a word, or a JSON array of words.
    pub cmd: Option<String>,
    /// `user`, `uid`, or either with `:group`.
    pub user: Option<String>,
    /// The directory to start in.
    pub workdir: Option<String>,
}

impl Profile {
    /// Makes the changes.
    ///
    /// # Errors
    /// In words, for the first that is wrong.
    pub fn change_image(&mut self, changes: &ImageChanges) -> Result<(), String> {
        let image = &mut self.image;
        for text in &changes.env {
            let (name, value) = pair(text)?;
            image.env.insert(check::variable(name)?, value.to_owned());
        }
        for text in &changes.labels {
            let (name, value) = pair(text)?;
            image.labels.insert(check::word("a label's name", name)?, value.to_owned());
        }
        if let Some(text) = &changes.entrypoint {
            image.entrypoint = check::command(&words(text)?)?;
            image.cmd.clear();
        }
        if let Some(text) = &changes.cmd {
            image.cmd = words(text)?;
        }
        if let Some(user) = &changes.user {
            image.user = check::user(user)?;
        }
        if let Some(directory) = &changes.workdir {
            image.workdir = check::image_path(directory)?;
        }
        Ok(())
    }
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').ok_or_else(|| format!("`{text}` has no value: write NAME=VALUE"))
}

/// One word as it is, or a JSON array of words, as Dockerfiles have it.
fn words(text: &str) -> Result<Vec<String>, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text).map_err(|error| format!("`{text}` is not an array of words: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Catalogue;

    #[test]
    fn changes_have_the_rules_of_profiles() {
        let profile = Catalogue::built_in().profile("redis", None, None).unwrap();
        let changed = |changes: ImageChanges| {
            let mut profile = profile.clone();
            profile.change_image(&changes).map(|()| profile.image)
        };
        let some = |text: &str| Some(text.to_owned());
        let image = changed(ImageChanges {
            env: vec!["A=b=c".to_owned()],
            labels: vec!["team=x".to_owned()],
            entrypoint: some("[\"/usr/bin/redis-server\", \"--port\", \"1\"]"),
            user: some("1:2"),
            workdir: some("/srv"),
            ..ImageChanges::default()
        });
        let image = image.unwrap();
        assert_eq!((image.env["A"].as_str(), image.labels["team"].as_str()), ("b=c", "x"));
        assert_eq!((image.entrypoint.len(), image.cmd.len()), (3, 0));
        assert_eq!((image.user.as_str(), image.workdir.as_str()), ("1:2", "/srv"));
        for wrong in [
            ImageChanges { env: vec!["A".to_owned()], ..ImageChanges::default() },
            ImageChanges { entrypoint: some(""), ..ImageChanges::default() },
            ImageChanges { cmd: some("[1]"), ..ImageChanges::default() },
            ImageChanges { user: some("a b"), ..ImageChanges::default() },
            ImageChanges { workdir: some("x"), ..ImageChanges::default() },
        ] {
            assert!(changed(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
