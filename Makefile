.PHONY: help build build-it-in ttlstorm vet example test race bench cover lint fuzz neighbours soak storm figures million mutants clients dashboards e2e helm kyverno node rootfs image man vuln \
	release-check release-dry release ci

FUZZTIME ?= 30m

PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Modules with tests that need no more than Go; .ci/modules lists all.
tested = $(filter-out e2e e2e/%,$(shell .ci/modules))

# RACE=-race has e2e and dashboards run under the race detector.
RACE ?=

# gremlins, which changes one operator at a time and runs the tests of its package.
gremlins = go run github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0 unleash . --timeout-coefficient 6 -E '^(cmd|e2e|integration)/'

# goreleaser, of a version that builds with the Go of go.mod.
goreleaser = go run github.com/goreleaser/goreleaser/v2@v2.15.1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## CoreDNS with every plugin and ttlfloor, as ./coredns
	go build ./cmd/coredns

build-it-in: ## what "Build it in" of README.md says, and CoreDNS's own tests of its plugins; as root
	.ci/build-it-in

ttlstorm: ## the load tool, as bin/ttlstorm
	go build -C cmd/ttlstorm -o ../../bin/ttlstorm .

example: ## run Corefile.example on 127.0.0.1:1053
	go run ./cmd/coredns -conf Corefile.example

test: ## all tests but those of dashboards and e2e
	for module in $(tested); do go test -C $$module ./... || exit; done

race: ## the same under the race detector
	for module in $(tested); do go test -C $$module -race -timeout 30m ./... || exit; done

vet: ## go vet for each system and architecture of a release, or those in PLATFORMS (a quarter of an hour, the first time)
# Whatever is about Linux, or Unix, says so in a build constraint: network
# namespaces and interfaces, and signals. No module is left out. What is built for
# that alone is built without optimization, which is faster.
	for platform in $(PLATFORMS); do \
		echo $$platform; \
		flags=; [ $$platform = $$(go env GOHOSTOS)/$$(go env GOHOSTARCH) ] || flags='-gcflags=all=-N -l'; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} .ci/modules go vet $${flags:+"$$flags"} ./... || exit; \
	done

bench: ## the benchmarks, and CPU time per query of whole servers (docs/benchmarks.md)
	go test -run '^$$' -bench . -benchmem .
	go test -C integration -run '^$$' -bench Server -benchtime 1x -timeout 1h ./neighbours

cover: ## what the tests do not reach
	go test -coverprofile=coverage.out .
	go tool cover -func=coverage.out | awk '$$3 != "100.0%"'

lint: ## golangci-lint, of the version in .ci/run
	GOBIN="$(CURDIR)/bin" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$$(sed -n 's/^lint=\([^ ]*\).*/\1/p' .ci/run)
	.ci/modules "$(CURDIR)/bin/golangci-lint" run ./...

fuzz: ## the fuzz targets, FUZZTIME (30m) each
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz '^FuzzRewrite$$' -fuzztime $(FUZZTIME) .
	for target in FuzzMessage FuzzLines FuzzPackets FuzzDnstap; do \
	    go test -C cmd/ttlstorm -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./internal/capture || exit; done

neighbours: ## chains of CoreDNS with and without ttlfloor, judged from outside
	go test -C integration -v ./neighbours -reloads 50

soak: ## a week of ten thousand clients in virtual time (50 minutes)
	go test -v -run '^TestSoak$$' -timeout 2h . -soak

storm: ## every run of docs/storm.md, in virtual time, and one over sockets (two hours)
	go test -C cmd/ttlstorm -v -timeout 4h ./internal/lab -storm
	go test -C cmd/ttlstorm -v -run '^TestBeside$$' . -storm

figures: ## write the figures and tables of docs, but for the rows that take minutes; with STORM=-storm those, too
	go test -C cmd/ttlstorm -run 'TestTables|TestFigures' -timeout 1h ./internal/lab -update $(STORM)

million: ## a million clients in virtual time
	go test -C cmd/ttlstorm -v -run '^TestMany$$' -timeout 1h ./internal/lab -million

mutants: ## mutation testing of the rules and the schedule, then of what reads a Corefile
	$(gremlins) -E '^(arrivals|handover|inner|metadata|metrics|parse|setup|startup|ttlfloor|zones)\.go$$' -E '^internal/(chain|chance|manpage|rootfs|zonename)/'
	$(gremlins) -E '^(arrivals|clients|handover|inner|message|metadata|metrics|ring|rule|schedule|setup|smear|startup|ttlfloor|zones)\.go$$' -E '^internal/(chain|chance|manpage|records|rootfs)/'

clients: ## what real clients do with TTLs, as docs/clients.md (twenty minutes, and the first time longer; CLIENT=nginx for one)
	go build -C clients -o ../bin/clients .
	cd clients && { ../bin/clients install $(CLIENT); got=$$?; \
	    ../bin/clients measure -repeats 3 -cells 15 -fleets -out ../docs $(CLIENT) && exit $$got; }

dashboards: ## dashboard and alerting rules, against a real Prometheus (three minutes)
	go test -C e2e/monitoring $(RACE) -count=1 -v -timeout 30m ./...

e2e: ## CoreDNS in front of a real Kubernetes API server (two minutes, the first time half an hour)
	go test -C e2e $(RACE) -count=1 -v -timeout 45m . ./internal/...

helm: ## the official chart, from the folder CHART, with our values, on a real API server
	GOBIN="$(CURDIR)/bin" go install helm.sh/helm/v4/cmd/helm@v4.3.1
	go test -C e2e -tags chart -count=1 -v -run '^TestChart$$' . -chart "$(abspath $(CHART))"

kyverno: ## the policy in Kyverno's words, by Kyverno's admission controller, on a real API server (the first time ten minutes)
	.ci/kyverno
	go test -C e2e -tags kyverno -count=1 -v -run '^TestKyverno$$' .

node: ## the manifests on real nodes, in namespaces of the test's own (ten minutes, the first time a quarter of an hour more)
	[ -f bin/image/coredns.tar ] || $(MAKE) image
	go test -C e2e $(RACE) -count=1 -v -parallel 4 -timeout 60m ./node

rootfs: ## what the image is made of, as bin/image/rootfs-ARCH.tar, for both architectures or ARCHES
	.ci/rootfs

image: rootfs ## the OCI image for amd64 and arm64, as bin/image/coredns.tar, built by buildah and tested
	.ci/image
	go test -C integration -count=1 -v ./image

man: ## the man page, out of README.md
	mkdir -p bin
	go run ./internal/manpage < README.md > bin/coredns-ttlfloor.7
	mv bin/coredns-ttlfloor.7 man/coredns-ttlfloor.7

vuln: ## known vulnerabilities in what is called
	.ci/vuln

release-check: ## the release for this machine alone, and whether two checkouts build the same
	$(goreleaser) check
	$(goreleaser) build --snapshot --clean --single-target
	dist/coredns_$$(go env GOOS)_$$(go env GOARCH)*/coredns -version
	.ci/reproducible

release-dry: ## all archives of a release, in dist/, and no upload (twelve builds: half an hour)
	$(goreleaser) release --snapshot --clean --skip=sign

release: ## what the workflow runs on a tag
	$(goreleaser) release --clean $(RELEASE)

ci: ## what has to pass before a change lands
	.ci/run
