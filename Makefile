# Rollcall: `make help` lists the targets.

GO         ?= go
FUZZTIME   ?= 25s
BENCH      ?= .
SCALE      ?= 1
FILE       ?= examples/users.csv
TIMEOUT    ?= 10m
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

# Tests build programs; a checkout that belongs to somebody else must not stop them.
TESTENV := GOFLAGS="$$($(GO) env GOFLAGS) -buildvcs=false"

.DEFAULT_GOAL := help
.PHONY: help test lint fmt vuln sbom bench microbench fuzz chaos soak build dev clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: lint ## all checks and all tests; RACE=1 with the race detector
	$(TESTENV) $(GO) run ./internal/testrun $(GO) test $(RACEFLAG) -timeout $(TIMEOUT) ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted="$$(gofmt -l .)" && if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt: ## format the Go files
	gofmt -w .

# A scan that could not be made is said, not passed off as one that found
# nothing; it does not fail the build of somebody who works without a network.
VULNDB     ?= https://vuln.go.dev

vuln: ## look for known vulnerabilities (asks the vulnerability database over the network)
	@if curl -fsS --max-time 10 -o /dev/null $(VULNDB)/index/db.json; then \
		$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 -db $(VULNDB) ./...; \
	else echo "NOT SCANNED for known vulnerabilities: $(VULNDB) cannot be reached from here"; fi

sbom: build ## what is in the programs: bin/NAME.cdx.json, CycloneDX
	@for program in api worker rollcall; do \
		$(GO) run ./internal/sbom bin/$$program > bin/$$program.cdx.json || exit 1; \
		echo "bin/$$program.cdx.json: $$(grep -c '"purl"' bin/$$program.cdx.json) components"; \
	done

bench: ## how fast, and against what: a table, and bench.json; BENCH=regexp for some, SCALE=0.01 for fewer rows
	$(TESTENV) $(GO) run ./bench -run '$(BENCH)' -scale $(SCALE) -out bench.json

microbench: ## the benchmarks of single packages; BENCH=regexp for some
	$(TESTENV) $(GO) run ./internal/testrun $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./...

fuzz: ## each fuzz target for FUZZTIME=25s, some ten minutes in all
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		targets="$$($(GO) test -list '^Fuzz' "$$dir")" || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

chaos: ## the fault experiments in full size; RUN=regexp for some of them
	$(TESTENV) ROLLCALL_CHAOS=full $(GO) test -v -count 1 -timeout 60m -run '$(RUN)' ./chaos

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
