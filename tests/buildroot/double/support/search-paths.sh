# Refuses search paths with which packages cannot be built.
for name in LD_LIBRARY_PATH PATH; do
    eval "value=\${$name:-unset}"
    case ":$value:" in *::* | *:.:*) echo "$name has the current directory in it" >&2; exit 1 ;; esac
done
case $PATH in *[[:space:]]*) echo "PATH has a blank in it" >&2; exit 1 ;; esac
