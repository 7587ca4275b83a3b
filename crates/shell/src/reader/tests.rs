use super::*;

fn asks_for_upgrade(words: &[Word]) -> bool {
    words.iter().any(|word| word.shown() == "$2") && words.iter().any(|word| word.shown() == "-n")
}

fn read_all(script: &str) -> Script {
    crate::read(script, &Known { variables: &[("ROOT", "")], never_holds: &asks_for_upgrade })
}

fn shown(script: &str) -> Vec<String> {
    let show = |command: Command| {
        let is_unknown = command.words.iter().any(|word| word.known().is_none());
        let marks = [(is_unknown, "? "), (command.is_unreachable, "^ "), (command.is_substituted, "> ")];
        let marks: String = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect();
        marks + &command.shown()
    };
    read_all(script).commands.into_iter().map(show).collect()
}

#[test]
fn words_and_variables() {
    let cases: [(&str, &[&str]); 18] = [
        ("a >/dev/null 2>&1 b 2> c || d", &["a b", "d"]),
        ("a 'b c' \"d $e\" f\\ g", &["? a b c d $e f g"]),
        ("U=redis\nG=\"$U\"\nadduser $U ${G}", &["U=redis", "G=redis", "adduser redis redis"]),
        ("X=1\nX=2\na $X", &["X=1", "X=2", "? a $X"]),
        ("a $(b $(c)) `d`", &["? a $(b $(c)) `d`", "? > b $(c)", "> d", "> c"]),
        ("a \\\n  b # c\nd;e&&f||g", &["a b", "d", "e", "f", "g"]),
        ("if a; then b; else c; fi", &["a", "b", "c"]),
        ("for x in a b; do c $x; done; d $x", &["for x in a b", "c a", "c b", "? d $x"]),
        ("a <<EOF\nupdate-alternatives\nEOF\nb", &["a", "b"]),
        ("cp \"$ROOT/a\" ${ROOT:-}/b", &["cp /a /b"]),
        ("a ${ROOT:-b} ${ROOT:-$c} ${X:-d}", &["? a b ${ROOT:-$c} ${X:-d}"]),
        ("a $((1 + 2)); b", &["? a $((1 + 2))", "b"]),
        ("case $x in a|b) c;; (d) e ;& *) f; esac; g", &["? case $x in", "c", "e", "f", "g"]),
        ("case a in\n# b\n'c d') case e in f) g;; esac;;\nesac", &["case a in", "case e in", "g"]),
        ("for x in a b; do case $x in a) c $x;; esac; done", &["for x in a b", "case a in", "c a", "case b in", "c b"]),
        ("f() { a; }\nfunction g { b; }\nh () (c)", &["a", "b", "c"]),
        ("a=(b c); d", &["a=", "b c", "d"]),
        ("case \"$1\" in\nconfigure)\n a\n;;\nesac", &["? case $1 in", "a"]),
    ];
    for (script, expected) in cases {
        assert_eq!(shown(script), expected, "{script}");
    }
}

#[test]
fn loops_over_literal_words() {
    let cases: [(&str, &[&str]); 12] = [
        (
            "L=\"a b\"\nfor x in $L c\ndo\n d \"$x\" /${x}.1\ndone",
            &["L=a b", "for x in a b c", "d a /a.1", "d b /b.1", "d c /c.1"],
        ),
        (
            "for x in a b; do for y in 1 2; do c $x$y; done; d $x; done",
            &["for x in a b", "for y in 1 2", "c a1", "c a2", "d a", "for y in 1 2", "c b1", "c b2", "d b"],
        ),
        ("for x in a b; do while c; do d $x; done; done; e", &["for x in a b", "c", "d a", "c", "d b", "e"]),
        ("for x in a b; do if c; then d $x; fi; done", &["for x in a b", "c", "d a", "c", "d b"]),
        ("for x in \"a b\" ''; do c \"$x\"; done", &["for x in a b ", "c a b", "c "]),
        ("A='1 2'\nB=$A\nc $B \"$B\" x$A", &["A=1 2", "B=1 2", "c 1 2 1 2 x1 2"]),
        // What is not certain stays unknown, and is read once.
        ("for x in /a/*; do c $x; done", &["? for x in /a/*", "? c $x"]),
        ("for x in $(a) b; do c $x; done", &["? for x in $(a) b", "? c $x", "> a"]),
        ("for x; do c $x; done", &["for x", "? c $x"]),
        ("for x in a b; do x=c; d $x; done", &["for x in a b", "x=c", "? d $x"]),
        ("for x in a b; do c $x && break; done", &["for x in a b", "? c $x", "break"]),
        ("for x in a b; do c $x", &["for x in a b", "c a"]),
    ];
    for (script, expected) in cases {
        assert_eq!(shown(script), expected, "{script}");
    }
}

#[test]
fn functions_and_calls() {
    let script = read_all("f() { a; }\nfunction g { b; }\nA=1 B=2 /usr/bin/h i\nC=3\nx=()");
    assert_eq!(script.functions.into_iter().collect::<Vec<_>>(), ["f", "g"]);
    let names: Vec<&str> = script.commands.iter().map(Command::name).collect();
    assert_eq!(names, ["a", "b", "h", "", ""]);
    assert_eq!(script.commands[2].arguments(), [Word::Known("i".into())]);
}

#[test]
fn what_would_take_long_is_not_followed() {
    let words = "w ".repeat(300);
    let loops = format!("{}b; {}", format!("for x in {words}; do ").repeat(9), "done; ".repeat(9));
    let nested = format!("{}b{}", "a $(".repeat(50_000), ")".repeat(50_000));
    let unfinished = ["(", "{ ", "$(", "if x; then ", "case x in a) ", "while ", "for x in a; do ", "`", "${a:-"]
        .map(|begin| begin.repeat(50_000));
    for script in [loops, nested].into_iter().chain(unfinished) {
        let commands = read_all(&script).commands;
        assert!(commands.len() < 1_000_000, "{}", commands.len());
    }
}

#[test]
fn branches_that_are_never_reached() {
    let script = "if a -n \"$2\"; then b; else c; fi\nif [ -z \"$2\" ]; then d; elif [ -n \"$2\" ]; then e; fi\nf";
    let names: Vec<_> = read_all(script).commands.into_iter().filter(|c| c.is_unreachable).map(|c| c.shown()).collect();
    assert_eq!(names, ["b", "e"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "([a-z$(){}'\"\\\\`\n;<#=é /!-]|esac|in |case |done|for ){0,80}") {
        read_all(&text);
    }
}
