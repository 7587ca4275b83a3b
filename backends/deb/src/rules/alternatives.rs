//! The links that `update-alternatives --install` makes in automatic mode (update-alternatives(1)): the highest priority wins.

use std::collections::BTreeMap;

use minimg_shell::Command;

/// One choice for an alternative, as a script registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The generic path, such as `/usr/bin/editor`.
    pub(super) link: String,
    /// The name below `/etc/alternatives`.
    pub(super) name: String,
    /// What the link should lead to.
    pub(super) path: String,
    /// The highest wins.
    pub(super) priority: i64,
    /// Links that go with it: link, name and path.
    pub(super) slaves: Vec<[String; 3]>,
}

/// What a command registers: `None` when it registers nothing, and an error when it does and cannot be read with certainty.
pub(super) fn choice(command: &Command) -> Option<Result<Choice, ()>> {
    let calls = command.name() == "update-alternatives";
    let installs = command.words.iter().any(|word| word.known() == Some("--install"));
    (calls && installs).then(|| parse(command).ok_or(()))
}

fn parse(command: &Command) -> Option<Choice> {
    let words: Vec<&str> = command.arguments().iter().map(|word| word.known()).collect::<Option<_>>()?;
    let start = words.iter().position(|word| *word == "--install")? + 1;
    let [link, name, path, priority] = *words.get(start..start + 4)? else { return None };
    let mut slaves = Vec::new();
    let mut rest = &words[start + 4..];
    while let Some((first, after)) = rest.split_first() {
        match *first {
            "--slave" => {
                let [link, name, path] = *after.get(..3)? else { return None };
                slaves.push([link, name, path].map(str::to_owned));
                rest = &after[3..];
            }
            option if option.starts_with("--") => rest = after,
            _ => return None,
        }
    }
    let good = |name: &str| !name.is_empty() && !name.contains('/') && name != "..";
    if !good(name) || slaves.iter().any(|[_, name, _]| !good(name)) {
        return None;
    }
    let [link, name, path] = [link, name, path].map(str::to_owned);
    Some(Choice { link, name, path, priority: priority.parse().ok()?, slaves })
}

/// The winners by name. Of several with the same priority the first path wins, whatever order packages come in.
pub(super) fn winners(choices: Vec<(usize, Choice)>) -> BTreeMap<String, (usize, Choice)> {
    let mut winners: BTreeMap<String, (usize, Choice)> = BTreeMap::new();
    for (package, choice) in choices {
        let better = |(_, best): &(usize, Choice)| {
            (choice.priority, std::cmp::Reverse(&choice.path)) > (best.priority, std::cmp::Reverse(&best.path))
        };
        if winners.get(&choice.name).is_none_or(better) {
            winners.insert(choice.name.clone(), (package, choice));
        }
    }
    winners
}

#[cfg(test)]
mod tests {
    use super::super::script::commands;
    use super::*;

    fn read(script: &str) -> Vec<Result<Choice, ()>> {
        commands(script).iter().filter_map(choice).collect()
    }

    #[test]
    fn calls() {
        let read_one = |script: &str| read(script).pop();
        let script = "update-alternatives --quiet --install /usr/bin/pager pager /bin/more 50 \\\n --slave /a/pager.1.gz pager.1.gz /m/more.1.gz";
        let choice = read_one(script).unwrap().unwrap();
        assert_eq!(
            (&*choice.link, &*choice.name, &*choice.path, choice.priority),
            ("/usr/bin/pager", "pager", "/bin/more", 50)
        );
        assert_eq!(choice.slaves, [["/a/pager.1.gz", "pager.1.gz", "/m/more.1.gz"].map(str::to_owned)]);
        assert_eq!(read_one("update-alternatives --remove a /b"), None);
        for script in [
            "update-alternatives --install /usr/bin/$x x /y 1",
            "update-alternatives --install /usr/bin/x ../x /y 1",
            "update-alternatives --install /usr/bin/x x /y high",
            "update-alternatives --install /usr/bin/x x",
            "update-alternatives --install /usr/bin/x x /y 1 --slave /a",
        ] {
            assert_eq!(read_one(script), Some(Err(())), "{script}");
        }
    }

    #[test]
    fn calls_in_loops_and_through_variables() {
        let script = "dir=/usr/lib/jvm/x\nprio=2111\ntools='java keytool'\nfor i in $tools jexec; do\n  update-alternatives \\\n    --install /usr/bin/$i $i $dir/bin/$i $prio\ndone\nALT=\"/usr/bin/w w /usr/bin/w.procps 10\"\nupdate-alternatives --install $ALT";
        let told: Vec<_> = read(script)
            .into_iter()
            .map(|choice| choice.map(|choice| format!("{} {} {}", choice.link, choice.path, choice.priority)))
            .collect();
        let expected = [
            "/usr/bin/java /usr/lib/jvm/x/bin/java 2111",
            "/usr/bin/keytool /usr/lib/jvm/x/bin/keytool 2111",
            "/usr/bin/jexec /usr/lib/jvm/x/bin/jexec 2111",
            "/usr/bin/w /usr/bin/w.procps 10",
        ];
        assert_eq!(told, expected.map(|line| Ok(line.to_owned())));
    }

    #[test]
    fn the_highest_priority_wins() {
        let choice = |path: &str, priority| Choice {
            link: "/e".into(),
            name: "e".into(),
            path: path.into(),
            priority,
            slaves: vec![],
        };
        let winner =
            |choices: Vec<Choice>| winners(choices.into_iter().map(|choice| (0, choice)).collect())["e"].1.path.clone();
        assert_eq!(winner(vec![choice("/a", 1), choice("/b", 2), choice("/c", 2)]), "/b");
        assert_eq!(winner(vec![choice("/c", 2), choice("/b", 2), choice("/a", 1)]), "/b");
    }
}
