# Rollcall: `make help` lists the targets.

GO         ?= go
FUZZTIME   ?= 25s
FUZZPARALLEL ?= 2
BENCH      ?= .
SCALE      ?= 1
FILE       ?= examples/users.csv
TIMEOUT    ?= 20m
RUN        ?= .

# RACE=1 runs the tests under the race detector, which needs a C compiler. With
# ROLLCALL_REQUIRE_ALL=1 its absence is an error instead of a note.
RACE       ?=
HAVE_CC    := $(shell command -v "$$($(GO) env CC)" 2>/dev/null)
ifeq ($(RACE),1)
  ifneq ($(HAVE_CC),)
    RACEFLAG := -race
  else ifeq ($(ROLLCALL_REQUIRE_ALL),1)
    RACEFLAG = $(error RACE=1 needs a C compiler)
  else
    RACEFLAG = $(info no C compiler: testing without -race)
  endif
endif

# The compiler spends a quarter of its time on collecting garbage otherwise.
COMPILING  := GOGC=400

# Tests build programs; a checkout that belongs to somebody else must not stop them.
TESTENV := GOFLAGS="$$($(GO) env GOFLAGS) -buildvcs=false"

.DEFAULT_GOAL := help
.PHONY: help test lint fmt vuln sbom bench microbench fuzz chaos soak build dev clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What bench, e2e and chaos watch are programs of their own, which the race
# detector does not see into, as it does not into a browser; and single goroutines
# that work through a great volume take ten times as long under it for nothing.
# Programs are built while the tests run, so that go test does not see whether they
# changed: -count 1 keeps it from telling an old result.
PROGRAMS   := ./bench ./e2e
VOLUME     := ^(TestFlatMemory|TestMailboxKeepsTheNewest)$$
VOLUMES    := ./devstack ./report ./tabular
BROWSER    := InChromium$$
# Those that take longest begin first, so that none of them is left alone at the end.
PACKAGES   := $(GO) list ./httpapi ./web ./jobs; $(GO) list ./... | grep -v -E '/(bench|e2e|chaos|web|httpapi|jobs)$$'
GOTEST     := $(TESTENV) $(GO) run ./internal/testrun $(GO) test -vet=off -timeout $(TIMEOUT)

# The fault experiments come last, for they need the machine for themselves.
test: lint ## all checks and all tests; RACE=1 with the race detector
	$(GOTEST) $(if $(RACEFLAG),$(RACEFLAG) -skip '$(VOLUME)|$(BROWSER)') $$($(PACKAGES))
	$(if $(RACEFLAG),$(GOTEST) -run '$(VOLUME)|$(BROWSER)' ./web $(VOLUMES))
	$(GOTEST) -count 1 $(PROGRAMS)
	$(TESTENV) $(GO) test -vet=off -count 1 -timeout $(TIMEOUT) ./chaos

# The packages are compiled for the checks as for the tests, so that each is
# compiled once.
lint: ## gofmt, go vet, staticcheck
	@unformatted="$$(gofmt -l .)" && if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(COMPILING) $(GO) vet $(RACEFLAG) ./...
	staticcheck="$$($(COMPILING) $(GO) tool -n staticcheck)" && $(COMPILING) GOFLAGS="$$($(GO) env GOFLAGS) $(RACEFLAG)" "$$staticcheck" ./...

fmt: ## format the Go files
	gofmt -w .

# within SECONDS ends a command that takes longer, where there is timeout(1).
within = $(if $(shell command -v timeout 2>/dev/null),timeout $(1))

# A scan that could not be made is said, not passed off as one that found
# nothing; it does not fail the build of somebody who works without a network.
VULNDB     ?= https://vuln.go.dev

vuln: ## look for known vulnerabilities (asks the vulnerability database over the network)
	@said="NOT SCANNED for known vulnerabilities:"; \
	if ! curl -fsS --max-time 10 -o /dev/null $(VULNDB)/index/db.json; then \
		echo "$$said $(VULNDB) cannot be reached from here"; \
	elif ! GOBIN="$(CURDIR)/bin" $(call within,90) $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.1.4; then \
		echo "$$said the scanner could not be fetched and built within 90 seconds"; \
	else \
		status=0; $(call within,90) bin/govulncheck -db $(VULNDB) ./... || status=$$?; \
		case $$status in \
		0) ;; \
		3) exit 3 ;; \
		*) echo "$$said the scan did not end within 90 seconds, or failed ($$status)" ;; \
		esac; \
	fi

# The programs are built as the tests build them, so that nothing is compiled
# twice: neither -trimpath nor CGO_ENABLED changes which modules are in them.
sbom: ## what is in the programs: bin/NAME.cdx.json, CycloneDX; needs no network
	@mkdir -p bin/sbom && $(COMPILING) $(TESTENV) $(GO) build -o bin/sbom/ ./cmd/... ./internal/sbom
	@for program in api worker rollcall; do \
		bin/sbom/sbom bin/sbom/$$program > bin/$$program.cdx.json || exit 1; \
		echo "bin/$$program.cdx.json: $$(grep -c '"purl"' bin/$$program.cdx.json) components"; \
	done

bench: ## how fast, and against what: a table, and bench.json; BENCH=regexp for some, SCALE=0.01 for fewer rows
	$(TESTENV) $(GO) run ./bench -run '$(BENCH)' -scale $(SCALE) -out bench.json

microbench: ## the benchmarks of single packages; BENCH=regexp for some
	$(TESTENV) $(GO) run ./internal/testrun $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./...

# Each package is built for fuzzing once, whatever the number of its targets. The
# flag is what go test -fuzz builds with, for our packages alone: coverage of the
# libraries below them would guide the engine away, and take longer to compile
# than a short run takes. What is found interesting is kept where go test keeps
# it. A failing input is left under the package's testdata/fuzz.
# The engine calls a target that its own deadline cuts off a failure, as happens
# on a busy machine; so once more. An input that was found is kept, and fails again.
fuzz: ## each fuzz target for FUZZTIME=25s, some twelve minutes in all
	@mkdir -p bin/fuzz; kept="$$($(GO) env GOCACHE)/fuzz/$$($(GO) list -m)"; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		program="$(CURDIR)/bin/fuzz/$$(echo "$${dir#./}" | tr / -)"; \
		$(COMPILING) $(GO) test -c -gcflags="$$($(GO) list -m)/...=-d=libfuzzer" -o "$$program" "$$dir" || exit 1; \
		for target in $$("$$program" -test.list '^Fuzz'); do \
			echo "$$dir $$target"; \
			fuzz() { (cd "$$dir" && "$$program" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.parallel $(FUZZPARALLEL) -test.fuzzcachedir "$$kept/$${dir#./}"); }; \
			fuzz || fuzz || exit 1; \
		done; \
	done

chaos: ## the fault experiments in full size; RUN=regexp for some of them
	$(TESTENV) ROLLCALL_CHAOS=full $(GO) test -v -count 1 -timeout 2h -run '$(RUN)' ./chaos

soak: ## imports and undoes for SOAK=10m and looks for anything that grows
	$(TESTENV) ROLLCALL_SOAK=$(SOAK) $(GO) test -v -count 1 -timeout 2h -run '^TestSoak$$' ./e2e

# What /healthz calls this build: the tag or commit, where git can tell.
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

build: ## api, worker and rollcall into bin/, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X rollcall/app.Version=$(VERSION)' -o bin/ ./cmd/...

dev: ## a private instance with examples/users.csv imported; FILE=path for another file
	$(GO) run ./cmd/rollcall dev $(FILE)

clean: ## remove what was built (not the data of make dev)
	rm -rf bin
