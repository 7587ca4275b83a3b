# makedevs.sh TABLE ROOT: gives the files of a root the owners and modes of a table.
while read -r name kind mode uid gid _; do
    case $name in "" | "#"* | "|"*) continue ;; esac
    path=$2/${name#/}
    case $kind in
    f) [ -f "$path" ] || { echo "makedevs: there is no $name" >&2; exit 1; } ;;
    F) [ -f "$path" ] || continue ;;
    d) mkdir -p "$path" ;;
    r) chown -hR "$uid:$gid" "$path"; [ "$mode" = -1 ] || chmod -R "$mode" "$path"; continue ;;
    esac
    chown "$uid:$gid" "$path"
    [ "$mode" = -1 ] || chmod "$mode" "$path"
done <"$1"
