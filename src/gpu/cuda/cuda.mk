# cuda.mk - the CUDA device: .cu files become images of machine code that the library carries. The Makefile includes it.
#
#   make CUDA=auto|1|0   in the release where nvcc is found | or else an error, in any CONFIG | left out
#   make CUDA_ARCHS=90   machine code for these architectures alone; the last one's PTX serves later ones
.DEFAULT_GOAL := all
CUDA   ?= auto
cuda_c := $(if $(filter gpu,$(ROOMS)),$(wildcard src/gpu/cuda/*.c))
# The image holds code for a GPU, the library code for this machine's processors.
cuda_is_wanted := $(and $(cuda_c),$(or $(filter 1,$(CUDA)),$(and $(filter auto,$(CUDA)),$(filter release,$(CONFIG)), \
                  $(filter $(shell uname -m)-%,$(shell $(CC) -dumpmachine 2>/dev/null)))))
ifneq ($(filter-out $(quiet_goals),$(or $(MAKECMDGOALS),all)),)
nvcc := $(if $(cuda_is_wanted),$(firstword $(shell command -v nvcc 2>/dev/null || command -v /usr/local/cuda/bin/nvcc 2>/dev/null)))
ifneq ($(nvcc),)
cuda_wanted  := 75 80 86 89 90 100 120
CUDA_ARCHS   ?= $(filter $(patsubst sm_%,%,$(shell $(nvcc) --list-gpu-code)),$(cuda_wanted))
cuda_last    := $(lastword $(CUDA_ARCHS))
cuda_version := $(shell $(nvcc) --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
cuda_says    := CUDA $(cuda_version), $(nvcc): code for $(CUDA_ARCHS:%=sm_%) (make CUDA=0 leaves it out)
cuda_flags   := -std=c++17 -O3 -fatbin -Isrc -Iinclude $(CUDAFLAGS) \
                $(foreach arch,$(CUDA_ARCHS),-gencode=arch=compute_$(arch),code=sm_$(arch)) \
                -gencode=arch=compute_$(cuda_last),code=compute_$(cuda_last)
cuda_images  := $(patsubst src/gpu/cuda/%.cu,$B/cuda/%.fatbin,$(sort $(wildcard src/gpu/cuda/*.cu)))
cuda_obj     := $B/obj/cuda_images.o
lib_src      := $(sort $(filter-out src/gpu/gpu_none.c,$(lib_src)) $(cuda_c))
$(shell mkdir -p $B; echo '$(cuda_version) $(cuda_flags)' | cmp -s - $B/cuda_flags || \
        echo '$(cuda_version) $(cuda_flags)' > $B/cuda_flags)
else ifeq ($(CUDA),1)
$(error CUDA=1, and there is no nvcc on PATH or in /usr/local/cuda/bin. Install NVIDIA's CUDA compiler, or build with CUDA=0)
else ifneq ($(cuda_is_wanted),)
cuda_says    := no CUDA in this build: there is no nvcc on PATH or in /usr/local/cuda/bin
else
cuda_says    := no CUDA in this build
endif
# Said when it changes.
$(if $(shell mkdir -p $B; echo '$(cuda_says)' | cmp -s - $B/cuda_says || { echo '$(cuda_says)' > $B/cuda_says; echo new; }), \
     $(if $(cuda_is_wanted),$(info $(cuda_says))))
endif

$B/cuda/%.fatbin: src/gpu/cuda/%.cu src/gpu/cuda/cuda.mk $B/cuda_flags
	@mkdir -p $(@D)
	@echo "  NVCC $<"
	$(Q)$(nvcc) $(cuda_flags) $(if $(WERROR),-Werror all-warnings) -MMD -MF $@.d -MT $@ -o $@ $<
$B/obj/cuda_images.c: src/gpu/cuda/embed.sh $(cuda_images) $B/cuda_flags
	@mkdir -p $(@D)
	$(Q)src/gpu/cuda/embed.sh "$(cuda_version)" "$(CUDA_ARCHS)" $(cuda_images) > $@
$B/obj/cuda_images.o: $B/obj/cuda_images.c
	$(Q)$(CC) $(weir_c) -fPIC $(CFLAGS) -c $< -o $@
$B/cuda_flags: ;
-include $(cuda_images:=.d)
