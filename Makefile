FUNCTIONS := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))
DIST      ?= dist
GOOS      ?= linux
GOARCH    ?= arm64
FUZZTIME  ?= 20s
export PORT FUNCTION EVENT REMOTE DRY_RUN YES

EVENTS    ?= events/org-bootstrap.json events/account-created.json

# The race detector is built on cgo; without a C compiler the tests run without it.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED 2>/dev/null)),-race)
TOOL = go tool -modfile=tools/go.mod

.PHONY: help
help: ## Explain each target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build-local ## Run both functions against a fake Huawei Cloud on this machine and show what happens
	@dist/bin/sandbox run dist/local $(EVENTS)

.PHONY: start
start: build-local ## Serve the functions on this machine until Ctrl-C: Lambda, URLs, queues, a fake Huawei Cloud
	@exec dist/bin/sandbox start dist/local

.PHONY: invoke
invoke: go ## Send an event to a function that make start serves: make invoke FUNCTION=register-region EVENT=events/org-bootstrap.json
	@go build -o dist/bin/invoke ./cmd/invoke
	@exec dist/bin/invoke

.PHONY: build-local
build-local: go ## Build each function for this machine, and the sandbox
	@go build -o dist/bin/sandbox ./cmd/sandbox
	@$(MAKE) --no-print-directory -s build DIST=dist/local GOOS=$$(go env GOHOSTOS) GOARCH=$$(go env GOHOSTARCH)

.PHONY: test
test: go ## Run all tests
	go test $(RACE) -shuffle=on -count=1 ./...

.PHONY: oracle
oracle: go ## Compare signatures, calls and errors with Huawei Cloud's official SDK, which is large: a module of its own
	cd test/oracle && go vet ./... && go test $(RACE) -shuffle=on -count=1 ./...

.PHONY: build
build: $(FUNCTIONS:%=$(DIST)/%/bootstrap) ## Build each function as Lambda takes it, dist/<function>/bootstrap

$(DIST)/%/bootstrap: go
	CGO_ENABLED=0 GOOS=$(GOOS) GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags='-s -w' -o $@ ./functions/$*

.PHONY: workflow
workflow: go ## Run the workflow on this machine: what succeeds, is rejected, recovers, and fails
	go test -count=1 -v -run '^TestTheWorkflow' ./test/deploy

deploy/node_modules: deploy/package-lock.json | node
	@npm --prefix deploy ci --loglevel=error && touch $@

.PHONY: node
node:
	@[ "$$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')" -ge 20 ] 2>/dev/null || { echo "Node.js 20 or newer is missing: install it from https://nodejs.org"; exit 1; }

.PHONY: lint
lint: go ## Check form and style (the first time builds the linter: a minute or two)
	go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	go fix -diff ./...

.PHONY: fuzz
fuzz: go ## Fuzz whatever parses, FUZZTIME each
	go test -run '^$$' -fuzz 'FuzzUnwrap$$' -fuzztime $(FUZZTIME) ./pkg/events
	go test -run '^$$' -fuzz FuzzUnwrapHTTP -fuzztime $(FUZZTIME) ./pkg/events
	go test -run '^$$' -fuzz FuzzErrorBody -fuzztime $(FUZZTIME) ./pkg/client

.PHONY: clean
clean: ## Remove what was built
	rm -rf dist

.PHONY: go
go:
	@command -v go >/dev/null || { echo "Go is missing: install it from https://go.dev/doc/install"; exit 1; }
