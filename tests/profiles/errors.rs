//! Messages, as people see them.

use super::{directory, message, read};
use minimg::board::Boards;
use minimg::profile::{Catalogue, DocumentError};

/// The message for a profile of this text.
fn message_for(text: &str) -> String {
    read(text).map(|_| "no error".to_owned()).unwrap_or_else(|message| message)
}

#[test]
fn unknown_keys_get_the_nearest_right_name() {
    insta::assert_snapshot!(message_for("
descripton = 'x'
entrypoint = ['x']
healtcheck = 'x'

[image]
entrypiont = ['x']
zzz = 1

[closure]
suggested = 'kep'
triggers = 'never'
"), @r##"
    cannot read `x.toml`, which has errors

    x.toml:2:1: unknown key `descripton` at the top of the file
       |
     2 | descripton = 'x'
       | ^^^^^^^^^^
       = help: did you mean `description`?

    x.toml:3:1: unknown key `entrypoint` at the top of the file
       |
     3 | entrypoint = ['x']
       | ^^^^^^^^^^
       = help: `entrypoint` belongs in `[image]`

    x.toml:4:1: unknown key `healtcheck` at the top of the file
       |
     4 | healtcheck = 'x'
       | ^^^^^^^^^^
       = help: did you mean `healthcheck` in `[image]`?

    x.toml:7:1: unknown key `entrypiont` in `[image]`
       |
     7 | entrypiont = ['x']
       | ^^^^^^^^^^
       = help: did you mean `entrypoint`?

    x.toml:8:1: unknown key `zzz` in `[image]`
       |
     8 | zzz = 1
       | ^^^
       = help: one of: cmd, entrypoint, env, healthcheck, labels, ports, stop-signal, user, volumes, workdir

    x.toml:11:13: unknown value `kep` for `closure.suggested`
        |
     11 | suggested = 'kep'
        |             ^^^^^
        = help: did you mean `keep`?

    x.toml:12:12: unknown value `never` for `closure.triggers`
        |
     12 | triggers = 'never'
        |            ^^^^^^^
        = help: one of: keep, report, ignore
    "##);
}

#[test]
fn a_command_is_an_array() {
    insta::assert_snapshot!(message_for("
[image]
entrypoint = '/usr/sbin/nginx -g'
ports = [80, '99999', '53/udp']
env = ['A=b']
user = 1000
"), @r##"
    cannot read `x.toml`, which has errors

    x.toml:3:14: `image.entrypoint` must be an array of strings, not a string
       |
     3 | entrypoint = '/usr/sbin/nginx -g'
       |              ^^^^^^^^^^^^^^^^^^^^
       = help: write `entrypoint = ["/usr/sbin/nginx", "-g"]`

    x.toml:4:10: each element of `image.ports` must be a string, not an integer
       |
     4 | ports = [80, '99999', '53/udp']
       |          ^^
       = help: write `"80"`

    x.toml:5:7: `image.env` must be a table, not an array
       |
     5 | env = ['A=b']
       |       ^^^^^^^
       = help: write `env = { LANG = "C.UTF-8" }`

    x.toml:6:8: `image.user` must be a string, not an integer
       |
     6 | user = 1000
       |        ^^^^
       = help: write `user = "1000"`
    "##);
}

#[test]
fn what_is_missing_is_named_with_its_meaning() {
    insta::assert_snapshot!(message_for("
[[add.accounts]]
name = 'app'

[[tests]]
command = ['x']
"), @r##"
    cannot read `x.toml`, which has errors

    x.toml:2:1: `uid` is missing in `add.accounts`
       |
     2 | [[add.accounts]]
       | ^^^^^^^^^^^^^^^^
       = help: `uid` is the user's number

    x.toml:5:1: `name` is missing in `tests`
       |
     5 | [[tests]]
       | ^^^^^^^^^
       = help: `name` is what the test shows
    "##);
}

#[test]
fn syntax_has_line_and_column() {
    insta::assert_snapshot!(message_for("description = 'größe'\n[image]\ncmd = ['a' 'b']\n"), @r##"
    cannot read `x.toml`, which has an error

    x.toml:3:12: missing comma between array elements, expected `,`
       |
     3 | cmd = ['a' 'b']
       |            ^
    "##);
    insta::assert_snapshot!(message_for("a = 1\na = 2"), @r##"
    cannot read `x.toml`, which has an error

    x.toml:2:1: duplicate key
       |
     2 | a = 2
       | ^
    "##);
}

#[test]
fn values_are_checked_one_by_one() {
    insta::assert_snapshot!(message_for(r#"
extends = "bash"
[packages]
deb = ["-o", "two words"]
[keep]
programs = ["../x", "a/b", "/ok/../no"]
[keep.globs]
"usr/**" = "not absolute"
"/usr/[" = "not a glob"
"/usr/share" = "  "
[add.links]
"/a/link" = ""
[image]
env = { "A=B" = "x" }
stop-signal = "SIGQIT"
ports = ["99999", "80/xdp"]
user = "a b"
workdir = "work"
healthcheck = { command = [], interval = "soon" }
[source]
mirror = "ftp://somewhere"
[arch.x86_64.packages]
deb = ["x"]
"#), @r##"
    cannot read `x.toml`, which has errors

    x.toml:4:8: `-o` is not a package: it must be one word and not begin with `-`
       |
     4 | deb = ["-o", "two words"]
       |        ^^^^

    x.toml:4:14: `two words` is not a package: it must be one word and not begin with `-`
       |
     4 | deb = ["-o", "two words"]
       |              ^^^^^^^^^^^

    x.toml:6:13: `../x` is neither an absolute path nor a program's name
       |
     6 | programs = ["../x", "a/b", "/ok/../no"]
       |             ^^^^^^

    x.toml:6:21: `a/b` is neither an absolute path nor a program's name
       |
     6 | programs = ["../x", "a/b", "/ok/../no"]
       |                     ^^^^^

    x.toml:6:28: `/ok/../no` must not contain `..`
       |
     6 | programs = ["../x", "a/b", "/ok/../no"]
       |                            ^^^^^^^^^^^

    x.toml:8:1: the glob `usr/**` must begin with `/`, since it is compared with absolute paths
       |
     8 | "usr/**" = "not absolute"
       | ^^^^^^^^

    x.toml:9:1: this is not a glob: unclosed character class; missing ']'
       |
     9 | "/usr/[" = "not a glob"
       | ^^^^^^^^

    x.toml:10:16: the reason is empty; `minimg why` shows it, so say why
        |
     10 | "/usr/share" = "  "
        |                ^^^^

    x.toml:12:13: the link leads nowhere: its target is empty
        |
     12 | "/a/link" = ""
        |             ^^

    x.toml:14:9: `A=B` is not the name of an environment variable
        |
     14 | env = { "A=B" = "x" }
        |         ^^^^^

    x.toml:15:15: `SIGQIT` is not a signal; did you mean `SIGQUIT`?
        |
     15 | stop-signal = "SIGQIT"
        |               ^^^^^^^^

    x.toml:16:10: `99999` is not a port: write a number from 1 to 65535, with `/tcp`, `/udp` or `/sctp` behind it
        |
     16 | ports = ["99999", "80/xdp"]
        |          ^^^^^^^

    x.toml:16:19: `80/xdp` is not a port: write a number from 1 to 65535, with `/tcp`, `/udp` or `/sctp` behind it
        |
     16 | ports = ["99999", "80/xdp"]
        |                   ^^^^^^^^

    x.toml:17:8: `a b` is not a user's or group's name: letters, digits, `.`, `_` and `-`, at most 32
        |
     17 | user = "a b"
        |        ^^^^^

    x.toml:18:11: `work` is not an absolute path: it must begin with `/`
        |
     18 | workdir = "work"
        |           ^^^^^^

    x.toml:19:27: the command is empty
        |
     19 | healthcheck = { command = [], interval = "soon" }
        |                           ^^

    x.toml:19:42: "soon" is not a span of time: write `90s`, `1m30s`, `2h` or `30d`
        |
     19 | healthcheck = { command = [], interval = "soon" }
        |                                          ^^^^^^

    x.toml:21:10: `ftp://somewhere` is not an address: it must begin with `http://`, `https://` or `file://`
        |
     21 | mirror = "ftp://somewhere"
        |          ^^^^^^^^^^^^^^^^^

    x.toml:22:7: `x86_64` is not an OCI architecture; did you mean `amd64`?
        |
     22 | [arch.x86_64.packages]
        |       ^^^^^^
    "##);
}

#[test]
fn files_are_checked() {
    insta::assert_snapshot!(message_for(r#"
[[add.files]]
path = "/etc/../x"
content = ""
[[add.files]]
path = "/etc/x"
mode = "999"
[[add.files]]
path = "/etc/y"
content = ""
from = "beside"
owner = "4294967295"
[[add.files]]
path = "/etc/y"
from = "missing"
[[add.files]]
path = "/etc/z"
content = ""
mode = 644
"#), @r##"
    cannot read `x.toml`, which has an error

    x.toml:19:8: `add.files.mode` must be a string, not an integer
        |
     19 | mode = 644
        |        ^^^
        = help: write `mode = "0644"`
    "##);
    insta::assert_snapshot!(message_for(r#"
[[add.files]]
path = "/etc/x"
mode = "999"
[[add.files]]
path = "/etc/y"
content = ""
from = "beside"
owner = "4294967295"
[[add.files]]
path = "/etc/y"
from = "missing"
"#), @r##"
    cannot read `x.toml`, which has errors

    x.toml:3:8: this file has neither `content` nor `from`
       |
     3 | path = "/etc/x"
       |        ^^^^^^^^
       = help: write `content = "…"`, or `from = "a-file-beside-this-one"`

    x.toml:4:8: `999` is not a mode: write three or four octal digits, such as "0644"
       |
     4 | mode = "999"
       |        ^^^^^

    x.toml:8:8: a file has either `content` or `from`, not both
       |
     8 | from = "beside"
       |        ^^^^^^^^

    x.toml:9:9: 4294967295 cannot be used: the kernel takes it for "none"
       |
     9 | owner = "4294967295"
       |         ^^^^^^^^^^^^

    x.toml:11:8: the file `/etc/y` is added twice
        |
     11 | path = "/etc/y"
        |        ^^^^^^^^

    x.toml:12:8: cannot read missing: No such file or directory (os error 2)
        |
     12 | from = "missing"
        |        ^^^^^^^^^
    "##);
}

#[test]
fn what_could_harm_a_terminal_is_not_shown() {
    let message = message_for("[image]\nuser = \"a\\u001b[31mb\"\n[keep.globs]\n\"/x\" = \"y\\u0007\"\n");
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
    insta::assert_snapshot!(message, @r##"
    cannot read `x.toml`, which has errors

    x.toml:2:8: `a�[31mb` is not a user's or group's name: letters, digits, `.`, `_` and `-`, at most 32
       |
     2 | user = "a\u001b[31mb"
       |        ^^^^^^^^^^^^^^

    x.toml:4:8: it contains a control character (U+0007)
       |
     4 | "/x" = "y\u0007"
       |        ^^^^^^^^^
    "##);
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let text = format!("[image]\ncmd = [{} 1, {}]", "'x', ".repeat(60), "'y', ".repeat(60));
    insta::assert_snapshot!(message_for(&text), @r##"
    cannot read `x.toml`, which has an error

    x.toml:2:309: each element of `image.cmd` must be a string, not an integer
       |
     2 | ', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x',  1, 'y', 'y', 'y', 'y', 'y', 'y', 'y', 'y', 'y', 'y', 'y'
       |                                                       ^
       = help: write `"1"`
    "##);
}

#[test]
fn building_on_what_is_not_there() {
    insta::assert_snapshot!(message_for("extends = 'ngnix'"), @r##"
    cannot read `x.toml`, which has an error

    x.toml:1:11: cannot find the profile `ngnix`: no such name; did you mean `nginx`? (name your own profile by a path that contains a `/` or ends in `.toml`)
       |
     1 | extends = 'ngnix'
       |           ^^^^^^^
    "##);
    insta::assert_snapshot!(message_for("extends = './none.toml'"), @r##"
    cannot read `x.toml`, which has an error

    x.toml:1:11: cannot read ./none.toml: No such file or directory (os error 2)
       |
     1 | extends = './none.toml'
       |           ^^^^^^^^^^^^^
    "##);
    let circle = directory(&[("a.toml", "extends = './b.toml'"), ("b.toml", "extends = './a.toml'")]);
    let error = Catalogue::built_in().get(circle.path().join("a.toml").to_str().unwrap()).unwrap_err();
    insta::assert_snapshot!(message(&error, circle.path()).replace("././", "./"), @r##"
    cannot read `./a.toml`, which has an error

    ./a.toml:1:11: more than 16 profiles build on one another; do they form a circle?
       |
     1 | extends = './b.toml'
       |           ^^^^^^^^^^
    "##);
    let own = directory(&[("own.toml", "extends = 'own'")]);
    let catalogue = Catalogue::built_in().with_directory(own.path()).unwrap();
    insta::assert_snapshot!(message(&catalogue.get("own").unwrap_err(), own.path()), @r##"
    cannot read `own.toml`, which has an error

    own.toml:1:11: `own` cannot build on itself
       |
     1 | extends = 'own'
       |           ^^^^^
    "##);
}

#[test]
fn a_name_that_cannot_be_an_images_name() {
    let dir = directory(&[("My Profile.toml", "description = 'x'")]);
    let error = Catalogue::built_in().get(dir.path().join("My Profile.toml").to_str().unwrap()).unwrap_err();
    insta::assert_snapshot!(message(&error, dir.path()), @r##"
    cannot read `My Profile.toml`, which has an error

    My Profile.toml: `My Profile` cannot be a profile's name; rename the file: its name becomes the image's, so use only lower-case letters, digits, and `.`, `_`, `-` between them
    "##);
}

#[test]
fn boards_are_checked_too() {
    let dir = directory(&[
        (
            "x.toml",
            "description = 'x'\nqemu = 'a b'\n[platform]\nos = 'windows'\narchitecture = 'arm/v7'\n[names]\ndebian = 'x'",
        ),
        (
            "y.toml",
            "description = 'x'\nqemu = 'a b'\n[platform]\nos = 'windows'\narchitecture = 'arm/v7'\n[names]\ndeb = '../x'",
        ),
    ]);
    let boards = Boards::built_in();
    let message_of =
        |name: &str| message(&boards.get(dir.path().join(name).to_str().unwrap()).unwrap_err(), dir.path());
    insta::assert_snapshot!(message_of("x.toml"), @r##"
    cannot read `x.toml`, which has an error

    x.toml:7:1: unknown key `debian` in `[names]`
       |
     7 | debian = 'x'
       | ^^^^^^
       = help: did you mean `deb`?
    "##);
    insta::assert_snapshot!(message_of("y.toml"), @r##"
    cannot read `y.toml`, which has errors

    y.toml:2:8: this must be a word of letters, digits, `_`, `-` and `.`
       |
     2 | qemu = 'a b'
       |        ^^^^^

    y.toml:4:6: `windows` is not supported: the only operating system is `linux`
       |
     4 | os = 'windows'
       |      ^^^^^^^^^

    y.toml:5:16: this must be a word of letters, digits, `_`, `-` and `.`
       |
     5 | architecture = 'arm/v7'
       |                ^^^^^^^^

    y.toml:7:7: this must be a word of letters, digits, `_`, `-` and `.`
       |
     7 | deb = '../x'
       |       ^^^^^^
    "##);
}

#[test]
fn problems_can_be_had_as_data() {
    let dir = directory(&[("x.toml", "\n[image]\n  usr = 1\n")]);
    let error = Catalogue::built_in().get(dir.path().join("x.toml").to_str().unwrap()).unwrap_err();
    let Some(DocumentError::File(error)) = error.inner().downcast_ref::<DocumentError>() else { panic!("{error}") };
    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!(problem.help.as_deref(), Some("did you mean `user`?"));
    assert_eq!(error.position(problem), Some((3, 3)));
}

#[test]
fn names_of_other_things_are_checked_where_they_stand() {
    insta::assert_snapshot!(message_for("
backend = 'debb'

[keep]
rules = ['ca-certificate', 'xyz']

[board.raspbery-pi-4.packages]
deb = ['x']

[suite.anything.packages]
deb = ['x']

[suite.trixy.packages]
deb = ['x']

[[add.files]]
path = '/etc/.wh.passwd'
content = ''
"), @r##"
    cannot read `x.toml`, which has errors

    x.toml:2:11: there is no backend `debb`; did you mean `deb`?
       |
     2 | backend = 'debb'
       |           ^^^^^^

    x.toml:5:10: there is no rule set `ca-certificate`; did you mean `ca-certificates`?
       |
     5 | rules = ['ca-certificate', 'xyz']
       |          ^^^^^^^^^^^^^^^^

    x.toml:5:28: there is no rule set `xyz`; `minimg list rules` shows all
       |
     5 | rules = ['ca-certificate', 'xyz']
       |                            ^^^^^

    x.toml:7:8: there is no board `raspbery-pi-4`; did you mean `raspberry-pi-4`?
       |
     7 | [board.raspbery-pi-4.packages]
       |        ^^^^^^^^^^^^^

    x.toml:13:8: there is no suite `trixy`; did you mean `trixie`?
        |
     13 | [suite.trixy.packages]
        |        ^^^^^

    x.toml:17:8: `/etc/.wh.passwd` cannot be in an image: engines take `.wh.passwd` to mean that a file is removed
        |
     17 | path = '/etc/.wh.passwd'
        |        ^^^^^^^^^^^^^^^^^
    "##);
}
