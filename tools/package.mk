# package.mk - what leaves the tree: make man, install, dist, deb. The Makefile includes it.

# The pages are the program's own: RUN is what runs it where it is of another processor, such as qemu-aarch64.
RUN ?=
man: $B/man/weir.1 ## manual pages, of the table of options: build/CONFIG/man
$B/man/weir.1: $B/weir
	@echo "  MAN  $(@D)"; mkdir -p $(@D); rm -f $(@D)/*.1
	$(Q)$(RUN) $B/weir --man $(@D)

# A program finds the shared library where no loader looks by itself.
rpath := $(if $(filter-out /usr /usr/local,$(PREFIX)),-Wl$(comma)-rpath$(comma)$${libdir} )
to    := $(DESTDIR)$(PREFIX)
share := $(to)/share
# zsh of a distribution leaves site-functions to what is installed beside it.
zsh_folder := $(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
documents  := README.md CHANGELOG.md SECURITY.md CONTRIBUTING.md LICENSE
install: $B/weir lib man ## program, libraries, headers, weir.pc, manual, completion, documents and examples under PREFIX (DESTDIR is honoured)
	install -D -t $(to)/bin $B/weir
	install -D -m 644 -t $(to)/lib $B/libweir.a $B/$(shared)
	ln -sf $(shared) $(to)/lib/$(soname)
	ln -sf $(soname) $(to)/lib/libweir.so
	install -D -m 644 -t $(to)/include include/weir.h include/weir_files.h include/weir_status.h
	install -D -m 644 -t $(share)/man/man1 $B/man/*.1
	install -D -m 644 tools/completion/weir.bash $(share)/bash-completion/completions/weir
	install -D -m 644 -t $(share)/zsh/$(zsh_folder) tools/completion/_weir
	install -D -m 644 -t $(share)/fish/vendor_completions.d tools/completion/weir.fish
	install -D -m 644 -t $(to)/lib/systemd/system tools/systemd/weir.socket
	sed 's,@PREFIX@,$(PREFIX),' tools/systemd/weir.service | install -D -m 644 /dev/stdin $(to)/lib/systemd/system/weir.service
	install -D -m 644 -t $(share)/doc/weir $(documents)
	cd docs && find . -type f -exec install -D -m 644 '{}' '$(abspath $(share))/doc/weir/docs/{}' ';'
	install -D -m 644 -t $(share)/doc/weir/examples examples/*.c
	install -D -m 755 -t $(share)/doc/weir/examples examples/*.py
	install -D -m 644 /dev/null $(to)/lib/pkgconfig/weir.pc
	@printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/lib' '' \
	  'Name: weir' 'Description: runs Mixture-of-Experts models that are larger than memory' 'Version: $(version)' \
	  'Cflags: -I$${includedir}' 'Libs: -L$${libdir} $(rpath)-lweir' 'Libs.private: -pthread -lm' \
	  'Requires.private: $(lib_pkgs)' > $(to)/lib/pkgconfig/weir.pc

# The same files give the same bytes, wherever it is made: they have the time of the last commit, which a tarball keeps.
release := weir-$(version)
commit_time := [ -e .git ] && git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md
epoch   := $(or $(SOURCE_DATE_EPOCH),$$($(commit_time)))
dist: ## build/weir-VERSION.tar.gz: the files of this tree, as they are now
	@mkdir -p build
	$(Q)tools/tree_files.py > build/$(release).files
	$(Q)tar --create --file build/$(release).tar.gz --use-compress-program='gzip -6n' --verbatim-files-from \
	  --files-from build/$(release).files --transform 's,^,$(release)/,' --owner=0 --group=0 --numeric-owner \
	  --mode=u+rw,go+r-w,a+X --mtime="@$(epoch)"
	@rm build/$(release).files; echo "  TAR  build/$(release).tar.gz"
	@[ ! -e .git ] || [ -z "$$(git status --porcelain 2>/dev/null)" ] || echo "make dist: with changes that are not committed" >&2

deb: all lib man ## build/weir_VERSION_ARCHITECTURE.deb: what make install brings, for Debian
	$(Q)SOURCE_DATE_EPOCH=$(epoch) tools/make_deb.sh
