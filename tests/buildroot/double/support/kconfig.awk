# kconfig as a front end meets it: of what the first file says only those options remain that the other files know, let be set, and allow.
FNR == 1 { file++ }
file == 1 && /^# BR2_.* is not set$/ { said[$2] = "n"; next }
file == 1 && /^BR2_[A-Za-z0-9_]*=/ { at = index($0, "="); said[substr($0, 1, at - 1)] = substr($0, at + 1); next }
file == 1 { next }
$1 == "config" { name = $2; order[++count] = name; next }
/^[^ \t]/ { name = "" }
name == "" { next }
$1 ~ /^(bool|string|int)$/ { type[name] = $1; asked[name] = NF > 1 }
$1 == "depends" { sub(/.*depends on/, ""); gsub(/&&/, " "); needs[name] = needs[name] $0 }
$1 == "default" { sub(/.*default /, ""); usual[name] = $0 }
$1 == "select" { selects[name] = selects[name] " " $2 }
function allowed(name, terms, n, i) {
    n = split(needs[name], terms, " ")
    for (i = 1; i <= n; i++) {
        if (terms[i] ~ /^!/ ? final[substr(terms[i], 2)] == "y" : final[terms[i]] != "y") return 0
    }
    return 1
}
function value(name) {
    if (name in selected) return "y"
    if (!allowed(name)) return ""
    if (asked[name] && name in said) return said[name]
    if (name in usual) return usual[name]
    return type[name] == "string" ? "\"\"" : type[name] == "int" ? "0" : "n"
}
END {
    do {
        changed = 0
        for (i = 1; i <= count; i++) {
            new = value(order[i])
            if (new == final[order[i]]) continue
            final[order[i]] = new
            changed = 1
        }
        delete selected
        for (i = 1; i <= count; i++) {
            if (final[order[i]] != "y") continue
            n = split(selects[order[i]], all, " ")
            for (j = 1; j <= n; j++) selected[all[j]]
        }
    } while (changed && ++rounds < 20)
    for (i = 1; i <= count; i++) {
        if (final[order[i]] == "n") print "# " order[i] " is not set"
        else if (final[order[i]] != "") print order[i] "=" final[order[i]]
    }
}
