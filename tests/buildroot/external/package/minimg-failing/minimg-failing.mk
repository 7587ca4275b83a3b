MINIMG_FAILING_VERSION = 0.1
MINIMG_FAILING_SOURCE =

define MINIMG_FAILING_BUILD_CMDS
	echo 'failing.c: no such thing' >&2; exit 1
endef

$(eval $(generic-package))
