.PHONY: help build example test race bench cover lint fuzz neighbours soak storm figures million mutants dashboards ci

FUZZTIME ?= 30m

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## CoreDNS with every plugin and ttlfloor, as ./coredns
	go build ./cmd/coredns

example: ## run Corefile.example on 127.0.0.1:1053
	go run ./cmd/coredns -conf Corefile.example

test: ## all tests
	go test ./...

race: ## all tests under the race detector
	go test -race ./...

bench: ## the benchmarks, and CPU time per query of whole servers (docs/benchmarks.md)
	go test -run '^$$' -bench . -benchmem .
	go test -run '^$$' -bench Server -benchtime 1x -timeout 1h ./internal/neighbours

cover: ## what the tests do not reach
	go test -coverprofile=coverage.out .
	go tool cover -func=coverage.out | awk '$$3 != "100.0%"'

lint: ## golangci-lint, of the version in .ci/run
	GOBIN="$(CURDIR)/bin" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$$(sed -n 's/^lint=\([^ ]*\).*/\1/p' .ci/run)
	bin/golangci-lint run ./...

fuzz: ## the fuzz targets, FUZZTIME (30m) each
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz '^FuzzRewrite$$' -fuzztime $(FUZZTIME) .

neighbours: ## chains of CoreDNS with and without ttlfloor, judged from outside
	go test -v ./internal/neighbours -reloads 50

soak: ## a week of ten thousand clients in virtual time (50 minutes)
	go test -v -run '^TestSoak$$' -timeout 2h . -soak

storm: ## every run of docs/storm.md, in virtual time (ten minutes)
	go test -v -timeout 1h ./internal/lab -storm

figures: ## write the figures and tables of docs/storm.md, but for the rows that take minutes
	go test -run 'TestTables|TestFigures' ./internal/lab -update

million: ## a million clients in virtual time
	go test -v -run '^TestMany$$' -timeout 1h ./internal/lab -million

mutants: ## mutation testing of rule.go, rewrite.go and schedule.go (ten minutes)
	go run github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0 unleash . --timeout-coefficient 6 \
		$(foreach f,copy arrivals metrics metadata parse setup ttlfloor zones,-E '^$(f)\.go$$') -E '^cmd/' -E '^internal/'

dashboards: ## dashboard and alerting rules, against a real Prometheus (three minutes)
	go test -C e2e/monitoring -count=1 -v ./...

ci: ## what has to pass before a change lands
	.ci/run
