# Rollcall: `make help` lists the targets.

GO         ?= go
FUZZTIME   ?= 25s
FUZZPARALLEL ?= 2
BENCH      ?= .
SCALE      ?= 1
SOAK       ?= 10m
FILE       ?= examples/users.csv
TIMEOUT    ?= 20m
# Tests to run, as a regular expression; empty: all.
RUN        ?=
# Packages of test-unit; empty: all.
PKG        ?=
# What gotestsum prints while tests run: pkgname, testname, standard-verbose, ...
FORMAT     ?= pkgname

# RACE=1 runs the tests with the race detector, which needs a C compiler. Without
# one the tests run without it, or fail with ROLLCALL_REQUIRE_ALL=1.
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

# Saves the quarter of the compile time that garbage collection takes.
COMPILING  := GOGC=400

# Tests build programs. In a checkout owned by another user, git would refuse.
TESTENV := GOFLAGS="$$($(GO) env GOFLAGS) -buildvcs=false"

.DEFAULT_GOAL := help
.PHONY: help test test-unit test-browser screenshots test-e2e test-helm test-chaos json-unit json-browser json-e2e json-helm json-chaos \
	lint fmt vuln sbom bench microbench fuzz chaos soak build dist dist-check dist-tools dev clean
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# All tests of a target run under one gotestsum, which prints a line per package and,
# at the end, the failures and one summary. It reads the test events of the json-
# targets below; with -k these continue after a failure.
SUMMARY     = $(TESTENV) $(GO) tool gotestsum --format $(FORMAT) --format-hide-empty-pkg --ignore-non-json-output-lines --raw-command -- \
	$(GO) run ./internal/testrun $(MAKE) -k -s --no-print-directory

test: lint ## all checks and all tests, with one summary at the end; RACE=1 adds the race detector
	$(SUMMARY) json-unit json-browser json-e2e json-helm json-chaos

test-unit: ## the tests of packages; PKG=./web RUN=DryRun for some of them
	$(SUMMARY) json-unit

test-browser: ## pages in a real Chromium; RUN=TestName for some of them
	$(SUMMARY) json-browser

SCREENSHOTS ?= bin/screenshots

screenshots: ## a picture of every page, wide and narrow, light and dark, into SCREENSHOTS=bin/screenshots; RUN=TestName for some
	@mkdir -p "$(SCREENSHOTS)"
	ROLLCALL_SCREENSHOTS="$(abspath $(SCREENSHOTS))" $(SUMMARY) json-browser
	@echo "$(SCREENSHOTS): $$(ls "$(SCREENSHOTS)" | wc -l) pictures"

test-e2e: ## the programs as processes; RUN=regexp for some tests
	$(SUMMARY) json-e2e

test-helm: ## the Helm chart: every combination of its switches; RUN=regexp for some tests
	$(SUMMARY) json-helm

test-chaos: ## the short form of the fault experiments; RUN=regexp for some tests
	$(SUMMARY) json-chaos

GOTEST     := $(TESTENV) $(GO) test -json -vet=off -timeout $(TIMEOUT)

# The race detector cannot see into a browser or another process, and slows down
# single goroutines that process large volumes tenfold for nothing.
BROWSER    := InChromium$$
BROWSERS    = $$(grep -rl --include='*_test.go' '^func Test.*InChromium(' . | xargs -n 1 dirname | sort -u)
VOLUME     := ^(TestFlatMemory|TestMailboxKeepsTheNewest|TestHostileWorkbooks|TestDiagnosisIsLinear)$$
VOLUMES    := ./internal/devstack ./report ./tabular ./tabular/workbook ./userfile
# These build programs, which go test does not see change: -count 1 avoids cached
# results.
PROGRAMS   := ./internal/disttest ./test/attack ./test/bench ./test/e2e ./test/openapi
# Packages that take longest start first, so that none runs alone at the end.
PACKAGES   := $(GO) list ./httpapi ./web ./jobs; $(GO) list ./... | grep -v -E '/(internal/disttest|test/(attack|bench|e2e|openapi|chaos)|web|httpapi|jobs)$$'
# Not skipped but left out: tests for root only, and tests that `make soak` and
# `make chaos` run.
ROOT       := $(if $(filter-out 0,$(shell id -u)),|^(TestLinks|TestHosts|TestMailThroughPostfix|TestPostfixReturnsMail|TestOrdinaryUser|TestRootRunsTheServerAsSomebodyElse|TestRootKeepsTheOwnerOfACluster|TestDirectoryTheServerCannotEnter|TestRootOwnedDataDirectory)$$)
LONG       := ^(TestSoak|TestClocks|TestRollingFromBefore)$$

json-unit:
	$(GOTEST) $(RACEFLAG) -skip '$(BROWSER)$(if $(RACEFLAG),|$(VOLUME))$(ROOT)' -run '$(RUN)' $(or $(PKG),$$($(PACKAGES)))
	$(if $(RACEFLAG),$(if $(RUN)$(PKG),,$(GOTEST) -run '$(VOLUME)' $(VOLUMES)))

json-browser:
	$(GOTEST) -run '$(or $(RUN),$(BROWSER))' $(BROWSERS)

json-e2e:
	$(GOTEST) -count 1 -skip '$(LONG)$(ROOT)' -run '$(RUN)' $(PROGRAMS)

# A module of its own, with Helm and the Kubernetes types. It reads files outside, which
# go test does not see change.
json-helm:
	cd deploy/helm && $(GOTEST) -count 1 -run '$(RUN)' ./...

# Last in `make test`, because these need the machine for themselves.
json-chaos:
	$(GOTEST) -count 1 -skip '$(LONG)$(ROOT)' -run '$(RUN)' ./test/chaos

# Compiled with the same flags as the tests, so that each package is compiled once.
lint: ## gofmt, go vet, staticcheck
	@unformatted="$$(gofmt -l .)" && if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(COMPILING) $(GO) vet $(RACEFLAG) ./...
	staticcheck="$$($(COMPILING) $(GO) tool -n staticcheck)" && $(COMPILING) GOFLAGS="$$($(GO) env GOFLAGS) $(RACEFLAG)" "$$staticcheck" ./...

fmt: ## format the Go files
	gofmt -w .

# within SECONDS ends a command that takes longer, if timeout(1) is available.
within = $(if $(shell command -v timeout 2>/dev/null),timeout $(1))

# A scan that could not run is reported as such, and does not fail the build:
# people also work without a network.
VULNDB     ?= https://vuln.go.dev

vuln: ## look for known vulnerabilities (asks the vulnerability database over the network)
	@notice="NOT SCANNED for known vulnerabilities:"; \
	if ! curl -fsS --max-time 10 -o /dev/null $(VULNDB)/index/db.json; then \
		echo "$$notice $(VULNDB) cannot be reached"; \
	elif ! GOBIN="$(CURDIR)/bin" $(call within,90) $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.9.0; then \
		echo "$$notice the scanner could not be fetched and built within 90 seconds"; \
	else \
		status=0; $(call within,90) bin/govulncheck -db $(VULNDB) ./... || status=$$?; \
		case $$status in \
		0) ;; \
		3) exit 3 ;; \
		*) echo "$$notice the scan did not end within 90 seconds, or failed ($$status)" ;; \
		esac; \
	fi

CYCLONEDX_GOMOD := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
NFPM            := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.48.0

# Built with the same flags as in tests, so that nothing is compiled twice: neither
# -trimpath nor CGO_ENABLED changes which modules are included.
sbom: ## the components of the programs as CycloneDX: bin/NAME.cdx.json
	@mkdir -p bin/sbom && $(COMPILING) $(TESTENV) $(GO) build -o bin/sbom/ ./cmd/...
	@GOBIN="$(CURDIR)/bin" $(COMPILING) $(GO) install $(CYCLONEDX_GOMOD)
	@for program in api worker rollcall; do \
		bin/cyclonedx-gomod bin -json -std -output bin/$$program.cdx.json bin/sbom/$$program || exit 1; \
		echo "bin/$$program.cdx.json: $$(grep -c '"purl"' bin/$$program.cdx.json) components"; \
	done

bench: ## how fast, and compared to what: a table, and bench.json; BENCH=regexp for some, SCALE=0.01 for fewer rows
	$(TESTENV) $(GO) run ./test/bench -run '$(BENCH)' -scale $(SCALE) -out bench.json

microbench: ## benchmarks of single packages; BENCH=regexp for some
	$(TESTENV) $(GO) run ./internal/testrun $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./...

# Each package is built for fuzzing once. The flag is the one of go test -fuzz, for our
# packages only: coverage of libraries would misguide the engine and take longer to
# compile than a short run takes. Interesting inputs are kept where go test keeps them;
# a failing input is left under the package's testdata/fuzz.
# On a busy machine the engine reports a target that its deadline cut off as failed.
# Therefore a failed target runs once more; a failing input that was found fails again.
fuzz: ## each fuzz target for FUZZTIME=25s, about twelve minutes in all
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
	$(TESTENV) ROLLCALL_CHAOS=full $(GO) test -v -count 1 -timeout 2h -run '$(RUN)' ./test/chaos

soak: ## imports and undos for SOAK=10m; looks for anything that grows
	$(TESTENV) ROLLCALL_SOAK=$(SOAK) $(GO) test -v -count 1 -timeout 2h -run '^TestSoak$$' ./test/e2e

# The version that /healthz reports: tag or commit, if git is available.
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

build: ## api, worker and rollcall into bin/, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X rollcall/app.Version=$(VERSION)' -o bin/ ./cmd/...

PLATFORMS  ?= linux/amd64 linux/arm64 darwin/arm64
# The time in archives and packages: that of the commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DIST_ENV   := VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH)
TOOLS      ?= $(CURDIR)/bin

dist: dist-tools ## release files into bin/dist: archives, .deb packages, components, checksums; PLATFORMS=linux/amd64 for one
	$(DIST_ENV) TOOLS=$(TOOLS) deploy/package/dist.sh bin/dist $(PLATFORMS)
	@cat bin/dist/SHA256SUMS

# The second time without what the first has compiled.
dist-check: dist-tools ## build the release files twice, from two directories, and compare them
	@work="$$(mktemp -d)" && trap 'GOCACHE="$$work/cache" $(GO) clean -cache; rm -rf "$$work"' EXIT && \
	mkdir "$$work/one" "$$work/another-directory" && \
	for copy in one another-directory; do \
		git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar --directory "$$work/$$copy" --extract || exit 1; \
	done && \
	$(DIST_ENV) TOOLS=$(TOOLS) "$$work/one/deploy/package/dist.sh" "$$work/first" $(PLATFORMS) && \
	GOCACHE="$$work/cache" $(DIST_ENV) TOOLS=$(TOOLS) "$$work/another-directory/deploy/package/dist.sh" "$$work/second" $(PLATFORMS) && \
	diff "$$work/first/SHA256SUMS" "$$work/second/SHA256SUMS" && cat "$$work/first/SHA256SUMS" && echo "Both builds are the same."

dist-tools:
	@GOBIN="$(TOOLS)" $(COMPILING) $(GO) install $(NFPM)
	@GOBIN="$(TOOLS)" $(COMPILING) $(GO) install $(CYCLONEDX_GOMOD)

dev: ## a private instance with examples/users.csv imported; FILE=path for another file
	$(GO) run ./cmd/rollcall dev $(FILE)

clean: ## remove build output (not the data of make dev)
	rm -rf bin
