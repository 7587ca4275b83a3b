# What the packages of the double do.
LIBC := $(shell ldd /bin/busybox | awk '/libc.so.6/ { print $$3 }')

build-hello-%:
	printf '%s\n' '#include <stdio.h>' 'int main(void) { puts("hello"); return 0; }' | cc -x c -o $(O)/build/hello-$*/hello -
	printf '%s\n' 'int nobody(void) { return 0; }' | cc -shared -x c -o $(O)/build/hello-$*/libunneeded.so -
build-failing-%:
	@echo 'failing.c: no such thing' >&2; exit 1
build-slow-%:
	@sleep 1000 & sleep 1000
build-%:;

install-skeleton-%:
	mkdir -p $(addprefix $(O)/target/,bin sbin lib usr/bin usr/sbin usr/lib etc srv proc tmp)
	ln -sfn lib $(O)/target/lib64; ln -sfn lib $(O)/target/usr/lib64
	printf 'root:x:0:0:root:/root:/bin/sh\n' >$(O)/target/etc/passwd; printf 'root:x:0:\n' >$(O)/target/etc/group
	echo kept >$(O)/target/srv/owned
install-toolchain-%:
	cp $(LIBC) $(dir $(LIBC))libresolv.so.2 $(O)/target/lib/
	cp -L /lib64/ld-linux-x86-64.so.2 $(O)/target/lib/
	touch $(O)/target/lib/*
install-busybox-%:
	cp /bin/busybox $(O)/target/bin/busybox; touch $(O)/target/bin/busybox; ln -sfn busybox $(O)/target/bin/sh
install-hello-%:
	install -m 755 $(O)/build/hello-$*/hello $(O)/target/usr/bin/hello
	install -m 644 $(O)/build/hello-$*/libunneeded.so $(O)/target/usr/lib/libunneeded.so
install-%:;
