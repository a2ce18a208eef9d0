# mms-worker. `make help` lists what can be made.

CC ?= cc
# BUILD: where everything that is made goes; sanitizers and the other compiler have their own.
BUILD ?= build
PYTHON := /usr/bin/python3
# Nothing is left outside the build folder.
export PYTHONDONTWRITEBYTECODE := 1

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
	-Wconversion -Wno-sign-conversion -Werror
# SANITIZE is empty, or what `make asan` sets.
SANITIZE ?=
CFLAGS ?= -O2 -g -fno-omit-frame-pointer
# What every build has, whatever CFLAGS are; `make HARDENING=` does without. The first row is for compilers that know it:
# -fcf-protection is x86's, -mbranch-protection the same for ARM; gcc has zeroed variables since 12, clang since 16.
# Where the C library is too old for _FORTIFY_SOURCE=3 it means 2; it wants an optimizer, and gets into ASan's way.
takes = $(shell printf '' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')
HARDENING := $(foreach flag,-fcf-protection=full -mbranch-protection=standard -fstack-clash-protection \
	-ftrivial-auto-var-init=zero -fstack-protector-strong,$(call takes,$(flag))) \
	$(if $(SANITIZE)$(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
# libcurl's typecheck macros and jansson's loops are not ours to mend: system headers are quiet.
PACKAGES := rdkafka libcurl jansson libpq libevent libssl libcrypto libsodium
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE $(WARNINGS) -I. -I$(BUILD)/gen -MMD -MP $(CFLAGS) -fPIE $(HARDENING) $(SANITIZE) \
	$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack $(SANITIZE)
LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -pthread

STATEMENTS := $(sort $(wildcard worker/sql/*.sql worker/commands/sql/*.sql)) schemas/postgres/roles.sql
MIGRATIONS := $(sort $(wildcard schemas/postgres/[0-9]*.sql))
GENERATED := $(BUILD)/gen/sql.h $(BUILD)/gen/sql.c

COMMON := $(sort $(wildcard common/*.c))
WORKER := $(sort $(wildcard worker/*.c worker/commands/*.c))
SIM := $(sort $(wildcard tests/sim/*.c))
LIMITS := $(sort $(wildcard tests/bench/*.c))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
PROGRAMS := $(COMMON) $(WORKER) $(SIM) $(LIMITS) tests/broker/broker.c
FUZZ := $(sort $(wildcard tests/fuzz/*.c))
SOURCES := $(PROGRAMS) $(UNIT) $(FUZZ)
HEADERS := $(sort $(wildcard common/*.h worker/*.h worker/commands/*.h tests/sim/*.h tests/bench/*.h tests/unit/*.h \
	tests/fuzz/*.h))
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

# What unit tests link: everything but main.
PARTS := $(call object,$(COMMON) $(filter-out worker/main.c,$(WORKER))) $(BUILD)/obj/sql.o
UNIT_PROGRAMS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT))

# Two more builds, to find mistakes with. valgrind would not see what variables hold if they were zeroed.
ASAN := BUILD=$(BUILD)/asan CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	SANITIZE="-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero -fno-sanitize-recover=all"
VALGRIND := BUILD=$(BUILD)/valgrind CFLAGS="-O1 -g" HARDENING=

# libFuzzer comes with clang, whatever compiles the rest; what it needs is made in a folder of its own.
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,$(BUILD)/bin/%,$(filter-out tests/fuzz/fuzz.c,$(FUZZ)))
MAKE_FUZZ = $(MAKE) --no-print-directory -j4 BUILD=build/fuzz CC=clang LDFLAGS= \
	CFLAGS="-O1 -gline-tables-only -fno-omit-frame-pointer -fsanitize=fuzzer-no-link" \
	SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" fuzz-programs

.PHONY: all help tools units demo playground bench chaos failing soak limits test unit integration fuzz fuzz-corpus fuzz-programs lint lint-objects lint-programs format asan valgrind \
	clean reference packages-build packages-test \
	packages-lint packages-demo packages-bench
.DELETE_ON_ERROR:
.SECONDARY:

all: packages-build ## build/mms-worker (the default)
	@$(MAKE) --no-print-directory $(BUILD)/mms-worker

help: ## show this
	@awk -F': .*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

units: $(UNIT_PROGRAMS)
tools: $(BUILD)/mms-worker $(BUILD)/twilio-sim $(BUILD)/mms-broker

demo: packages-demo ## the main job on real parts, in a minute; TWILIO=real sends real messages
	@$(MAKE) --no-print-directory -j4 tools
	@TWILIO=$(TWILIO) PYTHONPATH=tests $(PYTHON) tests/demo/demo.py

playground: packages-demo ## servers, a simulator of Twilio and a worker to play with, until Ctrl-C
	@$(MAKE) --no-print-directory -j4 tools
	@PYTHONPATH=tests $(PYTHON) tests/demo/playground.py

bench: packages-bench ## how fast, how punctual, at what cost; SCENARIO=pace for one, WORKERS=n, ATTEMPTS=n
	@$(MAKE) --no-print-directory -j4 tools $(BUILD)/mms-bench-limits
	@BIN_DIR=$(BUILD) SCENARIO="$(SCENARIO)" WORKERS="$(WORKERS)" ATTEMPTS="$(ATTEMPTS)" PYTHONPATH=tests \
		$(PYTHON) -m bench

chaos: packages-test ## crashes, time-outs and outages at random, then the count; SEED=n, EVENTS=n, DESTINATIONS=n, MINUTES=n
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) SEED="$(SEED)" EVENTS="$(EVENTS)" DESTINATIONS="$(DESTINATIONS)" MINUTES="$(MINUTES)" \
		PYTHONPATH=tests $(PYTHON) -m chaos

soak: packages-bench ## an even load with mild faults for half an hour: nothing may grow; MINUTES=n, RATE=n, WORKERS=n
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) MINUTES="$(MINUTES)" RATE="$(RATE)" WORKERS="$(WORKERS)" PYTHONPATH=tests $(PYTHON) -m soak

limits: packages-test ## hostile loads at full size: who behaves keeps his pace, memory is bounded; LOAD=name, SHARE=0.1
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) LOAD="$(LOAD)" SHARE="$(SHARE)" PYTHONPATH=tests $(PYTHON) -m limits

failing: packages-test ## each allocation on an event's way fails in turn, then the count; SEED=n, POINTS=n
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) SEED="$(SEED)" POINTS="$(POINTS)" PYTHONPATH=tests $(PYTHON) -m failing

test: packages-test ## unit tests (also sanitized, and under valgrind), fuzzing of the corpus, then the whole program against real servers
	@$(MAKE) --no-print-directory -j4 tools units
	@$(if $(SANITIZE),:,$(MAKE) --no-print-directory -j4 units $(ASAN) && $(MAKE) --no-print-directory -j4 units $(VALGRIND))
	@$(MAKE_FUZZ)
	@BIN_DIR=$(BUILD) SANITIZE="$(SANITIZE)" PYTHONPATH=tests $(PYTHON) tests/run-tests

unit: packages-test ## unit tests alone
	@$(MAKE) --no-print-directory -j4 units
	@BIN_DIR=$(BUILD) PYTHONPATH=tests $(PYTHON) tests/run-tests unit

integration: packages-test ## integration tests alone; ARGS="-k name" chooses
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) PYTHONPATH=tests $(PYTHON) tests/run-tests integration $(ARGS)

fuzz: packages-test ## strangers' bytes by the million, a minute for each target; SECONDS=n, TARGET=name for one
	@$(MAKE_FUZZ)
	@PYTHONPATH=tests $(PYTHON) -m fuzz $(or $(SECONDS),60) $(TARGET)

fuzz-corpus: packages-test ## the corpus in the repository and a little on from there, the same each time
	@$(MAKE_FUZZ)
	@BIN_DIR=$(BUILD) PYTHONPATH=tests $(PYTHON) tests/run-tests fuzz

fuzz-programs: $(FUZZ_PROGRAMS)
	@:

asan: packages-test ## all tests with AddressSanitizer, UBSan and LeakSanitizer; ARGS="-k name" chooses integration tests
	@$(MAKE) --no-print-directory $(if $(ARGS),integration,test) $(ASAN)

valgrind: packages-test ## unit tests under valgrind: no error, no leak
	@$(MAKE) --no-print-directory -j4 units $(VALGRIND)
	@BIN_DIR=$(BUILD) PYTHONPATH=tests $(PYTHON) tests/run-tests valgrind

lint: packages-lint ## formatting; gcc's -fanalyzer, clang-tidy, cppcheck; warnings of gcc and clang as errors
	@clang-format --dry-run -Werror $(SOURCES) $(HEADERS)
	@$(MAKE) --no-print-directory -j4 BUILD=$(BUILD)/lint-gcc CC=gcc CFLAGS=-O2 lint-objects
	@$(MAKE) --no-print-directory -j4 BUILD=$(BUILD)/lint-clang CC=clang CFLAGS=-O2 lint-objects
	@# Without an optimizer, which would hide paths from it, or zeroed variables, which confuse it.
	@$(MAKE) --no-print-directory -j4 BUILD=$(BUILD)/lint-analyzer CC=gcc CFLAGS="-O0 -fanalyzer" HARDENING= lint-programs
	@# A process for each file: it is wrong about va_start() in all but the first.
	@printf '%s\n' $(PROGRAMS) | xargs -P 4 -n 1 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- \
		-std=c11 -D_GNU_SOURCE -I. -I$(BUILD)/lint-gcc/gen -I/usr/include/postgresql 2>&1 | \
		{ ! grep -vE "^[0-9]+ warnings generated"; }' tidy
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=style,warning,portability,performance,unusedFunction \
		--library=posix --suppressions-list=.cppcheck-suppressions -I. -I$(BUILD)/lint-gcc/gen $(SOURCES)
	@echo "lint: clean"

lint-objects: $(call object,$(SOURCES)) $(BUILD)/obj/sql.o
lint-programs: $(call object,$(PROGRAMS))

reference: packages-test ## write the reference pages from what the program and the database say about themselves
	@$(MAKE) --no-print-directory -j4 tools
	@BIN_DIR=$(BUILD) PYTHONPATH=tests $(PYTHON) tests/reference.py

format: ## bring all C into the project's format
	@clang-format -i $(SOURCES) $(HEADERS)

clean: ## remove everything that was made
	rm -rf build

packages-build:
	@tests/install-packages build
packages-test:
	@tests/install-packages build test
packages-lint:
	@tests/install-packages build test lint
packages-demo:
	@tests/install-packages build demo
packages-bench:
	@tests/install-packages build bench

# ---- rules ----

# V=1 shows the commands.
ifeq ($(V),1)
say = @:
else
say = @echo "  $(1)"
Q := @
endif

$(BUILD)/gen/sql.h: worker/embed-sql $(STATEMENTS) $(MIGRATIONS)
	@mkdir -p $(@D)
	$(Q)worker/embed-sql header $(STATEMENTS) -- $(MIGRATIONS) >$@

$(BUILD)/gen/sql.c: worker/embed-sql $(STATEMENTS) $(MIGRATIONS)
	@mkdir -p $(@D)
	$(Q)worker/embed-sql source $(STATEMENTS) -- $(MIGRATIONS) >$@

# All are made anew when the flags above change.
$(BUILD)/obj/sql.o: $(BUILD)/gen/sql.c $(BUILD)/gen/sql.h Makefile
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: %.c Makefile | $(GENERATED)
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/mms-worker: $(PARTS) $(call object,worker/main.c)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/twilio-sim: $(call object,$(SIM))
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -ljansson -lcrypto

$(BUILD)/mms-bench-limits: $(call object,$(LIMITS)) $(PARTS)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/mms-broker: $(call object,tests/broker/broker.c)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs rdkafka) -pthread

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(PARTS)
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# An archive: a target takes what it calls, and may have a stand-in for the rest.
$(BUILD)/parts.a: $(PARTS)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/bin/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/fuzz.o $(BUILD)/parts.a
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=write -o $@ $^ $(LIBS)

-include $(patsubst %.o,%.d,$(call object,$(SOURCES)) $(BUILD)/obj/sql.o)
