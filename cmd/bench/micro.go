package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// microTime is how long each run of a micro-benchmark takes.
const microTime = "300ms"

// micros are the micro-benchmarks of the rooms that say something to a reader.
var micros = []struct{ what, pkg, name string }{
	{"SHA-256 of 1 MiB, standard library", "verify", "SHA256/standard"},
	{"SHA-256 of 1 MiB, minio/sha256-simd", "verify", "SHA256/simd"},
	{"unpacking to 16 MiB, with SHA-256 of the package, raw", "agent/unpack", "Unpack/raw"},
	{"unpacking to 16 MiB, with SHA-256 of the package, gzip", "agent/unpack", "Unpack/gzip"},
	{"unpacking to 16 MiB, with SHA-256 of the package, zstd", "agent/unpack", "Unpack/zstd"},
	{"reading a notice", "cmd/bench", "Notice/decode"},
	{"writing a notice", "cmd/bench", "Notice/encode"},
	{"the signature of a TLS handshake, RSA 2048", "cmd/bench", "Handshake/rsa"},
	{"the same by OpenSSL: `openssl speed rsa2048`", "cmd/bench", "Handshake/openssl"},
	{"the signature of a TLS handshake, ECDSA P-256", "cmd/bench", "Handshake/ecdsa"},
}

// micro runs them with go test, and takes the medians.
func (b *bench) micro(ctx context.Context) ([]table, error) {
	t := table{
		title:    "Inside",
		about:    []string{"Micro-benchmarks of single packages, medians."},
		commands: []string{fmt.Sprintf("go test -run '^$' -bench NAME -benchmem -benchtime %s -count %d ./PACKAGE", microTime, b.runs)},
		head:     []string{"", "benchmark", "us/op", "MB/s", "B/op", "allocs/op"},
	}
	for _, m := range micros {
		b.screen.step("%s", m.what)
		parts := strings.Split("Benchmark"+m.name, "/")
		for i, p := range parts {
			parts[i] = "^" + p + "$"
		}
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", strings.Join(parts, "/"), "-benchmem",
			"-benchtime", microTime, "-count", fmt.Sprint(b.runs), module+"/"+m.pkg).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go test %s: %w: %s", m.pkg, err, tail(string(out)))
		}
		found := parseBench(string(out))
		if len(found["ns/op"]) != b.runs {
			return nil, fmt.Errorf("%s has no benchmark %s", m.pkg, m.name)
		}
		row := []string{m.what, "`" + m.pkg + "` " + m.name, figure(found["ns/op"].spread().median / 1e3)}
		for _, unit := range []string{"MB/s", "B/op", "allocs/op"} {
			cell := ""
			if s := found[unit]; s != nil {
				cell = fmt.Sprintf("%.0f", s.spread().median)
			}
			row = append(row, cell)
		}
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

// parseBench collects the figures of all benchmark lines by their unit.
func parseBench(out string) map[string]series {
	found := map[string]series{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				found[f[i+1]] = append(found[f[i+1]], v)
			}
		}
	}
	return found
}
