# The two commands are `make demo` and `make test`; they install what they need.
SHELL   := /bin/sh
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The time of the sources, not of the build, so that the same sources give the
# same bytes. otad takes no clock for right that is before it.
SOURCES_TIME ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.buildTime=$(SOURCES_TIME)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath
PROGRAMS := otad otasim otapack

.PHONY: help assets test-ui demo demo-fleet test build cross dist debs dist-test man conformance bench bench-fleet bench-console bench-delta soak check fuzz clean lab lab-full
help:
	@echo 'make demo    a cloud and two devices, updated and made to fail, end to end'
	@echo 'make demo-fleet  a cloud and 2,000 devices, most of which do what they are told (FLEET=2000)'
	@echo 'make test    all tests'
	@echo 'make test-ui the console in a browser, in both languages'
	@echo 'make build   bin/otad, bin/otasim, bin/otapack'
	@echo 'make cross   static binaries for every supported machine, in dist/'
	@echo 'make dist    the same, and Debian packages of the agent, in dist/'
	@echo 'make man     manual pages and shell completion, in dist/'
	@echo 'make bench   measures beside the peers and writes docs/benchmarks.md'
	@echo 'make bench-fleet  what devices of a fleet cost, and what a cloud does with thousands of them: docs/benchmarks-fleet.md'
	@echo 'make bench-console  measures the pages of a large console and writes docs/benchmarks-console.md'
	@echo 'make bench-delta  measures patches beside the peers and writes docs/benchmarks-delta.md'
	@echo 'make soak    ten minutes of kill -9 and lost connections, and whether all is explained (SOAK=-duration=1m)'
	@echo 'make check   formatting and vet'
	@echo 'make conformance  runs the tests of every rule and fault and writes docs/conformance.md'
	@echo 'make lab     a real device in QEMU, updated and broken, the core (LAB="-run NAME", make lab-full for all of it)'
	@echo 'make fuzz    every fuzz target for a while (FUZZTIME=30s)'

# The console's charts and live previews are npm's, pinned in web/. Without npm, or without
# a network, the console is built without them: its pages work all the same.
NPM_FILES := htmx.org/dist/htmx.min.js uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css
assets:
	@if command -v npm >/dev/null && { test -d web/node_modules/uplot || npm --prefix web ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=0 --fetch-timeout=20000; }; then \
		for f in $(NPM_FILES); do cp web/node_modules/$$f simulator/server/console/npm/ || exit 1; done; \
	else echo 'no npm: the console is built without charts'; fi

build: assets
	@mkdir -p bin
	@for p in $(PROGRAMS); do $(BUILD) -ldflags '$(LDFLAGS)' -o bin/$$p ./cmd/$$p || exit 1; done

# The images of the demo have real agents inside, one build for each version.
demo: build
	@scripts/need.sh go:golang mke2fs:e2fsprogs debugfs:e2fsprogs
	@for v in 1.0.0 2.0.0 3.0.0 4.0.0; do \
		for p in otad otapack; do \
			GOOS=linux GOARCH=arm GOARM=7 $(BUILD) -ldflags "-s -w -X main.version=$$v" -o build/demo/$$v/$$p ./cmd/$$p || exit 1; \
		done; done
	@$(BUILD) -o build/demo/demo ./cmd/demo
	@build/demo/demo

FLEET ?= 2000
demo-fleet: build
	@scripts/demo-fleet.sh $(FLEET)

# The picture of the README.
picture-fleet:
	@scripts/need.sh chromium:chromium
	@$(MAKE) --no-print-directory demo-fleet
	@cp build/fleet/report.png docs/fleet.png

test:
	@scripts/need.sh go:golang bsdiff:bsdiff mke2fs:e2fsprogs time:time swtpm:swtpm swtpm_setup:swtpm-tools fw_setenv:libubootenv-tool \
		mkenvimage:u-boot-tools grub-editenv:grub-common grub-script-check:grub-common grub-emu:grub-emu barebox-state:dt-utils \
		dtc:device-tree-compiler debugfs:e2fsprogs losetup:mount addpart:util-linux sgdisk:gdisk openssl:openssl \
		efibootmgr:efibootmgr bootctl:systemd-boot softhsm2-util:softhsm2 gcc:gcc bzip2:bzip2 xz:xz-utils
	$(GO) vet ./...
	$(GO) test -timeout 9m ./...
	$(GO) test -tags pkcs11 ./verify/pkcs11
	@for t in otad_small otad_cms pkcs11; do $(GO) vet -tags $$t ./cmd/otad || exit 1; done

# Boards with little flash get an agent of at most 9,000,000 bytes: without what only
# PCs and servers have (GRUB, EFI, systemd-boot), without the TPM and HTTP/2, and what is
# not on the way of an image's bytes is compiled without inlining. Everything is in
# otad-full-linux-armv7, and in the other builds.
SMALL := -tags otad_small,nethttpomithttp2 $(foreach p,fmt strconv time net/url net/textproto mime/multipart net/http net crypto/tls crypto/x509 encoding/json encoding/asn1 math/big reflect regexp regexp/syntax log/slog \
	text/template text/template/parse crypto/x509/pkix net/netip archive/tar os os/exec mime path/filepath strings golang.org/x/net/proxy golang.org/x/net/internal/socks \
	github.com/pelletier/go-toml/v2/internal/tracker github.com/leapslot/ota/cmd/internal/man \
	github.com/pelletier/go-toml/v2 github.com/pelletier/go-toml/v2/unstable github.com/spf13/cobra github.com/spf13/pflag \
	github.com/eclipse/paho.mqtt.golang github.com/eclipse/paho.mqtt.golang/packets github.com/gorilla/websocket \
	github.com/leapslot/ota github.com/leapslot/ota/agent github.com/leapslot/ota/agent/link github.com/leapslot/ota/agent/fetch \
	github.com/leapslot/ota/agent/gateway github.com/leapslot/ota/platform/... github.com/leapslot/ota/verify/... \
	github.com/leapslot/ota/cmd/otad,-gcflags=$(p)=-l)
# Kernels of 32-bit ARM have pages of 4 KiB, and the linker would leave room for larger ones.
SMALL_TARGETS := linux/arm/5 linux/arm/6 linux/arm/7 linux/mipsle
FULL_TARGETS  := linux/arm64 linux/riscv64 linux/amd64
SIM_TARGETS   := linux/amd64 linux/arm64 linux/arm/7 linux/riscv64
cross: assets
	@mkdir -p dist
	@set -e; \
	one() { out=dist/$$1; p=$$2; set -- "$$3" $$(echo $$4 | tr / ' '); \
		flags=; test $$1 = full || flags='$(SMALL)'; \
		pages=; test $$3 != arm || pages=' -R 4096'; \
		GOOS=$$2 GOARCH=$$3 GOARM=$${4:-} GOMIPS=softfloat $(BUILD) $$flags -ldflags "$(LDFLAGS)$$pages" -o $$out-$$2-$$3$${4:+v$$4} ./cmd/$$p; \
		printf '%-28s %10d bytes\n' $$out-$$2-$$3$${4:+v$$4} $$(wc -c < $$out-$$2-$$3$${4:+v$$4}); }; \
	for t in $(SMALL_TARGETS); do one otad otad small $$t; one otapack otapack full $$t; done; \
	for t in $(FULL_TARGETS); do one otad otad full $$t; one otapack otapack full $$t; done; \
	for t in linux/arm/6 linux/arm/7; do one otad-full otad full $$t; done; \
	for t in $(SIM_TARGETS); do one otasim otasim full $$t; done
	@size=$$(wc -c < dist/otad-linux-armv7); \
	echo "otad for armv7: $$size bytes, the limit is 9000000"; test $$size -le 9000000

# The Debian packages. An armhf of Debian is an ARMv7, but that of Raspberry Pi OS
# is an ARMv6: this one runs on both. nfpm is pinned in tools/, a module of its own.
NFPM := build/tools/nfpm
dist: cross man debs

debs:
	@cd tools && CGO_ENABLED=0 $(GO) build -o ../$(NFPM) github.com/goreleaser/nfpm/v2/cmd/nfpm
	@rm -f dist/otad_*.deb
	@packaging/build.sh '$(VERSION)' $(NFPM) dist armhf=dist/otad-full-linux-armv6 arm64=dist/otad-linux-arm64 amd64=dist/otad-linux-amd64

# The console in a browser: the source document from top to bottom, in both languages, with
# real agents and 150 played devices (testui/README.md; UI=en plays it in one language).
test-ui: build
	@scripts/need.sh node:nodejs npm:npm chromium:chromium fc-list:fontconfig
	@fc-list :lang=zh | grep -q . || scripts/need.sh a-chinese-font:fonts-wqy-microhei
	@npm --prefix testui ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error || \
		{ echo 'make test-ui: npm cannot get playwright-core and axe-core (testui/package.json): is there a network, or a registry in ~/.npmrc?' >&2; exit 1; }
	@node testui/play.js $(UI)

# How long the console's pages take with 100,000 devices, on a machine that does nothing else.
bench-console:
	@scripts/need.sh go:golang
	@CONSOLE_PAGES='$(CURDIR)/docs/benchmarks-console.md' $(GO) test -count=1 -run TestLargeBatchPages ./simulator/server/console
	@sed -n '/^|/p' docs/benchmarks-console.md

# What is in the packages, and how closed the units are.
dist-test:
	@scripts/need.sh go:golang dpkg-deb:dpkg systemd-analyze:systemd lintian:lintian
	cd tools && $(GO) vet ./... && $(GO) test ./...

# The cloud as it is not meant to be run.
soak: build
	@$(GO) run ./cmd/soak -otasim bin/otasim $(SOAK)

# The manual pages, and the completion of the shells.
man: build
	@mkdir -p dist/man dist/completion
	@for p in $(PROGRAMS); do \
		bin/$$p man dist/man && \
		for s in bash zsh fish; do bin/$$p completion $$s > dist/completion/$$p.$$s || exit 1; done || exit 1; \
	done
	@ls dist/man dist/completion

bench: build
	@scripts/need.sh go:golang curl:curl bspatch:bsdiff time:time mke2fs:e2fsprogs openssl:openssl mosquitto:mosquitto losetup:mount
	@$(BUILD) -o build/bench ./cmd/bench
	@build/bench -bin bin -out docs/benchmarks.md

bench-fleet: build
	@scripts/need.sh go:golang curl:curl bspatch:bsdiff time:time mke2fs:e2fsprogs openssl:openssl mosquitto:mosquitto losetup:mount
	@$(BUILD) -o build/bench ./cmd/bench
	@build/bench -fleet -runs 3 -bin bin -out docs/benchmarks-fleet.md

# Patches beside those of the peers, on images made from Debian's packages.
bench-delta: build
	@scripts/need.sh go:golang bsdiff:bsdiff xdelta3:xdelta3 zstd:zstd time:time mke2fs:e2fsprogs openssl:openssl
	@$(BUILD) -o build/bench ./cmd/bench
	@build/bench delta -bin bin -cache build/bench-delta -out docs/benchmarks-delta.md

check:
	@test -z "$$(gofmt -l .)" || { echo 'gofmt is wanted for:'; gofmt -l .; exit 1; }
	$(GO) vet ./...

# The table of rules, actions, sections and faults, from a run of their tests.
conformance:
	@$(GO) run ./cmd/conformance -out docs/conformance.md
	@grep -E '^## ' docs/conformance.md

# A board in QEMU: see lab/main.go.
lab:
	@$(GO) run -tags lab ./lab $(LAB)

lab-full:
	@$(GO) run -tags lab ./lab -full -out docs/lab.md $(LAB)

FUZZTIME ?= 30s
fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; done

clean:
	rm -rf bin build dist
