# Short names for what continuous integration does. The work itself is in
# .ci/phases, so that both do the same.

PHASE = bash .ci/phases

.PHONY: help build check check-all ci install format vet staticcheck test race cross twice e2e deb image fuzz regress release image-context clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build the binary, static, for this machine
	CGO_ENABLED=0 go build -o chive ./cmd/chive

check: ## what must pass before a commit: a few minutes
	bash .ci/run format vet staticcheck test race twice e2e

check-all: check cross fuzz ## check, every system, and 20 s of each fuzz target

ci: ## exactly what continuous integration runs
	bash .ci/run

install: ## the programs that tests and scripts drive, through apt-get
	$(PHASE)/install.sh

format vet staticcheck test race cross twice e2e deb image: ## one phase of the checks
	$(PHASE)/$@.sh

fuzz: ## every fuzz target; FUZZTIME=20 seconds each, FUZZ_ONLY=regexp for some
	$(PHASE)/fuzz.sh

regress: ## benchmarks of this tree against COMMIT (default: HEAD) in turns, with benchstat
	bash bench/regress.sh $(or $(COMMIT),HEAD)

release: ## binaries, packages, SBOM and SHA256SUMS of every system, in dist/; SIGN_KEY=FILE signs
	bash deploy/release.sh

image-context: ## what docker build wants, in dist/image
	rm -rf dist/image
	install -d -m 0755 dist/image/root
	install -d -m 0700 dist/image/root/data
	CGO_ENABLED=0 GOOS=linux go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.built=$$(bash deploy/commit.sh)" -o dist/image/chive ./cmd/chive
	cp deploy/image/Dockerfile dist/image/

clean: ## remove what build leaves
	rm -rf chive chive.exe dist
