//! Running programs of another machine in a namespace, by QEMU's user mode emulation.
//!
//! The kernel starts the emulator for files of a foreign machine (`binfmt_misc`). Where the machine does not have that set up, the
//! namespace gets it for itself: since Linux 6.7 every user namespace may mount its own, and nothing outside of it changes.

use std::ffi::OsString;
use std::path::PathBuf;

use super::namespace::{Ids, Namespace, SETPRIV, UNSHARE};
use super::tool::ToolError;
use minimg_base::board::Board;
use minimg_context::Settings;

/// Sets the emulator up in the user namespace that it runs in, from the file `$0`, and goes on as the command.
const SET_UP: &str = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && \
    cat \"$0\" >/proc/sys/fs/binfmt_misc/register && exec \"$@\"";

/// For root, who has no user namespace yet: makes one with all ids of the machine, which newuidmap(1) would not give, and goes on there.
const IN_NEW_NAMESPACE: &str = r#"
setpriv=$1 unshare=$2 set_up=$3 registration=$4
shift 4
exec 3<&0 # what runs in the background has no standard input unless it is given one
ready=$(mktemp -u)
mkfifo -m 600 "$ready"
"$setpriv" --pdeathsig KILL "$unshare" --user --mount --pid --fork --kill-child sh -c '
    read go <"$0"
    exec sh -c "mount -t proc proc /proc && exec sh -c \"\$0\" \"\$@\"" "$@"' "$ready" "$set_up" "$registration" "$@" <&3 3<&- &
child=$!
while [ "$(readlink /proc/$child/ns/user)" = "$(readlink /proc/$$/ns/user)" ]; do
    kill -0 $child || exit 1
    sleep 0.01
done
echo "0 0 4294967295" >/proc/$child/uid_map
echo "0 0 4294967295" >/proc/$child/gid_map
echo go >"$ready"
rm "$ready"
wait $child
"#;

/// Whether this machine runs programs of the board's by itself.
fn is_native(board: &Board) -> bool {
    let own = |architectures: &[&str]| architectures.contains(&board.platform.architecture.as_str());
    match std::env::consts::ARCH {
        "x86_64" => own(&["amd64", "386"]),
        "x86" => own(&["386"]),
        "aarch64" => own(&["arm64"]),
        "arm" => own(&["arm"]),
        "powerpc64" => own(&["ppc64le"]),
        "mips64" => own(&["mips64le"]),
        other => own(&[other]),
    }
}

impl Namespace {
    /// The namespace in which `tool` can run programs of the board: this one, if the machine can already.
    ///
    /// # Errors
    /// When there is no emulator, or the kernel does not let it be set up.
    pub fn for_board(self, board: &Board, tool: &str, settings: &Settings) -> Result<Self, ToolError> {
        let Some(qemu) = board.qemu.as_deref().filter(|_| !is_native(board)) else { return Ok(self) };
        let missing =
            |reason: String| ToolError::NoEmulator { tool: tool.to_owned(), machine: qemu.to_owned(), reason };
        let machine = settings.machine.as_deref();
        let machine =
            machine.ok_or_else(|| missing("the settings name no machine whose emulators to use".to_owned()))?;
        if machine.join("proc/sys/fs/binfmt_misc").join(format!("qemu-{qemu}")).exists() {
            return Ok(self);
        }
        let registration: PathBuf = machine.join("usr/lib/binfmt.d").join(format!("qemu-{qemu}.conf"));
        if !registration.is_file() {
            return Err(missing(format!("there is no {}", registration.display())));
        }
        let text = |word: &str| OsString::from(word);
        let prefix = match self.ids {
            Ids::All => {
                let (setpriv, unshare) = (SETPRIV.find(&settings.path)?, UNSHARE.find(&settings.path)?);
                let outer = [setpriv.clone().into(), text("--pdeathsig"), text("KILL"), text("sh"), text("-c")];
                let words = [text(IN_NEW_NAMESPACE), text("sh"), setpriv.into(), unshare.into(), text(SET_UP)];
                outer.into_iter().chain(words).chain([registration.into()]).collect()
            }
            Ids::Mapped | Ids::Root => {
                let set_up = [text("sh"), text("-c"), text(SET_UP), registration.into()];
                self.prefix.into_iter().chain(set_up).collect()
            }
        };
        let namespace = Self { ids: self.ids, prefix };
        namespace.try_out().map_err(missing)?;
        Ok(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_board::Boards;
    use std::process::Command;

    #[test]
    fn a_foreign_machine_is_emulated_in_the_namespace_alone() {
        let path = std::env::var_os("PATH").unwrap();
        let settings = Settings { path, machine: Some("/".into()), ..Settings::default() };
        let before = std::fs::read_dir("/proc/sys/fs/binfmt_misc").unwrap().count();
        let plain = Namespace::find("a test", &settings).unwrap();
        let board = |name: &str| Boards::built_in().get(name).unwrap();
        let host = Boards::built_in().host().unwrap();
        assert_eq!(plain.clone().for_board(&host, "a test", &settings).unwrap(), plain);
        let foreign = if host.name == "arm64" { "amd64" } else { "arm64" };
        let emulating = plain.for_board(&board(foreign), "a test", &settings).unwrap();
        let command = emulating.wrap("sh".as_ref(), ["-c".into(), "id -u; ls /proc/sys/fs/binfmt_misc; exit 3".into()]);
        let output = Command::new(&command[0]).args(&command[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.starts_with("0\n") && said.contains("qemu-"), "{said}");
        assert_eq!(std::fs::read_dir("/proc/sys/fs/binfmt_misc").unwrap().count(), before);
        let nowhere = Settings { machine: Some("/none".into()), ..settings };
        let error = Namespace::find("a test", &nowhere).unwrap().for_board(&board(foreign), "a test", &nowhere);
        assert!(error.unwrap_err().to_string().contains("apt-get install qemu-user-static"));
    }
}
