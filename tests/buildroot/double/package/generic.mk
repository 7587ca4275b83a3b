# Packages: `$(eval $(generic-package))` in a file of the package's name, after variables that begin with that name.
TARGET_CC := cc
INSTALL := install
PACKAGES :=
PER_PACKAGE_DIR := $(O)/per-package
ROOT_DIR := $(O)/target
OWN_DIR = $(if $(BR2_PER_PACKAGE_DIRECTORIES),$(PKG:%=$(PER_PACKAGE_DIR)/$($(PKG)_NAME)/target))
TARGET_DIR = $(or $(ROOTFS),$(OWN_DIR),$(ROOT_DIR))

# Links a package's files into another directory.
merge = mkdir -p $(2) && cp -al --remove-destination $(PER_PACKAGE_DIR)/$(1)/target/. $(2)/
files = (cd $(TARGET_DIR) && find . \( -type f -o -type l \) -printf '%T@:%i:%s,%p\n' | LC_ALL=C sort)
timed = printf '%s:%-5s:%-20s: %s\n' "$$(date +%s.%N)" $(1) $(2) $($(PKG)_NAME) >>$(BUILD_DIR)/build-time.log
define newline


endef

upper = $(shell echo '$(1)' | tr a-z.- A-Z__)
package_dir = $(dir $(lastword $(MAKEFILE_LIST)))
package_name = $(notdir $(patsubst %/,%,$(package_dir)))
generic-package = $(call package,$(package_name),$(call upper,$(package_name)),$(if $(filter toolchain/%,$(package_dir)),BR2_,BR2_PACKAGE_))

define package
$(2)_NAME := $(1)
$(2)_PKGDIR := $(package_dir)
$(2)_DIR := $(BUILD_DIR)/$(1)$(if $($(2)_VERSION),-$($(2)_VERSION))
$(2)_DEPENDENCIES += $(if $(filter NO,$($(2)_ADD_SKELETON_DEPENDENCY)),,skeleton) $(if $(filter NO,$($(2)_ADD_TOOLCHAIN_DEPENDENCY)),,toolchain)
ifeq ($$($(3)$(2)),y)
PACKAGES += $(1)
PERMISSIONS += $$($(2)_PERMISSIONS)$$(newline)
ROOTFS_PRE_CMD_HOOKS += $$($(2)_ROOTFS_PRE_CMD_HOOKS)
endif
.PHONY: $(1)
$(1): $$($(2)_DIR)/.stamp_installed
$$($(2)_DIR)/.stamp_installed: $$($(2)_DIR)/.stamp_target_installed
$$($(2)_DIR)/.stamp_target_installed: $$($(2)_DIR)/.stamp_built
$$($(2)_DIR)/.stamp_built: $$($(2)_DIR)/.stamp_configured
$$($(2)_DIR)/.stamp_configured: | search-paths $$($(2)_DEPENDENCIES)
$$(addprefix $$($(2)_DIR)/.stamp_,configured built target_installed installed): PKG = $(2)
endef

.PHONY: search-paths toolchain
search-paths: ; @sh support/search-paths.sh
# A virtual package: it has no version, and one of these provides it.
toolchain: $(if $(BR2_TOOLCHAIN_EXTERNAL_BOOTLIN),toolchain-external-bootlin,glibc)

$(BUILD_DIR)/%/.stamp_configured:
	@mkdir -p $(@D) $(TARGET_DIR)
	@$(call say,Configuring)
	@$(if $(BR2_PER_PACKAGE_DIRECTORIES),$(foreach p,$(filter-out toolchain,$($(PKG)_DEPENDENCIES)),$(call merge,$(p),$(TARGET_DIR)) &&) :)
	@$(files) >$(@D)/.files-list.before
	$($(PKG)_CONFIGURE_CMDS)
	@touch $@

$(BUILD_DIR)/%/.stamp_built:
	@$(call say,Building)
	$($(PKG)_BUILD_CMDS)
	@touch $@

$(BUILD_DIR)/%/.stamp_target_installed:
	@$(call timed,start,install-target)
	@$(call say,Installing to target)
	@mkdir -p $(TARGET_DIR)
	$($(PKG)_INSTALL_TARGET_CMDS)
	@$(call timed,end,install-target)
	@touch $@

$(BUILD_DIR)/%/.stamp_installed:
	@$(files) >$(@D)/.files-list.after
	@LC_ALL=C comm -13 $(@D)/.files-list.before $(@D)/.files-list.after | sed 's/^[^,]*/$($(PKG)_NAME)/' >$(@D)/.files-list.txt
	@rm -f $(@D)/.files-list.before $(@D)/.files-list.after
	@touch $@
