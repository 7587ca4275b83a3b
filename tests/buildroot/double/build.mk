# What a call comes to: a configuration, a question, or a build.
.PHONY: all
all: image

TOPDIR := $(CURDIR)
BASE_DIR := $(O)
BUILD_DIR := $(O)/build
BINARIES_DIR := $(O)/images
CONFIG := $(O)/.config
# Variables of the command line are for this make alone.
MAKEOVERRIDES :=
bare = $(strip $(subst ",,$(1)))
say = printf '\033[7m>>> %s\033[27m\n' "$($(PKG)_NAME) $($(PKG)_VERSION) $(1)"

# The external trees that were named the last time, unless others are.
-include $(O)/.br2-external.mk
$(shell sh support/external.sh $(O) $(subst :, ,$(BR2_EXTERNAL)))
include $(O)/.br2-external.mk
$(if $(BR2_EXTERNAL_ERROR),$(error $(BR2_EXTERNAL_ERROR)))
$(O)/.br2-external.mk $(CONFIG): ;

.PHONY: olddefconfig savedefconfig
%_defconfig:
	@file=$(lastword $(wildcard $(addsuffix /configs/$@,$(TOPDIR) $(BR2_EXTERNAL_DIRS)))); \
	  [ -n "$$file" ] || { echo "no $@" >&2; exit 2; }; (cat "$$file"; echo "BR2_DEFCONFIG=\"$$file\"") >$(CONFIG)
	@$(MAKE) --no-print-directory O=$(O) olddefconfig

olddefconfig:
	@awk -f support/kconfig.awk $(CONFIG) $(O)/.br2-external.in Config.in $(wildcard package/*/Config.in) Config.in.legacy \
	  $(BR2_EXTERNAL_DIRS:%=%/Config.in) >$(CONFIG).new && mv $(CONFIG).new $(CONFIG)
	@printf '%s\n' 'goals := $$(or $$(MAKECMDGOALS),all)' '.PHONY: again $$(goals)' '$$(goals): again ; @:' \
	  'again: ; @umask 0022 && $$(MAKE) --no-print-directory -C $(TOPDIR) O=$(O) $$(goals)' >$(O)/Makefile

ifeq ($(filter %defconfig,$(filter-out savedefconfig,$(MAKECMDGOALS))),)
-include $(CONFIG)
# In there the trees' paths are in quotes.
include $(O)/.br2-external.mk
$(if $(filter y,$(BR2_LEGACY)),$(error the configuration has options of older releases))
include package/generic.mk
include $(sort $(wildcard package/*/*.mk toolchain/*/*.mk))
include $(BR2_EXTERNAL_MKS)
include fs/image.mk
endif

savedefconfig:
	@cp $(CONFIG) $(call bare,$(BR2_DEFCONFIG))
