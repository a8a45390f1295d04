# The next line is an error to other makes, and a target that nobody calls to GNU make.
.error : this Makefile needs GNU make, which may be called gmake here

FUNCTIONS := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))
DIST      ?= dist
GOOS      ?= linux
GOARCH    ?= arm64
FUZZTIME  ?= 200000x
STAGE     ?= dev

# The race detector is built on cgo; without a C compiler the tests run without it.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED 2>/dev/null)),-race)
TOOL = go tool -modfile=tools/go.mod

# What the file of a stage says, for the aws client. SAM reads it by itself. Values may have spaces, but no quotes.
SETTINGS    = deploy/samconfig.$(STAGE).toml
STAGE_STACK = $(shell sed -n 's/^stack_name = "\(.*\)"$$/\1/p' $(SETTINGS) 2>/dev/null)
PARAMETERS  = $(shell sed -n "s/^[[:space:]]*\"\([A-Za-z0-9]*=[^\"']*\)\".*/'\1'/p" $(SETTINGS) 2>/dev/null)

# Version 1 of the aws client knows only the second of these.
ifneq ($(AWS_REGION),)
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif

# Variables given to make, such as DRY_RUN=1, reach whatever it runs.
.PHONY: help
help: ## Explain each target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 } /^##  / { print "    " substr($$0, 3) }' $(MAKEFILE_LIST)

.PHONY: run
run: build-local ## Run the functions against a fake Huawei Cloud on this machine and show what happens
##   EVENTS='a.json b.json'  events to deliver, each twice, instead of the story of an organization
##   DRY_RUN=true, REGION_ID=...  or whatever a function reads
	@dist/bin/sandbox run dist/local $(EVENTS)

.PHONY: start
start: build-local ## Serve the functions on this machine until Ctrl-C: Lambda, FunctionGraph, URLs, queues, a fake Huawei Cloud
##   PORT=3001  where: curl http://127.0.0.1:3001 says what there is
##   DRY_RUN=true, REGION_ID=...  or whatever a function reads
	@exec dist/bin/sandbox start dist/local

.PHONY: soak
soak: build-local ## Put the built functions under load with random faults: is anything lost, false, leaked, or growing?
##   TIME=1m  how long; growth is judged from a minute on
##   RATE=15  events a second
##   SEED=...  of an earlier run, to repeat its choices
	@go build -o dist/bin/soak ./cmd/soak
	@exec dist/bin/soak dist/local

.PHONY: bench
bench: go ## Measure the functions against the least that a Lambda function in Go can be, in about three minutes
##   ROUNDS=40  cold starts of each program
##   BLOCKS=20  of 250 warm invocations each
	@go build -o dist/bin/bench ./cmd/bench
	@exec dist/bin/bench dist/bench

.PHONY: invoke
invoke: go ## Send an event to a function: make invoke FUNCTION=register-region EVENT=events/org-bootstrap.json
##   DRY_RUN=1  with dry_run in its data
##   PORT=3001  of the make start that serves the function
##   REMOTE=1 STAGE=dev  to the deployed function, through the aws client; it says what it will do, and asks
##   STACK=...  of the deployed function, unless it is the stage's
##   YES=1  don't ask
	@go build -o dist/bin/invoke ./cmd/invoke
	@STACK='$(or $(STACK),$(STAGE_STACK))' exec dist/bin/invoke

.PHONY: audit
audit: go ## Print how the organization shall be and how it is; ends with an error if they differ
##   HEAL=1  ask for what is missing to be registered; without it, it only reads
##   PORT=3001  of the make start that serves the function
##   REMOTE=1 STAGE=dev  by the deployed function, through the aws client; HEAL=1 then asks first
##   STACK=...  of the deployed function, unless it is the stage's
##   YES=1  don't ask
	@go build -o dist/bin/audit ./cmd/audit
	@STACK='$(or $(STACK),$(STAGE_STACK))' exec dist/bin/audit

.PHONY: build-local
build-local: go ## Build each function for this machine, and the sandbox
	@[ -x dist/bin/sandbox ] || echo "Building $(words $(FUNCTIONS)) functions for this machine (the first time takes about a minute)"
	@go build -o dist/bin/sandbox ./cmd/sandbox
	@$(MAKE) --no-print-directory -s build DIST=dist/local GOOS=$$(go env GOHOSTOS) GOARCH=$$(go env GOHOSTARCH)

.PHONY: check
check: go ## Check what can be checked in half a minute: form, go vet and the tests that start nothing large
	@unformatted=$$(gofmt -l cmd functions internal pkg test) && [ -z "$$unformatted" ] || { echo "make lint says how to format $$unformatted"; exit 1; }
	go vet ./...
	go test -short $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -vE '/test/(deploy|frontdoor)$$')

.PHONY: test
test: go ## Run all tests, which takes about three minutes; make check is for the time between
	go test $(RACE) -shuffle=on -count=1 ./...

.PHONY: oracle
oracle: go ## Compare signatures, calls and errors with the official SDKs of both clouds, which are large: a module of its own
	cd test/oracle && go vet ./... && go test $(RACE) -shuffle=on -count=1 ./...

.PHONY: build
build: $(FUNCTIONS:%=$(DIST)/%/bootstrap) ## Build each function as Lambda takes it, dist/<function>/bootstrap
	@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,wc -c $^)

$(DIST)/%/bootstrap: go
	CGO_ENABLED=0 GOOS=$(GOOS) GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags='-s -w' -o $@ ./functions/$*

.PHONY: sbom
sbom: $(FUNCTIONS:%=$(DIST)/%/bootstrap.cdx.json) ## Say what is in each function, dist/<function>/bootstrap.cdx.json (CycloneDX)

# Nothing in it depends on the time, and by -trimpath nothing on the folder.
$(DIST)/%/bootstrap.cdx.json: $(DIST)/%/bootstrap
	GOOS= GOARCH= GOFLAGS=-trimpath go tool -modfile=tools/sbom/go.mod cyclonedx-gomod bin -json -std -short-purls -noserial -notimestamp -version '(devel)' -output $@ $<

.PHONY: build-functiongraph
build-functiongraph: go ## Build each function as FunctionGraph takes it, dist/functiongraph/<function>.zip
	@$(MAKE) --no-print-directory -s build DIST=$(DIST)/functiongraph GOOS=linux GOARCH=amd64
	@GOOS= GOARCH= go run ./cmd/pack $(FUNCTIONS:%=$(DIST)/functiongraph/%)
	@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,wc -c $(FUNCTIONS:%=$(DIST)/functiongraph/%.zip))

.PHONY: workflow
workflow: go deploy/node_modules ## Run the workflow on this machine: what succeeds, is rejected, recovers, and fails
	@echo 'Running the workflow of deploy/statemachine with the functions, on a fake Huawei Cloud ...'
	@mkdir -p dist && rm -f dist/workflow.txt
	@DEPLOY_TOOLS=1 WORKFLOW_REPORT='$(CURDIR)/dist/workflow.txt' go test -count=1 -run '^TestTheWorkflow' ./test/deploy
	@cat dist/workflow.txt

deploy/node_modules: deploy/package-lock.json | node
	@npm --prefix deploy ci --loglevel=error && touch $@

.PHONY: node
node:
	@[ "$$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')" -ge 20 ] 2>/dev/null || { echo "Node.js 20 or newer is missing: install it from https://nodejs.org"; exit 1; }

TEMPLATES   = template.yaml $(wildcard deploy/*.yaml)

.PHONY: check-deploy
check-deploy: go deploy/node_modules ## Check templates, Terraform and schemas, and run the workflow, without a cloud
	@deploy/tools.sh
	@deploy/validate.sh
	node deploy/check.cjs $(TEMPLATES) deploy/statemachine/onboarding.asl.json
	node deploy/schemas.cjs docs/schemas
	@! command -v cfn-lint >/dev/null || { set -x; cfn-lint -c I -t $(TEMPLATES); }
	cd test/terraform && go vet ./... && go test -count=1 ./...
	DEPLOY_TOOLS=1 go test -count=1 ./test/deploy

.PHONY: deploy
deploy: ready-deploy build ## Deploy a stage: make deploy STAGE=dev BUCKET=<bucket for the artifacts>
	aws cloudformation package --template-file template.yaml --s3-bucket $(or $(BUCKET),'<bucket>') --s3-prefix $(STAGE_STACK) --output-template-file dist/$(STAGE_STACK).yaml
	aws cloudformation deploy --template-file dist/$(STAGE_STACK).yaml --s3-bucket $(or $(BUCKET),'<bucket>') --s3-prefix $(STAGE_STACK) --stack-name $(STAGE_STACK) --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --tags project=registrar stage=$(STAGE) --parameter-overrides $(PARAMETERS)
	$(if $(filter dev,$(STAGE)),,aws cloudformation update-termination-protection --stack-name $(STAGE_STACK) --enable-termination-protection)
	aws cloudformation describe-stacks --stack-name $(STAGE_STACK) --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]' --output table

.PHONY: delete
delete: ready-delete ## Take a stage down: make delete STAGE=dev
	aws cloudformation delete-stack --stack-name $(STAGE_STACK)
	aws cloudformation wait stack-delete-complete --stack-name $(STAGE_STACK)

queue-url = "$$(aws sqs get-queue-url --queue-name $(STAGE_STACK)-$(FUNCTION)$(1) --query QueueUrl --output text)"
queue-arn = "$$(aws sqs get-queue-attributes --queue-url $(call queue-url,$(1)) --attribute-names QueueArn --query Attributes.QueueArn --output text)"

.PHONY: replay
replay: which-function ready-replay ## Put dead letters back: make replay FUNCTION=register-admin STAGE=dev
	aws sqs start-message-move-task --source-arn $(call queue-arn,-dead-letters) --destination-arn $(call queue-arn) --max-number-of-messages-per-second 1

.PHONY: logs
logs: $(if $(ACCOUNT),,which-function) ready-logs ## Show what a function logged, with SUBJECT= of one account: make logs FUNCTION=register-admin STAGE=dev
##   ACCOUNT=...  instead: what happened to one account, in all functions
##   QUERY=...  another of the saved queries
##   HOURS=24  how far back
	@ACCOUNT='$(ACCOUNT)' SUBJECT='$(SUBJECT)' QUERY='$(QUERY)' HOURS='$(HOURS)' deploy/logs.sh '$(STAGE_STACK)' $(if $(ACCOUNT),$(FUNCTIONS),'$(FUNCTION)')

.PHONY: pause
pause: ready-pause ## Stop the audits of a stage, and its functions from taking events: make pause STAGE=dev
	@deploy/pause.sh pause '$(STAGE_STACK)' $(FUNCTIONS)

.PHONY: resume
resume: ready-resume ## Start them again: make resume STAGE=dev
	@deploy/pause.sh resume '$(STAGE_STACK)' $(FUNCTIONS)

.PHONY: which-function
which-function:
	@[ -n '$(FUNCTION)' ] && [ -d 'functions/$(FUNCTION)' ] || { echo "Which function? make $(firstword $(MAKECMDGOALS)) FUNCTION=<one of $(FUNCTIONS)>"; exit 1; }

READY = $(addprefix ready-,deploy delete replay logs pause resume)
.PHONY: $(READY)
$(READY): ready-%:
	@deploy/ready.sh $* '$(STAGE_STACK)' '$(SETTINGS)' '$(BUCKET)'

.PHONY: lint
lint: go ## Check form and style (the first time builds the linter: a minute or two)
	go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	go fix -diff ./...

VULNDB = $(or $(GOVULNDB),https://vuln.go.dev)

.PHONY: vulncheck
vulncheck: go ## Look for known vulnerabilities in what the code calls, if their database can be reached
##   GOVULNDB=https://vuln.go.dev  another database
	@if curl -fsSL -m 10 -o /dev/null '$(VULNDB)/index/db.json' 2>/dev/null; then \
	  set -x; go tool -modfile=tools/vulncheck/go.mod govulncheck -db '$(VULNDB)' ./...; \
	else echo 'left out: known vulnerabilities, since curl gets no answer from $(VULNDB)'; fi

.PHONY: fuzz
# A count, since Go's fuzzer now and then takes the end of its time for a failure. FuzzToken is slow: it writes files.
fuzz: go ## Fuzz whatever parses, FUZZTIME executions each
	go test -run '^$$' -fuzz 'FuzzUnwrap$$' -fuzztime $(FUZZTIME) ./pkg/events
	go test -run '^$$' -fuzz FuzzUnwrapHTTP -fuzztime $(FUZZTIME) ./pkg/events
	go test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./pkg/events
	go test -run '^$$' -fuzz FuzzRetryAfter -fuzztime $(FUZZTIME) ./pkg/attempt
	go test -run '^$$' -fuzz FuzzAdministrators -fuzztime $(FUZZTIME) ./internal/register
	go test -run '^$$' -fuzz FuzzSecret -fuzztime $(FUZZTIME) ./internal/credentials
	go test -run '^$$' -fuzz FuzzToken -fuzztime 2000x ./internal/credentials
	go test -run '^$$' -fuzz FuzzErrorBody -fuzztime $(FUZZTIME) ./pkg/client
	go test -run '^$$' -fuzz FuzzClean -fuzztime $(FUZZTIME) ./pkg/wire
	go test -run '^$$' -fuzz FuzzRedact -fuzztime $(FUZZTIME) ./pkg/wire

.PHONY: clean
clean: ## Remove what was built
	rm -rf dist

.PHONY: go
go:
	@command -v go >/dev/null || { echo "Go is missing: install it from https://go.dev/doc/install"; exit 1; }
