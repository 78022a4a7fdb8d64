# make [CONFIG=release|debug|asan|tsan|hostile] [CC=gcc|clang] [V=1]     `make help` lists the targets.
CONFIG ?= release
B      ?= build/$(CONFIG)
PREFIX ?= /usr/local
comma  := ,
ROOMS  ?= base sys quant kernels encode gpu text io formats recast convert template chat grammar store state prefix model engine
Q      := $(if $(V),,@)

# CFLAGS, LDFLAGS and CC belong to the person building. What the code needs is in the weir_
# variables, so overriding CFLAGS can never drop an instruction-set flag.
CFLAGS   ?= $(if $(filter release,$(CONFIG)),-g1,-g)
CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
AR       := $(if $(filter default,$(origin AR)),$(or $(shell $(CC) -print-prog-name=ar 2>/dev/null),ar),$(AR))
lib_pkgs := liburing libpcre2-8 libutf8proc
cli_pkgs := jansson libedit
pkgs     := $(lib_pkgs) $(cli_pkgs) libcurl nettle libmicrohttpd

# Where a library is missing, say which Debian package brings it before the compiler says less.
quiet_goals := help clean check-arm format format-check tidy dist
ifneq ($(filter-out $(quiet_goals),$(or $(MAKECMDGOALS),all)),)
deb.libpcre2-8 := libpcre2-dev
deb.jansson := libjansson-dev
deb.libcurl := libcurl4-gnutls-dev
missing := $(foreach p,$(pkgs),$(if $(shell pkg-config --exists $p && echo y),,$(or $(deb.$p),$p-dev)))
ifneq ($(strip $(missing)),)
$(error pkg-config does not find what weir needs. On Debian: apt-get install $(if $(shell command -v pkg-config),,pkg-config )$(strip $(missing)))
endif
endif

weir_c := -std=c17 -D_GNU_SOURCE -MMD -MP -Iinclude -Isrc -Itools -fvisibility=hidden -pthread \
          -Wall -Wextra -Wshadow -Wvla -Wundef -Wcast-qual -Wpointer-arith \
          -Wstrict-prototypes -Wmissing-prototypes -Wdouble-promotion -ffp-contract=off \
          $(if $(WERROR),-Werror) $(shell pkg-config --cflags $(pkgs) 2>/dev/null)
weir_c.release := -O3 -DWEIR_RELEASE
weir_c.debug   := -O1
weir_c.asan    := -O1 -DWEIR_ASAN -fvisibility=default -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# Without the check whose calls take a third of the compiler's time, which asan and the fuzzers have; -Og saves another third.
weir_c.hostile := $(weir_c.asan) -Og -fno-sanitize=pointer-overflow -DWEIR_HOSTILE
weir_c.tsan    := -O1 -fvisibility=default -fsanitize=thread
weir_c.fuzz    := -O1 -DWEIR_ASAN -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
weir_ld.asan   := -fsanitize=address,undefined
weir_ld.tsan   := -fsanitize=thread
weir_ld.fuzz   := -fsanitize=fuzzer,address,undefined
weir_ld        := -pthread $(shell pkg-config --libs $(lib_pkgs) 2>/dev/null) -lm $(weir_ld.$(CONFIG:hostile=asan))
cli_ld         := $(shell pkg-config --libs $(cli_pkgs) 2>/dev/null)
net_ld         := $(shell pkg-config --libs nettle 2>/dev/null) # libcurl and libmicrohttpd are loaded when they are needed

arch.x86_64  := x86
arch.aarch64 := arm
arch      := $(arch.$(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null))))
lib_src   := $(sort $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c $(addprefix src/$(room)/,$(arch:=/*.c)))))
include src/gpu/cuda/cuda.mk
cli_src   := $(sort $(wildcard cli/*.c src/serve/*.c)) # the program's own: no library has the server
fuzz_src  := $(sort $(wildcard tests/fuzz/*_fuzz.c))
# K: the folder of the build whose vector kernels are taken over, for these take a minute to compile.
K         ?= $B
obj        = $(foreach c,$(1),$(if $(filter src/kernels/$(arch)/%,$c),$K,$B)/obj/$(c:.c=.o))
test_src  := $(sort $(wildcard tests/unit/*_test.c)) $(sort $(wildcard tests/api/*_test.c))
tests     := $(patsubst %.c,$B/tests/%,$(notdir $(test_src)))
fuzzers   := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(fuzz_src))
run_tests := $(if $(T),$(foreach t,$(tests),$(if $(findstring $(T),$t),$t)),$(tests))
link       = @mkdir -p $(@D); echo "  LD   $@"; $(if $(V),set -x;) $(CC) -o $@ $(filter %.o %.a %.so,$^)
# Of hundreds of programs that only this tree runs: gold takes half the time of the linker that is usual.
link_test  = $(link) $(if $(gold),-fuse-ld=gold)
gold      := $(findstring gold,$(shell $(CC) -fuse-ld=gold -Wl,--version 2>/dev/null))

all: $B/weir ## the program: build/CONFIG/weir

# Rewritten only when what it says changes, so that a changed flag or file list rebuilds what it must.
define stamp
$(shell mkdir -p $B; printf '%s\n' '$(2)' | cmp -s - $B/$(1) || printf '%s\n' '$(2)' > $B/$(1))
endef
ifneq ($(filter-out $(quiet_goals),$(or $(MAKECMDGOALS),all)),)
$(call stamp,flags,$(CC) $(filter-out -Werror,$(weir_c)) $(weir_c.$(CONFIG)) $(CFLAGS))
$(call stamp,files,$(call obj,$(lib_src) $(cli_src)) $(cuda_obj) $(weir_ld) $(LDFLAGS))
endif

$B/libweir.a: $(call obj,$(lib_src)) $(cuda_obj) $B/files
	@echo "  AR   $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
# The number after .so changes when a program built before no longer fits.
version   := $(shell sed -n 's/^\#define WEIR_VERSION "\(.*\)"/\1/p' include/weir.h)
soname    := libweir.so.$(basename $(version)) # below 1.0 each 0.N may break what came before
shared    := libweir.so.$(version)
$B/$(shared): $(call obj,$(lib_src)) $(cuda_obj) $B/files
	$(link) -shared -Wl,-soname,$(soname) -Wl,-z,defs -Wl,--as-needed $(weir_ld) $(LDFLAGS)
spin      := $B/obj/tests/unit/pool_spin.o # in the library's place: tests that run at once do not spin
tested    := $(if $(filter asan hostile tsan,$(CONFIG)),$B/tests/libtested.so,$(spin) $B/libweir.a) # of a sanitizer's large code tests share one copy
$B/tests/libtested.so: $(filter-out $B/obj/src/sys/pool_spin.o,$(call obj,$(lib_src))) $(spin) $(cuda_obj) $B/files
	$(link_test) -shared -Wl,-Bsymbolic $(weir_ld) $(LDFLAGS)
# What tests and fuzz targets want of the command line, and the server; where they come to want more the linker says what.
cli_tested := $(patsubst %,cli/%.c,bootstrap choice chunks console curl_load energy files http hub json_members likelihood manager question_read reference source streams svg trace_draw trace_read)
$B/libcli.a: $(call obj,$(cli_tested) $(filter src/serve/%,$(cli_src))) $B/files
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
$B/weir: $(call obj,$(cli_src)) $B/libweir.a $B/files
	$(link) $(net_ld) $(cli_ld) $(weir_ld) $(LDFLAGS)

# A file's name says what it may execute.
isa.avx2   := -mavx2 -mfma -mf16c
isa.avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq $(isa.avx2)
isa.avx512vnni := -mavx512vnni $(isa.avx512)
isa.neon   := -march=armv8.2-a+dotprod
isa_of = $(isa.$(lastword $(subst _, ,$(basename $(notdir $(1))))))
# One set of objects for both libraries: hidden as nearly all is, their code is the same (gcc's kernels to the byte).
$B/obj/src/%.o: weir_extra := -Wconversion -Wno-sign-conversion -fPIC -fno-semantic-interposition
# clang needs minutes to instrument the kernels, which no fuzzer reaches.
$B/obj/src/kernels/%.o: weir_extra += $(if $(filter fuzz,$(CONFIG)),-fno-sanitize=all)
# These take a minute to compile with every check in place: pointers are checked by ASan and guard
# pages alone, and gcc calls ASan for each access.
$B/obj/src/kernels/x86/%.o: weir_extra += $(if $(filter asan hostile,$(CONFIG)),\
    $(addprefix -fno-sanitize=,pointer-overflow alignment null object-size) \
    $(if $(findstring clang,$(CC)),,--param asan-instrumentation-with-call-threshold=0))
# A program that is run once is sooner compiled than optimized, unless it computes. In hostile it has red zones, and asan watches it.
unwatched := -fno-sanitize=undefined $(if $(findstring clang,$(CC)),,--param asan-instrument-reads=0 --param asan-instrument-writes=0)
$B/obj/tests/%.o: weir_extra := -O0 $(if $(filter hostile,$(CONFIG)),$(unwatched))
$B/obj/tests/unit/kernels_%.o $B/obj/tests/unit/quant_%.o: weir_extra := -O1
$B/obj/%.o: %.c Makefile $B/flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(weir_c) $(weir_c.$(CONFIG)) $(call isa_of,$<) $(weir_extra) $(CFLAGS) -c $< -o $@
$B/obj/src/serve/page.o: $(wildcard src/serve/page/*)
$B/flags $B/files: ;

# Few want the command line or the server, which the others need not wait for.
cli_tests := $(patsubst tests/unit/%.c,$B/tests/%,$(shell grep -lE '"(serve|cli)/|/cli/' tests/unit/*_test.c))
$(cli_tests): $B/tests/%: $B/obj/tests/unit/%.o $B/libcli.a $(tested)
	$(link_test) -lcmocka $(cli_ld) $(weir_ld) $(LDFLAGS)
$B/tests/%: $B/obj/tests/unit/%.o $(tested)
	$(link_test) -lcmocka $(cli_ld) $(weir_ld) $(LDFLAGS)
$B/tests/%: $B/obj/tests/api/%.o $(tested)
	$(link_test) -lcmocka $(weir_ld) $(LDFLAGS)
$B/tools/%: $B/obj/tools/%.o $B/libweir.a
	$(link_test) $(weir_ld) $(LDFLAGS)
$B/bench/%: $B/obj/bench/%.o $B/libweir.a
	$(link_test) $(weir_ld) $(LDFLAGS)
$B/fuzz/%: $B/obj/tests/fuzz/%.o $B/libcli.a $B/libweir.a
	$(link_test) $(cli_ld) $(weir_ld) $(LDFLAGS)
$B/replay/%: $B/obj/tests/fuzz/%.o $B/obj/tests/fuzz/replay.o $B/libcli.a $(tested)
	$(link_test) $(cli_ld) $(weir_ld) $(LDFLAGS)

lib: $B/libweir.a $B/$(shared) ## the libraries, static and shared: build/CONFIG/libweir.a, libweir.so.VERSION
tools: $(patsubst tools/%.c,$B/tools/%,$(wildcard tools/*.c)) ## the helper programs of tools/, such as mkmodel
tests: $(tests) ## build the unit and api tests, without running them
sources: $(call obj,$(sort $(lib_src) $(cuda_c)) $(cli_src)) ## compile the library and the program, link nothing
objects: $(call obj,$(sort $(lib_src) $(cuda_c)) $(cli_src) $(test_src) $(fuzz_src) $(wildcard tools/*.c bench/*.c)) ## compile all, link nothing
bench: $(patsubst bench/%.c,$B/bench/%,$(wildcard bench/*.c)) all tools ## build the measuring programs; N=peer runs bench/peer.py
	$(if $(N),bench/$(N).py)

check: $(run_tests) ## run unit and api tests; T=name: those whose path contains it
	@fail=0; for t in $(run_tests); do echo "  TEST $$t"; timeout $(or $(LIMIT),600) $$t || { [ $$? = 77 ] || fail=1; }; done; exit $$fail

check-arm: ## kernels and models on an emulated aarch64, with dot product and without
	@tests/integration/arm.sh

check-api: ## weir.h alone is C11 and C++17, and mentions nothing but the standard
	$(Q)for h in include/*.h; do \
	  $(CC) -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c $$h && \
	  $(CXX) -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ $$h || exit 1; done

symbols: $B/libweir.a ## every symbol that libweir.a offers begins with weir_
	$(Q)python3 tools/tidy.py --symbols $B/libweir.a

tidy: ## rooms, calls, sizes, contracts and documents as agreed (docs/STYLE.md)
	$(Q)python3 tools/tidy.py

formatted = $(shell find src include cli tests tools bench examples -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh')
format: ## lay out every .c, .h, .cu and .cuh with clang-format 14
	$(Q)clang-format -i $(formatted)
format-check: ## fail where `make format` would change something
	$(Q)clang-format --dry-run -Werror $(formatted)

lint: ## clang-tidy over src and cli, where it is installed; T=name: files whose path contains it
	$(Q)command -v clang-tidy >/dev/null || { echo "lint: clang-tidy is not installed"; exit 0; }; \
	$(foreach f,$(lib_src) $(cli_src),$(if $(findstring $(T),$f),clang-tidy --quiet --warnings-as-errors='*' $f -- $(filter-out -M%,$(weir_c)) $(call isa_of,$f) &&)) :

# A finding stays in build/fuzz/NAME-crash-*; it becomes a test by a copy to tests/fuzz/corpus/NAME.
S ?= 60
fuzz: ## fuzz with libFuzzer and sanitizers: F=name of tests/fuzz/NAME_fuzz.c (default all), S=seconds each
	$(Q)$(MAKE) --no-print-directory CC=clang CONFIG=fuzz B=build/fuzz fuzz-run F='$(F)' S='$(S)'
fuzz-run: $(if $(F),$B/fuzz/$(F)_fuzz,$(fuzzers))
	$(Q)for f in $^; do n=$$(basename $$f _fuzz); mkdir -p $B/corpus/$$n tests/fuzz/corpus/$$n; echo "  FUZZ $$n, $(S) s"; \
	  $$f -max_total_time=$(S) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=$B/$$n-crash- -print_final_stats=1 -verbosity=0 \
	    $B/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done
fuzz-replay: $(if $(wildcard tests/fuzz/replay.c),$(fuzzers:$B/fuzz/%=$B/replay/%)) ## every corpus file once, in any CONFIG
	$(Q)for f in $^; do n=$$(basename $$f _fuzz); echo "  REPLAY $$n"; $$f tests/fuzz/corpus/$$n || exit 1; done

include tools/package.mk

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

clean: ## remove build/
	rm -rf build

.PHONY: all lib tools tests objects sources bench check check-arm check-api symbols tidy format format-check lint fuzz fuzz-run fuzz-replay man install dist deb help clean
.SECONDARY:
ifneq ($(filter-out $(quiet_goals),$(or $(MAKECMDGOALS),all)),)
-include $(shell find $B/obj -name '*.d' 2>/dev/null)
endif
