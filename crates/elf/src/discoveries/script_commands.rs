//! The commands that kept shell scripts name: a guess, under a policy of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Discovery;
use crate::closure::Why;
use crate::context::Context;
use crate::finding::Severity;
use crate::settings::Policy;
use crate::shebang::Shebang;
use crate::shell::commands_of;
use minimg_tree::{Root, RootPath};

/// Longer scripts were not written by people; their beginning is read.
const LONGEST: usize = 1 << 20;

/// Keeps or reports the commands that scripts name.
#[derive(Default)]
pub(super) struct ScriptCommands {
    /// The script, the command, and where that is.
    found: BTreeSet<(RootPath, String, RootPath)>,
}

impl<R: Root + ?Sized> Discovery<R> for ScriptCommands {
    fn script(
        &mut self,
        context: &mut Context<'_, R>,
        path: &RootPath,
        shebang: &Shebang,
        bytes: &[u8],
    ) -> io::Result<()> {
        let policy = context.settings().closure.script_commands;
        if policy == Policy::Ignore {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
        for command in commands_of(shebang, &text) {
            let Some((_, place)) = context.find_program(&command)? else { continue };
            if policy == Policy::Keep {
                let why = Why::Opened(format!("the script {path} names the command {command}"));
                context.keep_place(&place, why, Some(path));
            } else {
                self.found.insert((path.clone(), command, place.path.clone()));
            }
        }
        Ok(())
    }

    /// Reports the commands that nothing else has kept, one line for each script.
    fn finish(&mut self, context: &mut Context<'_, R>) -> io::Result<()> {
        let mut by_script = BTreeMap::<RootPath, Vec<String>>::new();
        for (script, command, place) in std::mem::take(&mut self.found) {
            if !context.ledger().keeps(&place) {
                by_script.entry(script).or_default().push(command);
            }
        }
        for (script, commands) in by_script {
            let text = format!(
                "it names commands that are not kept ({}): add those that it needs under programs, or set script-commands = \"keep\" under [closure]",
                commands.join(", ")
            );
            context.find(Severity::Note, &script, text);
        }
        Ok(())
    }
}
