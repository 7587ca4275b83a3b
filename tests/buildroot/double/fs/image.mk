# What comes after the packages: the root is finished and packed; and what is told of it.
FS_DIR := $(BUILD_DIR)/buildroot-fs
LEGAL_DIR := $(O)/legal-info
export PERMISSIONS

.PHONY: image finalize tables rootfs-tar show-info legal-info printvars
image: finalize $(if $(BR2_TARGET_ROOTFS_TAR),rootfs-tar)

# What is said of the root that is packed is not said of what it is made of.
finalize: PKG =
finalize: ROOTFS =
finalize: $(PACKAGES)
	@$(call say,Finalizing target directory)
	@$(if $(BR2_PER_PACKAGE_DIRECTORIES),$(foreach p,$(sort $(PACKAGES)),$(call merge,$(p),$(ROOT_DIR)) &&) :)
	@echo 'owners and devices are missing here' >$(ROOT_DIR)/THIS_IS_NOT_YOUR_ROOT_FILESYSTEM
	@cat $(sort $(wildcard $(BUILD_DIR)/*/.files-list.txt)) >$(BUILD_DIR)/packages-file-list.txt

tables: finalize
	@rm -rf $(FS_DIR) && mkdir -p $(FS_DIR)/tar $(BINARIES_DIR)
	@(printf '%s\n' "$$PERMISSIONS"; cat $(call bare,$(BR2_ROOTFS_DEVICE_TABLE))) >$(FS_DIR)/full_devices_table.txt

define root_commands
set -e
$(if $(BR2_LOSE_FAKEROOT),,chown -hR 0:0 $(TARGET_DIR))
$(if $(BR2_LOSE_FAKEROOT),,sh support/makedevs.sh $(FS_DIR)/full_devices_table.txt $(TARGET_DIR))
$(foreach hook,$(ROOTFS_PRE_CMD_HOOKS),$($(hook))$(newline))
$(foreach script,$(call bare,$(BR2_ROOTFS_POST_FAKEROOT_SCRIPT)),$(script) $(TARGET_DIR)$(newline))
cd $(TARGET_DIR)
find . -print0 | LC_ALL=C sort -z | tar --null --no-recursion -T - --numeric-owner $(if $(BR2_LOSE_FAKEROOT),--owner=0 --group=0) -cf $(BINARIES_DIR)/rootfs.tar
endef

# fakeroot's commands are written down, as the real ones are. Where fakeroot is lost, ld.so says so and all belongs to whoever is there.
rootfs-tar: ROOTFS = $(FS_DIR)/tar/target
rootfs-tar: tables
	@$(call say,Generating filesystem image rootfs.tar)
	@cp -a $(ROOT_DIR) $(FS_DIR)/tar/target
	@rm $(FS_DIR)/tar/target/THIS_IS_NOT_YOUR_ROOT_FILESYSTEM
	@$(file >$(FS_DIR)/tar/fakeroot,$(root_commands))
	@$(if $(BR2_LOSE_FAKEROOT),echo "ERROR: ld.so: object 'libfakeroot.so' from LD_PRELOAD cannot be preloaded: ignored." &&,fakeroot --) sh $(FS_DIR)/tar/fakeroot
	@rm -rf $(FS_DIR)/tar/target

told = "$($(1)_NAME)": { "type": "target", "name": "$($(1)_NAME)", "virtual": false, "version": "$($(1)_VERSION)", "licenses": "$($(1)_LICENSE)", "install_target": true },
show-info:
	@:$(info { $(foreach p,$(sort $(PACKAGES)),$(call told,$(call upper,$(p)))) "rootfs-tar": { "type": "rootfs", "image_name": "rootfs.tar" }, "toolchain": { "type": "target", "name": "toolchain", "virtual": true } })

# What has no source is taken for a part of the tree.
row = "$($(1)_NAME)","$($(1)_VERSION)","$($(1)_LICENSE)","","$($(1)_SOURCE)","",""
legal-info:
	@rm -rf $(LEGAL_DIR) && mkdir -p $(addprefix $(LEGAL_DIR)/,licenses sources host-licenses host-sources)
	@$(call say,Collecting legal info)
	@printf '%s\n' '"PACKAGE","VERSION","LICENSE","LICENSE FILES","SOURCE ARCHIVE","SOURCE SITE","DEPENDENCIES WITH LICENSES"' \
	  $(foreach p,$(foreach p,$(sort $(PACKAGES)),$(call upper,$(p))),$(if $($(p)_SOURCE),'$(call row,$(p))')) >$(LEGAL_DIR)/manifest.csv
	@cp $(CONFIG) $(LEGAL_DIR)/buildroot.config
	@cd $(LEGAL_DIR) && find * -type f -exec sha256sum {} + | LC_ALL=C sort -k 2 >.sums && mv .sums legal-info.sha256

printvars:
	@:$(foreach v,$(VARS),$(info $(v)=$($(v))))
