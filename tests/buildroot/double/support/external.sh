# external.sh OUT TREE...: checks external trees and writes what make (.br2-external.mk) and kconfig (.br2-external.in) have to know of them.
out=$1; shift
mk=$out/.br2-external.mk; options=$out/.br2-external.in
refuse() { echo "BR2_EXTERNAL_ERROR = $*" >"$mk"; exit 1; }
names=""; paths=""; exports=""
: >"$options"
for tree in "$@"; do
    [ -d "$tree" ] || refuse "the external tree $tree is no directory"
    for file in external.desc external.mk Config.in; do
        [ -f "$tree/$file" ] || refuse "the external tree $tree has no $file"
    done
    name=$(sed -n 's/^name: *//p' "$tree/external.desc")
    case $name in "" | *[!A-Za-z0-9_]*) refuse "the external tree $tree has no proper name" ;; esac
    case " $names " in *" $name "*) refuse "two external trees are called $name" ;; esac
    tree=$(cd "$tree" && pwd -P); names="$names $name"; paths="$paths $tree"
    exports="${exports}export BR2_EXTERNAL_${name}_PATH := $tree
"
    printf 'config BR2_EXTERNAL_%s_PATH\n\tstring\n\tdefault "%s"\n' "$name" "$tree" >>"$options"
done
cat >"$mk" <<EOF
BR2_EXTERNAL ?=$paths
BR2_EXTERNAL_DIRS :=$paths
BR2_EXTERNAL_MKS :=$(for path in $paths; do printf ' %s/external.mk' "$path"; done)
BR2_EXTERNAL_ERROR :=
$exports
EOF
