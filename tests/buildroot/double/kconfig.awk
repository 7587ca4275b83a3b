# kconfig as a front end meets it: of what the first file says only those options remain that the Config.in files know and allow.
FNR == 1 { file++ }
file == 1 && /^# BR2_.* is not set$/ { said[$2] = "n"; next }
file == 1 && /^BR2_[A-Za-z0-9_]*=/ { at = index($0, "="); said[substr($0, 1, at - 1)] = substr($0, at + 1); next }
file > 1 && $1 == "config" { name = $2; order[++count] = name; next }
file > 1 && $1 == "depends" { needs[name] = needs[name] " " $3; next }
file > 1 && $1 == "default" { usual[name] = $2; next }
END {
    for (i = 1; i <= count; i++) {
        name = order[i]
        value = name in said ? said[name] : name in usual ? usual[name] : "n"
        allowed = 1
        n = split(needs[name], all, " ")
        for (j = 1; j <= n; j++) if (final[all[j]] != "y") allowed = 0
        if (!allowed) continue
        final[name] = value
        if (value == "n") print "# " name " is not set"; else print name "=" value
    }
}
