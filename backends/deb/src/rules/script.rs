//! The commands of maintainer scripts, as far as reading tells (Debian policy, chapter 6).

use minimg_shell::{Command, Known, Word, read};

/// The root that dpkg installs to is this one, so its name is empty.
const VARIABLES: &[(&str, &str)] = &[("DPKG_ROOT", "")];

/// The commands of a script that may run in a new root, in their order.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let script = read(script, &Known { variables: VARIABLES, never_holds: &asks_for_upgrade });
    script.commands.into_iter().filter(|command| !command.is_unreachable && !command.is_substituted).collect()
}

/// Whether a condition holds only when a version was installed before: `$2` of a postinst is that version.
fn asks_for_upgrade(words: &[Word]) -> bool {
    let has = |wanted: &str| words.iter().any(|word| word.shown() == wanted);
    has("--compare-versions") || (has("$2") && (has("-n") || has("!=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_runs_on_upgrades_is_left_out() {
        let script = "if dpkg --compare-versions \"$2\" lt 2; then a; else b $(x); fi\nif [ -n \"$2\" ]; then c; fi\n\
                      if [ -z \"$2\" ]; then d \"$DPKG_ROOT/d\"; fi\ne";
        let shown: Vec<String> = commands(script).iter().map(Command::shown).collect();
        assert_eq!(shown, ["dpkg --compare-versions $2 lt 2", "b $(x)", "[ -n $2 ]", "[ -z $2 ]", "d /d", "e"]);
    }
}
